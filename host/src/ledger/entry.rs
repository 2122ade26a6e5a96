//! One entry of the books as a line of text, and the chain of hashes through all of them.
//!
//! A line has [`COLUMNS`], separated by commas, none of them quoted, empty where they say nothing:
//!
//! | column | what it says |
//! |---|---|
//! | `format` | the version of this format: 1 |
//! | `number` | 1 for the first entry, one more for each |
//! | `time` | when, by the host's clock, in UTC (RFC 3339); a clock may jump, the numbers do not |
//! | `kind` | `created`, `restored`, `numbers`, `set-back`, `done`, `refused` or `void` |
//! | `ledger` | the identity that the ledger has from here on (`created`, `restored`) |
//! | `numbers` | numbers of replies below this one are reserved (`numbers`); the first number above the gap (`set-back`) |
//! | `terminal`, `id` | whose operation it is and under which id; empty for a session without a name. In `set-back`, the terminal and the first number in its gap: an id in the gap is unknown for ever |
//! | `operation` | `deposit`, `withdraw` or `withdraw-all`; empty for a void |
//! | `reason` | why it was refused: `insufficient` or `balance-limit` |
//! | `account` | the account that was asked for |
//! | `debit`, `credit` | the two sides of a movement: `opening`, `cash`, `cash:TERMINAL` or `account:N` |
//! | `amount` | what moved, or what was asked for and refused, in minor units |
//! | `balance` | the account's balance after it, in minor units |
//!
//! The hash of an entry is the SHA-256 of the hash before it (64 hexadecimal digits; zeros before the first), a line feed
//! and the line, so that `sha256sum` can check the chain. Whoever knows one hash knows everything before it.
use atm_core::{
    ledger::{Gap, LedgerId, Name, Operation, Outcome, Receipt, Refusal},
    money::Amount,
    time::UnixTime,
};
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The version of the format of entries.
pub const FORMAT: u64 = 1;

/// The names of a line's columns.
pub const COLUMNS: [&str; 15] = [
    "format",
    "number",
    "time",
    "kind",
    "ledger",
    "numbers",
    "terminal",
    "id",
    "operation",
    "reason",
    "account",
    "debit",
    "credit",
    "amount",
    "balance",
];

/// The account that the dialogue uses.
pub const ACCOUNT: u64 = 1;

/// The last moment that RFC 3339 can say, in milliseconds.
const LAST_TIME: u64 = 253_402_300_799_999;

/// A moment by the host's clock: milliseconds of Unix time, from 1970 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// A moment, at most the last one that can be said.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(LAST_TIME))
    }

    /// What the clock says.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(u64::try_from(since.as_millis()).unwrap_or(LAST_TIME))
    }
}

impl From<Time> for UnixTime {
    fn from(time: Time) -> Self {
        Self::from_millis(time.0)
    }
}

/// RFC 3339 with milliseconds, in UTC.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(self.0)).unwrap_or(UNIX_EPOCH);
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

/// One link of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of the entry that this line is, behind the entry whose hash this is.
    pub fn next(&self, line: &str) -> Self {
        let mut sum = Sha256::new();
        sum.update(self.hex());
        sum.update(b"\n");
        sum.update(line.as_bytes());
        Self(sum.finalize().into())
    }

    fn hex(&self) -> [u8; 64] {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        hex
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let from = at.saturating_mul(2);
            *byte = u8::from_str_radix(text.get(from..from.saturating_add(2))?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex().iter().try_for_each(|digit| f.write_char(char::from(*digit)))
    }
}

/// One side of a movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the money comes from that was there at the beginning.
    Opening,
    /// The cash of a terminal, or of all sessions without a name.
    Cash(Option<Name>),
    /// An account.
    Account(u64),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("opening"),
            Self::Cash(None) => f.write_str("cash"),
            Self::Cash(Some(name)) => write!(f, "cash:{name}"),
            Self::Account(number) => write!(f, "account:{number}"),
        }
    }
}

