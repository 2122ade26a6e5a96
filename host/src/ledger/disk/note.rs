//! The entry that was told of last, beside the ledger's file.
//!
//! The sums in the journal and in the ledger's file cannot tell a batch or a commit that never came whole, and that nobody was
//! told of, from one that was told of and damaged later: the one before it is taken in both cases. This file can. It is
//! written after the commit is on the disk, and is not brought there itself: after `kill -9` it is as it was written, after a
//! loss of power perhaps older, and then it knows of less.
use super::{is_there, private};
use crate::ledger::{books::Head, entry::Hash};
use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
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
            none => {
                let file = private().create(true).truncate(false).open(&self.path)?;
                file.set_len(line(told).len() as u64)?;
                none.insert(file)
            }
        };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(line(told).as_bytes())
    }

    /// Reads it. One that is not whole says nothing.
    pub(in crate::ledger) fn read(&self) -> io::Result<Option<Head>> {
        let there = is_there(&self.path)
            .and_then(|is_there| if is_there { fs::read(&self.path).map(Some) } else { Ok(None) });
        let there = there.map_err(|error| io::Error::other(format!("{FILE} beside it: {error}")))?;
        let Some(text) = there else { return Ok(None) };
        let told = parse(&text);
        if told.is_none() {
            warn!(path = %self.path.display(), "this does not say which entry was told of last");
        }
        Ok(told)
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
        // What stands behind it is gone with the next one that is written.
        fs::write(folder.path().join(FILE), [&whole[..], b"\n"].concat()).unwrap();
        assert_eq!(note.read().unwrap(), None);
        let told = Head { number: 3, hash: Hash::default().next("a line") };
        Note::of(folder.path()).write(told).unwrap();
        assert_eq!(note.read().unwrap(), Some(told));
        fs::remove_file(folder.path().join(FILE)).unwrap();
        assert_eq!(note.read().unwrap(), None);
        fs::create_dir(folder.path().join(FILE)).unwrap();
        assert_eq!(note.read().unwrap_err().to_string(), "ledger.told beside it: this is not a file");
    }
}
