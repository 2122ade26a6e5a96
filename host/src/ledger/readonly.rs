//! The ledger's file for those who only read it.
//!
//! redb mends a file that was not closed as it opens it, and writes down that it is open: here that stays in memory, and
//! the file is as it was. So many may read it at once, and one that nobody may write to is read too.
use super::{
    books::Head,
    disk::{self, Backend, Disk, FILE, JOURNAL, Note, StorageBackend},
    error::{Error, Fault},
    journal::Journal,
    lock::{Lock, at, is_written},
};
use redb::backends::InMemoryBackend;
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The unit in which what is written is kept, in bytes; the file's head, which every commit changes, is in the first.
const PAGE: usize = 4096;

/// A ledger's file as it was when it was opened, for as long as nobody works on it.
#[derive(Debug)]
pub(super) struct ReadOnly {
    folder: PathBuf,
    file: PathBuf,
    sheet: Sheet,
}

impl ReadOnly {
    /// Opens the file, and keeps others from working on it until [`rest`](Self::rest); `None` where somebody does.
    ///
    /// # Errors
    /// [`Fault::Missing`] where there is none; whatever the system says.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, Error> {
        let file = folder.join(FILE);
        if disk::is_new(folder).map_err(at(&file))? {
            return Err(Error { path: folder.to_owned(), fault: Fault::Missing });
        }
        let Some(lock) = Lock::shared(folder)? else { return Ok(None) };
        Self::locked(folder, file.clone(), lock).map_err(|fault| Error { path: file, fault })
    }

    fn locked(folder: &Path, file: PathBuf, lock: Lock) -> Result<Option<Self>, Fault> {
        let mut bytes = OpenOptions::new().read(true).open(&file)?;
        // The lock's file may have been removed under whoever has it.
        if is_written(&bytes)? {
            return Ok(None);
        }
        disk::read_anew(&bytes)?;
        disk::check_magic(&mut bytes)?;
        let len = bytes.metadata()?.len();
        let sheet = Sheet(Arc::new(Mutex::new(State {
            kept: len,
            len,
            head: head(&mut bytes)?,
            file: bytes,
            lock: Some(lock),
            written: HashMap::new(),
        })));
        Ok(Some(Self { folder: folder.to_owned(), file, sheet }))
    }

    /// Lets others work on the file. Nothing is read from it until [`look`](Self::look).
    pub(super) fn rest(&self) {
        self.sheet.state().lock = None;
    }

    /// Does nobody work on the file, and has nobody since it was opened?
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn is_same(&self) -> io::Result<bool> {
        let mut state = self.sheet.state();
        Ok(!is_written(&state.file)? && head(&mut state.file)? == state.head)
    }

    /// Reads from the file; `None` where somebody works on it, or has, since it was opened.
    ///
    /// # Errors
    /// What `read` says; whatever the system says.
    pub(super) fn look<T>(&self, read: impl FnOnce() -> Result<T, Fault>) -> Result<Option<T>, Fault> {
        let locked = Lock::shared(&self.folder).map_err(|error| error.fault)?;
        let Some(lock) = locked else { return Ok(None) };
        if !self.is_same()? {
            return Ok(None);
        }
        self.sheet.state().lock = Some(lock);
        let done = read();
        self.rest();
        match done {
            // Nobody can have changed it, unless the lock's file was removed.
            Err(Fault::Damaged(_)) if !self.is_same()? => Ok(None),
            done => done.map(Some),
        }
    }
}

impl Disk for ReadOnly {
    fn path(&self) -> &Path {
        &self.file
    }

