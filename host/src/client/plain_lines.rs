//! Plain lines of a pipe or a file: read in bounded memory, of which nothing that was taken is left, as it may be a number or a PIN.
use super::console::ConsoleInput;
use std::{
    io::{self, BufRead, ErrorKind, Read},
    mem,
};
use zeroize::{Zeroize, Zeroizing};

/// The longest line that is kept, in bytes, blanks included.
const MAX_LINE: usize = 4096;

/// Bytes that are read ahead.
const CAPACITY: usize = 8192;

/// Waits until standard input can be read, where another program has made it non-blocking.
#[cfg(unix)]
pub(super) fn wait_for_input() -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdin = io::stdin();
    match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) {
        Err(rustix::io::Errno::INTR) => Ok(()),
        result => Ok(result.map(|_| ())?),
    }
}

#[cfg(not(unix))]
pub(super) fn wait_for_input() -> io::Result<()> {
    Err(ErrorKind::WouldBlock.into())
}

/// Reads one line, in bounded memory of which nothing is left; `wait` waits for a source that would block.
pub(super) fn read_line(source: &mut impl BufRead, wait: impl Fn() -> io::Result<()>) -> ConsoleInput {
    // It does not grow, which would leave a copy of what it had.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let (mut begun, mut too_long) = (false, false);
    loop {
        let bytes = match source.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => match wait() {
                Ok(()) => continue,
                Err(error) => return ConsoleInput::Failed(error),
            },
            Err(error) => return ConsoleInput::Failed(error),
        };
        let newline = bytes.iter().position(|b| *b == b'\n');
        let end = bytes.is_empty() || newline.is_some();
        let part = newline.and_then(|at| bytes.get(..at)).unwrap_or(bytes);
        begun |= !bytes.is_empty();
        too_long |= line.len().saturating_add(part.len()) > MAX_LINE;
        if !too_long {
            line.extend_from_slice(part);
        }
        let taken = part.len().saturating_add(usize::from(newline.is_some()));
        source.consume(taken);
        if end {
            break;
        }
    }
    if !begun {
        return ConsoleInput::End;
    }
    if too_long {
        return ConsoleInput::TooLong;
    }
    match String::from_utf8(mem::take(&mut *line)) {
        Ok(line) => ConsoleInput::Line(line.into()),
        Err(error) => {
            error.into_bytes().zeroize();
            ConsoleInput::NotText
        }
    }
}

/// Bytes read ahead in a buffer, which wipes those that are taken.
pub(super) struct WipedReader<R> {
    source: R,
    buffer: Zeroizing<Vec<u8>>,
    taken: usize,
    filled: usize,
}

impl<R: Read> WipedReader<R> {
    pub(super) fn with_capacity(capacity: usize, source: R) -> Self {
        Self { source, buffer: Zeroizing::new(vec![0; capacity]), taken: 0, filled: 0 }
    }
}

impl<R: Read> Read for WipedReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(bytes)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for WipedReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
            self.filled = self.source.read(&mut self.buffer)?;
        }
        Ok(self.buffer.get(self.taken..self.filled).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let end = self.taken.saturating_add(count).min(self.filled);
        self.buffer.get_mut(self.taken..end).unwrap_or_default().zeroize();
        self.taken = end;
    }
}

/// Standard input without the buffer of the standard library, which would keep what was read.
pub(super) fn standard_input() -> io::Result<impl BufRead + Send + 'static> {
    #[cfg(unix)]
    let source = std::fs::File::from(std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?);
    #[cfg(not(unix))]
    let source = io::stdin();
    Ok(WipedReader::with_capacity(CAPACITY, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_read_takes_one_line_and_skips_one_that_is_too_long() {
        let mut text = b"1\r\n\n  40\n\xff\n".to_vec();
        text.extend([b'7'; 10_000]);
        text.extend(b"\nlast");
        let mut source = WipedReader::with_capacity(7, text.as_slice());
        let mut read = || match read_line(&mut source, || Ok(())) {
            ConsoleInput::Line(line) => line.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!([read(), read(), read(), read()], ["1\r", "", "  40", "NotText"]);
        assert_eq!([read(), read(), read(), read()], ["TooLong", "last", "End", "End"]);
    }

    #[test]
    fn what_was_taken_is_wiped_and_what_was_not_is_kept() {
        let mut source = WipedReader::with_capacity(16, b"2580\n1379\n".as_slice());
        let ConsoleInput::Line(line) = read_line(&mut source, || Ok(())) else { panic!() };
        assert_eq!(line.as_str(), "2580");
        assert_eq!(source.buffer[..10], *b"\0\0\0\0\x001379\n");
        read_line(&mut source, || Ok(()));
        assert_eq!(*source.buffer, [0; 16]);
    }
}
