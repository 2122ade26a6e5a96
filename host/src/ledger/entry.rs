//! Entry: a line of a journal, chained to the line before it by SHA-256.
//!
//! A line has the number of the format and the columns of [`COLUMNS`], separated by commas, none of them quoted, empty
//! where they say nothing. `schema.sql` describes them. The hash of an entry is the SHA-256 of the hash before it (64
//! hexadecimal digits; zeros before the first), a line feed and the line, so that `sha256sum` can check the chain.
use atm_core::{
    ledger::{
        self, Account, AccountNumber, Gap, LedgerId, Name, Operation, Outcome, Receipt, Record, Refusal, Side,
    },
    money::Amount,
    time::UnixTime,
};
use sha2::{Digest, Sha256};
use std::fmt::{self, Display};

/// The version of the format of lines and tables.
pub const FORMAT: u64 = 4;

/// A line's columns behind the format, and those of the table of entries before the hash.
pub const COLUMNS: &str = "journal,number,time,kind,ledger,terminal,id,numbers,operation,reason,account,debit,\
                           credit,amount,balance,version,series,uid";

/// The columns that are no numbers.
pub const TEXTS: [&str; 7] = ["kind", "ledger", "terminal", "operation", "reason", "debit", "credit"];

/// The hash of an entry: one link of the chain. 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 64]);

impl Hash {
    /// The hash of the entry with this line, after the entry with this hash.
    pub fn next(&self, line: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(b"\n");
        hasher.update(line);
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hasher.finalize()) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Self(digits)
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 64] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(digits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Zeros, before the first entry.
impl Default for Hash {
    fn default() -> Self {
        Self([b'0'; 64])
    }
}

impl Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a journal has come. Every commit raises the count of batches, also one without an entry, so that two heads
/// are equal only if no commit lies between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Commits.
    pub batches: u64,
    /// The last entry's number: 1 for the first one, one more for each.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// Appends an entry with this fact to the journal.
    pub fn append(&mut self, journal: u32, time: UnixTime, fact: &impl Display) -> Entry {
        self.number = self.number.saturating_add(1);
        let line = line(journal, self.number, time, fact);
        self.hash = self.hash.next(&line);
        Entry { line, hash: self.hash }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its line.
    pub line: String,
    /// Its hash.
    pub hash: Hash,
}

/// The line of an entry with this fact: one of those below. The time is that of the host's clock, which may jump; the
/// numbers do not.
pub fn line(journal: u32, number: u64, time: UnixTime, fact: &impl Display) -> String {
    format!("{FORMAT},{journal},{number},{},{fact}", time.millis())
}

/// The fact that the ledger began with this account.
pub fn created(ledger: LedgerId, account: &Account) -> impl Display {
    let (AccountNumber(number), balance, version) =
        (account.number, account.balance.minor(), account.version);
    fmt::from_fn(move |f| {
        write!(f, "created,{ledger},,,,,,{number},opening,account:{number},{balance},{balance},{version},,")
    })
}

/// The fact that the ledger was restored from a backup and has another identity from here on.
pub fn restored(ledger: LedgerId) -> impl Display {
    fmt::from_fn(move |f| write!(f, "restored,{ledger},,,,,,,,,,,,,"))
}

/// The fact that a terminal proved that the ledger was set back, with its gap from here on.
pub fn set_back(terminal: &Name, gap: Gap) -> impl Display {
    fmt::from_fn(move |f| write!(f, "set-back,,{terminal},{},{},,,,,,,,,,", gap.start, gap.end))
}

/// The fact that an operation has an outcome, and the account as it is after it. In a session without a name (`None`)
/// the id is not recorded.
pub fn settled(terminal: Option<&Name>, entry: &ledger::Entry, account: &Account) -> impl Display {
    fmt::from_fn(move |f| {
        let name = terminal.map_or("", Name::as_str);
        let id = or_empty(terminal.map(|_| entry.record.id));
        let Some(operation) = entry.record.operation else {
            return write!(f, "void,,{name},{id},,,,,,,,,,,");
        };
        let (outcome, amount, _) = outcome_word(&entry.record);
        let (kind, reason) = if outcome == "done" { ("done", "") } else { ("refused", outcome) };
        let AccountNumber(number) = account.number;
        write!(f, "{kind},,{name},{id},,{},{reason},{number},", operation_word(operation))?;
        let side = |side| {
            fmt::from_fn(move |f| match (side, terminal) {
                (Side::Account(AccountNumber(number)), _) => write!(f, "account:{number}"),
                (Side::Cash, Some(name)) => write!(f, "cash:{name}"),
                (Side::Cash, None) => f.write_str("cash"),
            })
        };
        let [debit, credit] =
            [entry.movement.map(|both| side(both.debit)), entry.movement.map(|both| side(both.credit))];
        write!(f, "{},{},", or_empty(debit), or_empty(credit))?;
        let amount = or_empty(amount.map(Amount::minor));
        write!(f, "{amount},{},{},,", account.balance.minor(), account.version)
    })
}

/// The fact that an operator has changed a terminal's enrolment, or (`None`) that of all; `kind` is a word of
/// [`Order::word`](super::enrol::Order::word), `series` the highest series of its keys, and none for a certificate.
pub fn enrolment(kind: &str, terminal: Option<&Name>, series: Option<u32>, uid: Option<u32>) -> impl Display {
    fmt::from_fn(move |f| {
        let name = terminal.map_or("", Name::as_str);
        write!(f, "{kind},,{name},,,,,,,,,,,{},{}", or_empty(series), or_empty(uid))
    })
}

fn or_empty(value: Option<impl Display>) -> impl Display {
    fmt::from_fn(move |f| value.as_ref().map_or(Ok(()), |value| value.fmt(f)))
}

/// An operation in a word.
pub fn operation_word(operation: Operation) -> &'static str {
    match operation {
        Operation::Inquiry => "balance",
        Operation::Deposit(_) => "deposit",
        Operation::Withdraw(_) => "withdrawal",
        Operation::WithdrawAll => "withdrawal-all",
        Operation::Verify => "verification",
        Operation::ChangePin => "pin-change",
        Operation::Transfer { .. } => "transfer",
        Operation::LookUp { .. } => "payee",
        Operation::Statement => "statement",
    }
}

