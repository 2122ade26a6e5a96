//! What was written to a file, or read from it first, is what is read from it later.
//!
//! redb checks the sums of all pages as it opens a file, and trusts them from then on: where one is changed under it later,
//! by a disk or by somebody's hand, it may panic, and even abort. So the sum of each piece that was written or read is kept
//! (some 40 bytes of memory for a page of 4,096), and a piece that has another one later is an error like others: the store
//! is opened anew then, and all of it is checked.
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The sums of an open file's pieces, by the offsets at which they begin.
#[derive(Debug, Default)]
pub(super) struct Sums(Mutex<BTreeMap<u64, Sum>>);

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

impl Sums {
    /// Reads a piece by `read`.
    ///
    /// # Errors
    /// What `read` says; [`ErrorKind::InvalidData`] where the piece is not what it was.
    pub(super) fn read(
        &self,
        offset: u64,
        out: &mut [u8],
        read: impl Fn(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let known = self.known().get(&offset).copied();
        if known.is_some() {
            read(out)?;
            if known == Some(Sum::of(out)) {
                return Ok(());
            }
        }
        // Nothing is written meanwhile.
        let mut known = self.known();
        read(out)?;
        let sum = Sum::of(out);
        match known.get(&offset) {
            Some(before) if before.len == sum.len && before.crc != sum.crc => {
                Err(io::Error::new(ErrorKind::InvalidData, "it was changed by somebody else, or by the disk"))
            }
            Some(_) => Ok(()),
            None => {
                known.insert(offset, sum);
                Ok(())
            }
        }
    }

    /// Writes a piece by `write`.
    ///
    /// # Errors
    /// What `write` says.
    pub(super) fn write(
        &self,
        offset: u64,
        data: &[u8],
        write: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut known = self.known();
        let end = offset.saturating_add(data.len() as u64);
        let before = known.range(..offset).next_back();
        let reaches = |(at, sum): (&u64, &Sum)| at.saturating_add(sum.len as u64) > offset;
        let first = before.filter(|before| reaches(*before)).map_or(offset, |(at, _)| *at);
        while let Some(at) = known.range(first..end).next().map(|(at, _)| *at) {
            known.remove(&at);
        }
        // What is there where this fails is not known.
        write()?;
        known.insert(offset, Sum::of(data));
        Ok(())
    }

    /// Sets the file's length by `cut`.
    ///
    /// # Errors
    /// What `cut` says.
    pub(super) fn set_len(&self, len: u64, cut: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut known = self.known();
        known.retain(|at, sum| at.saturating_add(sum.len as u64) <= len);
        cut()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u64, Sum>> {
        // What is inside is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn read(sums: &Sums, file: &[u8], offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let from = usize::try_from(offset).unwrap();
        let mut out = vec![0; len];
        sums.read(offset, &mut out, |out| {
            out.copy_from_slice(file.get(from..from + len).ok_or(ErrorKind::UnexpectedEof)?);
            Ok(())
        })?;
        Ok(out)
    }

    proptest! {
        /// Whoever keeps to them is never told that something was changed, whatever overlaps what.
        #[test]
        fn nobody_is_accused_falsely(steps in steps()) {
            let (sums, mut file) = (Sums::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Write(offset, data) => sums.write(offset, &data, || {
                        let from = usize::try_from(offset).unwrap();
                        file.resize(file.len().max(from + data.len()), 0);
                        file[from..from + data.len()].copy_from_slice(&data);
                        Ok(())
                    }).unwrap(),
                    Step::Read(offset, len) => {
                        if let Err(error) = read(&sums, &file, offset, len) {
                            prop_assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                        }
                    }
                    Step::Cut(len) => sums.set_len(len, || {
                        file.resize(usize::try_from(len).unwrap(), 0);
                        Ok(())
                    }).unwrap(),
                }
            }
        }
    }

    #[test]
    fn what_was_changed_is_not_read() {
        let (sums, mut file) = (Sums::default(), vec![7; 200]);
        read(&sums, &file, 0, 100).unwrap();
        sums.write(100, &[7; 100], || Ok(())).unwrap();
        for at in [3, 199] {
            file[at] ^= 1;
            let offset = if at < 100 { 0 } else { 100 };
            assert_eq!(read(&sums, &file, offset, 100).unwrap_err().kind(), ErrorKind::InvalidData);
            file[at] ^= 1;
            read(&sums, &file, offset, 100).unwrap();
        }
        // A write that failed may have come to the file in part.
        sums.write(100, &[8; 100], || Err(ErrorKind::StorageFull.into())).unwrap_err();
        read(&sums, &file, 100, 100).unwrap();
    }
}
