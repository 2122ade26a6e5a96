//! The books in a file: tables of redb, and what is in them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `entries` | an entry's number | it and those behind it up to the next key, packed (`packed`) |
//! | `terminals` | a terminal's name; empty for sessions without one | the number of the entry of its last operation (0: none), and its cash |
//! | `accounts` | an account's number | its balance |
//! | `state` | `format`, `ledger`, `opening`, `numbers`, `head` | the format, the identity, what the accounts began with, the numbers reserved, the number of the entry behind which all this is so |
//! | `state` | `set-back:` and a terminal's name | the number of its last entry of that kind |
//!
//! All but `entries` follows from `entries`: it is a summary, the books as they stood after some entry (`head`), and is
//! there to be found fast. It is written each 32,768 entries; who opens the ledger derives what came behind it.
//!
//! A tree changes many pages in many places for one entry, and they all have to come to the disk before anybody is told. So
//! the entries go to the `journal` first, and from there into the tables when it is full or the ledger is
//! opened: many thousands at once.
use super::{
    books::{Books, Head, Row},
    disk::{Backend, Disk, StorageBackend},
    entry::Entry,
    error::Fault,
    guard::{Held, guarded},
    journal::Journal,
    sheet::Sheet,
    sums::Summed,
};
use entries::Entries;
use redb::{Builder, Database, Durability, ReadTransaction, ReadableDatabase, TableDefinition};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod entries;
mod shared;
mod summary;
pub use shared::Shared;
pub use summary::Stored;

const TERMINALS: TableDefinition<'_, &str, (u64, i128)> = TableDefinition::new("terminals");
const ACCOUNTS: TableDefinition<'_, u64, u64> = TableDefinition::new("accounts");
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");

/// Memory for pages of the file, in bytes. What is written is at the end of it and what is read is in the books.
const CACHE: usize = 64 << 20;

/// Entries from one summary to the next: what has to be derived at a start, some tenth of a second.
const SUMMARY: u64 = 1 << 15;

/// An open ledger.
pub struct Store {
    open: Arc<Open>,
    /// `None` for a draft: all of it is brought to the disk before it is a ledger.
    journal: Option<Journal>,
    /// The entry behind which the summary stands; 0 where there is none.
    summed: u64,
}

/// What others may look at.
struct Open {
    database: Held<Database>,
    /// The entries that are in the journal alone.
    fresh: Mutex<Vec<Row>>,
}

impl Open {
    fn fresh(&self) -> MutexGuard<'_, Vec<Row>> {
        // What is inside is whole at any time.
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        Ok(Self { open: database(disk.draft()?)?, journal: None, summed: 0 })
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
        let (mut store, sheet) = Self::checked(disk)?;
        let (books, summed) = store.view()?.books()?;
        store.let_through(&sheet, disk)?;
        store.summed = summed;
        // One that is never closed in order would have more to derive at each start.
        if books.head.number.saturating_sub(summed) >= SUMMARY {
            store.sum_up(&books)?;
        }
        Ok((store, books))
    }

    /// Opens a ledger, for somebody who reads it otherwise. Every page of it is checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open_unread(disk: &mut dyn Disk) -> Result<Self, Fault> {
        let (mut store, sheet) = Self::checked(disk)?;
        store.let_through(&sheet, disk)?;
        Ok(store)
    }

    /// Opens a ledger and checks that it is whole. Nothing comes to the file yet.
    fn checked(disk: &mut dyn Disk) -> Result<(Self, Sheet<Backend>), Fault> {
        let sheet = Sheet::over(disk.open()?)?;
        let open = database(sheet.clone())?;
        let view = View::of(&open)?;
        view.check_format()?;
        let last = view.last()?;
        drop(view);
        let (journal, rows) = Journal::open(disk.journal()?, disk.journal_size(), last.number)?;
        follow(last, &rows)?;
        let store = Self { open, journal: Some(journal), summed: 0 };
        *store.open.fresh() = rows;
        // The journal is of this ledger, and all that was told of is in them.
        if let Some(told) = disk.noted()?
            && store.view()?.entry(told.number)? != Some(told)
        {
            return Err(damaged(format!(
                "entry {} was told of and is not in it: its last pages were changed, or an old copy of it is in its place \
                 (without ledger.told beside it, it is taken as it is)",
                told.number
            )));
        }
        Ok((store, sheet))
    }

    /// Nothing is wrong with it: what redb has mended comes to the file, and what is in the journal into the tables.
    fn let_through(&mut self, sheet: &Sheet<Backend>, disk: &dyn Disk) -> Result<(), Fault> {
        if !disk.is_read_only() {
            sheet.let_through()?;
        }
        if !self.open.fresh().is_empty() {
            self.bring_in(None)?;
        }
        Ok(())
    }

    /// Writes entries, after which the books are these, durably, all of them or none.
    ///
    /// # Errors
    /// Whatever the system says: nobody knows then what is on the disk, and the store has to be opened anew.
    pub fn commit(&mut self, rows: Vec<Row>, books: &Books) -> Result<(), Fault> {
        let full = match &mut self.journal {
            None => true,
            Some(journal) => {
                journal.append(&rows)?;
                journal.is_full()
            }
        };
        self.open.fresh().extend(rows);
        if full {
            let due = books.head.number.saturating_sub(self.summed) >= SUMMARY;
            self.bring_in((due || self.summed == 0).then_some(books))?;
        }
        Ok(())
    }

    /// Brings everything into the tables, and sums up the books: the next start has little to do.
    ///
    /// # Errors
    /// As those of [`commit`](Self::commit).
    pub fn sum_up(&mut self, books: &Books) -> Result<(), Fault> {
        if self.summed == books.head.number { Ok(()) } else { self.bring_in(Some(books)) }
    }

    /// Brings entries from the journal into the tables, in one commit.
    fn bring_in(&mut self, sum: Option<&Books>) -> Result<(), Fault> {
        let database = self.open.database.get()?;
        // Whoever begins to look meanwhile would see them twice or not at all.
        let mut rows = self.open.fresh();
        guarded(|| {
            let mut transaction = database.begin_write().map_err(fault)?;
            // One sync: a commit whose bytes did not all come to the disk has a wrong check sum, and the one before it
            // stands.
            transaction.set_durability(Durability::Immediate).map_err(fault)?;
            transaction.set_two_phase_commit(false);
            transaction.set_quick_repair(false);
            entries::write(&transaction, &rows)?;
            if let Some(books) = sum {
                summary::write(&transaction, books, self.summed)?;
            }
            transaction.commit().map_err(fault)
        })?;
        rows.clear();
        drop(rows);
        if let Some(journal) = &mut self.journal {
            journal.clear();
        }
        self.summed = sum.map_or(self.summed, |books| books.head.number);
        Ok(())
    }

    /// What was committed last, to look at.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn view(&self) -> Result<View, Fault> {
        View::of(&self.open)
    }

    /// Closes the file.
    ///
    /// # Errors
    /// Whatever the system says; what was committed stands.
    pub fn close(self) -> Result<(), Fault> {
        // Nobody else has one for longer than it takes to begin to read.
        match Arc::into_inner(self.open).and_then(|open| open.database.release()) {
            Some(database) => guarded(|| database.close().map_err(fault)),
            None => Ok(()),
        }
    }
}

