//! High-water mark: what was acknowledged last, in a file beside the ledger. A ledger that is behind it was set back, or
//! has lost its write-ahead log.
//!
//! The file has two slots, each in a block of its own, so that a torn write leaves the other one. In each second that has
//! a commit one slot is written, over and over and without a sync, after the other one was synced. A process writes both
//! at its first commit. After a loss of power the mark is at most some seconds old; after the end of the process alone it
//! is exact. It also names the database's file, so that a copy is recognised.
use super::{
    entry::Hash,
    folder::{file_id, private},
    sqlite,
    store::{Head, StoreFault},
};
use std::{
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

/// The file's name.
pub const FILE: &str = "ledger.mark";

/// The size of a slot's block in bytes: no disk writes a larger one at once.
const BLOCK: usize = 4096;

/// How long one slot is written.
const PERIOD: Duration = Duration::from_secs(1);

/// Where a mark is kept: a file, or what a test puts in its place. Errors are those of the system.
pub trait MarkFile: fmt::Debug + Send {
    /// Reads the whole file.
    fn read(&mut self) -> io::Result<Vec<u8>>;
    /// Writes at an offset in bytes.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Syncs what was written.
    fn sync(&mut self) -> io::Result<()>;
}

impl MarkFile for File {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.seek(SeekFrom::Start(0))?;
        self.take(2 * BLOCK as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What a mark says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// What was acknowledged last.
    pub(super) head: Head,
    /// The database's file: a copy has another number; 0 if it is not known.
    pub(super) database: u64,
}

/// The mark of a ledger that is written. Errors are those of the system.
#[derive(Debug)]
pub struct Mark {
    file: Box<dyn MarkFile>,
    /// The number of the database's file.
    database: u64,
    /// The slot that is written, and since when.
    slot: u64,
    since: Option<Instant>,
}

impl Mark {
    /// The mark in this file, beside a database whose file has this number.
    pub fn new(file: Box<dyn MarkFile>, database: u64) -> Self {
        Self { file, database, slot: 0, since: None }
    }

    /// Writes both slots anew and syncs them, the older one first: nothing after `head` was acknowledged.
    pub fn reset(&mut self, head: &Head) -> io::Result<()> {
        for _ in 0..2 {
            self.slot ^= 1;
            self.put(head)?;
            self.file.sync()?;
        }
        Ok(())
    }

    /// Reads what was acknowledged last; `None` if neither slot is whole. The next write goes to the other slot.
    pub(super) fn read(&mut self) -> io::Result<Option<Noted>> {
        let newest = parse(&self.file.read()?);
        (self.slot, self.since) = (newest.map_or(0, |(slot, _)| slot), None);
        Ok(newest.map(|(_, noted)| noted))
    }

    /// Whether it was written beside another file than the one that it is beside now.
    pub(super) fn is_of_copy(&self, noted: Option<Noted>) -> bool {
        noted.is_some_and(|Noted { database, .. }| database != 0 && database != self.database)
    }

    /// Notes a head that is committed, before anything in it is acknowledged.
    pub(super) fn write(&mut self, head: &Head) -> io::Result<()> {
        let now = Instant::now();
        match self.since {
            // With a slot of an earlier process, a database that has lost its log would pass where the newer one is damaged.
            None => self.reset(head)?,
            Some(since) if now.duration_since(since) < PERIOD => return self.put(head),
            Some(_) => {
                // The slot that was written until now is whole on the disk before the other one is touched.
                self.file.sync()?;
                self.slot ^= 1;
                self.put(head)?;
            }
        }
        self.since = Some(now);
        Ok(())
    }

    fn put(&mut self, head: &Head) -> io::Result<()> {
        self.file.write_at(self.slot * BLOCK as u64, &block(&Noted { head: *head, database: self.database }))
    }

    /// Syncs what was written.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

/// Opens the mark in a ledger's folder for writing.
pub(super) fn open(folder: &Path) -> io::Result<Mark> {
    let database = file_id(&folder.join(sqlite::FILE)).0;
    Ok(Mark::new(Box::new(private().open(folder.join(FILE))?), database))
}

/// Makes the mark in a folder that has none, in one step; without a head, a mark without a slot that is whole.
pub(super) fn create(folder: &Path, head: Option<&Head>) -> io::Result<()> {
    let path = folder.join("ledger.mark.new");
    let file = private().create(true).truncate(true).open(&path)?;
    if let Some(head) = head {
        Mark::new(Box::new(file), 0).reset(head)?;
    }
    fs::rename(path, folder.join(FILE))
}

/// Reads the mark in a ledger's folder without writing; `None` if there is none that is whole.
pub(super) fn read(folder: &Path) -> io::Result<Option<Noted>> {
    match File::open(folder.join(FILE)) {
        Ok(mut file) => Ok(parse(&MarkFile::read(&mut file)?).map(|(_, noted)| noted)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The fault of a ledger whose mark says nothing.
pub(super) fn missing() -> StoreFault {
    StoreFault::Damaged(format!("{FILE} is missing or not whole"))
}

/// A slot: a line of text with its CRC-32, filled up with zeros.
fn block(noted: &Noted) -> [u8; BLOCK] {
    let Noted { head: Head { batches, number, hash }, database } = noted;
    let text = format!("{batches},{number},{hash},{database}");
    let line = format!("{text},{:08x}\n", crc32fast::hash(text.as_bytes()));
    let mut block = [0; BLOCK];
    block.iter_mut().zip(line.bytes()).for_each(|(byte, text)| *byte = text);
    block
}

/// The newest slot that is whole, and what it says. A file of another length was never a mark: it is made whole and renamed.
fn parse(bytes: &[u8]) -> Option<(u64, Noted)> {
    if bytes.len() != 2 * BLOCK {
        return None;
    }
    let slots = (0..).zip(bytes.chunks(BLOCK));
    slots
        .filter_map(|(slot, block)| Some((slot, parse_slot(block)?)))
        .max_by_key(|(_, noted)| noted.head.batches)
}

fn parse_slot(bytes: &[u8]) -> Option<Noted> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let mut parts = std::str::from_utf8(line).ok()?.split(',');
    let (batches, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let head = Head { batches, number, hash: Hash::parse(parts.next()?)? };
    let noted = Noted { head, database: parts.next()?.parse().ok()? };
    (block(&noted) == bytes).then_some(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(batches: u64) -> Head {
        Head { batches, number: batches / 2, hash: Hash::default().next("a line") }
    }

    /// As if a period had passed.
    fn wait(mark: &mut Mark) {
        mark.since = mark.since.and_then(|since| since.checked_sub(PERIOD));
    }

    #[test]
    fn the_first_write_of_a_process_leaves_no_slot_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), Some(&Head::default())).unwrap();
        open(folder.path()).unwrap().write(&head(9)).unwrap();
        let slots = fs::read(folder.path().join(FILE)).unwrap();
        assert!(slots.chunks(BLOCK).all(|slot| parse_slot(slot).map(|noted| noted.head) == Some(head(9))));
    }

    #[test]
    fn the_last_head_that_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        create(folder.path(), Some(&Head::default())).unwrap();
        assert_eq!(read(folder.path()).unwrap().unwrap().head, Head::default());
        let mut mark = open(folder.path()).unwrap();
        for batches in [1, 2, u64::MAX] {
            wait(&mut mark);
            mark.write(&head(batches)).unwrap();
            assert_eq!(read(folder.path()).unwrap().unwrap().head, head(batches));
        }
        create(folder.path(), None).unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
    }

    /// Power is lost after so many writes.
    #[derive(Debug)]
    struct Writes(File, u64);

    impl MarkFile for Writes {
        fn read(&mut self) -> io::Result<Vec<u8>> {
            MarkFile::read(&mut self.0)
        }
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.1 = self.1.checked_sub(1).ok_or(ErrorKind::Other)?;
            MarkFile::write_at(&mut self.0, offset, bytes)
        }
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_start_writes_to_the_older_slot_first() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), Some(&Head::default())).unwrap();
        for batches in 1..5 {
            let file = private().open(folder.path().join(FILE)).unwrap();
            let mut mark = Mark::new(Box::new(Writes(file, 1)), 0);
            assert_eq!(mark.read().unwrap().unwrap().head.batches, batches - 1);
            mark.write(&head(batches)).unwrap_err();
            let bytes = fs::read(folder.path().join(FILE)).unwrap();
            let mut heads: Vec<_> =
                bytes.chunks(BLOCK).map(|slot| parse_slot(slot).unwrap().head.batches).collect();
            heads.sort_unstable();
            assert_eq!(heads, [batches - 1, batches]);
        }
    }

    #[test]
    fn a_slot_that_is_not_whole_leaves_the_other_one() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), Some(&Head::default())).unwrap();
        let mut mark = open(folder.path()).unwrap();
        for batches in [6, 7] {
            wait(&mut mark);
            mark.write(&head(batches)).unwrap();
        }
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole.len(), 2 * BLOCK);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            // The last head is in the second slot, the one before it in the first.
            let left = if at < BLOCK { (1, 7) } else { (0, 6) };
            let found = parse(&changed).map(|(slot, noted)| (slot, noted.head.batches));
            assert_eq!(found, Some(left), "{at}");
            changed[(at + BLOCK) % (2 * BLOCK)] ^= 1;
            assert_eq!(parse(&changed), None, "{at}");
        }
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None);
        }
    }
}
