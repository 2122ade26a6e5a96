//! Line editor (rustyline), with a way to interrupt it from another thread.
//!
//! While a line is edited, the terminal is in raw mode, and only the editor's own thread can restore it. SIGINT makes it
//! return: rustyline notices a signal at once only if it polls for more than keys, so it is given an external printer,
//! which is never used.
use super::{console::ConsoleInput, screen::PROMPT};
use rustyline::{Config, error::ReadlineError, history::MemHistory};
use std::{
    io::{self, ErrorKind},
    sync::mpsc::Receiver,
};

/// The prompt for the rest of a line that has a byte which is not UTF-8.
const NOT_TEXT_PROMPT: &str = "not UTF-8 text: press Enter to begin again ";

/// Makes an editor on another thread return if it is reading a line, and waits until it has, for at most a second.
#[cfg(unix)]
pub(super) fn cancel(lines: &Receiver<ConsoleInput>) {
    use std::{sync::mpsc::RecvTimeoutError, time::Duration};
    // An editor that has not begun to read yet misses the signal: it is raised again, a bounded number of times.
    for _ in 0..100 {
        // Either the editor's handler or the one of `Signals` takes the signal, so the program goes on.
        let _ = signal_hook::low_level::raise(signal_hook::consts::SIGINT);
        match lines.recv_timeout(Duration::from_millis(10)) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return,
        }
    }
}

/// Other systems restore the terminal's mode when the program ends.
#[cfg(not(unix))]
pub(super) fn cancel(_: &Receiver<ConsoleInput>) {}

/// The editor cannot wait for a terminal that another program has made non-blocking; that program sets it anew, if it
/// needs it.
#[cfg(unix)]
fn make_blocking() {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let stdin = io::stdin();
    // Where it fails, so does reading.
    let _ = fcntl_getfl(&stdin).and_then(|flags| fcntl_setfl(&stdin, flags.difference(OFlags::NONBLOCK)));
}

#[cfg(not(unix))]
fn make_blocking() {}

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
        let (mut prompt, mut is_text) = (PROMPT, true);
        loop {
            make_blocking();
            return match editor.readline(prompt) {
                Ok(line) if is_text => ConsoleInput::Line(line),
                Ok(_) => ConsoleInput::NotText,
                Err(ReadlineError::Eof) => ConsoleInput::End,
                Err(ReadlineError::Interrupted) => ConsoleInput::Interrupted,
                // The editor drops what was typed before such a byte, and what it has read ahead. The rest of the line
                // must not be taken for an answer.
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    (prompt, is_text) = (NOT_TEXT_PROMPT, false);
                    continue;
                }
                Err(error) => failed(error),
            };
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
