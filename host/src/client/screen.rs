//! Screen: writes messages, text and prompts to the client's output, each message on lines of its own, with control
//! characters escaped.
use super::Escaped;
use std::{
    fmt,
    io::{self, Write},
};

/// The text before an answer.
pub(super) const PROMPT: &str = ">>> ";

/// Colours of text on a terminal: the standard's parameters of SGR (ECMA-48, 8.3.117).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// A prompt.
    Bold = 1,
    /// Why an answer was not carried out.
    Red = 31,
    /// What happens to the link.
    Yellow = 33,
}

impl Colour {
    /// The text in this colour.
    pub(super) fn paint(self, text: impl fmt::Display) -> String {
        format!("\x1b[{}m{text}\x1b[0m", self as u8)
    }
}

/// Where the cursor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// At the start of a line.
    Start,
    /// After a prompt.
    Prompt,
    /// In a piece of text that may go on.
    Text,
}

/// An output and the position of its cursor.
pub(super) struct OutputScreen<'a> {
    out: &'a mut dyn Write,
    column: Column,
    /// Is there a person who sees a prompt?
    shows_prompts: bool,
}

impl<'a> OutputScreen<'a> {
    pub(super) fn new(out: &'a mut dyn Write, shows_prompts: bool) -> Self {
        Self { out, column: Column::Start, shows_prompts }
    }

    /// Shows a message, on lines of its own.
    pub(super) fn message(&mut self, text: &str) -> io::Result<()> {
        self.coloured(text, None)
    }

    /// Shows a message in a colour.
    pub(super) fn coloured(&mut self, text: &str, colour: Option<Colour>) -> io::Result<()> {
        self.start_line()?;
        match colour {
            Some(colour) => writeln!(self.out, "{}", colour.paint(Escaped(text)))?,
            None => writeln!(self.out, "{}", Escaped(text))?,
        }
        self.out.flush()
    }

    /// Shows a piece of text, which the next piece may continue on the same line.
    pub(super) fn piece(&mut self, text: &str) -> io::Result<()> {
        if self.column == Column::Prompt {
            self.start_line()?;
        }
        write!(self.out, "{}", Escaped(text))?;
        self.column = if text.ends_with('\n') { Column::Start } else { Column::Text };
        self.out.flush()
    }

    /// Shows the prompt, or only notes it where the line editor shows it.
    pub(super) fn prompt(&mut self, by_editor: bool) -> io::Result<()> {
        self.start_line()?;
        if !self.shows_prompts {
            return Ok(());
        }
        if !by_editor {
            write!(self.out, "{PROMPT}")?;
            self.out.flush()?;
        }
        self.column = Column::Prompt;
        Ok(())
    }

    /// Notes that the line after the prompt was ended by its echoed newline.
    pub(super) fn line_entered(&mut self) {
        self.column = Column::Start;
    }

    /// Clears a terminal's screen and what has scrolled out of it (ECMA-48, 8.3.39 and 8.3.21; xterm's ED 3).
    pub(super) fn blank(&mut self) -> io::Result<()> {
        write!(self.out, "\x1b[2J\x1b[3J\x1b[H")?;
        self.column = Column::Start;
        self.out.flush()
    }

    /// Begins a new line, unless the cursor is at the start of one.
    pub(super) fn start_line(&mut self) -> io::Result<()> {
        if self.column != Column::Start {
            writeln!(self.out)?;
            self.out.flush()?;
        }
        self.column = Column::Start;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_starts_on_a_new_line() {
        let mut out = Vec::new();
        let mut screen = OutputScreen::new(&mut out, true);
        screen.piece("half ").unwrap();
        screen.piece("a line").unwrap();
        screen.message("Hello").unwrap();
        screen.prompt(false).unwrap();
        screen.message("Goodbye").unwrap();
        screen.prompt(false).unwrap();
        screen.line_entered();
        screen.message("Really").unwrap();
        screen.piece("end\n").unwrap();
        screen.start_line().unwrap();
        let shown = "half a line\nHello\n>>> \nGoodbye\n>>> Really\nend\n";
        assert_eq!(String::from_utf8(out).unwrap(), shown);
    }

    #[test]
    fn no_prompt_is_shown_where_no_person_is() {
        let mut out = Vec::new();
        let mut screen = OutputScreen::new(&mut out, false);
        screen.piece("half a line").unwrap();
        screen.prompt(false).unwrap();
        screen.message("Hello").unwrap();
        screen.prompt(false).unwrap();
        screen.start_line().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "half a line\nHello\n");
    }
}
