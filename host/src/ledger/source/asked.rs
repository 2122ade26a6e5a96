//! The books as a running server shows them, through its window.
use super::{super::window, LONGEST, Shown, Wanted, line, split};
use crate::ledger::{books::Head, error::Fault, lock::holder, store::Stored};
use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// How long a server may leave a question unanswered, and pause in its answer. It may be stopped, as by a debugger.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server says, line by line.
pub(super) type Lines = Box<dyn BufRead>;

/// Asks the server that works on the folder; `None` where it has no window now, or is no server.
pub(super) fn ask(folder: &Path, wanted: Wanted) -> Result<Option<(Stored, Lines)>, Fault> {
    let mut socket = match window::at(folder, |path| UnixStream::connect(path)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => {
            let told = format!("{}: {error}", window::SOCKET);
            return Err(io::Error::new(error.kind(), told).into());
        }
        Ok(socket) => socket,
    };
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let question = match wanted {
        Wanted::All => "read 1\n".to_owned(),
        Wanted::From(first) => format!("read {first}\n"),
        Wanted::Last(count) => format!("tail {count}\n"),
    };
    match socket.write_all(question.as_bytes()) {
        // It has said why.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        result => result?,
    }
    let answer = Answer { socket, server: holder(folder) };
    let mut lines = Box::new(BufReader::with_capacity(1 << 16, answer));
    let mut text = String::new();
    match line(lines.as_mut(), &mut text) {
        Ok(Some(window::GREETING)) => {}
        Ok(Some(_)) => return Err(foreign()),
        // It was just stopped, or its ledger is closed for now.
        Ok(None) => return Ok(None),
        Err(fault) if is_gone(&fault) => return Ok(None),
        Err(fault) => return Err(fault),
    }
    Ok(stored(lines.as_mut())?.map(|stored| (stored, lines as Lines)))
}

fn foreign() -> Fault {
    io::Error::other("what answers at the socket is no server of this version").into()
}

/// What is stored beside the entries; `None` where the server is gone.
fn stored(lines: &mut dyn BufRead) -> Result<Option<Stored>, Fault> {
    let (mut stored, mut text) = (Stored::default(), String::new());
    loop {
        match line(lines, &mut text) {
            Ok(Some("entries")) => return Ok(Some(stored)),
            Ok(Some(line)) => put(&mut stored, line).ok_or_else(foreign)?,
            Ok(None) => return Ok(None),
            Err(fault) if is_gone(&fault) => return Ok(None),
            Err(fault) => return Err(fault),
        }
    }
}

fn put(stored: &mut Stored, line: &str) -> Option<()> {
    match *line.split(',').collect::<Vec<_>>().as_slice() {
        ["state", key, value] => {
            stored.state.insert(key.to_owned(), value.parse().ok()?);
        }
        ["account", number, balance] => {
            stored.accounts.insert(number.parse().ok()?, balance.parse().ok()?);
        }
        ["terminal", name, last, cash] => {
            stored.terminals.insert(name.to_owned(), (last.parse().ok()?, cash.parse().ok()?));
        }
        _ => return None,
    }
    Some(())
}

/// Shows what comes to `see`, to its end.
pub(super) fn show(
    lines: &mut dyn BufRead,
    see: &mut dyn FnMut(Head, &str) -> Result<(), Fault>,
) -> Result<Shown, Fault> {
    let mut text = String::with_capacity(LONGEST as usize);
    loop {
        let line = match line(lines, &mut text) {
            Ok(Some(line)) => line,
            // It waits for nobody who reads too slowly, and it may have been stopped: whoever wants the rest asks again.
            Ok(None) => return Ok(Shown::Gone),
            Err(fault) if is_gone(&fault) => return Ok(Shown::Gone),
            Err(fault) => return Err(fault),
        };
        if line == "end" {
            return Ok(Shown::All);
        }
        let (head, line) = split(line).ok_or_else(|| Fault::Damaged(format!("this is no entry: {line}")))?;
        see(head, line)?;
    }
}

fn is_gone(fault: &Fault) -> bool {
    let Fault::Io(error) = fault else { return false };
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
}

/// What the server says.
struct Answer {
    socket: UnixStream,
    server: Option<u32>,
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.socket.read(buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let server = self
                    .server
                    .map_or_else(|| "the server".to_owned(), |id| format!("the server (process {id})"));
                Err(io::Error::other(format!(
                    "{server} works on it and has said nothing for {} s; it may be stopped",
                    PATIENCE.as_secs()
                )))
            }
            result => result,
        }
    }
}
