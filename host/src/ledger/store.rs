//! The books in a file: tables of redb, and what is in them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `entries` | an entry's number | its hash (32 bytes), then its line |
//! | `terminals` | a terminal's name; empty for sessions without one | the number of the entry of its last operation (0: none), and its cash |
//! | `accounts` | an account's number | its balance |
//! | `state` | `format`, `ledger`, `opening`, `numbers`, `head` | the format, the identity, what the accounts began with, the numbers reserved, the number of the last entry |
//!
//! All but `entries` follows from `entries`, is written in the same commit, and is there to be found fast.
use super::{
    books::{Books, Head, Row, Till},
    disk::{Backend, Disk},
    entry::{Entry, FORMAT, Fact, Hash},
    error::Fault,
    guard::{Held, guarded},
};
use atm_core::{
    ledger::{LedgerId, Name, Record},
    money::Amount,
};
use redb::{
    Builder, Database, Durability, Range, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};
use std::{collections::BTreeMap, sync::Arc};

mod shared;
pub use shared::Shared;

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const TERMINALS: TableDefinition<'_, &str, (u64, i128)> = TableDefinition::new("terminals");
const ACCOUNTS: TableDefinition<'_, u64, u64> = TableDefinition::new("accounts");
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");

/// Memory for pages of the file, in bytes. What is written is at the end of it and what is read is in the books.
const CACHE: usize = 64 << 20;

/// An open ledger.
pub struct Store {
    database: Arc<Held<Database>>,
}

/// Turns any error of redb into what is wrong.
fn fault(error: impl Into<redb::Error>) -> Fault {
    error.into().into()
}

fn damaged(what: impl Into<String>) -> Fault {
    Fault::Damaged(what.into())
}

impl Store {
    /// Begins a new ledger, which is nothing before it is [published](Self::publish).
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn draft(disk: &mut dyn Disk) -> Result<Self, Fault> {
        Ok(Self { database: database(disk.draft()?)? })
    }

    /// The draft is whole: from now on it is the ledger.
    ///
    /// # Errors
    /// Whatever the system says; there is no ledger then.
    pub fn publish(self, disk: &mut dyn Disk) -> Result<(), Fault> {
        self.close()?;
        Ok(disk.publish()?)
    }

    /// Opens a ledger, and reads the books from it. Every page of it is checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(disk: &mut dyn Disk) -> Result<(Self, Books), Fault> {
        let store = Self::open_unread(disk)?;
        let books = store.view()?.books()?;
        Ok((store, books))
    }

    /// Opens a ledger, for somebody who reads it otherwise. Every page of it is checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open_unread(disk: &mut dyn Disk) -> Result<Self, Fault> {
        let store = Self { database: database(disk.open()?)? };
        let Some(told) = disk.noted()? else { return Ok(store) };
        if store.view()?.entry(told.number)? == Some(told) {
            return Ok(store);
        }
        Err(damaged(format!(
            "entry {} was told of and is not in it: its last pages were changed, or an old copy of it is in its place (without \
             ledger.told beside it, it is taken as it is)",
            told.number
        )))
    }

    /// Writes entries and what follows from them, durably, in one commit.
    ///
    /// # Errors
    /// Whatever the system says: nobody knows then what is on the disk, and the store has to be opened anew.
    pub fn commit(&self, rows: &[Row], books: &Books) -> Result<(), Fault> {
        let database = self.database.get()?;
        guarded(|| {
            let mut transaction = database.begin_write().map_err(fault)?;
            // One sync: a commit whose bytes did not all come to the disk has a wrong check sum, and the one before it
            // stands.
            transaction.set_durability(Durability::Immediate).map_err(fault)?;
            transaction.set_two_phase_commit(false);
            transaction.set_quick_repair(false);
            write(&transaction, rows, books)?;
            transaction.commit().map_err(fault)
        })
    }

    /// What was committed last, to look at.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn view(&self) -> Result<View, Fault> {
        View::of(self.database.get()?)
    }

    /// Closes the file.
    ///
    /// # Errors
    /// Whatever the system says; what was committed stands.
    pub fn close(self) -> Result<(), Fault> {
        // Nobody else has one for longer than it takes to begin to read.
        match Arc::into_inner(self.database).and_then(Held::release) {
            Some(database) => guarded(|| database.close().map_err(fault)),
            None => Ok(()),
        }
    }
}

fn database(bytes: Backend) -> Result<Arc<Held<Database>>, Fault> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    let database = guarded(|| builder.create_with_backend(bytes).map_err(fault))?;
    Ok(Arc::new(Held::new(database)))
}

