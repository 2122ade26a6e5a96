//! The ledger's rows as plain values: what a store keeps, what a decision reads, and what it changes.
//!
//! A store loads the rows that a request touches into [`Rows`] and saves the [`Changes`] of the decision with its
//! [`Entry`], all in one commit. Holds are to become rows of the same kind, a field of `Rows` and of `Changes`, as cards are.
#[cfg(feature = "cards")]
use super::card::{Card, CardRows, Delay};
use super::{Epoch, Gap, LedgerId, Record};
#[cfg(feature = "cards")]
use crate::number;
use crate::{money::Amount, time::UnixTime};
#[cfg(feature = "cards")]
use serde::{Deserialize, Serialize};

/// An account's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "cards", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AccountNumber(#[cfg_attr(feature = "cards", serde(serialize_with = "number::serialize"))] pub u32);

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
    /// How long it takes no verification.
    #[cfg(feature = "cards")]
    pub delay: Delay,
}

impl Terminal {
    /// A terminal that has not said hello.
    pub const NEW: Self = Self {
        epoch: None,
        turn: 0,
        next_number: 1,
        gap: Gap::NONE,
        set_back_at: None,
        last: None,
        #[cfg(feature = "cards")]
        delay: Delay::NONE,
    };

    /// The same, made at run time.
    // Not inlined: the constant takes 120 bytes of a microcontroller's flash.
    #[inline(never)]
    pub(super) fn starting_at(next_number: u64) -> Self {
        Self {
            epoch: None,
            turn: 0,
            next_number,
            gap: Gap::NONE,
            set_back_at: None,
            last: None,
            #[cfg(feature = "cards")]
            delay: Delay::NONE,
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
    /// The account of open access. It is not read where there are cards.
    pub account: &'a Account,
    /// The terminal of the request's origin, if it has a row.
    pub terminal: Option<&'a Terminal>,
    /// Whether the store has a place for what a decision adds to that terminal's row, or for the row.
    pub has_room: bool,
    /// The rows of cards; `None` with open access. Where there are cards, nothing is done without one.
    #[cfg(feature = "cards")]
    pub cards: Option<CardRows<'a>>,
}

impl<'a> Rows<'a> {
    /// The rows of open access.
    pub const fn open(
        ledger: LedgerId,
        account: &'a Account,
        terminal: Option<&'a Terminal>,
        has_room: bool,
    ) -> Self {
        Self {
            ledger,
            account,
            terminal,
            has_room,
            #[cfg(feature = "cards")]
            cards: None,
        }
    }
}

/// The new values of the rows that a decision changes; `None` for a row that stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The account: that of open access, or of the card's session.
    pub account: Option<Account>,
    /// The terminal.
    pub terminal: Option<Terminal>,
    /// The card.
    #[cfg(feature = "cards")]
    pub card: Option<Card>,
    /// The payee of a transfer.
    #[cfg(feature = "cards")]
    pub payee: Option<Account>,
}