/// A movement of money: as much on the one side as on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The side that is debited: cash that comes in, an account that is taken from.
    pub debit: Side,
    /// The side that is credited: cash that goes out, an account that is added to.
    pub credit: Side,
    /// How much.
    pub amount: Amount,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The ledger began, with an account and what was in it.
    Created {
        /// Its identity.
        ledger: LedgerId,
        /// The account.
        account: u64,
        /// What was in it.
        balance: Amount,
    },
    /// It was restored from a backup, and is another one from here on.
    Restored {
        /// Its identity.
        ledger: LedgerId,
    },
    /// Numbers of replies were reserved.
    Numbers {
        /// All below this one are.
        end: u64,
    },
    /// A terminal's hello proved that the ledger was set back.
    SetBack {
        /// The terminal.
        terminal: Name,
        /// The numbers whose outcomes are unknown for ever; all gaps before it are inside.
        gap: Gap,
    },
    /// An operation was settled.
    Settled {
        /// The terminal and the id under which it is remembered; `None` for a session without a name.
        key: Option<(Name, u64)>,
        /// What was asked; `None` for a void.
        operation: Option<Operation>,
        /// What became of it.
        outcome: Outcome,
        /// The account.
        account: u64,
    },
}

/// One entry of the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 1 for the first, one more for each.
    pub number: u64,
    /// When.
    pub time: Time,
    /// What it says.
    pub fact: Fact,
}

impl Entry {
    /// The movement of money, if there was one.
    pub fn posting(&self) -> Option<Posting> {
        match &self.fact {
            Fact::Created { account, balance, .. } => {
                let (debit, credit) = (Side::Opening, Side::Account(*account));
                Some(Posting { debit, credit, amount: *balance })
            }
            Fact::Settled { key, outcome: Outcome::Done(receipt), account, .. } => {
                let cash = Side::Cash(key.as_ref().map(|(name, _)| name.clone()));
                let account = Side::Account(*account);
                match *receipt {
                    Receipt::Deposited { amount, .. } => {
                        Some(Posting { debit: cash, credit: account, amount })
                    }
                    Receipt::Withdrawn { amount, .. } => {
                        Some(Posting { debit: account, credit: cash, amount })
                    }
                    Receipt::Balance { .. } => None,
                }
            }
            _ => None,
        }
    }

    /// Reads a line; only the very text that [`Display`](fmt::Display) writes is one.
    pub fn parse(line: &str) -> Option<Self> {
        let mut columns = [""; COLUMNS.len()];
        let mut parts = line.split(',');
        for column in &mut columns {
            *column = parts.next()?;
        }
        let entry = read(&columns)?;
        (parts.next().is_none() && entry.to_string() == line).then_some(entry)
    }
}

/// The line.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMAT},{},{},", self.number, self.time)?;
        let (key, operation, outcome) = match &self.fact {
            Fact::Created { ledger, account, balance } => {
                let balance = balance.minor();
                return write!(
                    f,
                    "created,{ledger},,,,,,{account},opening,account:{account},{balance},{balance}"
                );
            }
            Fact::Restored { ledger } => return write!(f, "restored,{ledger},,,,,,,,,,"),
            Fact::Numbers { end } => return write!(f, "numbers,,{end},,,,,,,,,"),
            Fact::SetBack { terminal, gap: Gap { start, end } } => {
                return write!(f, "set-back,,{end},{terminal},{start},,,,,,,");
            }
            Fact::Settled { key, operation, outcome, .. } => (key, operation, outcome),
        };
        let (kind, reason, balance) = said(outcome);
        write!(f, "{kind},,,")?;
        match key {
            Some((name, id)) => write!(f, "{name},{id},")?,
            None => f.write_str(",,")?,
        }
        write!(f, "{},{reason},", operation.map_or("", word))?;
        if let Fact::Settled { account, operation: Some(_), .. } = &self.fact {
            write!(f, "{account}")?;
        }
        f.write_char(',')?;
        match (self.posting(), operation) {
            (Some(Posting { debit, credit, amount }), _) => {
                write!(f, "{debit},{credit},{},", amount.minor())?
            }
            (None, Some(Operation::Deposit(asked) | Operation::Withdraw(asked))) => {
                write!(f, ",,{},", asked.minor())?;
            }
            _ => f.write_str(",,,")?,
        }
        balance.map_or(Ok(()), |balance| write!(f, "{}", balance.minor()))
    }
}

