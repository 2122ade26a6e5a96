//! File on the faulty disk: its cached bytes, its durable bytes, and the unsynced changes between the two.
use crate::{
    Code, Disk, Fault, Operation,
    cut::{Change, Loss},
    lock,
    lock::{FileLocks, Holder, REGION_SIZE, Region, SharedMemory},
};
use rusqlite::ffi;
use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

#[derive(Debug, Default)]
pub(crate) struct Inode {
    /// What a program reads.
    pub(crate) cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    locks: FileLocks,
    shared_memory: SharedMemory,
}

impl Inode {
    pub(crate) fn durable(bytes: Vec<u8>) -> Self {
        Self { cached: bytes.clone(), durable: bytes, ..Self::default() }
    }

    /// The same bytes, without locks and shared memory.
    pub(crate) fn copy(&self) -> Self {
        let Self { cached, durable, unsynced, .. } = self;
        let (cached, durable, unsynced) = (cached.clone(), durable.clone(), unsynced.clone());
        Self { cached, durable, unsynced, ..Self::default() }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.durable);
        }
    }

    /// Writes back what `loss` leaves of the changes. The cache still has the rest, marked clean.
    pub(crate) fn write_back(&mut self, loss: &mut Loss) {
        loss.settle(&mut self.durable, &std::mem::take(&mut self.unsynced));
    }

    pub(crate) fn evict(&mut self) {
        self.cached.clone_from(&self.durable);
        self.unsynced.iter().for_each(|change| change.apply(&mut self.cached));
    }

    pub(crate) fn flip(&mut self, offset: usize, bit: u8) -> bool {
        let mut flipped = false;
        for byte in [self.cached.get_mut(offset), self.durable.get_mut(offset)].into_iter().flatten() {
            *byte ^= 1 << (bit % 8);
            flipped = true;
        }
        flipped
    }
}

/// An open file. Its errors are SQLite's codes, of an injected fault if no other is named.
#[derive(Debug)]
pub struct DiskFile {
    disk: Disk,
    name: Arc<str>,
    inode: Arc<Mutex<Inode>>,
    holder: Holder,
    /// Its next sync syncs the directory too.
    syncs_directory: AtomicBool,
}

impl DiskFile {
    pub(crate) fn new(disk: Disk, name: Arc<str>, inode: Arc<Mutex<Inode>>, syncs_directory: bool) -> Self {
        static HOLDERS: AtomicU64 = AtomicU64::new(0);
        let holder = HOLDERS.fetch_add(1, Ordering::Relaxed);
        Self { disk, name, inode, holder, syncs_directory: AtomicBool::new(syncs_directory) }
    }

    fn inode(&self) -> MutexGuard<'_, Inode> {
        lock(&self.inode)
    }

    fn call(&self, operation: Operation, offset: usize, len: usize) -> Result<Option<Fault>, Code> {
        self.disk.call(operation, &self.name, offset as u64, len)
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The length in bytes.
    pub fn length(&self) -> Result<usize, Code> {
        self.call(Operation::Length, 0, 0)?;
        Ok(self.inode().cached.len())
    }

    /// Reads bytes. `SQLITE_IOERR_SHORT_READ` if the file ends before: then the rest of `out` is zero.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), Code> {
        let fault = self.call(Operation::Read, offset, out.len())?;
        out.fill(0);
        let (wanted, code) = match fault {
            Some(Fault::Half(code)) => (out.len() / 2, Err(code)),
            _ => (out.len(), Ok(())),
        };
        let inode = self.inode();
        let bytes = inode.cached.get(offset..).unwrap_or_default();
        let len = bytes.len().min(wanted);
        if let (Some(out), Some(bytes)) = (out.get_mut(..len), bytes.get(..len)) {
            out.copy_from_slice(bytes);
        }
        if len < wanted { Err(ffi::SQLITE_IOERR_SHORT_READ) } else { code }
    }

    /// Writes bytes. `SQLITE_FULL` if there is no room.
    pub fn write(&self, offset: usize, data: &[u8]) -> Result<(), Code> {
        let fault = self.call(Operation::Write, offset, data.len())?;
        let (data, code) = match fault {
            Some(Fault::Half(code)) => (data.get(..data.len() / 2).unwrap_or_default(), Err(code)),
            _ => (data, Ok(())),
        };
        self.change(Change::Write(offset, data.to_vec()), offset + data.len())?;
        code
    }

    /// Sets the length. `SQLITE_FULL` if there is no room.
    pub fn truncate(&self, length: usize) -> Result<(), Code> {
        self.call(Operation::Truncate, length, 0)?;
        self.change(Change::SetLength(length), length)
    }

    fn change(&self, change: Change, end: usize) -> Result<(), Code> {
        let length = self.inode().cached.len();
        if end > length && !self.disk.has_room(end - length) {
            return Err(ffi::SQLITE_FULL);
        }
        self.inode().change(change);
        Ok(())
    }

    /// Brings all changes to the disk.
    pub fn sync(&self) -> Result<(), Code> {
        if let Some(Fault::FailedSync(cut)) = self.call(Operation::Sync, 0, 0)? {
            self.inode().write_back(&mut Loss::new(cut, self.disk.geometry()));
            return Err(ffi::SQLITE_IOERR_FSYNC);
        }
        self.inode().sync();
        if self.syncs_directory.swap(false, Ordering::Relaxed) {
            self.disk.sync_directory(&self.name)?;
        }
        Ok(())
    }

    /// Raises the lock to a level of SQLite's. `SQLITE_BUSY` if another's lock forbids it.
    pub(crate) fn lock(&self, level: i32) -> Result<(), Code> {
        self.call(Operation::Lock, 0, 0)?;
        if self.inode().locks.lock(self.holder, level) { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    pub(crate) fn unlock(&self, level: i32) {
        self.inode().locks.unlock(self.holder, level);
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.inode().locks.is_reserved()
    }

    pub(crate) fn map(&self, number: usize, size: usize, extend: bool) -> Result<Option<Region>, Code> {
        self.call(Operation::ShmMap, number * REGION_SIZE, size)?;
        if size != REGION_SIZE {
            return Err(ffi::SQLITE_IOERR_SHMSIZE);
        }
        Ok(self.inode().shared_memory.map(self.holder, number, extend))
    }

    pub(crate) fn unmap(&self) {
        self.inode().shared_memory.unmap(self.holder);
    }

    pub(crate) fn lock_slots(&self, first: usize, count: usize, exclusive: bool) -> Result<(), Code> {
        self.call(Operation::ShmLock, first, count)?;
        let locked = self.inode().shared_memory.lock(self.holder, first, count, exclusive);
        if locked { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    pub(crate) fn unlock_slots(&self, first: usize, count: usize) {
        self.inode().shared_memory.unlock(self.holder, first, count);
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        self.unlock(ffi::SQLITE_LOCK_NONE);
        self.unmap();
    }
}
