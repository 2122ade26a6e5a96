//! Reader: opens a ledger's database without writing to it, while a server runs or not, and refuses one that lacks what
//! was acknowledged.
//!
//! Entries are read in ranges, each in a transaction of its own: SQLite cannot shorten its write-ahead log behind a
//! transaction that is open (<https://sqlite.org/wal.html#avoiding_excessively_large_wal_files>).
pub use super::cells::AccountRow;
use super::{
    Enrolment,
    batch::DECOY,
    draft,
    entry::{COLUMNS, Entry, FORMAT, Hash},
    folder::{beside, find},
    sqlite::{FILE, accounts, cards, drop_cached, enrolments, rows, tables},
    store::{Head, StoreFault},
};
use atm_core::ledger::{
    AccountNumber, LedgerId, Name, Terminal,
    card::{Card, Statement},
};
use rusqlite::{Connection, OpenFlags, types::ValueRef};
use std::{fmt::Write as _, fs, path::Path, time::Duration};
use tempfile::{Builder, TempDir};

/// Entries of a range.
const RANGE: u64 = 10_000;

/// How long a reader waits for another process that recovers the write-ahead log.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A journal as its row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Its number.
    pub journal: u32,
    /// Its name.
    pub name: String,
    /// How far it has come.
    pub head: Head,
}

/// An account with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Its row.
    pub row: AccountRow,
    /// Its cards, with their numbers in the table.
    pub cards: Vec<(u64, Card)>,
    /// Its last movements by cards.
    pub statement: Statement,
}

/// What the rows of all accounts say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// How many there are.
    pub count: u64,
    /// Their balances, in minor units.
    pub balance: i128,
    /// The number of the first.
    pub first: Option<AccountNumber>,
}

/// What the tables say about the whole ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The identity.
    pub ledger: LedgerId,
    /// Entries of all journals.
    pub entries: u64,
    /// Terminals with a row.
    pub terminals: u64,
    /// The accounts.
    pub accounts: Accounts,
    /// What the ledger began with, in minor units.
    pub opening: u64,
    /// The journals, by their numbers.
    pub journals: Vec<Journal>,
}

/// A ledger's database, opened for reading.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
    /// Removed after the connection is closed.
    pub(super) _copy: Option<TempDir>,
}

