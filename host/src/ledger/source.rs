//! The books as a command reads them: from the file, or through the [window](super::window) of a running server.
//!
//! Nobody is kept waiting by somebody who reads slowly: the file is let go of after each part that was read. Where a server
//! has begun to work on it meanwhile, or the server that showed it is gone, the rest is read there or here: entries that
//! were written once are the same everywhere.
use super::{
    books::Head,
    entry::Hash,
    error::{Error, Fault},
    lock::{PAUSE, holder},
    readonly::ReadOnly,
    store::{Store, Stored, View},
};
use std::{
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

#[cfg(unix)]
mod asked;

/// How often in a row the books may go away before anything more of them was seen.
const TRIES: u8 = 5;

/// Which entries are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// The last ones.
    Last(u64),
    /// From this one on.
    From(u64),
}

/// More than the longest line has.
const LONGEST: u64 = 1024;

/// How much is read from the file at once, in bytes.
const PART: usize = 1 << 16;

/// How long to wait for a server to show its books that has just begun.
const PATIENCE: Duration = Duration::from_secs(5);

/// The books as they were at one moment.
pub struct Source {
    /// What is stored beside the entries.
    pub stored: Stored,
    folder: PathBuf,
    entries: Entries,
    /// The entry to be shown next.
    next: u64,
    /// The last one that was shown, where what follows comes from elsewhere.
    before: Option<Head>,
    /// The last one to be shown, once they come from elsewhere, where there are more by now.
    until: Option<u64>,
}

enum Entries {
    File(Box<Opened>),
    #[cfg(unix)]
    Stream(asked::Lines),
}

struct Opened {
    view: View,
    _store: Store,
    file: ReadOnly,
}

/// What came of an attempt to show more.
enum Shown {
    /// All of them were.
    All,
    /// Some were.
    Some,
    /// They are not to be had here any more.
    Gone,
}

impl Source {
    /// Opens the books in a folder, whether a server works on it or not.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn open(folder: &Path, wanted: Wanted) -> Result<Self, Error> {
        let wrong = |fault| Error { path: folder.to_owned(), fault };
        // It begins when whoever has shut the gate is in.
        let mut until = None;
        loop {
            if let Some(file) = ReadOnly::open(folder)?
                && let Some(source) = Self::of(folder, file, wanted).map_err(wrong)?
            {
                return Ok(source);
            }
            #[cfg(unix)]
            if let Some((stored, lines)) = asked::ask(folder, wanted).map_err(wrong)? {
                return Self::new(folder, stored, Entries::Stream(lines), wanted).map_err(wrong);
            }
            if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + PATIENCE) {
                let whose = Fault::InUse(holder(folder));
                let why = "and shows its books to nobody: it has just begun, or its log says what is wrong";
                return Err(wrong(io::Error::other(format!("{whose} {why}")).into()));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Reads the file; `None` where somebody has worked on it meanwhile.
    fn of(folder: &Path, mut file: ReadOnly, wanted: Wanted) -> Result<Option<Self>, Fault> {
        let read = Store::open_unread(&mut file).and_then(|store| {
            let view = store.view()?;
            Ok((view.stored()?, view, store))
        });
        let (stored, view, _store) = match read {
            // Nobody can have changed it, unless the lock's file was removed.
            Err(Fault::Damaged(_)) if !file.is_same()? => return Ok(None),
            read => read?,
        };
        file.rest();
        Self::new(folder, stored, Entries::File(Box::new(Opened { view, _store, file })), wanted).map(Some)
    }

    fn new(folder: &Path, stored: Stored, entries: Entries, wanted: Wanted) -> Result<Self, Fault> {
        let next = match wanted {
            Wanted::All => 1,
            Wanted::From(first) => first,
            Wanted::Last(count) => stored.get("head")?.saturating_sub(count).saturating_add(1),
        };
        Ok(Self { stored, folder: folder.to_owned(), entries, next, before: None, until: None })
    }

    /// Shows the entries to `see`, in their order.
    ///
    /// # Errors
    /// What is wrong with them, or what `see` says.
    pub fn entries(&mut self, see: &mut dyn FnMut(Head, &str) -> Result<(), Fault>) -> Result<(), Fault> {
        let (mut last, mut tries) = (None, 0);
        while self.until.is_none_or(|until| self.next <= until) {
            let from = self.next;
            let mut see_next = |head: Head, line: &str| {
                self.next = head.number.saturating_add(1);
                if self.until.is_some_and(|until| head.number > until) {
                    return Ok(());
                }
                if self.before.take().is_some_and(|before| before.hash.next(line) != head.hash) {
                    return Err(Fault::Taken);
                }
                last = Some(head);
                see(head, line)
            };
            match self.entries.show(from, &mut see_next)? {
                Shown::All => return Ok(()),
                Shown::Some => {}
                Shown::Gone => {
                    tries = if self.next == from { tries + 1 } else { 0 };
                    if tries > TRIES {
                        return Err(io::Error::other("the books go away before all of them is told").into());
                    }
                    self.find_again(last)?;
                }
            }
        }
        Ok(())
    }

    /// Goes on elsewhere, behind the last entry that was shown.
    fn find_again(&mut self, last: Option<Head>) -> Result<(), Fault> {
        let other = Self::open(&self.folder, Wanted::From(self.next)).map_err(|error| error.fault)?;
        if other.stored.get("ledger")? != self.stored.get("ledger")? {
            return Err(Fault::Taken);
        }
        self.until = self.until.or(Some(self.stored.get("head")?));
        (self.entries, self.before) = (other.entries, last);
        Ok(())
    }
}

impl Entries {
    /// Shows some of them, from `first` on.
    fn show(
        &mut self,
        first: u64,
        see: &mut dyn FnMut(Head, &str) -> Result<(), Fault>,
    ) -> Result<Shown, Fault> {
        match self {
            Self::File(open) => {
                let Some(part) = open.file.look(|| part(&open.view, first))? else { return Ok(Shown::Gone) };
                for (head, line) in &part {
                    see(*head, line)?;
                }
                Ok(if part.is_empty() { Shown::All } else { Shown::Some })
            }
            #[cfg(unix)]
            Self::Stream(lines) => asked::show(lines.as_mut(), see),
        }
    }
}

/// Why a part ends.
enum End {
    Full,
    Fault(Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The entries from `first` on, as many as are read at once.
fn part(view: &View, first: u64) -> Result<Vec<(Head, String)>, Fault> {
    let (mut part, mut size) = (Vec::new(), 0);
    let read = view.entries(first, |head, line| {
        size += line.len();
        part.push((head, line.to_owned()));
        if size < PART { Ok(()) } else { Err(End::Full) }
    });
    match read {
        Err(End::Fault(fault)) => Err(fault),
        Ok(()) | Err(End::Full) => Ok(part),
    }
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

/// An entry with its hash behind it.
pub(super) fn split(text: &str) -> Option<(Head, &str)> {
    let (line, hash) = text.rsplit_once(',')?;
    let number = line.split(',').nth(1)?.parse().ok()?;
    Some((Head { number, hash: Hash::parse(hash)? }, line))
}
