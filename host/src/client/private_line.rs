//! Private lines: a person's lines in a session by card, of which nothing is kept, and which show as stars at a secret prompt.
//!
//! The line editor is not for them: it keeps a history and what was deleted, and shows both to the next person. What was typed before a
//! prompt opened is dropped, so that nothing that was meant for a secret prompt shows at another, and nothing echoes in between.
#[cfg(unix)]
pub(super) use self::unix::PrivateLines;
use super::console::{ConsoleInput, Line};
use zeroize::{Zeroize, Zeroizing};

/// The longest line, in bytes: far more than an answer may have.
const MAX: usize = 256;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_U: u8 = 21;
const ESCAPE: u8 = 27;

/// Where a key is in an escape sequence (ECMA-48, 5.4), as of an arrow: none of these has an effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    No,
    Begun,
    Parameters,
}

/// A line that is being typed.
struct Typing {
    is_hidden: bool,
    /// It does not grow, which would leave a copy of what it had.
    bytes: Zeroizing<Vec<u8>>,
    is_too_long: bool,
    escape: Escape,
    /// What is to be shown.
    echo: Vec<u8>,
}

impl Typing {
    fn new(is_hidden: bool) -> Self {
        let bytes = Zeroizing::new(Vec::with_capacity(MAX));
        Self { is_hidden, bytes, is_too_long: false, escape: Escape::No, echo: Vec::new() }
    }

    /// Takes a key; `Some` at the end of the line.
    fn take(&mut self, key: u8) -> Option<ConsoleInput> {
        match (self.escape, key) {
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Parameters,
            (Escape::Parameters, b' '..=b'?') => {}
            (Escape::Begun | Escape::Parameters, _) => self.escape = Escape::No,
            (Escape::No, ESCAPE) => self.escape = Escape::Begun,
            (Escape::No, b'\r' | b'\n') => return Some(self.finish()),
            (Escape::No, CTRL_C) => return Some(ConsoleInput::Interrupted),
            (Escape::No, CTRL_D) if self.bytes.is_empty() => return Some(ConsoleInput::End),
            (Escape::No, CTRL_U) => while self.rub_out() {},
            (Escape::No, 8 | 127) => {
                self.rub_out();
            }
            (Escape::No, b'\t') => self.push(b' '),
            (Escape::No, 0..=31) => {}
            (Escape::No, key) => self.push(key),
        }
        None
    }

    fn push(&mut self, byte: u8) {
        self.is_too_long |= self.bytes.len() >= MAX;
        if self.is_too_long {
            return;
        }
        self.bytes.push(byte);
        // One star a character.
        let is_first = byte & 0b1100_0000 != 0b1000_0000;
        match self.is_hidden {
            false => self.echo.push(byte),
            true if is_first => self.echo.push(b'*'),
            true => {}
        }
    }

    /// Deletes the last character, if there is one.
    fn rub_out(&mut self) -> bool {
        while let Some(byte) = self.bytes.pop() {
            if byte & 0b1100_0000 != 0b1000_0000 {
                self.echo.extend(b"\x08 \x08");
                return true;
            }
        }
        false
    }

    fn finish(&mut self) -> ConsoleInput {
        if self.is_too_long {
            return ConsoleInput::TooLong;
        }
        match String::from_utf8(std::mem::take(&mut *self.bytes)) {
            Ok(line) => ConsoleInput::Line(Line::from(line)),
            Err(error) => {
                error.into_bytes().zeroize();
                ConsoleInput::NotText
            }
        }
    }
}

