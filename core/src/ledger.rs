//! The ledger: accounts, terminals and entries as plain values, [`decide`], and the contract of a [`Ledger`].
//!
//! The host's endpoint never calls a ledger. It emits a [`Request`] and is given the [`Response`] at any later time, so
//! that a blocking loop, a group commit and a distributed database can all stand behind the same endpoint.
//!
//! Every ledger works in three steps:
//!
//! ```text
//! requests ─► load the rows that they touch ─► decide, one after the other ─► save changes and entries, one commit
//! ```
//!
//! A ledger differs from another only in how it loads and saves. What a request does to its rows is decided by
//! [`decide`] alone:
//!
//! ```
//! use atm_core::{ledger::*, money::Amount};
//!
//! let account = Account { number: AccountNumber::OPEN, balance: Amount::parse_units("100")?, version: 0 };
//! let rows = Rows::open(LedgerId(7), &account, None, true);
//! let request = Request {
//!     ticket: Ticket::default(),
//!     origin: Origin::Session(SessionId::new(1)),
//!     turn: 0,
//!     command: Command::Operate { id: 1, operation: Operation::Deposit(Amount::parse_units("40")?) },
//! };
//! let decision = decide(&request, &rows, None);
//! assert_eq!(decision.changes.account.unwrap().balance, Amount::parse_units("140")?);
//! assert_eq!(decision.entry.unwrap().movement.unwrap().debit, Side::Cash);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
use core::fmt;

#[cfg(feature = "cards")]
pub mod card;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod decide;
mod name;
mod number;
mod outcome;
mod ram;
mod request;
mod row;
#[cfg(feature = "embedded-storage")]
mod stored;
pub use decide::{BLOCK, Decision, MAX_SET_BACK, SET_BACK_INTERVAL, decide};
pub use name::{LedgerId, LedgerIdError, Name, NameError};
pub use number::{Gap, Numbers};
pub use outcome::{Outcome, Receipt, Record, Refusal};
pub use ram::RamLedger;
pub use request::{
    Admission, Command, Epoch, HelloClaim, Operation, Origin, Rejection, Request, Response, SessionId, Ticket,
};
pub use row::{Account, AccountNumber, Changes, Entry, Movement, Rows, Side, Terminal};
#[cfg(feature = "embedded-storage")]
pub use stored::StoredLedger;

/// The commit returned an error, and it is not known yet whether it stands. The doubt is of this request (or its
/// batch) alone: a ledger that can settle it does so before it takes another. A hello that is applied again must not
/// meet its own commit, which would refuse it as an equal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InDoubt;

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ledger's commit failed: the operation is in doubt")
    }
}

impl core::error::Error for InDoubt {}

/// A ledger that takes one request at a time.
///
/// # The contract
/// * A response is that of [`decide`] for the rows as the requests before it have left them.
/// * The changes and the entry of a decision are committed together, or not at all, and before the response is given.
/// * What is committed survives whatever the ledger's store survives: the numbers that were reserved and the records
///   of terminals as well as the money. Records are never evicted.
///
/// A store for one process or one line may keep less than a row for each terminal: then a block of numbers may begin higher
/// and a gap be wider than `decide` would have it; epochs and turns may be lost with the power, and so may a record that
/// moved no money, if nothing is done under its id after that (`contract::Store::KEEPS_ROWS`).
///
/// `contract::check` (feature `contract`) holds a ledger to it.
pub trait Ledger {
    /// Carries out a request.
    ///
    /// # Errors
    /// [`InDoubt`] if the commit failed.
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt>;

    /// Commits so far, to a medium that is worn by them; always 0 where none is.
    fn commits(&self) -> u64 {
        0
    }

    /// Whether this command, if it is a hello or a reserve of numbers, may cost a commit now.
    fn may_commit(&self, _: &Command) -> bool {
        true
    }
}

/// A ledger may be lent to its driver.
impl<L: Ledger + ?Sized> Ledger for &mut L {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        (**self).apply(request)
    }

    fn commits(&self) -> u64 {
        (**self).commits()
    }

    fn may_commit(&self, command: &Command) -> bool {
        (**self).may_commit(command)
    }
}
