//! Entry: a line of a journal, chained to the line before it by SHA-256.
//!
//! A line has the number of the format and the columns of [`COLUMNS`], separated by commas, none of them quoted, empty
//! where they say nothing. `schema.sql` describes them. The hash of an entry is the SHA-256 of the hash before it (64
//! hexadecimal digits; zeros before the first), a line feed and the line, so that `sha256sum` can check the chain.
use super::words::{self, Figures};
use atm_core::{
    ledger::{
        self, Account, AccountNumber, Gap, LedgerId, Name, Outcome, Receipt, Record, Side,
        card::{Accounts, Card, Owner, SECRET},
    },
    money::Amount,
    time::UnixTime,
};
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Display},
    str::FromStr,
};

/// The version of the format of lines and tables.
pub const FORMAT: u64 = 5;

/// A line's columns behind the format, and those of the table of entries before the hash.
pub const COLUMNS: &str = "journal,number,time,kind,ledger,terminal,id,numbers,operation,reason,account,debit,\
                           credit,amount,balance,version,series,uid,card,accounts,owner,payee,payee_balance,\
                           payee_version,detail,digest";

/// The columns that are no numbers.
pub const TEXTS: [&str; 10] =
    ["kind", "ledger", "terminal", "operation", "reason", "debit", "credit", "accounts", "owner", "digest"];

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
        write!(
            f,
            "created,{ledger},,,,,,{number},opening,account:{number},{balance},{balance},{version},,,,,,,,,,"
        )
    })
}

/// The fact that the ledger was restored from a backup and has another identity from here on.
pub fn restored(ledger: LedgerId) -> impl Display {
    fmt::from_fn(move |f| write!(f, "restored,{ledger},,,,,,,,,,,,,,,,,,,,,"))
}

/// The fact that a terminal proved that the ledger was set back, with its gap from here on.
pub fn set_back(terminal: &Name, gap: Gap) -> impl Display {
    fmt::from_fn(move |f| write!(f, "set-back,,{terminal},{},{},,,,,,,,,,,,,,,,,,", gap.start, gap.end))
}

/// The rows that an operation has touched, as they are after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Touched<'a> {
    /// The account: that of open access, or of the card's session.
    pub account: Option<&'a Account>,
    /// The card's number in its table.
    pub card: Option<u64>,
    /// The payee, if money went there.
    pub payee: Option<&'a Account>,
    /// The card's digest, where its PIN was right.
    pub digest: Option<CardDigest>,
}

/// What an entry has of a card's token, verifier and last four digits, which do not follow from entries: the first 2 bytes
/// of the SHA-256 of the ids of their keys, and the first 6 of that of their texts. So a card's row with those of another card is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardDigest([u8; 8]);

impl CardDigest {
    /// That of a card.
    pub fn of(card: &Card) -> Self {
        let keys =
            [card.token.key, card.verifier.token_key, card.verifier.key].map(words::key_text).join(",");
        let [token, verifier] = [words::token_text(&card.token), words::verifier_text(&card.verifier)];
        let row = [token.as_bytes(), verifier.as_bytes(), &card.last_four].join(&b","[..]);
        let [[a, b, ..], [c, d, e, f, g, h, ..]] =
            [Sha256::digest(keys), Sha256::digest(row)].map(<[u8; 32]>::from);
        Self([a, b, c, d, e, f, g, h])
    }

    /// Whether it is of other keys than the digest in the token of a derived card.
    pub fn is_of_other_keys(self, derived: [u8; SECRET]) -> bool {
        derived.get(8..10) != self.0.get(..2)
    }

    /// Its bytes.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl FromStr for CardDigest {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        words::bytes(text).map(Self).ok_or(())
    }
}

impl Display for CardDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        words::hexadecimal(self.0).fmt(f)
    }
}

/// Whether a PIN was judged, and is right.
pub fn is_right_pin(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Done(Receipt::Verified { .. } | Receipt::PinChanged))
}

