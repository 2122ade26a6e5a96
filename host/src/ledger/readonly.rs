//! The ledger's file for those who only read it.
//!
//! What redb writes as it opens it stays in memory (see [`sheet`](super::sheet)), and the file is as it was. So many may read
//! it at once, and one that nobody may write to is read too.
use super::{
    books::Head,
    disk::{self, Backend, Disk, FILE, JOURNAL, Note, StorageBackend},
    error::{Error, Fault},
    journal::Journal,
    lock::{Lock, at, is_written},
};
use redb::backends::InMemoryBackend;
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How much of the file's beginning is looked at to see whether it is the same still, in bytes: every commit changes it.
const HEAD: u64 = 4096;

/// A ledger's file as it was when it was opened, for as long as nobody works on it.
#[derive(Debug)]
pub(super) struct ReadOnly {
    folder: PathBuf,
    file: PathBuf,
    bytes: Locked,
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
        let state = State { head: head(&mut bytes)?, file: bytes, lock: Some(lock) };
        Ok(Some(Self { folder: folder.to_owned(), file, bytes: Locked(Arc::new(Mutex::new(state))) }))
    }

    /// Lets others work on the file. Nothing is read from it until [`look`](Self::look).
    pub(super) fn rest(&self) {
        self.bytes.state().lock = None;
    }

    /// Does nobody work on the file, and has nobody since it was opened?
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn is_same(&self) -> io::Result<bool> {
        let mut state = self.bytes.state();
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
        self.bytes.state().lock = Some(lock);
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

    fn is_read_only(&self) -> bool {
        true
    }

    fn open(&mut self) -> Result<Backend, Fault> {
        Ok(Backend::new(self.bytes.clone(), Arc::default()))
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
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// The file, as long as nobody may work on it.
#[derive(Clone, Debug)]
struct Locked(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    file: File,
    /// Its first page when it was opened.
    head: Vec<u8>,
    /// While it is there, nobody changes the file.
    lock: Option<Lock>,
}

impl Locked {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Locked {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        // As redb closes it, the file may be somebody else's by now.
        if state.lock.is_none() {
            return Err(io::Error::other("it was read while others may work on it"));
        }
        state.file.seek(SeekFrom::Start(offset))?;
        state.file.read_exact(out)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
