//! A store: keeps the ledger's rows in a database, and commits a batch at once.
//!
//! A batch is [loaded](Store::load), decided and [saved](Store::save). The first begins a transaction and locks the
//! journal's row; the second ends it. A store knows no rule about money.
pub use super::entry::Head;
use super::{Enrolment, batch::Batch};
use atm_core::ledger::{Name, Request};
use std::fmt;

/// Which process writes to a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The journal's epoch: raised by each process that opens it, and by each settling write.
    pub epoch: u64,
    /// The random number of the process.
    pub owner: u64,
}

/// A ledger's database.
pub trait Store: Send {
    /// Begins a transaction and loads the rows that these requests touch. Every call is followed by
    /// [`save`](Self::save) or [`abandon`](Self::abandon).
    ///
    /// # Errors
    /// [`StoreFault`]; no transaction is open then.
    fn load(&mut self, requests: &mut dyn Iterator<Item = &Request>) -> Result<Batch, StoreFault>;

    /// Saves what has changed and commits it, if the journal still stands where it was loaded; notes the journal's head,
    /// so that a store behind it is noticed at the next start. What it returns is durable.
    ///
    /// # Errors
    /// [`StoreFault`]. Only after [`StoreFault::Busy`] and [`StoreFault::Rejected`] it is known that nothing was
    /// committed.
    fn save(&mut self, batch: &Batch) -> Result<(), StoreFault>;

    /// Ends the transaction without a change.
    fn abandon(&mut self);

    /// Opens the database anew, as after a start: nothing of a former connection is used any more.
    ///
    /// # Errors
    /// [`StoreFault`].
    fn reopen(&mut self) -> Result<(), StoreFault>;

    /// What the row of a terminal says about who may use its name, as the last commit of any process left it; `None` if it has
    /// no row. Not between [`load`](Self::load) and [`save`](Self::save).
    ///
    /// # Errors
    /// [`StoreFault`].
    fn enrolment(&mut self, name: &Name) -> Result<Option<Enrolment>, StoreFault>;

    /// What this process writes to, in a message that another process has taken it over; and what an operator does about it.
    fn takeover(&self) -> [String; 2] {
        ["the ledger in this folder".to_owned(), "Only one server may use it: stop the other one.".to_owned()]
    }

    /// A fault, and what an operator does about it.
    fn explain(&self, fault: &StoreFault) -> String {
        fault.to_string()
    }

    /// Which transaction is in the way of batches, after [`StoreFault::Busy`], as far as it can be found.
    fn find_blocker(&mut self) -> String {
        StoreFault::Busy.to_string()
    }

    /// The length of the write-ahead log in bytes, before the last commit; 0 where there is none. It grows while a reader keeps its transaction.
    fn log_size(&self) -> u64 {
        0
    }

    /// Closes the database in order.
    ///
    /// # Errors
    /// [`StoreFault`]; what was committed stands.
    fn close(&mut self) -> Result<(), StoreFault>;
}

/// Why a store did not do what was asked of it.
#[derive(Clone, Debug)]
pub enum StoreFault {
    /// Another process has a transaction open. Nothing was done.
    Busy,
    /// A row was not accepted. Nothing was committed.
    Rejected(String),
    /// Another process has taken the journal over; its turn, if it was read.
    Fenced(Option<Turn>),
    /// The database contradicts itself or what was acknowledged. The message names the ways out.
    Damaged(String),
    /// The same of a database that hosts share, where there are other ways out.
    DamagedDatabase(String),
    /// There is no ledger that this version reads.
    Unusable(String),
    /// The system or the database says so; after a [`Store::save`] the batch is in doubt.
    Failed(String),
}

impl StoreFault {
    /// Whether another attempt finds the same, so that a service manager should not start the server again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::DamagedDatabase(_) | Self::Unusable(_))
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("another process has a transaction open on the ledger"),
            Self::Rejected(reason) => write!(f, "the database does not accept a row: {reason}"),
            Self::Fenced(_) => f.write_str("another process has taken the journal over"),
            Self::Damaged(reason) => write!(
                f,
                "the ledger is damaged: {reason}. Stop every server on it and copy the whole folder again (ledger.db, \
                 ledger.db-wal and ledger.mark belong together), or restore a backup into another folder (`atm ledger \
                 restore`), or go on with what there is as a new ledger, without the outcomes that are lost (`atm serve \
                 --accept-loss`)"
            ),
            Self::DamagedDatabase(reason) => write!(
                f,
                "the ledger is damaged: {reason}. Give the hosts the database that has everything, or, to go on with what this one has and without \
                 what is lost, serve it by hosts with new names (--host-name) and new folders (--data)"
            ),
            Self::Unusable(reason) | Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StoreFault {}

impl From<std::io::Error> for StoreFault {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
