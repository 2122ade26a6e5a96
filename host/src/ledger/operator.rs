//! The operator's journal: orders about the enrolment of terminals, about accounts and cards, each in a commit of its own, beside
//! a running server or without one.
//!
//! The command line has this journal for itself, so a host is never fenced by it. Rows are read after `BEGIN IMMEDIATE`, as
//! for a batch; a transaction of another process is waited for, up to [`DEADLINE`].
#[cfg(feature = "postgres")]
use super::postgres::{Database, Orders};
use super::{
    Enrolment,
    batch::MAX_NAMES,
    card_order,
    enrol::{Order, Refused},
    entry,
    folder::find,
    sqlite::{OPERATOR_JOURNAL, connect, tables},
    store::{StoreFault, Turn},
};
use atm_core::{
    ledger::{AccountNumber, Name, Terminal},
    time::UnixTime,
};
use rusqlite::config::DbConfig;
use std::{fmt, path::Path, time::Duration};

mod cards;
mod rows;

pub(super) use rows::OrderRows;

/// How long another process's transaction is waited for.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A ledger that an operator gives orders to.
#[derive(Debug)]
pub struct Operator {
    rows: Box<dyn OrderRows>,
    /// The random number of this process.
    owner: u64,
    uid: Option<u32>,
}

/// Why an order was not carried out.
#[derive(Debug)]
pub enum OrderFault {
    /// The terminal's row does not take it. Nothing was committed.
    Refused(Name, Refused),
    /// The account's row does not take it. Nothing was committed.
    Account(AccountNumber, card_order::Refused),
    /// The row of the card of this number, or that of a new one, does not take it. Nothing was committed.
    Card(Option<u64>, card_order::Refused),
    /// The ledger has no room for another name. Nothing was committed.
    Full,
    /// Another command has changed the terminal's series meanwhile. Nothing was committed.
    Changed(Name),
    /// The commit returned an error: it may stand or not.
    InDoubt(StoreFault),
    /// The ledger cannot be read or written. Nothing was committed.
    Store(StoreFault),
}

impl fmt::Display for OrderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(name, refused) => write!(f, "terminal {name}: {refused}"),
            Self::Account(AccountNumber(number), refused) => write!(f, "account {number}: {refused}"),
            Self::Card(Some(number), refused) => write!(f, "card {number}: {refused}"),
            Self::Card(None, refused) => write!(f, "the card: {refused}"),
            Self::Full => f.write_str("the ledger has no room for another name"),
            Self::Changed(name) => write!(f, "terminal {name}: another command has changed it meanwhile"),
            Self::InDoubt(_) => f.write_str(
                "the commit is in doubt: `atm terminal list`, `atm account list` or `atm card list` says whether it stands",
            ),
            Self::Store(StoreFault::Busy) => {
                write!(f, "another process had a transaction open for {} s", DEADLINE.as_secs())
            }
            Self::Store(_) => f.write_str("the ledger cannot be used"),
        }
    }
}

impl std::error::Error for OrderFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(StoreFault::Busy) => None,
            Self::InDoubt(fault) | Self::Store(fault) => Some(fault),
            _ => None,
        }
    }
}

impl<E: Into<StoreFault>> From<E> for OrderFault {
    fn from(fault: E) -> Self {
        Self::Store(fault.into())
    }
}

impl Operator {
    /// Opens the ledger in a folder; `owner` is a random number of this process.
    ///
    /// # Errors
    /// [`StoreFault`]; there is no ledger, or it is behind its mark.
    pub fn open(folder: &Path, owner: u64) -> Result<Self, StoreFault> {
        let (path, noted) = find(folder)?;
        let connection = connect(&path, None, false, DEADLINE)?;
        tables::check_mark(&connection, noted)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(Self { rows: Box::new(connection), owner, uid: uid() })
    }

    /// Opens the ledger in a shared database.
    ///
    /// # Errors
    /// [`StoreFault`]; there is no ledger.
    #[cfg(feature = "postgres")]
    pub fn open_database(database: &Database, owner: u64) -> Result<Self, StoreFault> {
        Ok(Self { rows: Box::new(Orders::open(database)?), owner, uid: uid() })
    }

    /// A terminal's row as it would be after an order.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn preview(&self, name: &Name, order: Order) -> Result<Enrolment, OrderFault> {
        Ok(self.decide(name, order)?.1)
    }

    /// Carries an order out on a terminal and commits it with its entry. With `expected` the series must then be this one: the
    /// key of another was written.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn order(
        &mut self,
        name: &Name,
        order: Order,
        expected: Option<u32>,
        time: UnixTime,
    ) -> Result<Enrolment, OrderFault> {
        self.commit(|this| {
            let (terminal, enrolment) = this.decide(name, order)?;
            if expected.is_some_and(|expected| expected != enrolment.series) {
                return Err(OrderFault::Changed(name.clone()));
            }
            this.rows.save_terminal(name, &terminal, &enrolment)?;
            let fact = entry::enrolment(order.word(), Some(name), order.series(&enrolment), this.uid);
            this.post(&fact, time)?;
            Ok(enrolment)
        })
    }

    /// Opens every closed terminal again; returns how many were closed.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn confirm_all(&mut self, time: UnixTime) -> Result<usize, OrderFault> {
        self.commit(|this| {
            let opened = this.rows.confirm_all()?;
            if opened > 0 {
                this.post(&entry::enrolment(Order::Confirm.word(), None, None, this.uid), time)?;
            }
            Ok(opened)
        })
    }

    fn decide(&self, name: &Name, order: Order) -> Result<(Terminal, Enrolment), OrderFault> {
        let stored = self.rows.terminal(name)?;
        if stored.is_none() && self.rows.count_terminals()? >= MAX_NAMES {
            return Err(OrderFault::Full);
        }
        let (mut terminal, mut enrolment) = stored.unwrap_or((Terminal::NEW, Enrolment::default()));
        let refused = |refused| OrderFault::Refused(name.clone(), refused);
        order.apply(&mut terminal, &mut enrolment).map_err(refused)?;
        Ok((terminal, enrolment))
    }

    /// Appends an entry to the operator's journal, under an epoch of this process.
    fn post(&self, fact: &impl fmt::Display, time: UnixTime) -> Result<(), StoreFault> {
        let (mut head, Turn { epoch, .. }) = self.rows.journal()?;
        head.batches = head.batches.saturating_add(1);
        let entry = head.append(OPERATOR_JOURNAL, time, fact);
        self.rows.append(&head, &Turn { epoch: epoch.saturating_add(1), owner: self.owner }, entry)
    }

    /// Carries an order out in a transaction, and commits it, or takes it back.
    fn commit<T>(&self, order: impl FnOnce(&Self) -> Result<T, OrderFault>) -> Result<T, OrderFault> {
        self.rows.begin()?;
        match order(self) {
            Ok(done) => {
                self.rows.commit().map_err(OrderFault::InDoubt)?;
                Ok(done)
            }
            Err(fault) => {
                self.rows.roll_back();
                Err(fault)
            }
        }
    }
}

/// The user id of this process, where the system has one.
fn uid() -> Option<u32> {
    #[cfg(unix)]
    return Some(rustix::process::getuid().as_raw());
    #[cfg(not(unix))]
    None
}
