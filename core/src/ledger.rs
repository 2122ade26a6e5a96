//! Operations, their outcomes, and the contract of whoever keeps the money.
//!
//! A [`Ledger`] is the only room that holds money. The host's endpoint never calls it: it emits a [`Request`] and is
//! given the [`Response`] whenever it comes, so that a blocking loop, a group commit and a distant database can all
//! stand behind the same endpoint.
use crate::{money::Amount, number};
use core::{fmt, str::FromStr};
use heapless::String;
use serde::{Deserialize, Serialize, Serializer};

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod ram;
#[cfg(feature = "embedded-storage")]
mod stored;
mod verdict;
pub use ram::RamLedger;
#[cfg(feature = "embedded-storage")]
pub use stored::StoredLedger;
pub use verdict::{Known, Verdict};

/// The name of a terminal: 1 to 32 of `A-Z a-z 0-9 . _ -`.
///
/// A name is an address, not a proof: without a sealed channel below, any peer may take it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(try_from = "String<32>")]
pub struct Name(String<32>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX: usize = 32;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a terminal's name: 1 to 32 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NameError;

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a terminal's name is 1 to 32 of A-Z a-z 0-9 . _ -")
    }
}

impl core::error::Error for NameError {}

impl TryFrom<String<32>> for Name {
    type Error = NameError;
    fn try_from(text: String<32>) -> Result<Self, NameError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(NameError);
        }
        Ok(Self(text))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number::serialize_text(&self.0, serializer)
    }
}

impl From<Name> for String<32> {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        String::try_from(text).map_err(|_| NameError)?.try_into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A ledger's identity: random, new for every start in memory and after a restore. Numbers and outcomes of one
/// identity say nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LedgerId(#[serde(serialize_with = "number::serialize")] pub u64);

impl LedgerId {
    /// Sixteen lower-case hexadecimal digits.
    pub fn digits(self) -> String<16> {
        let digit = |byte: u8| char::from(if byte < 10 { b'0' + byte } else { b'a' + byte - 10 });
        let digits = self.0.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut text = String::new();
        // There are as many as it takes.
        digits.for_each(|byte| text.push(digit(byte)).unwrap_or_default());
        text
    }
}

/// Its [digits](LedgerId::digits).
impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits())
    }
}

/// The text is not a ledger's identity: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LedgerIdError;

impl fmt::Display for LedgerIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a ledger's identity is 16 hexadecimal digits")
    }
}

impl core::error::Error for LedgerIdError {}

impl FromStr for LedgerId {
    type Err = LedgerIdError;
    fn from_str(text: &str) -> Result<Self, LedgerIdError> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(LedgerIdError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| LedgerIdError)
    }
}

/// Who asks for an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Origin {
    /// A named terminal: its operations are remembered by their ids.
    Terminal(Name),
    /// A session without a name, by a number that its driver gives to no other: its operations are not remembered.
    Session(u64),
}

impl Origin {
    /// The terminal's name, where it has one.
    pub fn terminal(&self) -> Option<&Name> {
        match self {
            Self::Terminal(name) => Some(name),
            Self::Session(_) => None,
        }
    }
}

/// What a ledger can be asked to do to the balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Operation {
    /// Tell the balance. Moves nothing, so it is not remembered.
    Inquiry,
    /// Add to the balance.
    Deposit(Amount),
    /// Take from the balance.
    Withdraw(Amount),
    /// Take what is there when it is done.
    WithdrawAll,
}

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Receipt {
    /// The balance was told.
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
    /// There is less than was asked for.
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
    /// The ledger remembers as many terminals as it can: it takes no new name.
    Full,
}

/// What became of an operation. Final: the same id is never told two of them by one ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// It was done, once.
    Done(Receipt),
    /// It was refused and moved nothing.
    Refused(Refusal),
    /// It was not done and never will be.
    NotDone,
    /// The ledger does not know any more, or never could.
    Unknown,
}

/// What a terminal's last operation was and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record {
    /// The operation's id: the number of the prompt whose answer caused it.
    #[serde(serialize_with = "number::serialize")]
    pub id: u64,
    /// The operation; `None` for a void.
    pub operation: Option<Operation>,
    /// What became of it.
    pub outcome: Outcome,
}

/// A block of numbers that nobody else was or will be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Numbers {
    next: u64,
    end: u64,
}

impl Numbers {
    /// Numbers end here: above it a JSON reader may round them (RFC 8259, section 6).
    pub const MAX: u64 = (1 << 53) - 1;
    /// No number.
    pub const NONE: Self = Self { next: 0, end: 0 };

    /// The numbers from `first` on, `count` of them, none above [`Numbers::MAX`].
    pub fn block(first: u64, count: u32) -> Self {
        Self { next: first, end: first.saturating_add(u64::from(count)).min(Self::MAX) }
    }

    /// As many numbers, all above `number`; fewer where they would pass [`Numbers::MAX`].
    pub fn above(self, number: u64) -> Self {
        let next = self.next.max(number.saturating_add(1));
        Self { next, end: next.saturating_add(self.end.saturating_sub(self.next)).min(Self::MAX) }
    }

    /// Is this number below all that are left?
    pub fn are_above(&self, number: u64) -> bool {
        number < self.next
    }

    /// Takes the next number.
    pub fn take(&mut self) -> Option<u64> {
        let number = self.next;
        (number < self.end).then(|| {
            self.next = number.saturating_add(1);
            number
        })
    }
}

