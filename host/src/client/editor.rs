//! The line editor, and how to take it away from somebody who is typing.
//!
//! While a line is edited, the terminal is in raw mode, and only the editor's own thread can put it back. A signal makes
//! it: the editor returns from SIGINT at any time, because an external printer (which nobody prints to) keeps it
//! listening for more than keys.
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

/// The signals that end the program, and what they do to the editor.
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

    /// Was the program told to end?
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Makes an editor that is asked for a line return, and waits until it has.
    #[cfg(unix)]
    pub(super) fn dismiss(&self, typed: &Receiver<ConsoleInput>) {
        use std::{sync::mpsc::RecvTimeoutError, time::Duration};
        // One that has not begun to read yet does not notice: it is told again, and not for ever.
        for _ in 0..100 {
            // Its own handler stands over the one of `new`, or else that one does: the program goes on.
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGINT);
            match typed.recv_timeout(Duration::from_millis(10)) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return,
            }
        }
    }

    /// Elsewhere the terminal's mode ends with the program.
    #[cfg(not(unix))]
    pub(super) fn dismiss(&self, _: &Receiver<ConsoleInput>) {}
}

#[cfg(unix)]
impl Drop for Editor {
    fn drop(&mut self) {
        self.signals.close();
    }
}

/// What reads a line with an editor, which is made when it is first called.
pub(super) fn edit() -> impl FnMut() -> ConsoleInput + Send + 'static {
    let mut made = None;
    move || {
        let (editor, _) = match &mut made {
            Some(made) => made,
            None => match make() {
                Ok(new) => made.insert(new),
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

type Lines = rustyline::Editor<(), MemHistory>;

/// An editor with the printer that keeps it listening.
fn make() -> rustyline::Result<(Lines, impl rustyline::ExternalPrinter)> {
    // What is pasted is typed: each of its lines is an answer.
    let config = Config::builder().auto_add_history(true).bracketed_paste(false).build();
    let mut editor = Lines::with_history(config.clone(), MemHistory::with_config(&config))?;
    let printer = editor.create_external_printer()?;
    Ok((editor, printer))
}

fn failed(error: ReadlineError) -> ConsoleInput {
    ConsoleInput::Failed(match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    })
}
