//! Who works on a ledger's folder: one process alone, or any number that only read it.
use super::{disk::private, error::Fault};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    path::Path,
    process, thread,
    time::{Duration, Instant},
};

/// Locked for as long as somebody works on the folder; it stays, and says who works on it alone.
pub(super) const LOCK: &str = "ledger.lock";

/// How long whoever is to work on a folder waits for those who only read it. They let go of it between any two parts.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// [`Fault::InUse`] at once where another process works on the folder, [`Fault::InReading`] where somebody who reads it
    /// does not let go of it; whatever the system says.
    pub(super) fn alone(folder: &Path) -> Result<Self, Fault> {
        let file = private().create(true).truncate(false).open(folder.join(LOCK))?;
        let until = Instant::now() + PATIENCE;
        while !is_locked(file.try_lock())? {
            // Readers share it.
            if !is_locked(file.try_lock_shared())? {
                return Err(Fault::InUse(holder(folder)));
            }
            file.unlock()?;
            if Instant::now() >= until {
                return Err(Fault::InReading);
            }
            thread::sleep(PAUSE);
        }
        // It is for people: a disk that is full or read-only is no reason not to work.
        let _ = file.set_len(0).and_then(|()| writeln!(&file, "{}", process::id()));
        Ok(Self { _file: Some(file) })
    }

    /// Takes it together with others who only read; `None` where somebody works on the folder alone.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn shared(folder: &Path) -> Result<Option<Self>, Fault> {
        let path = folder.join(LOCK);
        let file = match OpenOptions::new().read(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match private().create(true).truncate(false).open(&path) {
                    // Where it cannot be made, nobody has it.
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
                        ) =>
                    {
                        return Ok(Some(Self { _file: None }));
                    }
                    made => made?,
                }
            }
            opened => opened?,
        };
        Ok(is_locked(file.try_lock_shared())?.then_some(Self { _file: Some(file) }))
    }
}

/// The process that has the lock alone; it may have had no time or no room to say so.
pub(super) fn holder(folder: &Path) -> Option<u32> {
    fs::read_to_string(folder.join(LOCK)).ok()?.trim_end().parse().ok()
}

fn is_locked(result: Result<(), TryLockError>) -> Result<bool, Fault> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