/// An operation in a word.
fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Inquiry => "balance",
        Operation::Deposit(_) => "deposit",
        Operation::Withdraw(_) => "withdraw",
        Operation::WithdrawAll => "withdraw-all",
    }
}

/// An outcome in two words, and the balance after it.
fn said(outcome: &Outcome) -> (&'static str, &'static str, Option<Amount>) {
    match *outcome {
        Outcome::Done(
            Receipt::Deposited { balance, .. }
            | Receipt::Withdrawn { balance, .. }
            | Receipt::Balance { balance },
        ) => ("done", "", Some(balance)),
        Outcome::Refused(Refusal::Insufficient { balance }) => ("refused", "insufficient", Some(balance)),
        Outcome::Refused(Refusal::BalanceLimit { balance }) => ("refused", "balance-limit", Some(balance)),
        Outcome::Refused(Refusal::Conflict) => ("refused", "conflict", None),
        Outcome::Refused(Refusal::Full) => ("refused", "full", None),
        Outcome::NotDone | Outcome::Unknown => ("void", "", None),
    }
}

/// What the columns say. Whatever does not belong there is found when the entry is written again.
fn read(columns: &[&str; COLUMNS.len()]) -> Option<Entry> {
    let [
        _,
        number,
        time,
        kind,
        ledger,
        numbers,
        terminal,
        id,
        operation,
        reason,
        account,
        _,
        _,
        amount,
        balance,
    ] = *columns;
    let account = account.parse::<u64>();
    let fact = match kind {
        "created" => {
            Fact::Created { ledger: ledger.parse().ok()?, account: account.ok()?, balance: minor(balance)? }
        }
        "restored" => Fact::Restored { ledger: ledger.parse().ok()? },
        "numbers" => Fact::Numbers { end: numbers.parse().ok()? },
        "set-back" => Fact::SetBack {
            terminal: terminal.parse().ok()?,
            gap: Gap { start: id.parse().ok()?, end: numbers.parse().ok()? },
        },
        _ => {
            let key = match (terminal, id) {
                ("", "") => None,
                _ => Some((terminal.parse().ok()?, id.parse().ok()?)),
            };
            let operation = match operation {
                "" => None,
                "deposit" => Some(Operation::Deposit(minor(amount)?)),
                "withdraw" => Some(Operation::Withdraw(minor(amount)?)),
                "withdraw-all" => Some(Operation::WithdrawAll),
                _ => return None,
            };
            let outcome = match (kind, reason) {
                ("done", _) => {
                    let (amount, balance) = (minor(amount)?, minor(balance)?);
                    Outcome::Done(match operation {
                        Some(Operation::Deposit(_)) => Receipt::Deposited { amount, balance },
                        _ => Receipt::Withdrawn { amount, balance },
                    })
                }
                ("refused", "insufficient") => {
                    Outcome::Refused(Refusal::Insufficient { balance: minor(balance)? })
                }
                ("refused", "balance-limit") => {
                    Outcome::Refused(Refusal::BalanceLimit { balance: minor(balance)? })
                }
                ("void", _) => Outcome::NotDone,
                _ => return None,
            };
            if (outcome == Outcome::NotDone) != operation.is_none() {
                return None;
            }
            Fact::Settled { key, operation, outcome, account: account.unwrap_or(ACCOUNT) }
        }
    };
    let time = humantime::parse_rfc3339(time).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let time = Time::from_millis(u64::try_from(time.as_millis()).ok()?);
    Some(Entry { number: number.parse().ok()?, time, fact })
}

fn minor(text: &str) -> Option<Amount> {
    Amount::from_minor(text.parse().ok()?)
}

#[cfg(test)]
mod tests;
