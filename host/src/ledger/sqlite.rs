//! SQLite: the ledger's tables in one file with a write-ahead log, one sync a commit.
//!
//! A batch is loaded after `BEGIN IMMEDIATE`: a transaction that reads before it writes fails with
//! `SQLITE_BUSY_SNAPSHOT` as soon as another process has written (<https://sqlite.org/isolation.html>). The event loop
//! must not wait for another process's transaction, so the busy time-out is 0 and the committer tries again by a
//! deadline.
use super::{
    batch::Batch,
    folder::{beside, file_id},
    mark::Mark,
    reader::Reader,
    store::{Head, Store, StoreFault, Turn},
};
use crate::{access::Enrolment, log::LEDGER};
use atm_core::{
    ledger::{LedgerId, Name, Request, card::CardKeys},
    money::Amount,
    time::UnixTime,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use std::{
    ffi::CStr,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};
use tracing::{info, warn};

pub(super) mod accounts;
mod batch;
pub(super) mod cards;
pub(super) mod enrolments;
pub(super) mod rows;
pub(super) mod tables;

/// The database's name in the ledger's folder.
pub const FILE: &str = "ledger.db";

/// The journal of the host, and that of the command line.
pub const HOST_JOURNAL: u32 = 1;
/// See [`HOST_JOURNAL`].
pub const OPERATOR_JOURNAL: u32 = 2;

/// How long a start waits for another process that recovers the write-ahead log.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// What a new ledger begins with.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// Its identity: random.
    pub identity: LedgerId,
    /// The balance of its account.
    pub balance: Amount,
    /// The time of its first entry.
    pub time: UnixTime,
}

/// The disk that a test puts in place of the system's.
pub trait Disk: fmt::Debug + Send {
    /// The VFS that SQLite opens files through.
    fn vfs(&self) -> &'static CStr;

    /// Drops the page cache of a file.
    fn drop_cached(&self, path: &Path);
}

/// A ledger's database, opened for writing by one journal.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    log: PathBuf,
    /// The log's length before the last commit.
    log_size: u64,
    /// `None` for the system's.
    disk: Option<Box<dyn Disk>>,
    /// `None` while a fault lasts.
    connection: Option<Connection>,
    mark: Mark,
    /// Whether the mark took the last head: a fault is logged once.
    is_noting: bool,
    /// The database and its log as they were opened: a file that was removed takes commits that no start finds again.
    files: [u64; 2],
    /// The journal as it was loaded in the open transaction.
    loaded: Option<(Head, Turn)>,
}

impl Sqlite {
    /// Opens the database at `path` and compares it with the mark. If nothing was ever acknowledged and it has no
    /// tables, it gets them, as `new` says; the mark must have been made and synced before. With `accept_loss`, a
    /// database that is behind the mark goes on with the identity of `new`, as if it was restored from a backup.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn open(
        path: PathBuf,
        disk: Option<Box<dyn Disk>>,
        mark: Mark,
        new: Beginning,
        accept_loss: bool,
    ) -> Result<Self, StoreFault> {
        let (log, log_size, files, is_noting) = (beside(&path, "-wal"), 0, [0; 2], true);
        let mut store =
            Self { path, log, log_size, disk, connection: None, mark, is_noting, files, loaded: None };
        let noted = store.mark.read()?;
        let is_copy = store.mark.is_of_copy(noted);
        let noted = noted.map(|noted| noted.head);
        let is_new = noted == Some(Head::default());
        let connection = store.connect(is_new, OPEN_TIMEOUT)?;
        if is_new && tables::is_empty(&connection)? {
            tables::create(&connection, new)?;
        }
        let lost = match tables::check_mark(&connection, noted) {
            Err(StoreFault::Damaged(reason)) if accept_loss => Some(reason),
            checked => checked.map(|()| None)?,
        };
        let reader = Reader { connection, _copy: None };
        if is_copy || lost.is_some() {
            // It may have pages of two moments, which no other check finds: copied while a server wrote to it, or cut off
            // within a checkpoint.
            info!(target: LEDGER, "the ledger's files are copies, or have lost commits: every entry is verified first");
            if let Some(fault) = reader.verify(&mut |_| ())?.faults.first() {
                let reason = format!("its parts are of different moments: {fault}; restore a backup");
                return Err(StoreFault::Unusable(reason));
            }
        }
        if let Some(reason) = lost {
            warn!(target: LEDGER, reason, ledger = %new.identity, "the loss is accepted: this is another ledger from here on");
            store.mark.reset(&tables::renew(&reader.connection, HOST_JOURNAL, new)?)?;
        }
        store.accept(reader.connection)?;
        Ok(store)
    }

    /// The files that have the names of the database and its log now, and the log's length.
    fn files(&self) -> ([u64; 2], u64) {
        let ((database, _), (log, length)) = (file_id(&self.path), file_id(&self.log));
        ([database, log], length)
    }

    fn connect(&self, create: bool, wait: Duration) -> Result<Connection, StoreFault> {
        connect(&self.path, self.disk.as_deref(), create, wait)
    }

    /// Takes a connection whose database was checked.
    fn accept(&mut self, connection: Connection) -> Result<(), StoreFault> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.busy_timeout(Duration::ZERO)?;
        (self.files, self.log_size) = self.files();
        self.connection = Some(connection);
        Ok(())
    }

    /// How many cards in use have PINs that cannot be judged with these keys, and the numbers of the first.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn cards_of_other_keys(&self, keys: &CardKeys) -> Result<(u64, Vec<u64>), StoreFault> {
        cards::of_other_keys(self.connection()?, keys)
    }

    fn connection(&self) -> Result<&Connection, StoreFault> {
        self.connection.as_ref().ok_or_else(|| StoreFault::Failed("the database is not open".to_owned()))
    }
}

