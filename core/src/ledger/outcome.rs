//! Outcomes of operations: what was done, or why it was refused, and the record of a terminal's last one.
use super::Operation;
#[cfg(feature = "cards")]
use super::{
    AccountNumber,
    card::{Accounts, Initials, Token},
};
use crate::{money::Amount, number};
use serde::{Deserialize, Serialize};

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
    /// The card of its session: only to the same card is the outcome shown in full later.
    #[cfg(feature = "cards")]
    #[serde(skip)]
    pub card: Option<Token>,
}

impl Record {
    /// The record of an operation without a card.
    pub const fn new(id: u64, operation: Option<Operation>, outcome: Outcome) -> Self {
        Self {
            id,
            operation,
            outcome,
            #[cfg(feature = "cards")]
            card: None,
        }
    }
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
    /// The PIN was right.
    #[cfg(feature = "cards")]
    Verified {
        /// The card's version.
        #[serde(serialize_with = "number::serialize")]
        version: u32,
        /// Its accounts.
        accounts: Accounts,
    },
    /// The card has another PIN, and the next version.
    #[cfg(feature = "cards")]
    PinChanged,
    /// Money went to another account.
    #[cfg(feature = "cards")]
    Transferred {
        /// That account.
        payee: AccountNumber,
        /// How much.
        amount: Amount,
        /// The balance after it.
        balance: Amount,
    },
    /// There is an account of this number that money may be transferred to.
    #[cfg(feature = "cards")]
    Payee {
        /// The account.
        payee: AccountNumber,
        /// Its owner.
        owner: Initials,
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
    /// The PIN is wrong, or the card is unknown or blocked.
    #[cfg(feature = "cards")]
    NotVerified,
    /// No PIN is judged at this terminal now, because others were refused.
    #[cfg(feature = "cards")]
    Delayed {
        /// In so many seconds one will be.
        #[serde(serialize_with = "number::serialize")]
        seconds: u32,
    },
    /// No card was verified, or its session is over: it was blocked, its PIN was changed, or the account is not its own.
    #[cfg(feature = "cards")]
    NoAccess,
    /// The account is frozen.
    #[cfg(feature = "cards")]
    Frozen,
    /// The account is closed.
    #[cfg(feature = "cards")]
    Closed,
    /// The amount is above the limit of one withdrawal.
    #[cfg(feature = "cards")]
    WithdrawalLimit {
        /// The limit.
        limit: Amount,
    },
    /// The amount is above what is left of the limit of the card's day.
    #[cfg(feature = "cards")]
    DayLimit {
        /// What is left.
        left: Amount,
    },
    /// There is no open account of the payee's number that can take the amount.
    #[cfg(feature = "cards")]
    NoPayee,
    /// The payee is the account itself.
    #[cfg(feature = "cards")]
    SameAccount,
}

impl Refusal {
    /// The word for it on the `json` wire, in logs and in exports.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Insufficient { .. } => "insufficient",
            Self::BalanceLimit { .. } => "balance-limit",
            Self::Conflict => "conflict",
            Self::Full => "full",
            #[cfg(feature = "cards")]
            Self::NotVerified => "not-verified",
            #[cfg(feature = "cards")]
            Self::Delayed { .. } => "delayed",
            #[cfg(feature = "cards")]
            Self::NoAccess => "no-access",
            #[cfg(feature = "cards")]
            Self::Frozen => "frozen",
            #[cfg(feature = "cards")]
            Self::Closed => "closed",
            #[cfg(feature = "cards")]
            Self::WithdrawalLimit { .. } => "withdrawal-limit",
            #[cfg(feature = "cards")]
            Self::DayLimit { .. } => "day-limit",
            #[cfg(feature = "cards")]
            Self::NoPayee => "no-payee",
            #[cfg(feature = "cards")]
            Self::SameAccount => "same-account",
        }
    }

    /// The balance that was not enough, or too great.
    pub const fn balance(&self) -> Option<Amount> {
        match self {
            Self::Insufficient { balance } | Self::BalanceLimit { balance } => Some(*balance),
            _ => None,
        }
    }
}
