//! Where the answers come from: a person at a line editor, or plain lines.
//!
//! Reading blocks, so it has a thread of its own. The thread reads one line only when it is asked to: what is typed ahead
//! stays where it is, and the talk notices at once when the host goes away in the meantime.
use super::{
    editor::{self, Editor},
    transport::Wake,
};
use std::{
    env,
    io::{self, BufRead, BufReader, ErrorKind, IsTerminal},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// The longest line that is kept, blanks included.
const LONGEST: usize = 4096;

/// Terminals that cannot move their cursor; a line editor makes no sense there.
const DUMB: [&str; 3] = ["dumb", "cons25", "emacs"];

/// What came of asking for a line.
#[derive(Debug)]
pub enum ConsoleInput {
    /// A line, without its end.
    Line(String),
    /// A line that is far too long to be an answer; it was skipped.
    TooLong,
    /// A line that is not UTF-8.
    NotText,
    /// There are no more lines, or the person wants to leave.
    End,
    /// The lines cannot be read.
    Failed(io::Error),
}

/// Somebody who answers.
pub struct Console {
    ask: Sender<()>,
    typed: Receiver<ConsoleInput>,
    editor: Option<Editor>,
    /// Do typed lines show up on the screen, with their end?
    echoes: bool,
    /// Is somebody there who can decide not to wait any longer?
    pub(super) live: bool,
}

impl Console {
    /// Whoever is at this process's standard input: with a line editor if that and the output are a terminal.
    ///
    /// # Errors
    /// What the system says against a thread more.
    pub fn at_standard_input(wake: Wake) -> io::Result<Self> {
        let live = io::stdin().is_terminal();
        let screen = io::stdout().is_terminal();
        let dumb =
            env::var_os("TERM").is_some_and(|term| DUMB.iter().any(|dumb| term.eq_ignore_ascii_case(dumb)));
        if live && screen && !dumb {
            return Self::at_editor(wake);
        }
        let lines = Self::reading(BufReader::new(io::stdin()), wake)?;
        Ok(Self { echoes: live && screen, live, ..lines })
    }

    /// Somebody whose lines come from `source`. Its thread ends with the source, or after the line that it waits for.
    ///
    /// # Errors
    /// What the system says against a thread more.
    pub fn reading(mut source: impl BufRead + Send + 'static, wake: Wake) -> io::Result<Self> {
        Self::new(None, wake, move || read_line(&mut source))
    }

    fn at_editor(wake: Wake) -> io::Result<Self> {
        // The signals first: the editor puts its own handlers over these, and takes them away again.
        let editor = Editor::new(wake.clone())?;
        let console = Self::new(Some(editor), wake, editor::edit())?;
        Ok(Self { echoes: true, live: true, ..console })
    }

    fn new(
        editor: Option<Editor>,
        wake: Wake,
        mut read: impl FnMut() -> ConsoleInput + Send + 'static,
    ) -> io::Result<Self> {
        let (ask, asked) = channel();
        let (type_in, typed) = channel();
        thread::Builder::new().name("console".into()).spawn(move || {
            for () in asked {
                let sent = type_in.send(read());
                wake.wake();
                if sent.is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { ask, typed, editor, echoes: false, live: false })
    }

    /// Asks for a line; what came of it is then to be had from [`typed`](Self::typed).
    pub(super) fn ask(&self) {
        // A thread that is gone has said why.
        let _ = self.ask.send(());
    }

    /// What came of asking, once it is there.
    pub(super) fn typed(&self) -> Option<ConsoleInput> {
        self.typed.try_recv().ok()
    }

    /// Takes back the asking: leaves the terminal as it was found. (Plain lines leave it alone.)
    pub(super) fn dismiss(&self) {
        if let Some(editor) = &self.editor {
            editor.dismiss(&self.typed);
        }
    }

    /// Was the program told to end?
    pub(super) fn is_stopped(&self) -> bool {
        self.editor.as_ref().is_some_and(Editor::is_stopped)
    }

    /// Does the prompt come from elsewhere?
    pub(super) fn shows_prompt(&self) -> bool {
        self.editor.is_some()
    }

    pub(super) fn echoes(&self) -> bool {
        self.echoes
    }
}

/// Reads one line, of which it keeps what may be an answer.
fn read_line(source: &mut impl BufRead) -> ConsoleInput {
    let (mut line, mut begun, mut too_long) = (Vec::new(), false, false);
    loop {
        let bytes = match source.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return ConsoleInput::Failed(error),
        };
        let newline = bytes.iter().position(|b| *b == b'\n');
        let end = bytes.is_empty() || newline.is_some();
        let part = newline.and_then(|at| bytes.get(..at)).unwrap_or(bytes);
        begun |= !bytes.is_empty();
        too_long |= line.len().saturating_add(part.len()) > LONGEST;
        if !too_long {
            line.extend_from_slice(part);
        }
        let taken = part.len().saturating_add(usize::from(newline.is_some()));
        source.consume(taken);
        if end {
            break;
        }
    }
    match String::from_utf8(line) {
        _ if !begun => ConsoleInput::End,
        _ if too_long => ConsoleInput::TooLong,
        Ok(line) => ConsoleInput::Line(line),
        Err(_) => ConsoleInput::NotText,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_in_bounded_memory() {
        let mut text = b"1\r\n\n  40\n\xff\n".to_vec();
        text.extend([b'7'; 10_000]);
        text.extend(b"\nlast");
        let mut source = BufReader::with_capacity(7, text.as_slice());
        let mut read = || match read_line(&mut source) {
            ConsoleInput::Line(line) => line,
            other => format!("{other:?}"),
        };
        assert_eq!([read(), read(), read(), read()], ["1\r", "", "  40", "NotText"]);
        assert_eq!([read(), read(), read(), read()], ["TooLong", "last", "End", "End"]);
    }
}
