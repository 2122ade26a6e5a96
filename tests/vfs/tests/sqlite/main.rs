//! SQLite on the faulty disk: it keeps its promises there, and breaks those that it does not make.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_faulty_vfs::{Disk, Vfs};
use rusqlite::{Connection, ErrorCode, OpenFlags};

mod crash;
mod cuts;
mod damage;
mod failed_sync;
mod faults;

/// A connection, closed before its VFS.
struct Store {
    sql: Connection,
    vfs: Vfs,
}

impl Store {
    fn open(disk: &Disk) -> rusqlite::Result<Self> {
        let vfs = Vfs::register(disk.clone())?;
        Ok(Self { sql: connect(&vfs)?, vfs })
    }

    /// A new store in WAL mode, without automatic checkpoints.
    fn wal(disk: &Disk) -> Self {
        let store = Self::open(disk).unwrap();
        store.create("WAL", "FULL").unwrap();
        store
    }

    fn create(&self, journal: &str, synchronous: &str) -> rusqlite::Result<()> {
        self.sql.execute_batch(&format!(
            "PRAGMA journal_mode = {journal}; PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 0;
             BEGIN; CREATE TABLE entries(number INTEGER PRIMARY KEY, text BLOB); CREATE TABLE head(number INTEGER);
             INSERT INTO head VALUES (0); COMMIT"
        ))
    }

    /// Commits the entry with this number, of several pages, and raises the head to it.
    fn commit(&self, number: i64) -> rusqlite::Result<()> {
        let commit = self.sql.unchecked_transaction()?;
        self.sql.execute("INSERT INTO entries VALUES (?1, randomblob(6000))", [number])?;
        self.sql.execute("UPDATE head SET number = ?1", [number])?;
        commit.commit()
    }

    fn head(&self) -> rusqlite::Result<i64> {
        self.sql.query_row("SELECT number FROM head", (), |row| row.get(0))
    }

    /// Its `busy` column: 1 if a reader kept it from the end.
    fn checkpoint_truncate(&self) -> rusqlite::Result<i64> {
        self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))
    }
}

fn connect(vfs: &Vfs) -> rusqlite::Result<Connection> {
    let sql = Connection::open_with_flags_and_vfs("ledger.db", OpenFlags::default(), vfs.name())?;
    sql.busy_timeout(std::time::Duration::ZERO)?;
    Ok(sql)
}

/// The head of the store that a restarted program finds: 0 if it was not made yet. An error if the store is
/// damaged.
fn found(disk: &Disk) -> Result<i64, String> {
    let store = Store::open(disk).map_err(|error| error.to_string())?;
    let check = || {
        let check: String = store.sql.query_row("PRAGMA integrity_check", (), |row| row.get(0))?;
        let tables: i64 = store.sql.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        if tables == 0 {
            return Ok((check, 0, 0, 0));
        }
        let entries = "SELECT count(*), ifnull(max(number), 0) FROM entries";
        let (count, last) = store.sql.query_row(entries, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((check, count, last, store.head()?))
    };
    match check().map_err(|error: rusqlite::Error| error.to_string())? {
        (check, count, last, head) if check == "ok" && count == last && last == head => Ok(head),
        other => Err(format!("{other:?}")),
    }
}

fn error_code<T>(result: rusqlite::Result<T>) -> Option<ErrorCode> {
    result.err()?.sqlite_error_code()
}