impl Store for Sqlite {
    fn load(&mut self, requests: &mut dyn Iterator<Item = &Request>) -> Result<Batch, StoreFault> {
        let connection = self.connection()?;
        execute(connection, "BEGIN IMMEDIATE")?;
        let loaded = batch::load(connection, requests);
        match &loaded {
            Ok(loaded) => self.loaded = Some((loaded.head, loaded.turn)),
            Err(_) => self.abandon(),
        }
        loaded
    }

    fn save(&mut self, batch: &Batch) -> Result<(), StoreFault> {
        let before = self.loaded.take();
        let (Some(before), Ok(connection)) = (before, self.connection()) else {
            return Err(StoreFault::Failed("no batch was loaded".to_owned()));
        };
        if let Err(error) = batch::write(connection, &before, batch) {
            // A full disk may have ended the transaction already.
            if !connection.is_autocommit() {
                execute(connection, "ROLLBACK").map_err(|failed| StoreFault::Failed(failed.to_string()))?;
            }
            return Err(error);
        }
        let (files, length) = self.files();
        if files != self.files {
            self.abandon();
            return Err(replaced());
        }
        execute(connection, "COMMIT")?;
        let noted = self.mark.write(&batch.head);
        if let (Err(error), true) = (&noted, self.is_noting) {
            warn!(target: LEDGER, %error, "what is acknowledged cannot be noted: its loss would not be noticed");
        }
        (self.is_noting, self.log_size) = (noted.is_ok(), length);
        Ok(())
    }

    fn abandon(&mut self) {
        self.loaded = None;
        if let Some(connection) = &self.connection
            && !connection.is_autocommit()
        {
            // Where it fails, so does the next `BEGIN`.
            let _ = execute(connection, "ROLLBACK");
        }
    }

    fn reopen(&mut self) -> Result<(), StoreFault> {
        (self.connection, self.loaded) = (None, None);
        if file_id(&self.path).0 != self.files[0] {
            return Err(replaced());
        }
        let noted = self.mark.read()?.map(|noted| noted.head);
        let connection = self.connect(false, Duration::ZERO)?;
        tables::check_mark(&connection, noted)?;
        self.accept(connection)
    }

    fn enrolment(&mut self, name: &Name) -> Result<Option<Enrolment>, StoreFault> {
        Ok(enrolments::read(self.connection()?, name)?.map(|(_, enrolment)| enrolment))
    }

    fn log_size(&self) -> u64 {
        self.log_size
    }

    fn close(&mut self) -> Result<(), StoreFault> {
        self.abandon();
        let synced = self.mark.sync();
        if let Some(Err((_, error))) = self.connection.take().map(Connection::close) {
            return Err(error.into());
        }
        Ok(synced?)
    }
}

/// Opens a database for writing; waits at most so long for another process's transaction.
pub(super) fn connect(
    path: &Path,
    disk: Option<&dyn Disk>,
    create: bool,
    wait: Duration,
) -> Result<Connection, StoreFault> {
    let log = beside(path, "-wal");
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let connection = match disk {
        Some(disk) => {
            disk.drop_cached(&log);
            Connection::open_with_flags_and_vfs(path, flags, disk.vfs())
        }
        None => {
            drop_cached(&log);
            Connection::open_with_flags(path, flags)
        }
    }?;
    connection.busy_timeout(wait)?;
    // Closed before it is checked, it keeps its log: a damaged one may be mended.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    for (pragma, value) in [("trusted_schema", "off"), ("cell_size_check", "on"), ("synchronous", "full")] {
        connection.pragma_update(None, pragma, value)?;
    }
    let mut set = connection.prepare("PRAGMA journal_mode = wal")?;
    // To the statement's end: its commit, which comes after its row, may fail.
    let modes: Vec<String> = set.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    drop(set);
    if modes != ["wal"] {
        return Err(StoreFault::Failed(format!("SQLite keeps no write-ahead log here, but {modes:?}")));
    }
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn replaced() -> StoreFault {
    StoreFault::Damaged("its file was removed or replaced while it was open".to_owned())
}

fn execute(connection: &Connection, sql: &str) -> Result<(), StoreFault> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Drops the page cache of the write-ahead log. After a failed sync the kernel holds pages that are not on the disk and
/// calls them clean; recovery must not read an acknowledged commit from them.
pub(super) fn drop_cached(log: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok(file) = std::fs::File::open(log) {
        // Without the call, recovery reads what the kernel has, which is the best that is known.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = log;
}

/// SQLite's error by what is to be done about it.
impl From<rusqlite::Error> for StoreFault {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error {
            rusqlite::Error::SqliteFailure(code, _) => match code.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::ConstraintViolation => Self::Rejected(text),
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged(text),
                _ => Self::Failed(text),
            },
            // A number above 2^63, which no column takes.
            rusqlite::Error::ToSqlConversionFailure(_) => Self::Rejected(text),
            rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Damaged(text),
            _ => Self::Failed(text),
        }
    }
}
