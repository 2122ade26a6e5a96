//! The row of an account that cards give access to: its state, its owner and its last movements.
use super::row::DAY;
use crate::{
    ledger::{Account, AccountNumber, Movement, Side},
    money::Amount,
    number,
    time::UnixTime,
};
use core::{
    fmt::{self, Write as _},
    str::FromStr,
};
use heapless::String;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// Movements that a statement shows.
pub const MOVEMENTS: usize = 5;

/// What may be done with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AccountState {
    /// Everything.
    Open,
    /// Its balance and its statement are shown, and no money moves.
    Frozen,
    /// Nothing.
    Closed,
}

/// An account that cards give access to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CardAccount {
    /// Its number, balance and version.
    pub account: Account,
    /// What may be done with it.
    pub state: AccountState,
    /// Its owner.
    pub owner: Owner,
    /// Its last movements. Only the decision of a [statement](crate::ledger::Operation::Statement) reads them.
    pub statement: Statement,
}

impl CardAccount {
    /// An open account without movements.
    pub fn new(number: AccountNumber, balance: Amount, owner: Owner) -> Self {
        let account = Account { number, balance, version: 0 };
        Self { account, state: AccountState::Open, owner, statement: Statement::default() }
    }
}

/// The name of an account's owner: 1 to 48 bytes of UTF-8, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(String<48>);

impl Owner {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is shown of it to another person.
    pub fn initials(&self) -> Initials {
        let mut words = self.0.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphabetic()));
        let first = words.next().unwrap_or(Initials::NONE);
        Initials { first, last: words.next_back().unwrap_or(Initials::NONE) }
    }
}

/// The text is not an owner's name: 1 to 48 bytes, without control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OwnerError;

impl fmt::Display for OwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an owner's name is 1 to 48 bytes, without control characters")
    }
}

impl core::error::Error for OwnerError {}

impl FromStr for Owner {
    type Err = OwnerError;
    fn from_str(text: &str) -> Result<Self, OwnerError> {
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(OwnerError);
        }
        String::try_from(text).map(Self).map_err(|_| OwnerError)
    }
}

/// The initials of an owner's first and last name, as in `A*** L***`: as much as the payer of a transfer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Initials {
    #[serde(serialize_with = "number::serialize", deserialize_with = "letter")]
    first: char,
    #[serde(serialize_with = "number::serialize", deserialize_with = "letter")]
    last: char,
}

impl Initials {
    /// In the place of a name that there is not.
    const NONE: char = '\0';
}

/// Reads the initial of a name.
fn letter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<char, D::Error> {
    let letter = char::from_u32(u32::deserialize(deserializer)?);
    letter
        .filter(|letter| letter.is_alphabetic() || *letter == Initials::NONE)
        .ok_or_else(|| D::Error::custom("an initial is a letter"))
}

impl fmt::Display for Initials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Display` of `char` would pad it, which takes 800 bytes of an image.
        fn name(f: &mut fmt::Formatter<'_>, initial: char) -> fmt::Result {
            f.write_char(initial)?;
            f.write_str("***")
        }
        match (self.first, self.last) {
            (Self::NONE, _) => f.write_str("***"),
            (first, Self::NONE) => name(f, first),
            (first, last) => {
                name(f, first)?;
                f.write_char(' ')?;
                name(f, last)
            }
        }
    }
}

/// A day in UTC; displayed as in `2026-11-29`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Date(#[serde(serialize_with = "number::serialize")] u32);

impl From<UnixTime> for Date {
    fn from(time: UnixTime) -> Self {
        Self(u32::try_from(time.millis() / DAY).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Date {
    /// By the algorithm `civil_from_days` of <https://howardhinnant.github.io/date_algorithms.html>.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = u64::from(self.0).saturating_add(719_468);
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months from March on.
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let (month, in_next) = if shifted < 10 { (shifted + 3, 0) } else { (shifted - 9, 1) };
        let year = year_of_era + era * 400 + in_next;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// What a movement was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// Cash came in.
    Deposit,
    /// Cash went out.
    Withdrawal,
    /// Money went to another account.
    TransferOut,
    /// Money came from another account.
    TransferIn,
}

/// A movement of an account, as a statement shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StatementLine {
    /// When it was; `None` where there is no clock.
    pub date: Option<Date>,
    /// What it was.
    pub kind: Kind,
    /// How much.
    pub amount: Amount,
    /// The balance after it.
    pub balance: Amount,
}

impl StatementLine {
    /// The line of a movement in the statement of one of its accounts, whose row is as the movement leaves it.
    pub fn new(movement: &Movement, account: &Account, now: Option<UnixTime>) -> Self {
        let own = Side::Account(account.number);
        let kind = match (movement.debit, movement.credit) {
            (Side::Cash, _) => Kind::Deposit,
            (_, Side::Cash) => Kind::Withdrawal,
            (debit, _) if debit == own => Kind::TransferOut,
            _ => Kind::TransferIn,
        };
        Self { date: now.map(Date::from), kind, amount: movement.amount, balance: account.balance }
    }
}

/// The last movements of an account, the latest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Statement([Option<StatementLine>; MOVEMENTS]);

impl Statement {
    /// The movements, the latest first.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = StatementLine> {
        self.0.into_iter().flatten()
    }

    /// Adds a movement, and drops the earliest if there are more than [`MOVEMENTS`].
    pub fn push(&mut self, line: StatementLine) {
        self.0.rotate_right(1);
        if let Some(latest) = self.0.first_mut() {
            *latest = Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::ToString, vec::Vec};

    #[test]
    fn an_owner_is_shown_to_others_by_initials() {
        for (owner, shown) in [
            ("Ada Lovelace", "A*** L***"),
            ("Ada King, Countess of Lovelace", "A*** L***"),
            ("Åsa Öberg", "Å*** Ö***"),
            ("Plato", "P***"),
            ("(Ada) \"Lovelace\"", "A*** L***"),
            ("7", "***"),
        ] {
            assert_eq!(owner.parse::<Owner>().unwrap().initials().to_string(), shown);
        }
        for text in ["", "  ", "a\nb", "\u{7f}", &"x".repeat(49)] {
            assert_eq!(text.parse::<Owner>(), Err(OwnerError), "{text}");
        }
        assert!(OwnerError.to_string().contains("48 bytes"));
    }

    #[test]
    fn a_day_is_displayed_as_a_date() {
        for (days, date) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_786, "2026-11-29"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(Date::from(UnixTime::from_millis(days * DAY + DAY - 1)).to_string(), date);
        }
    }

    #[test]
    fn a_statement_keeps_the_last_movements() {
        let mut statement = Statement::default();
        let line = |units| StatementLine {
            date: None,
            kind: Kind::Deposit,
            amount: Amount::from_units(units).unwrap(),
            balance: Amount::ZERO,
        };
        for units in 1..=7 {
            statement.push(line(units));
            let expected: Vec<_> = (1..=units).rev().take(MOVEMENTS).map(line).collect();
            assert_eq!(statement.lines().collect::<Vec<_>>(), expected);
        }
    }
}