/// Do these entries follow from the last one?
fn follow(last: Head, rows: &[Row]) -> Result<(), Fault> {
    let mut before = last.hash;
    for Row { head, line } in rows {
        if before.next(line) != head.hash {
            return Err(damaged(format!(
                "entry {} of its journal does not follow from what is in it: the journal is of another ledger, or one of \
                 the two was changed",
                head.number
            )));
        }
        before = head.hash;
    }
    Ok(())
}

fn database(bytes: impl StorageBackend) -> Result<Arc<Open>, Fault> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    let database = guarded(|| builder.create_with_backend(Summed::new(bytes)).map_err(fault))?;
    Ok(Arc::new(Open { database: Held::new(database), fresh: Mutex::default() }))
}

/// The ledger as it was at one moment, however long it is looked at.
pub struct View {
    transaction: Held<ReadTransaction>,
    /// The entries behind those in the tables.
    fresh: Vec<Row>,
}

impl View {
    fn of(open: &Open) -> Result<Self, Fault> {
        let fresh = open.fresh();
        let database = open.database.get()?;
        let transaction = Held::new(guarded(|| database.begin_read().map_err(fault))?);
        Ok(Self { transaction, fresh: fresh.clone() })
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
        let transaction = self.transaction.get()?;
        let mut values = guarded(|| Entries::of(transaction)?.from(first))?;
        let mut some = Vec::new();
        while guarded(|| values.next(|head, line| some.push((head, line.to_owned()))))? {
            some.drain(..).try_for_each(|(head, line)| see(head, &line))?;
        }
        let mut fresh = self.fresh.iter().filter(|row| row.head.number >= first);
        fresh.try_for_each(|row| see(row.head, &row.line))
    }

    /// The entry of this number, by its hash.
    ///
    /// # Errors
    /// What is wrong with the ledger.
    pub fn entry(&self, number: u64) -> Result<Option<Head>, Fault> {
        if let Some(row) = self.fresh.iter().find(|row| row.head.number == number) {
            return Ok(Some(row.head));
        }
        let transaction = self.transaction.get()?;
        guarded(|| Ok(Entries::of(transaction)?.find(number)?.map(|(head, _)| head)))
    }

    /// Is it of a version that is known here? Before anything else is looked at.
    fn check_format(&self) -> Result<(), Fault> {
        let transaction = self.transaction.get()?;
        guarded(|| summary::check_format(transaction))
    }

    /// The last entry in the tables.
    fn last(&self) -> Result<Head, Fault> {
        let transaction = self.transaction.get()?;
        guarded(|| Entries::of(transaction)?.last())
    }

    /// The summary, and what the entries behind it change.
    ///
    /// # Errors
    /// What is wrong with the ledger.
    pub fn stored(&self) -> Result<Stored, Fault> {
        let transaction = self.transaction.get()?;
        let mut stored = guarded(|| summary::stored(transaction))?;
        let first = stored.get("head")?.saturating_add(1);
        self.entries::<Fault>(first, |head, line| {
            stored.follow(head.number, line);
            Ok(())
        })?;
        Ok(stored)
    }

    /// The books, as they follow from the summary, and the entry behind which that stands.
    ///
    /// # Errors
    /// What is wrong with the ledger.
    pub fn books(&self) -> Result<(Books, u64), Fault> {
        let transaction = self.transaction.get()?;
        let mut books = guarded(|| summary::books(transaction))?;
        let summed = books.head.number;
        self.entries(summed.saturating_add(1), |head, line| {
            let entry = Entry::parse(line).ok_or("it is not an entry");
            entry
                .and_then(|entry| books.post(entry, line))
                .map_err(|misfit| damaged(format!("entry {}: {misfit}", head.number)))?;
            if books.head == head { Ok(()) } else { Err(wrong_hash(head.number)) }
        })?;
        // What was reserved before this start may have been given.
        books.start = books.reserved;
        Ok((books, summed))
    }
}

fn wrong_hash(number: u64) -> Fault {
    damaged(format!("entry {number} does not have the hash that it should have"))
}

#[cfg(test)]
mod tests;