fn write(transaction: &WriteTransaction, rows: &[Row], books: &Books) -> Result<(), Fault> {
    let mut entries = transaction.open_table(ENTRIES).map_err(fault)?;
    let mut terminals = transaction.open_table(TERMINALS).map_err(fault)?;
    let mut value = Vec::with_capacity(256);
    for row in rows {
        value.clear();
        value.extend_from_slice(&row.head.hash.0);
        value.extend_from_slice(row.line.as_bytes());
        entries.insert(row.head.number, value.as_slice()).map_err(fault)?;
        match &row.till {
            Some(Some(name)) => {
                let till = books.tills.get(name).ok_or_else(|| damaged("a terminal is not in the books"))?;
                let number = till.last.as_ref().map_or(0, |(number, _)| *number);
                terminals.insert(name.as_str(), (number, till.cash)).map_err(fault)?;
            }
            Some(None) => drop(terminals.insert("", (0, books.cash)).map_err(fault)?),
            None => {}
        }
    }
    let mut accounts = transaction.open_table(ACCOUNTS).map_err(fault)?;
    for (number, balance) in books.accounts() {
        accounts.insert(number, balance.minor()).map_err(fault)?;
    }
    let mut state = transaction.open_table(STATE).map_err(fault)?;
    let last = rows.last().map_or(books.head.number, |row| row.head.number);
    let opening = u64::try_from(books.opening).map_err(|_| damaged("the accounts began with a debt"))?;
    for (key, value) in [
        ("format", FORMAT),
        ("ledger", books.ledger().0),
        ("opening", opening),
        ("numbers", books.reserved),
        ("head", last),
    ] {
        state.insert(key, value).map_err(fault)?;
    }
    Ok(())
}

/// What is stored beside the entries, though it follows from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The table `state`.
    pub state: BTreeMap<String, u64>,
    /// Balances by account.
    pub accounts: BTreeMap<u64, u64>,
    /// The last entry and the cash of each terminal; without a name, of sessions without one.
    pub terminals: BTreeMap<String, (u64, i128)>,
}

impl Stored {
    /// One value of the state.
    ///
    /// # Errors
    /// It is not there.
    pub fn get(&self, key: &str) -> Result<u64, Fault> {
        let value = self.state.get(key).copied();
        value.ok_or_else(|| damaged(format!("its state does not tell the {key}")))
    }
}

/// The ledger as it was at one moment, however long it is looked at.
pub struct View(Held<ReadTransaction>);

impl View {
    fn of(database: &Database) -> Result<Self, Fault> {
        Ok(Self(Held::new(guarded(|| database.begin_read().map_err(fault))?)))
    }

