//! Locks between the connections of one process: a file's levels, and a WAL's shared memory with its slots.
use rusqlite::ffi;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};

/// The handle that holds a lock.
pub(crate) type Holder = u64;

/// [A file's locks](https://sqlite.org/lockingv3.html): many shared, one reserved beside them, one exclusive
/// alone.
#[derive(Debug, Default)]
pub(crate) struct FileLocks(BTreeMap<Holder, i32>);

impl FileLocks {
    fn highest_of_others(&self, holder: Holder) -> i32 {
        let others = self.0.iter().filter(|(other, _)| **other != holder);
        others.map(|(_, level)| *level).max().unwrap_or(ffi::SQLITE_LOCK_NONE)
    }

    /// Raises the holder's lock to `level`; false if another's lock forbids it.
    pub(crate) fn lock(&mut self, holder: Holder, level: i32) -> bool {
        let others = self.highest_of_others(holder);
        if self.0.get(&holder).is_some_and(|held| *held >= level) {
            return true;
        }
        let limit = if level == ffi::SQLITE_LOCK_SHARED {
            ffi::SQLITE_LOCK_PENDING
        } else {
            ffi::SQLITE_LOCK_RESERVED
        };
        if others >= limit {
            return false;
        }
        if level == ffi::SQLITE_LOCK_EXCLUSIVE && others >= ffi::SQLITE_LOCK_SHARED {
            // No new reader comes in until the present ones are gone.
            self.0.insert(holder, ffi::SQLITE_LOCK_PENDING);
            return false;
        }
        self.0.insert(holder, level);
        true
    }

    /// Lowers the holder's lock to `level`.
    pub(crate) fn unlock(&mut self, holder: Holder, level: i32) {
        if level == ffi::SQLITE_LOCK_NONE {
            self.0.remove(&holder);
        } else if let Some(held) = self.0.get_mut(&holder) {
            *held = level.min(*held);
        }
    }

    /// Does any connection intend to write?
    pub(crate) fn is_reserved(&self) -> bool {
        self.0.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED)
    }
}

/// A region of shared memory, of 32 KiB as SQLite always asks for. Atomics may change behind a shared
/// reference.
pub(crate) type Region = Arc<[AtomicU64; REGION_SIZE / 8]>;
pub(crate) const REGION_SIZE: usize = 32 << 10;

/// [A WAL's index](https://sqlite.org/walformat.html#the_wal_index_file_format), on the heap: it is gone with
/// its last user.
#[derive(Debug, Default)]
pub(crate) struct SharedMemory {
    regions: Vec<Region>,
    users: Vec<Holder>,
    /// For each slot its holders, and whether they hold it exclusively.
    slots: [BTreeMap<Holder, bool>; ffi::SQLITE_SHM_NLOCK as usize],
}

impl SharedMemory {
    /// The region with this number; made if `extend`.
    pub(crate) fn map(&mut self, user: Holder, number: usize, extend: bool) -> Option<Region> {
        if !self.users.contains(&user) {
            self.users.push(user);
        }
        while extend && self.regions.len() <= number {
            self.regions.push(Arc::new([const { AtomicU64::new(0) }; _]));
        }
        self.regions.get(number).cloned()
    }

    pub(crate) fn unmap(&mut self, user: Holder) {
        self.users.retain(|other| *other != user);
        self.unlock(user, 0, self.slots.len());
        if self.users.is_empty() {
            self.regions.clear();
        }
    }

    /// Locks `count` slots; false if another's lock forbids it.
    pub(crate) fn lock(&mut self, holder: Holder, first: usize, count: usize, exclusive: bool) -> bool {
        let free = |holders: &BTreeMap<Holder, bool>| {
            holders.iter().all(|(other, held)| *other == holder || !(exclusive || *held))
        };
        let all_free = self.slots.iter().skip(first).take(count).all(free);
        if all_free {
            for holders in self.slots.iter_mut().skip(first).take(count) {
                holders.insert(holder, exclusive);
            }
        }
        all_free
    }

    pub(crate) fn unlock(&mut self, holder: Holder, first: usize, count: usize) {
        for holders in self.slots.iter_mut().skip(first).take(count) {
            holders.remove(&holder);
        }
    }
}