impl Reader {
    /// Opens the ledger in a folder, which may be read-only.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn open(folder: &Path) -> Result<Self, StoreFault> {
        let (path, noted) = find(folder)?;
        let reader = Self::open_file(&path)?;
        tables::check_mark(&reader.connection, noted)?;
        Ok(reader)
    }

    /// Opens a database without a mark: a backup.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(super) fn open_file(path: &Path) -> Result<Self, StoreFault> {
        let (log, shared) = (beside(path, "-wal"), beside(path, "-shm"));
        drop_cached(&log);
        let reader = match connect(path, false) {
            Ok(connection) => Self { connection, _copy: None },
            // SQLite has to make the log's index and cannot, because the folder is read-only. It would take the file
            // without its log for the whole ledger, so that is left to a file without one.
            Err(_) if !shared.exists() => match fs::metadata(&log) {
                Ok(metadata) if metadata.len() > 0 => Self::copy(path, &log, &shared)?,
                _ => Self { connection: connect(path, true)?, _copy: None },
            },
            Err(fault) => return Err(fault),
        };
        tables::check_format(&reader.connection)?;
        Ok(reader)
    }

    /// Opens a copy of the file and its log, in a temporary folder that only its owner may read.
    pub(super) fn copy(path: &Path, log: &Path, shared: &Path) -> Result<Self, StoreFault> {
        let mut folder = Builder::new();
        #[cfg(unix)]
        folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = draft::make(|| folder.prefix("atm-").tempdir())?;
        let copy = folder.path().join(FILE);
        fs::copy(path, &copy)?;
        fs::copy(log, beside(&copy, "-wal"))?;
        if shared.exists() {
            return Err(StoreFault::Failed("a server was started meanwhile: try again".to_owned()));
        }
        Ok(Self { connection: connect(&copy, false)?, _copy: Some(folder) })
    }

    /// What is read until this is dropped is the ledger as one commit left it.
    pub(super) fn snapshot(&self) -> Result<impl Sized, StoreFault> {
        Ok(self.connection.unchecked_transaction()?)
    }

    /// What the tables say about the whole ledger.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn overview(&self) -> Result<Overview, StoreFault> {
        let connection = &self.connection;
        let _snapshot = connection.is_autocommit().then(|| self.snapshot()).transpose()?;
        let mut accounts = Accounts::default();
        self.accounts::<StoreFault>(|AccountRow { account, .. }| {
            accounts.count += 1;
            accounts.balance += i128::from(account.balance.minor());
            accounts.first.get_or_insert(account.number);
            Ok(())
        })?;
        let count = |select| connection.query_row(select, [], |row| row.get(0));
        let mut journals = connection.prepare("SELECT journal, name FROM journals ORDER BY journal")?;
        let journals = journals.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Overview {
            ledger: rows::identity(connection)?,
            // Entries have rows in the order of their commits, and none is ever deleted.
            entries: count("SELECT coalesce(max(rowid), 0) FROM entries")?,
            terminals: rows::count_terminals(connection)?,
            accounts,
            opening: count(
                "SELECT coalesce(sum(amount), 0) FROM entries WHERE debit = 'opening'
                 AND (journal = 2 OR journal = 1 AND number = 1)",
            )?,
            journals: journals
                .map(|named| {
                    let (journal, name) = named?;
                    Ok(Journal { journal, name, head: rows::journal(connection, journal)?.0 })
                })
                .collect::<Result<_, StoreFault>>()?,
        })
    }

    /// A terminal, if it has a row.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn terminal(&self, name: &Name) -> Result<Option<Terminal>, StoreFault> {
        rows::terminal(&self.connection, name)
    }

    /// The terminals that were ever enrolled, by their names.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn enrolments(&self) -> Result<Vec<(Name, Terminal, Enrolment)>, StoreFault> {
        let _snapshot = self.snapshot()?;
        let mut found = Vec::new();
        for name in enrolments::names(&self.connection)? {
            found.extend(
                enrolments::read(&self.connection, &name)?.map(|(row, enrolment)| (name, row, enrolment)),
            );
        }
        Ok(found)
    }

    /// An account, if it has a row.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn account(&self, number: AccountNumber) -> Result<Option<AccountView>, StoreFault> {
        let _snapshot = self.snapshot()?;
        let Some(row) = accounts::read(&self.connection, number)? else { return Ok(None) };
        let mut cards = Vec::new();
        self.cards::<StoreFault>(|card| {
            cards.extend(Some(card).filter(|(_, card)| card.accounts.contains(number)));
            Ok(())
        })?;
        Ok(Some(AccountView { row, cards, statement: accounts::statement(&self.connection, number)? }))
    }

    /// Reads the accounts, by their numbers: in ranges of 10,000, each as one commit left it, with a transaction of its own that is
    /// over when `see` gets them. So memory does not grow with their count, and a slow reader keeps no log from being shortened.
    ///
    /// # Errors
    /// [`StoreFault`], or that of `see`.
    pub fn accounts<E: From<StoreFault>>(
        &self,
        see: impl FnMut(AccountRow) -> Result<(), E>,
    ) -> Result<(), E> {
        accounts::for_each(&self.connection, see)
    }

    /// Reads the cards with their numbers in the table, without the decoy, as [`accounts`](Self::accounts) does.
    ///
    /// # Errors
    /// [`StoreFault`], or that of `see`.
    pub fn cards<E: From<StoreFault>>(
        &self,
        mut see: impl FnMut((u64, Card)) -> Result<(), E>,
    ) -> Result<(), E> {
        cards::for_each(&self.connection, |card| if card.0 == DECOY { Ok(()) } else { see(card) })
    }

    /// The card of this number in the table, if there is one. That of the decoy is 0.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn card(&self, number: u64) -> Result<Option<Card>, StoreFault> {
        cards::read(&self.connection, number)
    }

    /// Reads the entries of the next range: those after the row `after`, up to the row `until`, in the order of their
    /// commits. Returns the last row's number with them; `None` if there are none.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn range(&self, after: u64, until: u64) -> Result<Option<(u64, Vec<Entry>)>, StoreFault> {
        let select = format!(
            "SELECT rowid, hash, {COLUMNS} FROM entries WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT {RANGE}"
        );
        let mut select = self.connection.prepare_cached(&select)?;
        let columns = select.column_count();
        let mut rows = select.query([after, until.min(i64::MAX as u64)])?;
        let (mut last, mut entries) = (None, Vec::new());
        while let Some(row) = rows.next()? {
            let mut line = FORMAT.to_string();
            for column in 2..columns {
                line.push(',');
                match row.get_ref(column)? {
                    ValueRef::Null => {}
                    ValueRef::Integer(number) => write!(line, "{number}").unwrap_or_default(),
                    ValueRef::Text(text) => line.push_str(&String::from_utf8_lossy(text)),
                    // No line has it, so the hash is another one.
                    ValueRef::Real(_) | ValueRef::Blob(_) => line.push('?'),
                }
            }
            let Some(hash) = row.get_ref(1)?.as_str().ok().and_then(Hash::parse) else {
                return Err(StoreFault::Damaged(format!("this entry has no hash: {line}")));
            };
            last = Some(row.get(0)?);
            entries.push(Entry { line, hash });
        }
        Ok(last.map(|last| (last, entries)))
    }
}

/// A file's name for SQLite, with parameters: <https://sqlite.org/uri.html>.
pub(super) fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        write!(uri, "%{byte:02x}").unwrap_or_default();
    }
    uri + "?" + parameters
}

/// Opens a file for reading. With `immutable` SQLite looks at no log and takes no lock.
fn connect(path: &Path, immutable: bool) -> Result<Connection, StoreFault> {
    let uri = uri(path, if immutable { "immutable=1" } else { "" });
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")?;
    // The files are opened by the first statement that reads.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}
