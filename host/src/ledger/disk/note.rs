//! The entry that was told of last, beside the ledger's file.
//!
//! The sums in the journal and in the ledger's file cannot tell a batch or a commit that never came whole, and that nobody was
//! told of, from one that was told of and damaged later: the one before it is taken in both cases. This file can. It is written after the commit is on the disk,
//! and is not brought there itself: after `kill -9` it is as it was written, after a loss of power perhaps older, and then it
//! knows of less.
use super::private;
use crate::ledger::{books::Head, entry::Hash};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use tracing::warn;

/// Its name in the ledger's folder.
pub(in crate::ledger) const FILE: &str = "ledger.told";

/// The note in a ledger's folder.
#[derive(Debug)]
pub(in crate::ledger) struct Note {
    path: PathBuf,
    file: Option<File>,
}

impl Note {
    pub(in crate::ledger) fn of(folder: &Path) -> Self {
        Self { path: folder.join(FILE), file: None }
    }

    /// Writes it over the one before: as many bytes each time, fewer than a disk writes at once; with a CRC-32, since what
    /// is wrong with it says nothing about the ledger.
    pub(super) fn write(&mut self, told: Head) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(private().create(true).truncate(false).open(&self.path)?),
        };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(line(told).as_bytes())
    }

    /// Reads it. One that is not whole says nothing.
    pub(in crate::ledger) fn read(&self) -> io::Result<Option<Head>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let told = parse(&text);
        if told.is_none() {
            warn!(path = %self.path.display(), "this does not say which entry was told of last");
        }
        Ok(told)
    }

    pub(super) fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn line(told: Head) -> String {
    let told = format!("{:020},{}", told.number, told.hash);
    format!("{told},{:08x}\n", crc32fast::hash(told.as_bytes()))
}

fn parse(text: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.split(',');
    let told = Head { number: parts.next()?.parse().ok()?, hash: Hash::parse(parts.next()?)? };
    (line(told) == text).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_over_and_one_that_is_not_whole_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut note = Note::of(folder.path());
        assert_eq!(note.read().unwrap(), None);
        for number in [1, 17, u64::MAX, 3] {
            let told = Head { number, hash: Hash::default().next("a line") };
            note.write(told).unwrap();
            assert_eq!(Note::of(folder.path()).read().unwrap(), Some(told));
        }
        let whole = fs::read(folder.path().join(FILE)).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for text in [&whole[..at], &changed] {
                fs::write(folder.path().join(FILE), text).unwrap();
                assert_eq!(note.read().unwrap(), None, "{at}");
            }
        }
        note.remove().unwrap();
        note.remove().unwrap();
        assert_eq!(note.read().unwrap(), None);
    }
}