/// What a host's endpoint asks of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Request {
    /// Reserve a block of numbers for a terminal's replies and tell its last record.
    Open {
        /// The terminal.
        terminal: Name,
    },
    /// Do an operation.
    Operate {
        /// Who asks.
        origin: Origin,
        /// The operation's id, by which a named terminal's is remembered.
        id: u64,
        /// What to do.
        operation: Operation,
    },
    /// Tell what became of an operation; if it is not known, commit that it never will be done.
    Settle {
        /// The terminal.
        terminal: Name,
        /// The operation's id.
        id: u64,
    },
}

impl Request {
    /// Who asks.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Open { terminal } | Self::Settle { terminal, .. } => Origin::Terminal(terminal.clone()),
            Self::Operate { origin, .. } => origin.clone(),
        }
    }
}

/// What the ledger answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Response {
    /// To [`Request::Open`].
    Opened {
        /// The ledger's identity.
        ledger: LedgerId,
        /// The numbers reserved.
        numbers: Numbers,
        /// The terminal's last record, if it has one.
        last: Option<Record>,
    },
    /// To [`Request::Operate`] and [`Request::Settle`].
    Settled {
        /// The operation's id.
        id: u64,
        /// What became of it.
        outcome: Outcome,
    },
}

/// The commit failed and nobody knows whether it stands: until the store is reopened and asked, nothing may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InDoubt;

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ledger's commit failed: the operation is in doubt")
    }
}

impl core::error::Error for InDoubt {}

/// Whoever keeps the money.
///
/// # The contract
/// * Per terminal the last id, its operation and its outcome are kept in the same commit as the money.
/// * The same id with the same operation is answered with the outcome kept; with another operation, refused as
///   [`Refusal::Conflict`]. A refusal is kept like a success.
/// * An id below the last is [`Outcome::Unknown`], never [`Outcome::NotDone`].
/// * [`Request::Settle`] of an unknown id commits a void under it, and only then says [`Outcome::NotDone`].
///   Whichever of void and operation commits first is final.
/// * A terminal's record is made by its first operation (or void) and never evicted; a full ledger refuses new names
///   as [`Refusal::Full`].
/// * No two [`Request::Open`] are given the same number, whatever crashes lie between them, and later numbers are
///   greater.
/// * [`Operation::Inquiry`], and everything of an unnamed [`Origin::Session`], is done without being remembered.
pub trait Ledger {
    /// Carries out a request. What it answers is durable, as far as this ledger's store is.
    ///
    /// # Errors
    /// [`InDoubt`] where a commit failed.
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt>;
}

/// A ledger may be lent to whoever serves it.
impl<L: Ledger + ?Sized> Ledger for &mut L {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        (**self).apply(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_name_is_1_to_32_plain_characters() {
        let longest = "A-Za-z0-9._-ABCDEFGHIJKLMNOPQRST";
        assert_eq!(longest.len(), Name::MAX);
        for text in ["a", "kiosk-7", "A.b_C-9", longest] {
            let name: Name = text.parse().unwrap();
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
        }
        let long = std::format!("{longest}U");
        for text in ["", " ", "a b", "a/b", "\u{e9}", "a\0", &long] {
            assert_eq!(text.parse::<Name>(), Err(NameError), "{text:?}");
        }
        assert!(NameError.to_string().contains("1 to 32 of A-Z a-z 0-9 . _ -"));
        let name: Name = "kiosk-7".parse().unwrap();
        assert_eq!(String::<32>::from(name), "kiosk-7");
        assert!(InDoubt.to_string().contains("the operation is in doubt"));
    }

    #[test]
    fn an_identity_is_16_hexadecimal_digits() {
        let identity = LedgerId(0x0123_4567_89ab_cdef);
        assert_eq!(identity.to_string(), "0123456789abcdef");
        for text in ["0123456789abcdef", "0123456789ABCDEF"] {
            assert_eq!(text.parse(), Ok(identity));
        }
        for text in ["", "0123456789abcde", "0123456789abcdef0", "+123456789abcdef", "0123456789abcdeg"] {
            assert_eq!(text.parse::<LedgerId>(), Err(LedgerIdError), "{text:?}");
        }
        assert!(LedgerIdError.to_string().contains("16 hexadecimal digits"));
    }

    #[test]
    fn a_block_that_is_moved_up_has_as_many_numbers() {
        let numbers = |mut block: Numbers| {
            let first = block.take();
            (first, 1 + core::iter::from_fn(|| block.take()).count())
        };
        for (above, first) in [(0, 10), (9, 10), (10, 11), (100, 101)] {
            assert_eq!(numbers(Numbers::block(10, 5).above(above)), (Some(first), 5), "{above}");
        }
        // The greatest integer that a double tells from the next.
        assert_eq!(Numbers::MAX, 9_007_199_254_740_991);
        assert_eq!(numbers(Numbers::block(10, 5).above(Numbers::MAX - 3)), (Some(Numbers::MAX - 2), 2));
        assert_eq!(Numbers::block(10, 5).above(u64::MAX).take(), None);
        assert_eq!(Numbers::block(u64::MAX, 5).take(), None);
        assert_eq!([9, 10, 11].map(|number| Numbers::block(10, 5).are_above(number)), [true, false, false]);
    }
}
