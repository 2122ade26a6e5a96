//! Line editor (rustyline), with a way to interrupt it from another thread.
//!
//! While a line is edited, the terminal is in raw mode, and only the editor's own thread can restore it. SIGINT makes it
//! return: rustyline notices a signal at once only if it polls for more than keys, so it is given an external printer,
//! which is never used.
use super::{
    console::ConsoleInput,
    history::MAX_LINES,
    menu::completions,
    screen::{Colour, PROMPT},
};
use rustyline::{
    CompletionType, Config, Context, Helper, completion::Completer, error::ReadlineError,
    highlight::Highlighter, hint::Hinter, history::FileHistory, validate::Validator,
};
use std::{
    borrow::Cow,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
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

/// A function that adds a line to the history, and reads one with an editor, which it makes at its first call; its second argument says
/// whether the prompt asks for an amount. The history is also in the file `history`.
pub(super) fn line_reader(
    history: Option<PathBuf>,
    colours: bool,
) -> impl FnMut(Option<String>, bool) -> ConsoleInput + Send + 'static {
    let mut cached = None;
    move |remembered, asks_for_amount| {
        let (editor, _) = match &mut cached {
            Some(cached) => cached,
            None => match make_editor(history.as_deref(), colours) {
                Ok(new) => cached.insert(new),
                Err(error) => return failed(error),
            },
        };
        if let Some(helper) = editor.helper_mut() {
            helper.asks_for_amount = asks_for_amount;
        }
        if let Some(line) = remembered {
            // The session goes on without its history.
            let added = editor.add_history_entry(line).unwrap_or(false);
            let _ = history.as_deref().filter(|_| added).map(|path| editor.append_history(path));
        }
        let (mut prompt, mut is_text) = (PROMPT, true);
        loop {
            make_blocking();
            return match editor.readline(prompt) {
                Ok(line) if is_text => ConsoleInput::Line(line.into()),
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

type LineEditor = rustyline::Editor<MenuHelper, FileHistory>;

/// Completes the words of the menu, and colours the prompt.
struct MenuHelper {
    colours: bool,
    asks_for_amount: bool,
}

impl Completer for MenuHelper {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(completions(line.get(..pos).unwrap_or(line), self.asks_for_amount))
    }
}

impl Highlighter for MenuHelper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colours { Colour::Bold.paint(prompt).into() } else { prompt.into() }
    }
}

impl Hinter for MenuHelper {
    type Hint = String;
}

impl Validator for MenuHelper {}
impl Helper for MenuHelper {}

/// An editor, and the printer that makes it notice signals.
fn make_editor(
    history: Option<&Path>,
    colours: bool,
) -> rustyline::Result<(LineEditor, impl rustyline::ExternalPrinter + use<>)> {
    // Without bracketed paste each pasted line is an answer.
    let config = Config::builder()
        .max_history_size(MAX_LINES)?
        .completion_type(CompletionType::List)
        .bracketed_paste(false)
        .build();
    let mut editor = LineEditor::with_history(config.clone(), FileHistory::with_config(&config))?;
    editor.set_helper(Some(MenuHelper { colours, asks_for_amount: false }));
    // There is none before the first start.
    let _ = history.map(|path| editor.load_history(path));
    let printer = editor.create_external_printer()?;
    Ok((editor, printer))
}

fn failed(error: ReadlineError) -> ConsoleInput {
    ConsoleInput::Failed(match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    })
}