/// The fact that an operation has an outcome. In a session without a name (`None`) the id is not recorded.
pub fn settled(terminal: Option<&Name>, entry: &ledger::Entry, touched: Touched<'_>) -> impl Display {
    fmt::from_fn(move |f| {
        let name = terminal.map_or("", Name::as_str);
        let id = or_empty(terminal.map(|_| entry.record.id));
        let (operation, outcome, Figures { amount, payee, detail, .. }) = words::words(&entry.record);
        let Some(operation) = operation else {
            return write!(f, "void,,{name},{id},,,,,,,,,,,,,,,,,,,");
        };
        let Touched { account, card, payee: paid, digest } = touched;
        let (kind, reason) = if outcome == "done" { ("done", "") } else { ("refused", outcome) };
        write!(
            f,
            "{kind},,{name},{id},,{operation},{reason},{},",
            or_empty(account.map(|row| row.number.0))
        )?;
        let side = |side| {
            fmt::from_fn(move |f| match (side, terminal) {
                (Side::Account(AccountNumber(number)), _) => write!(f, "account:{number}"),
                (Side::Cash, Some(name)) => write!(f, "cash:{name}"),
                (Side::Cash, None) => f.write_str("cash"),
            })
        };
        let [debit, credit] =
            [entry.movement.map(|both| side(both.debit)), entry.movement.map(|both| side(both.credit))];
        write!(f, "{},{},{},", or_empty(debit), or_empty(credit), or_empty(amount.map(Amount::minor)))?;
        write_state(f, account)?;
        write!(f, ",,,{},,,{},", or_empty(card), or_empty(payee.map(|payee| payee.0)))?;
        write_state(f, paid)?;
        write!(f, ",{},{}", or_empty(detail), or_empty(digest))
    })
}

/// Writes the balance and the version of an account.
fn write_state(f: &mut fmt::Formatter<'_>, account: Option<&Account>) -> fmt::Result {
    match account {
        Some(account) => write!(f, "{},{}", account.balance.minor(), account.version),
        None => f.write_str(","),
    }
}

/// The fact that an operator has changed a terminal's enrolment, or (`None`) that of all; `kind` is a word of
/// [`Order::word`](super::enrol::Order::word), `series` the highest series of its keys, and none for a certificate.
pub fn enrolment(kind: &str, terminal: Option<&Name>, series: Option<u32>, uid: Option<u32>) -> impl Display {
    fmt::from_fn(move |f| {
        let name = terminal.map_or("", Name::as_str);
        write!(f, "{kind},,{name},,,,,,,,,,,{},{},,,,,,,,", or_empty(series), or_empty(uid))
    })
}

/// The fact that an operator has opened an account, with the balance that it has.
pub fn opened(account: &Account, owner: &Owner, uid: Option<u32>) -> impl Display {
    fmt::from_fn(move |f| {
        let (AccountNumber(number), balance) = (account.number, account.balance.minor());
        write!(f, "opened,,,,,,,{number},opening,account:{number},{balance},")?;
        write_state(f, Some(account))?;
        write!(f, ",,{},,,{},,,,,", or_empty(uid), words::owner_text(owner))
    })
}

/// The fact that an operator has changed an account's state; `kind` is `frozen`, `unfrozen` or `closed`.
pub fn account_order(kind: &str, account: AccountNumber, uid: Option<u32>) -> impl Display {
    fmt::from_fn(move |f| write!(f, "{kind},,,,,,,{},,,,,,,{},,,,,,,,", account.0, or_empty(uid)))
}

/// The fact that an operator has issued a card (`issued`, with its accounts) or changed it (`blocked`, `unblocked` or
/// `pin-set`, without); `card` is its number in its table, `digest` that of a card with a new PIN.
pub fn card_order(
    kind: &str,
    card: u64,
    accounts: Option<&Accounts>,
    digest: Option<CardDigest>,
    uid: Option<u32>,
) -> impl Display {
    fmt::from_fn(move |f| {
        let accounts = or_empty(accounts.map(words::accounts_text));
        write!(f, "{kind},,,,,,,,,,,,,,{},{card},{accounts},,,,,,{}", or_empty(uid), or_empty(digest))
    })
}

fn or_empty(value: Option<impl Display>) -> impl Display {
    fmt::from_fn(move |f| value.as_ref().map_or(Ok(()), |value| value.fmt(f)))
}
