//! A sheet over a file, on which everything is written that is to be in it, until it is let through.
//!
//! redb mends a file that was not closed as it opens it, and takes what does not have its sum as never written: so a byte that
//! was read wrong once, or was changed and could be set right again, would cost what was committed. Nothing of that comes to
//! the file before it is known that all is there that was told of. For those who only read it never does.
use redb::{BackendError, StorageBackend};
use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The unit in which what is written is kept, in bytes.
const PAGE: usize = 4096;

/// The sheet. Its clones are the same one.
#[derive(Debug)]
pub(super) struct Sheet<B>(Arc<Inner<B>>);

#[derive(Debug)]
struct Inner<B> {
    bytes: B,
    /// Does everything go to the file?
    through: AtomicBool,
    held: Mutex<Layer>,
}

/// What is not in the file.
#[derive(Debug)]
struct Layer {
    /// How many bytes of the file are left, and how long it is with what was written.
    kept: u64,
    len: u64,
    written: HashMap<u64, Box<[u8]>>,
    /// The same in its order, so that it comes to the file as it would have without a sheet.
    orders: Vec<Order>,
}

#[derive(Debug)]
enum Order {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl<B> Clone for Sheet<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: StorageBackend> Sheet<B> {
    /// An empty one over `bytes`.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn over(bytes: B) -> io::Result<Self> {
        let len = bytes.len()?;
        let held = Mutex::new(Layer { kept: len, len, written: HashMap::new(), orders: Vec::new() });
        Ok(Self(Arc::new(Inner { bytes, through: AtomicBool::new(false), held })))
    }

    /// Brings everything to the file, as whatever comes from now on.
    ///
    /// # Errors
    /// Whatever the system says: nobody knows then what is in the file, and it has to be opened anew.
    pub(super) fn let_through(&self) -> io::Result<()> {
        let Some(mut held) = self.held() else { return Ok(()) };
        for order in std::mem::take(&mut held.orders) {
            match order {
                Order::Write(offset, data) => self.0.bytes.write(offset, &data)?,
                Order::SetLen(len) => self.0.bytes.set_len(len)?,
                Order::Sync => self.0.bytes.sync_data()?,
            }
        }
        held.written = HashMap::new();
        self.0.through.store(true, Ordering::Release);
        Ok(())
    }

    /// What is not in the file; `None` where nothing is held back any more.
    fn held(&self) -> Option<MutexGuard<'_, Layer>> {
        if self.is_through() {
            return None;
        }
        let held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been let through meanwhile.
        (!self.is_through()).then_some(held)
    }

    fn is_through(&self) -> bool {
        self.0.through.load(Ordering::Acquire)
    }
}

impl Layer {
    /// Reads the file without what was written; it ends in zeros.
    fn original(&self, bytes: &impl StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(self.kept.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (in_file, rest) = out.split_at_mut(there);
        bytes.read(offset, in_file)?;
        rest.fill(0);
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            // What is cut off is gone, also where it grows again.
            self.kept = self.kept.min(len);
            self.written.retain(|page, _| page * (PAGE as u64) < len);
            let (last, end) = (len / PAGE as u64, usize::try_from(len % PAGE as u64).unwrap_or(PAGE));
            if let Some(rest) = self.written.get_mut(&last).and_then(|page| page.get_mut(end..)) {
                rest.fill(0);
            }
        }
        self.len = len;
    }

    fn write(&mut self, bytes: &impl StorageBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        for (page, within, from, len) in parts(offset, data.len()) {
            if !self.written.contains_key(&page) {
                let mut whole = vec![0; PAGE].into_boxed_slice();
                self.original(bytes, page * PAGE as u64, &mut whole)?;
                self.written.insert(page, whole);
            }
            let into = self.written.get_mut(&page).and_then(|page| page.get_mut(within..within + len));
            if let (Some(into), Some(data)) = (into, data.get(from..from + len)) {
                into.copy_from_slice(data);
            }
        }
        // To write nothing makes no file longer.
        if !data.is_empty() {
            self.len = self.len.max(offset.saturating_add(data.len() as u64));
        }
        Ok(())
    }
}

/// The part of a page that lies in `count` bytes from `offset` on: its number, and where it begins in the page, and in
/// the bytes, and how long it is.
fn parts(offset: u64, count: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset.checked_add(done as u64)?;
        let (page, within) = (at / PAGE as u64, usize::try_from(at % PAGE as u64).ok()?);
        let (from, len) = (done, (PAGE - within).min(count - done));
        done += len;
        (len > 0).then_some((page, within, from, len))
    })
}

impl<B: StorageBackend> StorageBackend for Sheet<B> {
    fn len(&self) -> io::Result<u64> {
        self.held().map_or_else(|| self.0.bytes.len(), |held| Ok(held.len))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let Some(held) = self.held() else { return self.0.bytes.read(offset, out) };
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > held.len) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        held.original(&self.0.bytes, offset, out)?;
        for (page, within, from, len) in parts(offset, out.len()) {
            let written = held.written.get(&page).and_then(|page| page.get(within..within + len));
            if let (Some(written), Some(out)) = (written, out.get_mut(from..from + len)) {
                out.copy_from_slice(written);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let Some(mut held) = self.held() else { return self.0.bytes.set_len(len) };
        held.set_len(len);
        held.orders.push(Order::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let Some(mut held) = self.held() else { return self.0.bytes.sync_data() };
        held.orders.push(Order::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(mut held) = self.held() else { return self.0.bytes.write(offset, data) };
        held.write(&self.0.bytes, offset, data)?;
        held.orders.push(Order::Write(offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.bytes.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.bytes.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.bytes.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.bytes.lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::FileBackend;
    use std::fs::{self, File};

    proptest! {
        /// It does what a file does, and leaves the file alone until it is let through.
        #[test]
        fn what_is_written_is_read_and_the_file_stays(
            content in prop::collection::vec(any::<u8>(), 4..20_000),
            steps in prop::collection::vec((0u64..24_000, 0usize..9_000, any::<u8>(), 0u8..4), 0..30),
            through in 0usize..40,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            fs::write(&path, &content).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let sheet = Sheet::over(FileBackend::new(file).unwrap()).unwrap();
            let mut model = content.clone();
            for (number, (offset, count, byte, kind)) in steps.into_iter().enumerate() {
                if number == through {
                    sheet.let_through().unwrap();
                }
                let from = usize::try_from(offset).unwrap();
                match kind {
                    0 => {
                        sheet.set_len(offset).unwrap();
                        model.resize(from, 0);
                    }
                    1 => {
                        sheet.write(offset, &vec![byte; count]).unwrap();
                        if count > 0 {
                            model.resize(model.len().max(from + count), 0);
                            model[from..from + count].fill(byte);
                        }
                    }
                    2 => sheet.sync_data().unwrap(),
                    _ => {
                        let mut out = vec![1; count];
                        let read = sheet.read(offset, &mut out);
                        match model.get(from..from + count) {
                            Some(there) => prop_assert!(read.is_ok() && out == there),
                            None => prop_assert!(read.is_err() || count == 0),
                        }
                    }
                }
                prop_assert_eq!(sheet.len().unwrap(), model.len() as u64);
                let expected = if number < through { &content } else { &model };
                prop_assert_eq!(&fs::read(&path).unwrap(), expected);
            }
        }
    }
}