    /// Shows entries from `first` on to `see`, until it has seen enough.
    ///
    /// # Errors
    /// What is wrong with the ledger, or what `see` says.
    pub fn entries<E: From<Fault>>(
        &self,
        first: u64,
        mut see: impl FnMut(Head, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        let transaction = self.0.get()?;
        let mut range = guarded(|| {
            let table = transaction.open_table(ENTRIES).map_err(fault)?;
            table.range(first..).map_err(fault)
        })?;
        let mut line = String::new();
        while let Some(head) = guarded(|| next(&mut range, &mut line))? {
            see(head, &line)?;
        }
        Ok(())
    }

    /// The entry of this number, by its hash.
    ///
    /// # Errors
    /// What is wrong with the ledger.
    pub fn entry(&self, number: u64) -> Result<Option<Head>, Fault> {
        let transaction = self.0.get()?;
        guarded(|| {
            let entries = transaction.open_table(ENTRIES).map_err(fault)?;
            let Some(entry) = entries.get(number).map_err(fault)? else { return Ok(None) };
            Ok(Some(parts(number, entry.value())?.0))
        })
    }

    /// What is stored beside the entries.
    ///
    /// # Errors
    /// What is wrong with the ledger.
    pub fn stored(&self) -> Result<Stored, Fault> {
        let transaction = self.0.get()?;
        guarded(|| stored(transaction))
    }

    /// The books, as they were stored beside the entries.
    ///
    /// # Errors
    /// What is wrong with the ledger.
    pub fn books(&self) -> Result<Books, Fault> {
        let transaction = self.0.get()?;
        guarded(|| books(transaction))
    }
}

/// Reads the next entry's line into `line`.
fn next(range: &mut Range<'static, u64, &'static [u8]>, line: &mut String) -> Result<Option<Head>, Fault> {
    let Some(item) = range.next() else { return Ok(None) };
    let (number, value) = item.map_err(fault)?;
    let (head, text) = parts(number.value(), value.value())?;
    line.clear();
    line.push_str(text);
    Ok(Some(head))
}

fn stored(transaction: &ReadTransaction) -> Result<Stored, Fault> {
    let mut stored = Stored::default();
    let state = match transaction.open_table(STATE) {
        Err(TableError::TableDoesNotExist(_)) => return Err(Fault::Foreign),
        result => result.map_err(fault)?,
    };
    for item in state.iter().map_err(fault)? {
        let (key, value) = item.map_err(fault)?;
        stored.state.insert(key.value().to_owned(), value.value());
    }
    let format = stored.get("format")?;
    if format > FORMAT {
        return Err(Fault::Newer(format));
    }
    for item in transaction.open_table(ACCOUNTS).map_err(fault)?.iter().map_err(fault)? {
        let (number, balance) = item.map_err(fault)?;
        stored.accounts.insert(number.value(), balance.value());
    }
    for item in transaction.open_table(TERMINALS).map_err(fault)?.iter().map_err(fault)? {
        let (name, value) = item.map_err(fault)?;
        stored.terminals.insert(name.value().to_owned(), value.value());
    }
    Ok(stored)
}

fn books(transaction: &ReadTransaction) -> Result<Books, Fault> {
    let stored = stored(transaction)?;
    let entries = transaction.open_table(ENTRIES).map_err(fault)?;
    let reserved = stored.get("numbers")?;
    let mut books = Books {
        ledger: Some(LedgerId(stored.get("ledger")?)),
        opening: i128::from(stored.get("opening")?),
        reserved,
        // What was reserved before this start may have been given.
        next: reserved,
        head: head(&entries, stored.get("head")?)?,
        ..Books::default()
    };
    for (number, balance) in stored.accounts {
        let balance =
            Amount::from_minor(balance).ok_or_else(|| damaged("a balance is more than there can be"))?;
        books.accounts.insert(number, balance);
    }
    for (name, (last, cash)) in stored.terminals {
        if name.is_empty() {
            books.cash = cash;
            continue;
        }
        let name: Name = name.parse().map_err(|_| damaged("a terminal has an impossible name"))?;
        let record = record(&entries, &name, last)?;
        books.tills.insert(name, Till { cash, last: Some((last, record)) });
    }
    if !books.is_balanced() {
        return Err(damaged("the balances do not add up"));
    }
    Ok(books)
}

/// The last entry, which must have this number.
fn head(entries: &impl ReadableTable<u64, &'static [u8]>, number: u64) -> Result<Head, Fault> {
    let last = entries.last().map_err(fault)?.ok_or_else(|| damaged("it has no entry"))?.0.value();
    if last != number {
        return Err(damaged(format!("its last entry is {last}, and not {number}")));
    }
    let (head, line) = find(entries, number)?;
    let before = match number.checked_sub(1) {
        None | Some(0) => Hash::default(),
        Some(before) => find(entries, before)?.0.hash,
    };
    if before.next(&line) != head.hash {
        return Err(damaged(format!("entry {number} does not have the hash that it should have")));
    }
    Ok(head)
}

/// A terminal's last operation.
fn record(
    entries: &impl ReadableTable<u64, &'static [u8]>,
    name: &Name,
    number: u64,
) -> Result<Record, Fault> {
    let (_, line) = find(entries, number)?;
    match Entry::parse(&line).map(|entry| entry.fact) {
        Some(Fact::Settled { key: Some((whose, id)), operation, outcome, .. }) if whose == *name => {
            Ok(Record { id, operation, outcome })
        }
        _ => Err(damaged(format!("entry {number} is not of {name}"))),
    }
}

fn find(entries: &impl ReadableTable<u64, &'static [u8]>, number: u64) -> Result<(Head, String), Fault> {
    let value = entries.get(number).map_err(fault)?;
    let value = value.ok_or_else(|| damaged(format!("there is no entry {number}")))?;
    let (head, line) = parts(number, value.value())?;
    Ok((head, line.to_owned()))
}

/// An entry's head and its line.
fn parts(number: u64, value: &[u8]) -> Result<(Head, &str), Fault> {
    let wrong = || damaged(format!("entry {number} is not text"));
    let (hash, line) = value.split_first_chunk::<32>().ok_or_else(wrong)?;
    let line = std::str::from_utf8(line).map_err(|_| wrong())?;
    Ok((Head { number, hash: Hash(*hash) }, line))
}