#[cfg(unix)]
mod unix {
    use super::{ConsoleInput, Typing};
    use rustix::{
        event::{PollFd, PollFlags, poll},
        io::{Errno, read},
        termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr},
    };
    use std::{
        io::{self, PipeReader, PipeWriter, Write},
        os::fd::AsFd,
    };
    use zeroize::Zeroizing;

    /// The terminal's mode as it was, which is restored in the end, and the means to cancel a line.
    pub(in super::super) struct PrivateLines {
        original: Termios,
        canceller: PipeWriter,
        is_used: bool,
    }

    /// Reads the lines, on another thread.
    pub(in super::super) struct Reader {
        original: Termios,
        cancelled: PipeReader,
        /// What is shown before a line; empty where the output is no terminal.
        prompt: String,
    }

    impl PrivateLines {
        /// Those of standard input, which must be a terminal in its ordinary mode.
        pub(in super::super) fn open(prompt: String) -> io::Result<(Self, Reader)> {
            let original = tcgetattr(io::stdin())?;
            let (cancelled, canceller) = io::pipe()?;
            let reader = Reader { original: original.clone(), cancelled, prompt };
            Ok((Self { original, canceller, is_used: false }, reader))
        }

        /// Notes that a line is requested.
        pub(in super::super) fn on_request(&mut self) {
            self.is_used = true;
        }

        /// Makes the reader return without a line, if it is reading one.
        pub(in super::super) fn cancel(&mut self) {
            // It fails only when the reader has ended.
            let _ = self.canceller.write_all(b"x");
        }
    }

    impl Drop for PrivateLines {
        fn drop(&mut self) {
            if self.is_used {
                // What was typed ahead is not for the program that follows.
                let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.original);
            }
        }
    }

    impl Reader {
        /// Reads a line.
        pub(in super::super) fn read(&self, is_hidden: bool) -> ConsoleInput {
            let read = self.set_mode(true).and_then(|()| self.read_keys(Typing::new(is_hidden)));
            // The newline that was not echoed.
            let shown = show(if self.prompt.is_empty() { b"" } else { b"\r\n" });
            let restored = self.set_mode(false);
            match read.and_then(|input| shown.and(restored).map(|()| input)) {
                Ok(input) => input,
                Err(error) => ConsoleInput::Failed(error),
            }
        }

        /// Lets each key through at once and without an echo, after what was typed before is dropped; or whole lines, still without an echo.
        fn set_mode(&self, by_key: bool) -> io::Result<()> {
            let mut mode = self.original.clone();
            mode.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
            if by_key {
                mode.local_modes.remove(LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
                mode.special_codes[SpecialCodeIndex::VMIN] = 1;
                mode.special_codes[SpecialCodeIndex::VTIME] = 0;
            }
            let action = if by_key { OptionalActions::Flush } else { OptionalActions::Now };
            Ok(tcsetattr(io::stdin(), action, &mode)?)
        }

        fn read_keys(&self, mut typing: Typing) -> io::Result<ConsoleInput> {
            self.drain()?;
            show(self.prompt.as_bytes())?;
            // More than one where text is pasted.
            let mut keys = Zeroizing::new([0; 64]);
            loop {
                if !self.wait()? {
                    return Ok(ConsoleInput::Interrupted);
                }
                let count = match read(io::stdin(), &mut *keys) {
                    Ok(0) => return Ok(ConsoleInput::End),
                    Ok(count) => count,
                    Err(Errno::INTR | Errno::AGAIN) => continue,
                    Err(error) => return Err(error.into()),
                };
                // What follows the line's end was typed before the next prompt.
                let end = keys.iter().take(count).find_map(|key| typing.take(*key));
                if !self.prompt.is_empty() {
                    show(&typing.echo)?;
                }
                typing.echo.clear();
                if let Some(input) = end {
                    return Ok(input);
                }
            }
        }

        /// Waits for keys; false if the line is cancelled.
        fn wait(&self) -> io::Result<bool> {
            let stdin = io::stdin();
            loop {
                let mut sources =
                    [PollFd::new(&self.cancelled, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
                match poll(&mut sources, None) {
                    Ok(_) => {}
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                }
                let [cancelled, keys] = &sources;
                match (cancelled.revents().is_empty(), keys.revents().is_empty()) {
                    (false, _) => return Ok(false),
                    (true, false) => return Ok(true),
                    (true, true) => {}
                }
            }
        }

        /// Drops a cancellation that came after its line had ended.
        fn drain(&self) -> io::Result<()> {
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let mut byte = [0];
            while poll(&mut [PollFd::new(&self.cancelled, PollFlags::IN)], Some(&now))? > 0 {
                if read(self.cancelled.as_fd(), &mut byte)? == 0 {
                    break;
                }
            }
            Ok(())
        }
    }

    fn show(bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout();
        out.write_all(bytes)?;
        out.flush()
    }
}

/// On other systems a line cannot be hidden, and none is read.
#[cfg(not(unix))]
mod absent {
    use super::ConsoleInput;
    use std::io;

    pub(in super::super) struct PrivateLines;
    pub(in super::super) struct Reader;

    impl PrivateLines {
        pub(in super::super) fn open(_: String) -> io::Result<(Self, Reader)> {
            Ok((Self, Reader))
        }

        pub(in super::super) fn on_request(&mut self) {}

        pub(in super::super) fn cancel(&mut self) {}
    }

    impl Reader {
        pub(in super::super) fn read(&self, _: bool) -> ConsoleInput {
            ConsoleInput::Failed(io::Error::other("a terminal of this system cannot hide a PIN"))
        }
    }
}
#[cfg(not(unix))]
pub(super) use self::absent::PrivateLines;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown for these keys, and the line.
    fn typed(is_hidden: bool, keys: &str) -> (String, String) {
        let mut typing = Typing::new(is_hidden);
        let input = keys.bytes().find_map(|key| typing.take(key)).unwrap();
        let line = match input {
            ConsoleInput::Line(line) => line.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        (String::from_utf8(typing.echo.clone()).unwrap(), line)
    }

    #[test]
    fn a_line_is_edited_by_backspace_and_shows_as_stars_where_it_is_hidden() {
        for (keys, hidden, shown, line) in [
            ("2580\r", "****", "2580", "2580"),
            ("29\x7f580\n", "**\x08 \x08***", "29\x08 \x08580", "2580"),
            ("99\x152\r", "**\x08 \x08\x08 \x08*", "99\x08 \x08\x08 \x082", "2"),
            ("\x7f\u{e9}\x08\u{20ac}\r", "*\x08 \x08*", "\u{e9}\x08 \x08\u{20ac}", "\u{20ac}"),
            // Arrows, a function key, and other control characters.
            ("\x1b[A2\x1bOD5\x1b[15~8\x010\r", "****", "2580", "2580"),
            ("all\tof\r", "******", "all of", "all of"),
            ("\r", "", "", ""),
            ("\x04", "", "", "End"),
            ("2\x04\r", "*", "2", "2"),
            ("25\x03", "**", "25", "Interrupted"),
        ] {
            assert_eq!(typed(true, keys), (hidden.into(), line.into()), "{keys:?}");
            assert_eq!(typed(false, keys), (shown.into(), line.into()), "{keys:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_not_cut() {
        assert_eq!(typed(false, &("1".repeat(MAX) + "\r")).1, "1".repeat(MAX));
        assert_eq!(typed(true, &("1".repeat(MAX + 1) + "\r")).1, "TooLong");
    }

    #[test]
    fn a_line_is_not_shown_by_debug() {
        let mut typing = Typing::new(true);
        let line = b"864297\r".iter().find_map(|key| typing.take(*key)).unwrap();
        assert_eq!(format!("{line:?}"), "Line(..)");
    }
}
