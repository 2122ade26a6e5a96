//! The books as a command reads them: from the file, or through the [window](super::window) of a running server.
#[cfg(unix)]
use super::window::{GREETING, SOCKET};
use super::{
    books::Head,
    disk::Folder,
    entry::Hash,
    error::{Error, Fault},
    store::{Store, Stored, View},
};
use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

/// Which entries are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// The last ones.
    Last(u64),
}

/// More than the longest line has.
const LONGEST: u64 = 1024;

/// The books as they were at one moment.
pub struct Source {
    /// What is stored beside the entries.
    pub stored: Stored,
    entries: Entries,
}

enum Entries {
    File { view: View, first: u64, _store: Store },
    Stream(Box<dyn BufRead>),
}

impl Source {
    /// Opens the books in a folder, whether a server works on it or not.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn open(folder: &Path, wanted: Wanted) -> Result<Self, Error> {
        let wrong = |fault| Error { path: folder.to_owned(), fault };
        let mut disk = match Folder::take(folder, false, Arc::default()) {
            Ok(disk) => disk,
            #[cfg(unix)]
            Err(Error { fault: Fault::InUse, .. }) => return ask(folder, wanted).map_err(wrong),
            Err(error) => return Err(error),
        };
        Self::of(&mut disk, wanted).map_err(wrong)
    }

    fn of(disk: &mut Folder, wanted: Wanted) -> Result<Self, Fault> {
        let store = Store::open_unread(disk)?;
        let view = store.view()?;
        let stored = view.stored()?;
        let first = match wanted {
            Wanted::All => 1,
            Wanted::Last(count) => stored.get("head")?.saturating_sub(count).saturating_add(1),
        };
        Ok(Self { stored, entries: Entries::File { view, first, _store: store } })
    }

    /// Shows the entries to `see`, in their order.
    ///
    /// # Errors
    /// What is wrong with them, or what `see` says.
    pub fn entries(&mut self, see: &mut dyn FnMut(Head, &str) -> Result<(), Fault>) -> Result<(), Fault> {
        match &mut self.entries {
            Entries::File { view, first, .. } => view.entries(*first, see),
            Entries::Stream(lines) => stream(lines.as_mut(), see),
        }
    }
}

/// Asks the server that works on the folder.
#[cfg(unix)]
fn ask(folder: &Path, wanted: Wanted) -> Result<Source, Fault> {
    use std::{io::Write, os::unix::net::UnixStream};
    let mut socket = match UnixStream::connect(folder.join(SOCKET)) {
        Ok(socket) => socket,
        // It has no window, or is no server.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::InvalidInput
            ) =>
        {
            return Err(Fault::InUse);
        }
        Err(error) => return Err(error.into()),
    };
    match wanted {
        Wanted::All => writeln!(socket, "read 1")?,
        Wanted::Last(count) => writeln!(socket, "tail {count}")?,
    }
    let mut lines: Box<dyn BufRead> = Box::new(BufReader::with_capacity(1 << 16, socket));
    let stored = stored(lines.as_mut())?;
    Ok(Source { stored, entries: Entries::Stream(lines) })
}

/// One line, without its end; `None` where the stream ends.
pub(super) fn line<'a>(lines: &mut dyn BufRead, line: &'a mut String) -> Result<Option<&'a str>, Fault> {
    line.clear();
    let count = lines.take(LONGEST).read_line(line)?;
    if count == 0 {
        return Ok(None);
    }
    let whole = line.strip_suffix('\n').ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    match whole.strip_prefix("fault,") {
        Some(fault) => Err(io::Error::other(format!("the server says: {fault}")).into()),
        None => Ok(Some(whole)),
    }
}

#[cfg(unix)]
fn stored(lines: &mut dyn BufRead) -> Result<Stored, Fault> {
    let foreign = || Fault::from(io::Error::other("what answers at the socket is no server of this version"));
    let (mut stored, mut text) = (Stored::default(), String::new());
    if line(lines, &mut text)? != Some(GREETING) {
        return Err(foreign());
    }
    loop {
        let line = line(lines, &mut text)?.ok_or_else(foreign)?;
        if line == "entries" {
            return Ok(stored);
        }
        put(&mut stored, line).ok_or_else(foreign)?;
    }
}

#[cfg(unix)]
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

fn stream(
    lines: &mut dyn BufRead,
    see: &mut dyn FnMut(Head, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut text = String::new();
    loop {
        let line = line(lines, &mut text)?;
        let line = line.ok_or_else(|| io::Error::other("the server has ended before all was told"))?;
        if line == "end" {
            return Ok(());
        }
        let (head, line) = split(line).ok_or_else(|| Fault::Damaged(format!("this is no entry: {line}")))?;
        see(head, line)?;
    }
}

/// An entry with its hash behind it.
pub(super) fn split(text: &str) -> Option<(Head, &str)> {
    let (line, hash) = text.rsplit_once(',')?;
    let number = line.split(',').nth(1)?.parse().ok()?;
    Some((Head { number, hash: Hash::parse(hash)? }, line))
}
