//! Who works on a ledger's folder: one process alone, or any number that only read it.
//!
//! Whoever is to work on it while others read it shuts a gate that all who begin to read pass through: it waits for those who
//! are in already, and for nobody who comes later.
use super::{
    disk::{is_at, is_there, private},
    error::{Error, Fault},
};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

/// Locked for as long as somebody works on the folder; it stays, and says who works on it alone.
pub(super) const LOCK: &str = "ledger.lock";

/// Locked for as long as somebody waits to work on the folder alone, and then gone.
const GATE: &str = "ledger.gate";

/// How long whoever is to work on a folder waits for those who only read it. They let go of it between any two parts.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a reader waits at the gate: longer than whoever has shut it may wait.
const GATE_PATIENCE: Duration = Duration::from_secs(11);

/// How long to wait before it is tried again: the system has no deadline for a lock.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// A folder's lock, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    /// None on a file system that nobody can write to.
    _file: Option<File>,
}

impl Lock {
    /// Takes it alone.
    ///
    /// # Errors
    /// [`Fault::InUse`] at once where another process works on the folder or waits to, [`Fault::InReading`] where somebody who
    /// reads it does not let go of it; whatever the system says.
    pub(super) fn alone(folder: &Path) -> Result<Self, Error> {
        let wrong = |fault| Error { path: folder.to_owned(), fault };
        let path = folder.join(LOCK);
        let until = Instant::now() + PATIENCE;
        let mut gate = None;
        let file = loop {
            match Taken::of(&path).map_err(at(&path))? {
                Taken::Alone(file) => break file,
                Taken::Never => return Err(wrong(Fault::InUse(holder(folder)))),
                Taken::NotYet if Instant::now() >= until => return Err(wrong(Fault::InReading)),
                Taken::NotYet => {}
            }
            if gate.is_none() {
                gate = Gate::shut(folder).map_err(wrong)?;
            }
            thread::sleep(PAUSE);
        };
        // It is for people: a disk that is full or read-only is no reason not to work.
        let _ = file.set_len(0).and_then(|()| writeln!(&file, "{}", process::id()));
        Ok(Self { _file: Some(file) })
    }

    /// Takes it together with others who only read; `None` where somebody works on the folder alone.
    ///
    /// # Errors
    /// [`Fault::InUse`] where somebody has waited for too long to work on the folder; whatever the system says.
    pub(super) fn shared(folder: &Path) -> Result<Option<Self>, Error> {
        pass(folder)?;
        let path = folder.join(LOCK);
        loop {
            let Some(file) = open(&path).map_err(at(&path))? else { return Ok(Some(Self { _file: None })) };
            if !is_locked(file.try_lock_shared()).map_err(at(&path))? {
                return Ok(None);
            }
            if is_at(&file, &path).map_err(at(&path))? {
                return Ok(Some(Self { _file: Some(file) }));
            }
        }
    }
}

/// The process that has the lock alone; it may have had no time or no room to say so.
pub(super) fn holder(folder: &Path) -> Option<u32> {
    fs::read_to_string(folder.join(LOCK)).ok()?.trim_end().parse().ok()
}

/// What came of an attempt to lock a file alone.
enum Taken {
    Alone(File),
    /// Others share it.
    NotYet,
    /// Somebody else has it alone.
    Never,
}

impl Taken {
    /// Tries it with the file of this name. Whoever makes one may take it away again as long as it has it alone: a lock on a
    /// file that has no name any more is none.
    fn of(path: &Path) -> io::Result<Self> {
        loop {
            let file = private().create(true).truncate(false).open(path)?;
            if let Some(taken) = Self::with(file, path)? {
                return Ok(taken);
            }
        }
    }

    /// `None` where this file has its name no more.
    fn with(file: File, path: &Path) -> io::Result<Option<Self>> {
        if is_locked(file.try_lock())? {
            return Ok(is_at(&file, path)?.then_some(Self::Alone(file)));
        }
        Ok(Some(if is_locked(file.try_lock_shared())? { Self::NotYet } else { Self::Never }))
    }
}

/// The gate, shut until this is dropped.
struct Gate {
    path: PathBuf,
    _file: File,
}

