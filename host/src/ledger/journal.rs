//! Entries on their way into the store: one batch behind the other in a file, each brought to the disk by one write and one
//! sync in one place, where the pages of a tree lie in many.
//!
//! A batch is 16 bytes (the length of what comes behind them and its CRC-32, the number of its first entry, all of them
//! little-endian), then the entries, [packed](super::packed), then zeros up to a multiple of [`STEP`]. When the entries are in the store, the next batch is written over the first one: those of
//! before that are left behind it have numbers that the store has.
//!
//! A batch whose sum is wrong was torn, and nobody was told of it: it and what is behind it is not there. Where a later batch
//! is behind it, it was damaged: batches come one after the other.
use super::{
    books::Row,
    disk::{Backend, StorageBackend},
    error::Fault,
    packed::{pack, unpack},
};
use std::io;

/// Where a batch may begin, in bytes.
const STEP: usize = 8;

/// The bytes before what a batch holds.
const HEADER: usize = 16;

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    bytes: Backend,
    len: u64,
    /// The length from which on it is begun again. The file gets it with the first batch, so that a later sync has seldom
    /// anything to say about its length.
    size: u64,
    /// Where the next batch comes.
    end: u64,
    batch: Vec<u8>,
}

impl Journal {
    /// The longest file that is one, in bytes: many times what a batch may add.
    pub(super) const LONGEST: u64 = 256 << 20;

    /// Opens it, and reads the entries behind the one with the number `last`.
    ///
    /// # Errors
    /// What is wrong with it; [`Fault::Damaged`] where entries are missing in it.
    pub(super) fn open(bytes: Backend, size: u64, last: u64) -> Result<(Self, Vec<Row>), Fault> {
        let len = bytes.len()?;
        if len > Self::LONGEST {
            return Err(Fault::Damaged("its journal is longer than one can be".to_owned()));
        }
        let mut all = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        bytes.read(0, &mut all)?;
        let rows = rows(&all, last)?;
        Ok((Self { bytes, len, size, end: 0, batch: Vec::new() }, rows))
    }

    /// Writes a batch behind the others. It is on the disk then.
    ///
    /// # Errors
    /// Whatever the system says: nobody knows then what is on the disk.
    pub(super) fn append(&mut self, rows: &[Row]) -> Result<(), Fault> {
        let Some(first) = rows.first() else { return Ok(()) };
        self.batch.clear();
        self.batch.resize(HEADER, 0);
        for row in rows {
            pack(row, &mut self.batch)?;
        }
        let Some((header, held)) = self.batch.split_first_chunk_mut::<HEADER>() else { return Ok(()) };
        let len = u32::try_from(held.len()).map_err(io::Error::other)?;
        *header = made(first.head.number, len, held);
        self.batch.resize(self.batch.len().next_multiple_of(STEP), 0);
        let end = self.end.saturating_add(self.batch.len() as u64);
        self.grow(end)?;
        self.bytes.write(self.end, &self.batch)?;
        self.bytes.sync_data()?;
        self.end = end;
        Ok(())
    }

    /// Makes it as long as it is to be.
    fn grow(&mut self, end: u64) -> io::Result<()> {
        if end > self.len {
            let len = end.max(self.size);
            let rest = usize::try_from(len.saturating_sub(self.len)).map_err(io::Error::other)?;
            self.bytes.set_len(len)?;
            // A file that has its length and not its bytes would get them one by one, each with more to sync.
            self.bytes.write(self.len, &vec![0; rest])?;
            self.len = len;
        }
        Ok(())
    }

    /// Is it so long that its entries should come into the store?
    pub(super) fn is_full(&self) -> bool {
        self.end >= self.size
    }

    /// The store has all of its entries.
    pub(super) fn clear(&mut self) {
        self.end = 0;
    }
}

fn made(number: u64, len: u32, held: &[u8]) -> [u8; HEADER] {
    let [a, b, c, d] = len.to_le_bytes();
    let [e, f, g, h] = sum(number, held).to_le_bytes();
    let [i, j, k, l, m, n, o, p] = number.to_le_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

fn sum(number: u64, held: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&number.to_le_bytes());
    sum.update(held);
    sum.finalize()
}

/// A batch as it was read.
struct Batch<'a> {
    first: u64,
    held: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch with which `bytes` begin, if its number is in `numbers` and its sum is right.
    fn read(bytes: &'a [u8], numbers: impl std::ops::RangeBounds<u64>) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let first = u64::from_le_bytes(*first);
        let held = rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        let is_one = !held.is_empty() && numbers.contains(&first);
        (is_one && sum(first, held) == u32::from_le_bytes(*crc)).then_some(Self { first, held })
    }

    fn len(&self) -> usize {
        self.held.len().saturating_add(HEADER).next_multiple_of(STEP)
    }
}

/// The entries behind `last`.
fn rows(all: &[u8], last: u64) -> Result<Vec<Row>, Fault> {
    let (mut rows, mut rest, mut next) = (Vec::new(), all, last.saturating_add(1));
    while let Some(batch) = Batch::read(rest, ..) {
        if batch.first > next {
            return Err(missing(next));
        }
        for entry in unpack(batch.held, batch.first) {
            let (head, line) =
                entry.ok_or_else(|| Fault::Damaged("a batch of its journal is not one".to_owned()))?;
            if head.number == next {
                next = next.saturating_add(1);
                rows.push(Row { head, line: line.to_owned() });
            }
        }
        rest = rest.get(batch.len()..).unwrap_or_default();
    }
    while let Some(behind) = rest.get(STEP..) {
        rest = behind;
        if Batch::read(rest, next..).is_some() {
            return Err(missing(next));
        }
    }
    Ok(rows)
}

fn missing(number: u64) -> Fault {
    Fault::Damaged(format!(
        "entry {number} is missing, and later ones are in its journal: an old copy of it is in its place, or something was \
         changed (without ledger.journal and ledger.told beside it, it is taken as it is, and what was told of since is lost)"
    ))
}

#[cfg(test)]
mod tests;