/// The operation of that word; `amount` is what it names or has moved.
pub fn operation(word: &str, amount: Option<Amount>) -> Option<Operation> {
    match word {
        "deposit" => amount.map(Operation::Deposit),
        "withdrawal" => amount.map(Operation::Withdraw),
        "withdrawal-all" => Some(Operation::WithdrawAll),
        _ => None,
    }
}

/// An outcome in a word, with the amount that was moved or refused, and the balance after it.
pub fn outcome_word(record: &Record) -> (&'static str, Option<Amount>, Option<Amount>) {
    let refused = match record.operation {
        Some(
            Operation::Deposit(amount) | Operation::Withdraw(amount) | Operation::Transfer { amount, .. },
        ) => Some(amount),
        _ => None,
    };
    match record.outcome {
        Outcome::Done(
            Receipt::Deposited { amount, balance }
            | Receipt::Withdrawn { amount, balance }
            | Receipt::Transferred { amount, balance, .. },
        ) => ("done", Some(amount), Some(balance)),
        Outcome::Done(Receipt::Balance { balance }) => ("done", None, Some(balance)),
        Outcome::Done(Receipt::Verified { .. } | Receipt::PinChanged | Receipt::Payee { .. }) => {
            ("done", None, None)
        }
        Outcome::Refused(refusal) => (refusal.code(), refused, refusal.balance()),
        Outcome::NotDone | Outcome::Unknown => ("void", None, None),
    }
}

/// The record that has these words and amounts.
pub fn record(
    id: u64,
    operation_word: Option<&str>,
    outcome_word: &str,
    amount: Option<Amount>,
    balance: Option<Amount>,
) -> Option<Record> {
    let operation = match operation_word {
        Some(word) => Some(operation(word, amount)?),
        None => None,
    };
    let outcome = match (outcome_word, operation) {
        ("void", None) if amount.is_none() && balance.is_none() => Outcome::NotDone,
        ("done", Some(Operation::Deposit(amount))) => {
            Outcome::Done(Receipt::Deposited { amount, balance: balance? })
        }
        ("done", Some(_)) => Outcome::Done(Receipt::Withdrawn { amount: amount?, balance: balance? }),
        ("insufficient", Some(_)) => Outcome::Refused(Refusal::Insufficient { balance: balance? }),
        ("balance-limit", Some(_)) => Outcome::Refused(Refusal::BalanceLimit { balance: balance? }),
        _ => return None,
    };
    Some(Record::new(id, operation, outcome))
}
