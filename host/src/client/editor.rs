//! Line editor (rustyline), with a way to interrupt it from another thread.
//!
//! While a line is edited, the terminal is in raw mode, and only the editor's own thread can restore it. SIGINT makes it
//! return: rustyline notices a signal at once only if it polls for more than keys, so it is given an external printer,
//! which is never used.
use super::{console::ConsoleInput, screen::PROMPT, transport::Wake};
use rustyline::{Config, error::ReadlineError, history::MemHistory};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
};

/// Handle to a line editor that reads on another thread: interrupts it, and catches the signals that end the program.
pub(super) struct Editor {
    stopped: Arc<AtomicBool>,
    #[cfg(unix)]
    signals: signal_hook::iterator::Handle,
}

impl Editor {
    #[cfg(unix)]
    pub(super) fn new(wake: Wake) -> io::Result<Self> {
        use signal_hook::{
            consts::{SIGHUP, TERM_SIGNALS},
            iterator::Signals,
        };
        let mut signals = Signals::new(TERM_SIGNALS.iter().chain([&SIGHUP]))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let editor = Self { stopped: stopped.clone(), signals: signals.handle() };
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in &mut signals {
                stopped.store(true, Ordering::Release);
                wake.wake();
            }
        })?;
        Ok(editor)
    }

    #[cfg(not(unix))]
    pub(super) fn new(_: Wake) -> io::Result<Self> {
        Ok(Self { stopped: Arc::default() })
    }

    /// Has a signal asked the program to end?
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Makes the editor return if it is reading a line, and waits until it has, for at most a second.
    #[cfg(unix)]
    pub(super) fn cancel(&self, lines: &Receiver<ConsoleInput>) {
        use std::{sync::mpsc::RecvTimeoutError, time::Duration};
        // An editor that has not begun to read yet misses the signal: it is raised again, a bounded number of times.
        for _ in 0..100 {
            // Either the editor's handler or the one of `new` takes the signal, so the program goes on.
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGINT);
            match lines.recv_timeout(Duration::from_millis(10)) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return,
            }
        }
    }

    /// Other systems restore the terminal's mode when the program ends.
    #[cfg(not(unix))]
    pub(super) fn cancel(&self, _: &Receiver<ConsoleInput>) {}
}

#[cfg(unix)]
impl Drop for Editor {
    fn drop(&mut self) {
        self.signals.close();
    }
}

/// A function that reads a line with an editor, which it makes at its first call.
pub(super) fn line_reader() -> impl FnMut() -> ConsoleInput + Send + 'static {
    let mut cached = None;
    move || {
        let (editor, _) = match &mut cached {
            Some(cached) => cached,
            None => match make_editor() {
                Ok(new) => cached.insert(new),
                Err(error) => return failed(error),
            },
        };
        match editor.readline(PROMPT) {
            Ok(line) => ConsoleInput::Line(line),
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => ConsoleInput::End,
            Err(error) => failed(error),
        }
    }
}

type LineEditor = rustyline::Editor<(), MemHistory>;

/// An editor, and the printer that makes it notice signals.
fn make_editor() -> rustyline::Result<(LineEditor, impl rustyline::ExternalPrinter)> {
    // Without bracketed paste each pasted line is an answer.
    let config = Config::builder().auto_add_history(true).bracketed_paste(false).build();
    let mut editor = LineEditor::with_history(config.clone(), MemHistory::with_config(&config))?;
    let printer = editor.create_external_printer()?;
    Ok((editor, printer))
}

fn failed(error: ReadlineError) -> ConsoleInput {
    ConsoleInput::Failed(match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    })
}
