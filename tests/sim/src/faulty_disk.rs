//! A ledger in SQLite on a faulty disk: what a machine has, and how one process after the other opens it.
use atm_core::{ledger::LedgerId, money::Amount, time::UnixTime};
use atm_faulty_vfs::{Cut, Disk, DiskFile, Vfs};
use atm_host::ledger::{
    committer::{Clock, GroupCommitter},
    mark::{self, Mark, MarkFile},
    sqlite::{self, Beginning, Sqlite},
    store::{Head, StoreFault},
};
use rusqlite::{Connection, OpenFlags, ffi};
use std::{
    ffi::CStr,
    io,
    path::Path,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The write-ahead log.
pub const WAL: &str = "ledger.db-wal";

/// The identity of a [`Machine`]'s ledger, and the balance that it begins with, in units.
pub const IDENTITY: LedgerId = LedgerId(7);
/// See [`IDENTITY`].
pub const BALANCE: u64 = 100;

/// The times that a process reads, one after the other: a clock that jumps, and that nothing may depend on.
const TIMES: [u64; 5] = [1_795_550_400_000, 0, 1_795_550_400_001, 1 << 53, 946_684_800_000];

/// A machine: a faulty disk that SQLite has access to.
#[derive(Debug)]
pub struct Machine {
    /// The disk.
    pub disk: Disk,
    vfs: Vfs,
    /// The number of the database's file: a copy of it on another machine has another one.
    file_id: u64,
    beginning: Beginning,
}

impl Machine {
    /// A machine with an empty disk, and the high-water mark of a new ledger, as [`new`](Self::new) makes.
    pub fn first() -> Self {
        let balance = Amount::from_units(BALANCE).unwrap();
        Self::new(Disk::new(), Beginning { identity: IDENTITY, balance, time: UnixTime::from_millis(1) })
    }

    /// Another machine with this disk. If it has no high-water mark, it gets that of a new ledger, durably: the host makes that
    /// file before the database.
    pub fn new(disk: Disk, beginning: Beginning) -> Self {
        static MACHINES: AtomicU64 = AtomicU64::new(1);
        make_mark(&disk);
        let file_id = MACHINES.fetch_add(1, Ordering::Relaxed);
        Self { vfs: Vfs::register(disk.clone()).unwrap(), disk, file_id, beginning }
    }

    /// The machine after a loss of power. This one does not change.
    pub fn power_cut(&self, cut: Cut) -> Self {
        Self { file_id: self.file_id, ..Self::new(self.disk.power_cut(cut), self.beginning) }
    }

    /// The machine after `kill -9` of its processes. This one does not change.
    pub fn kill(&self) -> Self {
        Self { file_id: self.file_id, ..Self::new(self.disk.kill(), self.beginning) }
    }

    /// Starts a process that writes to the ledger; `owner` is its random number.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn start(&self, owner: u64) -> Result<GroupCommitter<Sqlite>, StoreFault> {
        let asked = AtomicUsize::new(0);
        let clock = move || UnixTime::from_millis(TIMES[asked.fetch_add(1, Ordering::Relaxed) % TIMES.len()]);
        self.start_with_clock(owner, Box::new(clock))
    }

    /// The same, with this clock.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn start_with_clock(&self, owner: u64, clock: Clock) -> Result<GroupCommitter<Sqlite>, StoreFault> {
        let disk = SqliteDisk { disk: self.disk.clone(), vfs: self.vfs.name() };
        let (disk, mark) = (Some(Box::new(disk) as _), open_mark(&self.disk, self.file_id)?);
        let store = Sqlite::open(sqlite::FILE.into(), disk, mark, self.beginning, false)?;
        // As the host's folder does: the log may be a file that a killed process has made.
        self.disk.sync_directory("").map_err(|code| StoreFault::Failed(code.to_string()))?;
        GroupCommitter::open(store, owner, clock, Default::default())
    }

    /// A connection of another process.
    ///
    /// # Errors
    /// SQLite's.
    pub fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        Connection::open_with_flags_and_vfs(sqlite::FILE, flags, self.vfs.name())
    }
}

/// Makes the high-water mark of a new ledger, durably, if the disk has none.
pub(crate) fn make_mark(disk: &Disk) {
    if disk.contents(mark::FILE).is_none() {
        let scratch = Disk::new();
        let file = MarkOnDisk(scratch.open(mark::FILE, ffi::SQLITE_OPEN_CREATE).unwrap());
        Mark::new(Box::new(file), 0).reset(&Head::default()).unwrap();
        disk.replace(mark::FILE, scratch.contents(mark::FILE));
    }
}

/// The high-water mark on a disk; `file_id` is the number of the database's file.
pub(crate) fn open_mark(disk: &Disk, file_id: u64) -> Result<Mark, StoreFault> {
    let file = disk.open(mark::FILE, 0).map_err(|code| StoreFault::Failed(code.to_string()))?;
    Ok(Mark::new(Box::new(MarkOnDisk(file)), file_id))
}

#[derive(Debug)]
struct SqliteDisk {
    disk: Disk,
    vfs: &'static CStr,
}

impl sqlite::Disk for SqliteDisk {
    fn vfs(&self) -> &'static CStr {
        self.vfs
    }

    fn drop_cached(&self, path: &Path) {
        self.disk.evict(path.to_str().unwrap());
    }
}

/// The high-water mark on the faulty disk.
#[derive(Debug)]
struct MarkOnDisk(DiskFile);

fn error(code: i32) -> io::Error {
    io::Error::other(format!("the disk returned SQLite's code {code}"))
}

impl MarkFile for MarkOnDisk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.0.length().map_err(error)?];
        self.0.read(0, &mut bytes).map_err(error)?;
        Ok(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(usize::try_from(offset).unwrap(), bytes).map_err(error)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync().map_err(error)
    }
}