    fn is_new(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn open(&mut self) -> Result<Backend, Fault> {
        Ok(Backend::new(self.sheet.clone(), Arc::default()))
    }

    fn journal(&mut self) -> Result<Backend, Fault> {
        let path = self.folder.join(JOURNAL);
        let journal = InMemoryBackend::new();
        if disk::is_there(&path)? {
            let file = OpenOptions::new().read(true).open(&path)?;
            disk::read_anew(&file)?;
            let mut bytes = Vec::new();
            file.take(Journal::LONGEST.saturating_add(1)).read_to_end(&mut bytes)?;
            journal.set_len(bytes.len() as u64)?;
            journal.write(0, &bytes)?;
        }
        Ok(Backend::new(journal, Arc::default()))
    }

    fn draft(&mut self) -> Result<Backend, Fault> {
        Err(io::Error::from(ErrorKind::Unsupported).into())
    }

    fn publish(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn note(&mut self, _: Head) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn noted(&mut self) -> io::Result<Option<Head>> {
        Note::of(&self.folder).read()
    }
}

/// The first page, or what there is of it.
fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(PAGE);
    file.seek(SeekFrom::Start(0))?;
    file.take(PAGE as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The file, and over it what was written.
#[derive(Clone, Debug)]
struct Sheet(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    file: File,
    head: Vec<u8>,
    /// How many bytes of the file are left, and how long it is with what was written.
    kept: u64,
    len: u64,
    /// While it is there, nobody changes the file.
    lock: Option<Lock>,
    written: HashMap<u64, Box<[u8]>>,
}

impl Sheet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads the file as it is without what was written; it ends in zeros.
    fn original(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        // As redb closes it, the file may be somebody else's by now.
        if self.lock.is_none() {
            return Err(io::Error::other("it was read while others may work on it"));
        }
        let there = usize::try_from(self.kept.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (bytes, rest) = out.split_at_mut(there);
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(bytes)?;
        rest.fill(0);
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

impl StorageBackend for Sheet {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.len) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        state.original(offset, out)?;
        for (page, within, from, len) in parts(offset, out.len()) {
            let written = state.written.get(&page).and_then(|page| page.get(within..within + len));
            if let (Some(written), Some(out)) = (written, out.get_mut(from..from + len)) {
                out.copy_from_slice(written);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if len < state.len {
            // What is cut off is gone, also where it grows again.
            state.kept = state.kept.min(len);
            state.written.retain(|page, _| page * (PAGE as u64) < len);
            let (last, end) = (len / PAGE as u64, usize::try_from(len % PAGE as u64).unwrap_or(PAGE));
            if let Some(rest) = state.written.get_mut(&last).and_then(|page| page.get_mut(end..)) {
                rest.fill(0);
            }
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        for (page, within, from, len) in parts(offset, data.len()) {
            if !state.written.contains_key(&page) {
                let mut whole = vec![0; PAGE].into_boxed_slice();
                state.original(page * PAGE as u64, &mut whole)?;
                state.written.insert(page, whole);
            }
            let into = state.written.get_mut(&page).and_then(|page| page.get_mut(within..within + len));
            if let (Some(into), Some(data)) = (into, data.get(from..from + len)) {
                into.copy_from_slice(data);
            }
        }
        state.len = state.len.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    proptest! {
        /// It does what a file does, and leaves the file alone.
        #[test]
        fn what_is_written_is_read_and_the_file_stays(
            content in prop::collection::vec(any::<u8>(), 4..20_000),
            steps in prop::collection::vec((0u64..24_000, 0usize..9_000, any::<u8>(), 0u8..3), 0..30),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(FILE);
            let content = [b"redb", content.as_slice()].concat();
            File::create(&path).unwrap().write_all(&content).unwrap();
            let mut reader = ReadOnly::open(folder.path()).unwrap().unwrap();
            let backend = reader.open().unwrap();
            let mut model = content.clone();
            for (offset, count, byte, kind) in steps {
                let from = usize::try_from(offset).unwrap();
                match kind {
                    0 => {
                        backend.set_len(offset).unwrap();
                        model.resize(from, 0);
                    }
                    1 => {
                        backend.write(offset, &vec![byte; count]).unwrap();
                        model.resize(model.len().max(from + count), 0);
                        model[from..from + count].fill(byte);
                    }
                    _ => {
                        let mut out = vec![1; count];
                        let read = backend.read(offset, &mut out);
                        match model.get(from..from + count) {
                            Some(there) => prop_assert!(read.is_ok() && out == there),
                            None => prop_assert!(read.is_err()),
                        }
                    }
                }
                prop_assert_eq!(backend.len().unwrap(), model.len() as u64);
            }
            prop_assert_eq!(std::fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn it_is_read_only_as_long_as_nobody_works_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(matches!(ReadOnly::open(folder.path()), Err(Error { fault: Fault::Missing, .. })));
        std::fs::write(&path, b"redb and more").unwrap();
        let alone = Lock::alone(folder.path()).unwrap();
        assert!(ReadOnly::open(folder.path()).unwrap().is_none());
        assert!(
            matches!(Lock::alone(folder.path()), Err(Error { fault: Fault::InUse(Some(me)), .. }) if me == std::process::id())
        );
        drop(alone);
        let mut readers: Vec<_> = (0..3).map(|_| ReadOnly::open(folder.path()).unwrap().unwrap()).collect();
        let backend = readers[0].open().unwrap();
        backend.read(0, &mut [0; 4]).unwrap();
        readers.iter().for_each(ReadOnly::rest);
        assert!(backend.read(0, &mut [0; 4]).is_err(), "nobody would be kept from working on it");
        let alone = Lock::alone(folder.path()).unwrap();
        assert!(readers[0].look(|| Ok(())).unwrap().is_none());
        drop(alone);
        readers[0].look(|| Ok(backend.read(0, &mut [0; 4])?)).unwrap().unwrap();
        // Somebody was there meanwhile.
        std::fs::write(&path, b"redb and less").unwrap();
        assert!(readers[0].look(|| Ok(())).unwrap().is_none());
    }
}
