//! Faulty disk as a SQLite VFS: loses and tears what was not synced, and fails, stops or hangs at any call.
//!
//! A [`Disk`] holds named files in memory. [`Vfs::register`] makes SQLite use it, with several connections at
//! once, in WAL mode too. [`Disk::inject`] plans a [`Fault`]; [`Disk::power_cut`] returns what a restarted
//! machine finds. Calls are numbered, and the time is always the same, so the same script makes the same
//! calls. (Only the salts in a WAL differ: SQLite draws them once for all disks of a process.)
//!
//! ```
//! use atm_faulty_vfs::{Cut, Disk, Fault, Vfs, When};
//! use rusqlite::{Connection, OpenFlags};
//!
//! let disk = Disk::new();
//! let vfs = Vfs::register(disk.clone())?;
//! let ledger = Connection::open_with_flags_and_vfs("ledger.db", OpenFlags::default(), vfs.name())?;
//! ledger.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(n)")?;
//! disk.inject(When::Call(disk.calls() + 20), Fault::Stop);
//! let mut acknowledged = 0;
//! while ledger.execute("INSERT INTO t VALUES (1)", ()).is_ok() {
//!     acknowledged += 1;
//! }
//!
//! let vfs = Vfs::register(disk.power_cut(Cut::Random(7)))?;
//! let ledger = Connection::open_with_flags_and_vfs("ledger.db", OpenFlags::default(), vfs.name())?;
//! let found: i64 = ledger.query_row("SELECT count(*) FROM t", (), |row| row.get(0))?;
//! assert!(found == acknowledged || found == acknowledged + 1);
//! # Ok::<(), rusqlite::Error>(())
//! ```
#![deny(unsafe_code)]

mod cut;
mod disk;
mod fault;
mod file;
mod lock;
#[allow(unsafe_code)]
mod vfs;

pub use cut::Cut;
pub use disk::Disk;
pub use fault::{Call, Code, Fault, Gate, Operation, When};
pub use file::DiskFile;
pub use vfs::Vfs;

/// Locks a mutex, also one whose holder panicked: a failed assertion must not make SQLite's calls panic.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
