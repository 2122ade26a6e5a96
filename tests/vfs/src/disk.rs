//! Disk in memory: named files, its directory, the log of its calls and the plan of its faults.
use crate::{
    Call, Code, Cut, DiskFile, Fault, Operation, When,
    cut::{Geometry, Loss},
    file::Inode,
    lock,
};
use rusqlite::ffi;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

type SharedInode = Arc<Mutex<Inode>>;
type Entries = BTreeMap<Arc<str>, SharedInode>;

/// The directory. Its changes need a sync of their own.
#[derive(Debug, Default)]
struct Directory {
    cached: Entries,
    durable: Entries,
    /// Creations, and deletions (`None`).
    unsynced: Vec<(Arc<str>, Option<SharedInode>)>,
}

impl Directory {
    fn change(&mut self, name: &Arc<str>, inode: Option<SharedInode>) {
        set(&mut self.cached, name, inode.clone());
        self.unsynced.push((name.clone(), inode));
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.cached);
        self.unsynced.clear();
    }
}

fn set(entries: &mut Entries, name: &Arc<str>, inode: Option<SharedInode>) {
    match inode {
        Some(inode) => entries.insert(name.clone(), inode),
        None => entries.remove(name),
    };
}

#[derive(Debug, Default)]
struct State {
    geometry: Geometry,
    directory: Directory,
    capacity: Option<usize>,
    calls: u64,
    log: Vec<Call>,
    plan: Vec<(When, Fault)>,
    stopped: bool,
}

impl State {
    /// Takes the fault of this call from the plan.
    fn due(&mut self, call: &Call) -> Option<Fault> {
        let index = self.plan.iter_mut().position(|(when, _)| match when {
            When::Call(number) => *number == self.calls,
            When::Next(operation, end, left) => {
                let fits = *operation == call.operation && call.file.ends_with(*end);
                let now = fits && *left == 0;
                *left -= u64::from(fits && !now);
                now
            }
        })?;
        Some(self.plan.remove(index).1)
    }
}

