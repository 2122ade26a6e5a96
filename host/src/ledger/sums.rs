//! What was written to a file, or read from it first, is what is read from it later.
//!
//! redb checks the sums of all pages as it opens a file, and trusts them from then on: where one is changed under it later,
//! by a disk or by somebody's hand, it may panic, and even abort. So the sum of each piece that was written or read is kept
//! (some 40 bytes of memory for a page of 4,096), and a piece that has another one later is an error like others: the store
//! is opened anew then, and all of it is checked.
use redb::{BackendError, StorageBackend};
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// An open file, and the sums of its pieces by the offsets at which they begin. What is read and is not what it was is
/// [`ErrorKind::InvalidData`].
#[derive(Debug)]
pub(super) struct Summed<B> {
    bytes: B,
    known: Mutex<BTreeMap<u64, Sum>>,
}

/// How long a piece is, in bytes, and its CRC-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    len: usize,
    crc: u32,
}

impl Sum {
    fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len(), crc: crc32fast::hash(bytes) }
    }
}

impl<B> Summed<B> {
    pub(super) fn new(bytes: B) -> Self {
        Self { bytes, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u64, Sum>> {
        // What is inside is whole at any time.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the first piece begins that reaches beyond `offset`, if it does before that.
fn first(known: &BTreeMap<u64, Sum>, offset: u64) -> u64 {
    let before = known.range(..offset).next_back();
    let reaches = |(at, sum): (&u64, &Sum)| at.saturating_add(sum.len as u64) > offset;
    before.filter(|before| reaches(*before)).map_or(offset, |(at, _)| *at)
}

impl<B: StorageBackend> StorageBackend for Summed<B> {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let known = self.known().get(&offset).copied();
        if known.is_some() {
            self.bytes.read(offset, out)?;
            if known == Some(Sum::of(out)) {
                return Ok(());
            }
        }
        // Nothing is written meanwhile.
        let mut known = self.known();
        self.bytes.read(offset, out)?;
        let sum = Sum::of(out);
        match known.get(&offset) {
            Some(before) if before.len == sum.len && before.crc != sum.crc => {
                Err(io::Error::new(ErrorKind::InvalidData, "it was changed by somebody else, or by the disk"))
            }
            Some(_) => Ok(()),
            // Pieces do not overlap: a write would have to look for all that it changes.
            None => {
                let end = offset.saturating_add(out.len() as u64);
                if known.range(first(&known, offset)..end).next().is_none() {
                    known.insert(offset, sum);
                }
                Ok(())
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut known = self.known();
        known.retain(|at, sum| at.saturating_add(sum.len as u64) <= len);
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.bytes.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut known = self.known();
        let end = offset.saturating_add(data.len() as u64);
        let first = first(&known, offset);
        while let Some(at) = known.range(first..end).next().map(|(at, _)| *at) {
            known.remove(&at);
        }
        // What is there where this fails is not known.
        self.bytes.write(offset, data)?;
        known.insert(offset, Sum::of(data));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.bytes.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.bytes.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.bytes.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.bytes.lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    /// A file that others can change, and a disk that can be full.
    #[derive(Clone, Debug, Default)]
    struct File(Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>);

    impl StorageBackend for File {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let from = usize::try_from(offset).unwrap();
            out.copy_from_slice(
                self.0.lock().unwrap().get(from..from + out.len()).ok_or(ErrorKind::UnexpectedEof)?,
            );
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let (from, mut bytes) = (usize::try_from(offset).unwrap(), self.0.lock().unwrap());
            if self.1.load(Ordering::Relaxed) {
                return Err(ErrorKind::StorageFull.into());
            }
            let end = bytes.len().max(from + data.len());
            bytes.resize(end, 0);
            bytes[from..from + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Read(u64, usize),
        Cut(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let byte = prop::collection::vec(any::<u8>(), 0..40);
        prop::collection::vec(
            prop_oneof![
                (0..200u64, byte).prop_map(|(at, data)| Step::Write(at, data)),
                (0..200u64, 0..40usize).prop_map(|(at, len)| Step::Read(at, len)),
                (0..200u64).prop_map(Step::Cut),
            ],
            0..60,
        )
    }

    proptest! {
        /// Whoever keeps to them is never told that something was changed, whatever overlaps what.
        #[test]
        fn nobody_is_accused_falsely(steps in steps()) {
            let summed = Summed::new(File::default());
            for step in steps {
                match step {
                    Step::Write(offset, data) => summed.write(offset, &data).unwrap(),
                    Step::Read(offset, len) => {
                        if let Err(error) = summed.read(offset, &mut vec![0; len]) {
                            prop_assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                        }
                    }
                    Step::Cut(len) => summed.set_len(len).unwrap(),
                }
            }
        }
    }

    #[test]
    fn pieces_that_overlap_accuse_nobody() {
        let summed = Summed::new(File::default());
        summed.write(0, &[7; 39]).unwrap();
        summed.read(5, &mut [0; 3]).unwrap();
        summed.write(10, &[8]).unwrap();
        summed.read(0, &mut [0; 39]).unwrap();
        summed.read(12, &mut [0; 3]).unwrap();
        summed.read(0, &mut [0; 39]).unwrap();
        summed.write(13, &[9]).unwrap();
        summed.read(0, &mut [0; 39]).unwrap();
        summed.read(12, &mut [0; 3]).unwrap();
    }

    #[test]
    fn what_was_changed_is_not_read() {
        let file = File::default();
        file.write(0, &[7; 200]).unwrap();
        let summed = Summed::new(file.clone());
        let read = |offset| summed.read(offset, &mut [0; 100]);
        read(0).unwrap();
        summed.write(100, &[7; 100]).unwrap();
        for at in [3, 199] {
            file.0.lock().unwrap()[at] ^= 1;
            let offset = if at < 100 { 0 } else { 100 };
            assert_eq!(read(offset).unwrap_err().kind(), ErrorKind::InvalidData);
            file.0.lock().unwrap()[at] ^= 1;
            read(offset).unwrap();
        }
        // A write that failed may have come to the file in part.
        file.1.store(true, Ordering::Relaxed);
        summed.write(100, &[8; 100]).unwrap_err();
        file.0.lock().unwrap()[150] = 8;
        read(100).unwrap();
    }
}
