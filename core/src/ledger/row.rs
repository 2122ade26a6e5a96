//! The ledger's rows as plain values: what a store keeps, what a decision reads, and what it changes.
//!
//! A store loads the rows that a request touches into [`Rows`] and saves the [`Changes`] of the decision with its
//! [`Entry`], all in one commit. Cards and holds are to become rows of the same kind, each a field of `Rows` and of
//! `Changes`.
use super::{Epoch, Gap, LedgerId, Operation};
use crate::{money::Amount, number, time::UnixTime};
use serde::{Deserialize, Serialize};

/// An account's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AccountNumber(pub u32);

impl AccountNumber {
    /// The account of an ATM with open access, which has one for all.
    pub const OPEN: Self = Self(1);
}

/// An account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Account {
    /// Its number.
    pub number: AccountNumber,
    /// Its balance.
    pub balance: Amount,
    /// Counts the movements: orders the account's entries.
    pub version: u64,
}

/// A terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Terminal {
    /// The epoch of the hello that was admitted last; `None` before the first.
    pub epoch: Option<Epoch>,
    /// Counts the admitted hellos, and wraps: no conversation lasts for 2^32 of them. A request carries the turn that its
    /// conversation was given.
    pub turn: u32,
    /// The first number that is not reserved for its replies.
    pub next_number: u64,
    /// Numbers below that one whose outcomes this ledger does not know.
    pub gap: Gap,
    /// When a hello last proved that the ledger was set back.
    pub set_back_at: Option<UnixTime>,
    /// Its last operation.
    pub last: Option<Record>,
}

impl Terminal {
    /// A terminal that has not said hello.
    pub const NEW: Self =
        Self { epoch: None, turn: 0, next_number: 1, gap: Gap::NONE, set_back_at: None, last: None };

    /// The same, made at run time.
    // Not inlined: the constant takes 120 bytes of a microcontroller's flash.
    #[inline(never)]
    pub(super) fn starting_at(next_number: u64) -> Self {
        Self { epoch: None, turn: 0, next_number, gap: Gap::NONE, set_back_at: None, last: None }
    }
}

/// A terminal's last operation and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record {
    /// The operation's id: the number of the prompt whose answer caused it.
    #[serde(with = "number")]
    pub id: u64,
    /// The operation; `None` for a void.
    pub operation: Option<Operation>,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The outcome of an operation. It is final: a ledger never gives one id two outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// It was done, once.
    Done(Receipt),
    /// It was refused and moved nothing.
    Refused(Refusal),
    /// It was not done and never will be.
    NotDone,
    /// The ledger does not know it any more, or never did.
    Unknown,
}

impl Outcome {
    /// The word for it on the `json` wire, in logs and in metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused(_) => "refused",
            Self::NotDone => "not-done",
            Self::Unknown => "unknown",
        }
    }
}

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Receipt {
    /// The balance was reported.
    Balance {
        /// The balance.
        balance: Amount,
    },
    /// Money was added.
    Deposited {
        /// How much.
        amount: Amount,
        /// The balance after it.
        balance: Amount,
    },
    /// Money was taken.
    Withdrawn {
        /// How much.
        amount: Amount,
        /// The balance after it.
        balance: Amount,
    },
}

/// Why an operation was not done; remembered like a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The balance is less than the amount.
    Insufficient {
        /// The balance.
        balance: Amount,
    },
    /// The balance would pass [`Amount::MAX`].
    BalanceLimit {
        /// The balance.
        balance: Amount,
    },
    /// The same id was used for another operation.
    Conflict,
    /// The ledger has no room for another terminal's record.
    Full,
}

impl Refusal {
    /// The word for it on the `json` wire, in logs and in exports.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Insufficient { .. } => "insufficient",
            Self::BalanceLimit { .. } => "balance-limit",
            Self::Conflict => "conflict",
            Self::Full => "full",
        }
    }

    /// The balance that was not enough, or too great.
    pub const fn balance(&self) -> Option<Amount> {
        match self {
            Self::Insufficient { balance } | Self::BalanceLimit { balance } => Some(*balance),
            Self::Conflict | Self::Full => None,
        }
    }
}

/// One side of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Side {
    /// The cash at the origin of the request.
    Cash,
    /// An account.
    Account(AccountNumber),
}

/// A movement of money in double entry: the debited side and the credited side are changed by the same amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Movement {
    /// The debited side: cash that comes in, or an account that is taken from.
    pub debit: Side,
    /// The credited side: cash that goes out, or an account that is added to.
    pub credit: Side,
    /// The amount.
    pub amount: Amount,
}

/// An entry of the journal: what a decision did, kept for all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Entry {
    /// The operation and its outcome; a void without an operation.
    pub record: Record,
    /// The movement, if money was moved.
    pub movement: Option<Movement>,
}

/// The rows that a request touches, and what a decision has to know of the store.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The ledger's identity.
    pub ledger: LedgerId,
    /// The account.
    pub account: &'a Account,
    /// The terminal of the request's origin, if it has a row.
    pub terminal: Option<&'a Terminal>,
    /// Whether the store has a place for what a decision adds to that terminal's row, or for the row.
    pub has_room: bool,
}

/// The new values of the rows that a decision changes; `None` for a row that stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The account.
    pub account: Option<Account>,
    /// The terminal.
    pub terminal: Option<Terminal>,
}