/// A disk in memory. Its clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// An empty disk that tears writes at 512 bytes. It claims what SQLite's VFS for Unix claims, so that
    /// SQLite makes the writes that it makes in production: a torn write leaves the bytes beside it as they
    /// were (powersafe overwrite), and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk that claims nothing: a torn write damages the rest of its sectors, which have `sector`
    /// bytes. SQLite then pads a WAL's commits.
    pub fn claiming_nothing(sector: usize) -> Self {
        Self::with(Geometry { sector, powersafe_overwrite: false })
    }

    fn with(geometry: Geometry) -> Self {
        Self(Arc::new(Mutex::new(State { geometry, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.state().geometry
    }

    /// The number of calls so far, and of the next call.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The calls since the log was taken last, 48 bytes each; the first time, their indices are their
    /// numbers.
    pub fn take_log(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().log)
    }

    /// Plans a fault. It happens once, and not at all at a call that it does not fit.
    pub fn inject(&self, when: When, fault: Fault) {
        self.state().plan.push((when, fault));
    }

    /// Cancels the faults that are planned.
    pub fn cancel(&self) {
        self.state().plan.clear();
    }

    /// The machine stops now: all calls return `SQLITE_IOERR` and change nothing.
    pub fn stop(&self) {
        self.state().stopped = true;
    }

    /// Has the machine stopped?
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Limits the bytes in all files; what would exceed them returns `SQLITE_FULL`.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    /// The disk as a machine finds it after a loss of power and a restart. This one does not change, so that
    /// several cuts can be tried.
    pub fn power_cut(&self, cut: Cut) -> Self {
        let after = self.kill();
        let mut state = after.state();
        let State { geometry, directory, .. } = &mut *state;
        let mut loss = Loss::new(cut, *geometry);
        for (name, inode) in std::mem::take(&mut directory.unsynced) {
            if !loss.loses() {
                set(&mut directory.durable, &name, inode);
            }
        }
        directory.cached.clone_from(&directory.durable);
        for inode in directory.cached.values() {
            lock(inode).write_back(&mut loss);
            lock(inode).evict();
        }
        drop(state);
        after
    }

    /// The disk as another process finds it after `kill -9`: with the page cache, without locks, shared
    /// memory and planned faults.
    pub fn kill(&self) -> Self {
        let (state, mut copies) = (self.state(), BTreeMap::new());
        let mut copy = |inode: &SharedInode| {
            let copy =
                copies.entry(Arc::as_ptr(inode)).or_insert_with(|| Arc::new(Mutex::new(lock(inode).copy())));
            copy.clone()
        };
        let Directory { cached, durable, unsynced } = &state.directory;
        let directory = Directory {
            cached: cached.iter().map(|(name, inode)| (name.clone(), copy(inode))).collect(),
            durable: durable.iter().map(|(name, inode)| (name.clone(), copy(inode))).collect(),
            unsynced: unsynced
                .iter()
                .map(|(name, inode)| (name.clone(), inode.as_ref().map(&mut copy)))
                .collect(),
        };
        let after = Self::with(state.geometry);
        after.state().directory = directory;
        after
    }

    /// The names of the files, in order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.state().directory.cached.keys().cloned().collect()
    }

    fn inode(&self, name: &str) -> Option<SharedInode> {
        self.state().directory.cached.get(name).cloned()
    }

    /// The bytes of a file as a program reads them. Not a call.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.inode(name).map(|inode| lock(&inode).cached.clone())
    }

    /// Replaces a file, durably, or deletes it: for damage between two runs. Not a call.
    pub fn replace(&self, name: &str, contents: Option<Vec<u8>>) {
        let inode = contents.map(|bytes| Arc::new(Mutex::new(Inode::durable(bytes))));
        let mut state = self.state();
        set(&mut state.directory.cached, &name.into(), inode.clone());
        set(&mut state.directory.durable, &name.into(), inode);
    }

    /// Flips a bit of a file, durably and in the page cache; false if the file has no such byte. Not a call.
    pub fn flip(&self, name: &str, offset: usize, bit: u8) -> bool {
        self.inode(name).is_some_and(|inode| lock(&inode).flip(offset, bit))
    }

    /// Drops a file's clean pages from the page cache, as `posix_fadvise` does: what is read next is on the
    /// disk, or still to be written. Not a call.
    pub fn evict(&self, name: &str) {
        if let Some(inode) = self.inode(name) {
            lock(&inode).evict();
        }
    }

    /// Opens a file; creates it if there is none, with `SQLITE_OPEN_CREATE`. As in SQLite's VFS for Unix, the
    /// first sync of a journal that was opened with that flag syncs the directory too, whether it was there or not.
    ///
    /// # Errors
    /// `SQLITE_CANTOPEN` if there is no file, or the code of an injected fault.
    pub fn open(&self, name: &str, flags: i32) -> Result<DiskFile, Code> {
        let name: Arc<str> = name.into();
        self.call(Operation::Open, &name, 0, 0)?;
        let mut state = self.state();
        let found = state.directory.cached.get(&name).cloned();
        let has = |flag| flags & flag != 0;
        let inode = match found {
            Some(_) if has(ffi::SQLITE_OPEN_EXCLUSIVE) => return Err(ffi::SQLITE_CANTOPEN),
            Some(inode) => inode,
            None if has(ffi::SQLITE_OPEN_CREATE) => {
                let inode = SharedInode::default();
                state.directory.change(&name, Some(inode.clone()));
                inode
            }
            None => return Err(ffi::SQLITE_CANTOPEN),
        };
        drop(state);
        let journals = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
        Ok(DiskFile::new(self.clone(), name, inode, has(ffi::SQLITE_OPEN_CREATE) && has(journals)))
    }

    /// Deletes a file, and syncs the directory if asked.
    ///
    /// # Errors
    /// `SQLITE_IOERR_DELETE_NOENT` if there is no file, or the code of an injected fault.
    pub fn delete(&self, name: &str, sync_directory: bool) -> Result<(), Code> {
        let name: Arc<str> = name.into();
        self.call(Operation::Delete, &name, 0, 0)?;
        let mut state = self.state();
        if !state.directory.cached.contains_key(&name) {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        }
        state.directory.change(&name, None);
        drop(state);
        if sync_directory { self.sync_directory(&name) } else { Ok(()) }
    }

    /// Is there such a file?
    ///
    /// # Errors
    /// The code of an injected fault.
    pub fn exists(&self, name: &str) -> Result<bool, Code> {
        self.call(Operation::Access, &name.into(), 0, 0)?;
        Ok(self.state().directory.cached.contains_key(name))
    }

    /// Makes all creations and deletions durable. `name` is for the log.
    ///
    /// # Errors
    /// The code of an injected fault.
    pub fn sync_directory(&self, name: &str) -> Result<(), Code> {
        self.call(Operation::SyncDirectory, &name.into(), 0, 0)?;
        self.state().directory.sync();
        Ok(())
    }

    /// Is there room for so many bytes more?
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let state = self.state();
        let used = || state.directory.cached.values().map(|inode| lock(inode).cached.len()).sum::<usize>();
        state.capacity.is_none_or(|capacity| used() + bytes <= capacity)
    }

    /// Numbers and logs a call. Returns the fault that the caller has to carry out, an error if the call does
    /// nothing.
    pub(crate) fn call(
        &self,
        operation: Operation,
        file: &Arc<str>,
        offset: u64,
        len: usize,
    ) -> Result<Option<Fault>, Code> {
        let call = Call { operation, file: file.clone(), offset, len };
        let mut state = self.state();
        if state.stopped {
            return Err(ffi::SQLITE_IOERR);
        }
        let fault = state.due(&call);
        state.calls += 1;
        state.log.push(call);
        match fault {
            Some(Fault::Error(code)) => Err(code),
            Some(Fault::Stop) => {
                state.stopped = true;
                Err(ffi::SQLITE_IOERR)
            }
            Some(Fault::Hang(gate)) => {
                drop(state);
                if gate.pass() && !self.state().stopped { Ok(None) } else { Err(ffi::SQLITE_IOERR) }
            }
            other => Ok(other),
        }
    }
}