impl Gate {
    /// Shuts it; `None` where it has to be tried again, as somebody passes through it or there is no room for it.
    fn shut(folder: &Path) -> Result<Option<Self>, Fault> {
        let path = folder.join(GATE);
        match Taken::of(&path) {
            Ok(Taken::Alone(file)) => Ok(Some(Self { path, _file: file })),
            Ok(Taken::Never) => Err(Fault::InUse(None)),
            Ok(Taken::NotYet) | Err(_) => Ok(None),
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // One that stays is open.
        let _ = fs::remove_file(&self.path);
    }
}

/// Passes through the gate, when it is open.
fn pass(folder: &Path) -> Result<(), Error> {
    let path = folder.join(GATE);
    let until = Instant::now() + GATE_PATIENCE;
    loop {
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(at(&path))?,
        };
        if is_locked(file.try_lock_shared()).map_err(at(&path))? {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Error { path: folder.to_owned(), fault: Fault::InUse(None) });
        }
        thread::sleep(PAUSE);
    }
}

/// Opens the lock's file for a reader; `None` where there is none and none can be made: nobody has it then.
fn open(path: &Path) -> io::Result<Option<File>> {
    if is_there(path)? {
        match OpenOptions::new().read(true).open(path) {
            // Whoever made it has just taken it away.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened.map(Some),
        }
    }
    match private().create(true).truncate(false).open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            Ok(None)
        }
        made => made.map(Some),
    }
}

/// Says which file it is that the system speaks of.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    |error| Error { path: path.to_owned(), fault: error.into() }
}

fn is_locked(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Has another process this file open to write to it? redb locks it for that, whatever became of the folder's lock.
pub(super) fn is_written(file: &File) -> io::Result<bool> {
    let free = is_locked(file.try_lock_shared())?;
    if free {
        file.unlock()?;
    }
    Ok(!free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[test]
    fn whoever_is_to_work_on_a_folder_waits_for_nobody_who_comes_to_read_it_later() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (over, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for reader in 0..4 {
                let (over, reads) = (&over, &reads);
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(50) * reader);
                    while !over.load(Ordering::Acquire) {
                        if let Some(_lock) = Lock::shared(folder).unwrap() {
                            reads.fetch_add(1, Ordering::AcqRel);
                            // As long as a long ledger takes to be checked.
                            thread::sleep(Duration::from_millis(200));
                        }
                    }
                });
            }
            for round in 0..3 {
                // They overlap by now.
                let (until, count) = (Instant::now() + PATIENCE, reads.load(Ordering::Acquire));
                while reads.load(Ordering::Acquire) < count + 8 {
                    assert!(Instant::now() < until, "nobody reads in round {round}");
                    thread::sleep(PAUSE);
                }
                let began = Instant::now();
                let alone = Lock::alone(folder);
                over.store(alone.is_err(), Ordering::Release);
                drop(alone.unwrap());
                assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
                assert!(!folder.join(GATE).exists());
            }
            over.store(true, Ordering::Release);
        });
    }

    #[test]
    fn a_gate_that_was_left_is_open_and_one_who_waits_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join(GATE), "").unwrap();
        let reader = Lock::shared(folder).unwrap().unwrap();
        let gate = Gate::shut(folder).unwrap().unwrap();
        let second = Lock::alone(folder).unwrap_err();
        assert!(matches!(second.fault, Fault::InUse(None)), "{second}");
        drop((gate, reader));
        drop(Lock::alone(folder).unwrap());
    }

    #[test]
    fn a_lock_is_on_the_file_that_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK);
        let open = || private().create(true).truncate(false).open(&path).unwrap();
        // Somebody opens it, and whoever has it takes it away.
        let (first, second) = (open(), open());
        fs::remove_file(&path).unwrap();
        assert!(Taken::with(first, &path).unwrap().is_none());
        let _third = Lock::alone(folder.path()).unwrap();
        assert!(Taken::with(second, &path).unwrap().is_none());
    }

    #[test]
    fn nobody_is_alone_beside_another_though_the_file_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (inside, over) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while over.load(Ordering::Acquire) < 2_000 {
                        match Lock::alone(folder) {
                            Ok(_lock) => {
                                assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "two at once");
                                thread::yield_now();
                                over.fetch_add(1, Ordering::AcqRel);
                                assert_eq!(inside.fetch_sub(1, Ordering::AcqRel), 1, "two at once");
                                fs::remove_file(folder.join(LOCK)).unwrap();
                            }
                            Err(Error { fault: Fault::InUse(_), .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
    }
}
