//! Faults by plan: which call fails, and how.
use crate::{Cut, lock};
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// A result code of SQLite, such as `rusqlite::ffi::SQLITE_IOERR_WRITE`.
pub type Code = i32;

/// A kind of call that is numbered and can fail. What releases something (close, unlock, unmap) always
/// succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Open a file, or create it.
    Open,
    /// Delete a file.
    Delete,
    /// Ask whether a file exists.
    Access,
    /// Ask for the length of a file.
    Length,
    /// Read bytes.
    Read,
    /// Write bytes.
    Write,
    /// Set the length of a file.
    Truncate,
    /// Sync a file.
    Sync,
    /// Sync the directory, after a file in it was deleted, or a new journal synced.
    SyncDirectory,
    /// Lock a file.
    Lock,
    /// Map a region of a WAL's shared memory.
    ShmMap,
    /// Lock slots of a WAL's shared memory.
    ShmLock,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was called.
    pub operation: Operation,
    /// The file's name.
    pub file: Arc<str>,
    /// The first byte, or the new length.
    pub offset: u64,
    /// Bytes to read or write.
    pub len: usize,
}

impl Call {
    /// Does the call change what a loss of power leaves? These are the points at which a sweep crashes.
    pub fn is_change(&self) -> bool {
        use Operation::{Delete, Sync, SyncDirectory, Truncate, Write};
        matches!(self.operation, Delete | Sync | SyncDirectory | Truncate | Write)
    }
}

/// The call at which a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The call with this number; the disk's first call is 0.
    Call(u64),
    /// Of the later calls of this kind on a file whose name ends so, the one with this number; the next one
    /// is 0.
    Next(Operation, &'static str, u64),
}

/// What happens at a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It returns this code and does nothing. A sync leaves all changes for a later sync, as on FreeBSD.
    Error(Code),
    /// A read or a write does the first half of its bytes, then returns this code. After
    /// `SQLITE_IOERR_SHORT_READ`, which SQLite takes for the end of the file, the rest of a read is zero.
    Half(Code),
    /// A sync returns `SQLITE_IOERR_FSYNC`; the disk has what the cut leaves, and the rest is marked clean,
    /// as on Linux: still read from the page cache, and written by no later sync
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
    FailedSync(Cut),
    /// The machine stops: this call and all later ones return `SQLITE_IOERR` and change nothing.
    Stop,
    /// It waits at the gate.
    Hang(Gate),
}

#[derive(Debug, Default)]
struct GateState {
    reached: bool,
    open: bool,
}

/// Where a call hangs until the test releases it. Its clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    state: Arc<(Mutex<GateState>, Condvar)>,
    deadline: Duration,
}

impl Gate {
    /// A closed gate. What waits at it, call or test, waits no longer than `deadline`.
    pub fn new(deadline: Duration) -> Self {
        Self { state: Arc::default(), deadline }
    }

    /// Lets calls go on, now and later.
    pub fn release(&self) {
        lock(&self.state.0).open = true;
        self.state.1.notify_all();
    }

    /// Waits until a call hangs here; false if the deadline passes first.
    pub fn wait_for_call(&self) -> bool {
        self.wait(|state| state.reached)
    }

    /// Waits until released; false if the deadline passes first.
    pub(crate) fn pass(&self) -> bool {
        lock(&self.state.0).reached = true;
        self.state.1.notify_all();
        self.wait(|state| state.open)
    }

    fn wait(&self, done: fn(&GateState) -> bool) -> bool {
        let state = lock(&self.state.0);
        let waited = self.state.1.wait_timeout_while(state, self.deadline, |state| !done(state));
        done(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}
