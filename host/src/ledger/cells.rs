//! Cells: the ledger's values from the columns of their rows, and back, the same for every database.
use super::{
    batch::DECOY,
    store::StoreFault,
    words::{self, Figures},
};
use crate::access::Enrolment;
use atm_core::{
    ledger::{
        Account, AccountNumber, Epoch, Gap, Movement, Name, Record, Side, Terminal,
        card::{AccountState, Card, CardAccount, CardKeys, Delay, Owner, Statement, StatementLine},
    },
    money::Amount,
    time::UnixTime,
};

type Result<T> = std::result::Result<T, StoreFault>;

/// An account as its row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its number, balance and version.
    pub account: Account,
    /// Its owner; `None` for the account of open access, which no card reaches.
    pub owner: Option<Owner>,
    /// What may be done with it.
    pub state: AccountState,
}

impl AccountRow {
    /// The account as cards give access to it, without movements; `None` if none does.
    pub fn for_cards(self) -> Option<CardAccount> {
        let Self { account, owner, state } = self;
        Some(CardAccount { account, state, owner: owner?, statement: Statement::default() })
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number of 64 bits with a sign.
    Integer,
    /// Text.
    Text,
}

use Kind::{Integer, Text};

/// A column's name, and what it holds.
pub type Column = (&'static str, Kind);

/// The columns of a terminal's row, but those of its enrolment.
pub const TERMINAL: [Column; 21] = [
    ("terminal", Text),
    ("epoch_series", Integer),
    ("epoch_step", Integer),
    ("start", Integer),
    ("attempt", Integer),
    ("turn", Integer),
    ("next_number", Integer),
    ("gap_start", Integer),
    ("gap_end", Integer),
    ("set_back_at", Integer),
    ("last_id", Integer),
    ("last_operation", Text),
    ("last_outcome", Text),
    ("last_amount", Integer),
    ("last_balance", Integer),
    ("last_card", Text),
    ("last_payee", Integer),
    ("last_detail", Integer),
    ("last_accounts", Text),
    ("delay_until", Integer),
    ("delay_length", Integer),
];

/// The columns of an account's row that a movement changes.
pub const BALANCE: [Column; 3] = [("account", Integer), ("balance", Integer), ("version", Integer)];

/// The columns of a card's row.
pub const CARD: [Column; 11] = [
    ("card", Integer),
    ("token", Text),
    ("verifier", Text),
    ("last_four", Text),
    ("accounts", Text),
    ("tries", Integer),
    ("refusals", Integer),
    ("blocked", Integer),
    ("version", Integer),
    ("day", Integer),
    ("withdrawn", Integer),
];

/// The names of columns, with commas between them.
pub fn names(columns: &[Column]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The condition of the rows of cards in use whose PINs cannot be judged with the keys of [`key_parameters`]
/// ([`CardKeys::can_judge`]).
pub const OTHER_KEYS: &str = "card <> 0 AND blocked = 0 AND NOT (substr(token, 1, 16) IN ($1, $2)
    AND substr(verifier, 1, 16) IN ($1, $2) AND substr(verifier, 18, 16) IN ($3, $4))";

/// How many such cards a warning names.
pub const NAMED: usize = 5;

/// The parameters of [`OTHER_KEYS`].
pub fn key_parameters(keys: &CardKeys) -> [String; 4] {
    let [[token, old_token], [pin, old_pin]] = keys.ids();
    [token, old_token, pin, old_pin].map(words::key_text)
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A number, or none.
    Integer(Option<i64>),
    /// A text, or none.
    Text(Option<String>),
}

/// A number's cell.
///
/// # Errors
/// [`StoreFault::Rejected`] above 2^63 - 1, which no column takes.
fn integer(number: impl Into<Option<u64>>) -> Result<Cell> {
    let refused = |_| StoreFault::Rejected("a number is above 2^63 - 1".to_owned());
    Ok(Cell::Integer(number.into().map(i64::try_from).transpose().map_err(refused)?))
}

fn text(text: Option<impl ToString>) -> Cell {
    Cell::Text(text.map(|text| text.to_string()))
}

/// A row that a database has read.
pub trait Cells {
    /// The number in a column, counted from 0.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`]: it holds something else.
    fn integer(&self, at: usize) -> Result<Option<i64>>;

    /// The text in a column.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`]: it holds something else.
    fn text(&self, at: usize) -> Result<Option<&str>>;
}

/// A number that is in range, or none.
fn optional<T: TryFrom<i64>>(
    row: &impl Cells,
    at: usize,
    damaged: &impl Fn() -> StoreFault,
) -> Result<Option<T>> {
    row.integer(at)?.map(|number| T::try_from(number).map_err(|_| damaged())).transpose()
}

/// A number that is there and in range.
fn number<T: TryFrom<i64>>(row: &impl Cells, at: usize, damaged: &impl Fn() -> StoreFault) -> Result<T> {
    optional(row, at, damaged)?.ok_or_else(damaged)
}

fn optional_amount(row: &impl Cells, at: usize, damaged: &impl Fn() -> StoreFault) -> Result<Option<Amount>> {
    optional(row, at, damaged)?.map(|minor| Amount::from_minor(minor).ok_or_else(damaged)).transpose()
}

fn amount(row: &impl Cells, at: usize, damaged: &impl Fn() -> StoreFault) -> Result<Amount> {
    optional_amount(row, at, damaged)?.ok_or_else(damaged)
}

fn flag(row: &impl Cells, at: usize, damaged: &impl Fn() -> StoreFault) -> Result<bool> {
    match row.integer(at)? {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(damaged()),
    }
}

/// The fault of a row.
pub(super) fn damaged(what: &str) -> StoreFault {
    StoreFault::Damaged(format!("{what} is not one that atm has written"))
}

/// Reads the columns of [`TERMINAL`].
///
/// # Errors
/// [`StoreFault::Damaged`].
pub fn terminal(row: &impl Cells) -> Result<(Name, Terminal)> {
    let name = row.text(0)?.unwrap_or_default();
    let damaged = &|| damaged(&format!("the row of terminal {name}"));
    let epoch = match (
        optional(row, 1, damaged)?,
        optional(row, 2, damaged)?,
        optional(row, 3, damaged)?,
        optional(row, 4, damaged)?,
    ) {
        (Some(series), Some(step), Some(start), Some(attempt)) => {
            Some(Epoch { series, step, start, attempt })
        }
        (None, None, None, None) => None,
        _ => return Err(damaged()),
    };
    let terminal = Terminal {
        epoch,
        turn: number(row, 5, damaged)?,
        next_number: number(row, 6, damaged)?,
        gap: Gap { start: number(row, 7, damaged)?, end: number(row, 8, damaged)? },
        set_back_at: optional(row, 9, damaged)?.map(UnixTime::from_millis),
        last: record(row, damaged)?,
        delay: Delay {
            until: UnixTime::from_millis(number(row, 19, damaged)?),
            length: number(row, 20, damaged)?,
        },
    };
    Ok((name.parse().map_err(|_| damaged())?, terminal))
}

/// A terminal's last operation.
fn record(row: &impl Cells, damaged: &impl Fn() -> StoreFault) -> Result<Option<Record>> {
    let (id, operation, outcome) = (optional(row, 10, damaged)?, row.text(11)?, row.text(12)?);
    let (card, accounts) = (row.text(15)?, row.text(18)?);
    let figures = Figures {
        amount: optional_amount(row, 13, damaged)?,
        balance: optional_amount(row, 14, damaged)?,
        payee: optional(row, 16, damaged)?.map(AccountNumber),
        detail: optional(row, 17, damaged)?,
        accounts: accounts.map(|text| words::accounts(text).ok_or_else(damaged)).transpose()?,
    };
    let card = card.map(|text| words::token(text).ok_or_else(damaged)).transpose()?;
    match (id, outcome) {
        (None, None) if (operation, card, figures) == Default::default() => Ok(None),
        (Some(id), Some(outcome)) => {
            let record = words::record(id, operation, outcome, &figures).ok_or_else(damaged)?;
            Ok(Some(Record { card, ..record }))
        }
        _ => Err(damaged()),
    }
}

/// The columns of [`TERMINAL`].
///
/// # Errors
/// [`StoreFault::Rejected`].
pub fn of_terminal(name: &Name, terminal: &Terminal) -> Result<Vec<Cell>> {
    let Terminal { epoch, turn, next_number, gap, set_back_at, last, delay } = terminal;
    let (operation, outcome, figures) = match last {
        Some(last) => {
            let (operation, outcome, figures) = words::words(last);
            (operation, Some(outcome), figures)
        }
        None => Default::default(),
    };
    Ok(vec![
        text(Some(name.as_str())),
        integer(epoch.map(|epoch| epoch.series.into()))?,
        integer(epoch.map(|epoch| epoch.step.into()))?,
        integer(epoch.map(|epoch| epoch.start))?,
        integer(epoch.map(|epoch| epoch.attempt.into()))?,
        integer(u64::from(*turn))?,
        integer(*next_number)?,
        integer(gap.start)?,
        integer(gap.end)?,
        integer(set_back_at.map(UnixTime::millis))?,
        integer(last.map(|last| last.id))?,
        text(operation),
        text(outcome),
        integer(figures.amount.map(Amount::minor))?,
        integer(figures.balance.map(Amount::minor))?,
        text(last.and_then(|last| last.card).as_ref().map(words::token_text)),
        integer(figures.payee.map(|payee| payee.0.into()))?,
        integer(figures.detail)?,
        text(figures.accounts.as_ref().map(words::accounts_text)),
        integer(delay.until.millis())?,
        integer(delay.length)?,
    ])
}

/// Reads the columns series, tls and closed from this place on, of the terminal whose epoch is that.
///
/// # Errors
/// [`StoreFault::Damaged`].
pub fn enrolment(row: &impl Cells, at: usize, epoch: Option<Epoch>) -> Result<Enrolment> {
    let damaged = &|| damaged("a terminal's enrolment");
    let [tls, closed] = [flag(row, at + 1, damaged)?, flag(row, at + 2, damaged)?];
    Ok(Enrolment { series: number(row, at, damaged)?, epoch, tls, closed })
}

/// Reads the columns account, balance, version, owner and state.
///
/// # Errors
/// [`StoreFault::Damaged`].
pub fn account(row: &impl Cells) -> Result<AccountRow> {
    let at = AccountNumber(number(row, 0, &|| damaged("an account's number"))?);
    let damaged = &|| damaged(&format!("the row of account {}", at.0));
    let account =
        Account { number: at, balance: amount(row, 1, damaged)?, version: number(row, 2, damaged)? };
    let owner = row.text(3)?.map(|owner| owner.parse::<Owner>().map_err(|_| damaged())).transpose()?;
    let state = row.text(4)?.and_then(words::state).ok_or_else(damaged)?;
    Ok(AccountRow { account, owner, state })
}

/// The columns of [`BALANCE`].
///
/// # Errors
/// [`StoreFault::Rejected`].
pub fn of_balance(account: &Account) -> Result<Vec<Cell>> {
    let Account { number, balance, version } = account;
    Ok(vec![integer(u64::from(number.0))?, integer(balance.minor())?, integer(*version)?])
}

/// Reads the columns of [`CARD`]: a card, or the decoy, and its number in the table.
///
/// # Errors
/// [`StoreFault::Damaged`].
pub fn card(row: &impl Cells) -> Result<(u64, Card)> {
    let at = number(row, 0, &|| damaged("a card's number"))?;
    let damaged = &|| damaged(&format!("the row of card {at}"));
    let card = match (row.text(1)?, row.text(2)?, row.text(3)?) {
        (Some(token), Some(verifier), Some(last_four)) if at != DECOY => Card {
            token: words::token(token).ok_or_else(damaged)?,
            verifier: words::verifier(verifier).ok_or_else(damaged)?,
            last_four: last_four.as_bytes().try_into().map_err(|_| damaged())?,
            ..Card::DECOY
        },
        (None, None, None) if at == DECOY => Card::DECOY,
        _ => return Err(damaged()),
    };
    let card = Card {
        accounts: row.text(4)?.and_then(words::accounts).ok_or_else(damaged)?,
        tries: number(row, 5, damaged)?,
        refusals: number(row, 6, damaged)?,
        is_blocked: flag(row, 7, damaged)?,
        version: number(row, 8, damaged)?,
        day: number(row, 9, damaged)?,
        withdrawn: amount(row, 10, damaged)?,
        ..card
    };
    Ok((at, card))
}

/// The columns of [`CARD`].
///
/// # Errors
/// [`StoreFault::Rejected`].
pub fn of_card(at: u64, card: &Card) -> Result<Vec<Cell>> {
    let issued = (at != DECOY).then_some(card);
    Ok(vec![
        integer(at)?,
        text(issued.map(|card| words::token_text(&card.token))),
        text(issued.map(|card| words::verifier_text(&card.verifier))),
        text(issued.map(|card| String::from_utf8_lossy(&card.last_four))),
        text(Some(words::accounts_text(&card.accounts))),
        integer(u64::from(card.tries))?,
        integer(card.refusals)?,
        integer(u64::from(card.is_blocked))?,
        integer(u64::from(card.version))?,
        integer(card.day)?,
        integer(card.withdrawn.minor())?,
    ])
}

/// Reads the columns time, debit, credit, amount, balance and version: a movement of this account.
///
/// # Errors
/// [`StoreFault::Damaged`].
pub fn statement_line(row: &impl Cells, account: AccountNumber) -> Result<StatementLine> {
    let damaged = &|| damaged(&format!("a movement of account {}", account.0));
    let side = |at| {
        let text = row.text(at)?.ok_or_else(damaged)?;
        if text.starts_with("cash") {
            return Ok(Side::Cash);
        }
        let number = text.strip_prefix("account:").and_then(|number| number.parse().ok());
        number.map(|number| Side::Account(AccountNumber(number))).ok_or_else(damaged)
    };
    let movement = Movement { debit: side(1)?, credit: side(2)?, amount: amount(row, 3, damaged)? };
    let after =
        Account { number: account, balance: amount(row, 4, damaged)?, version: number(row, 5, damaged)? };
    let time = UnixTime::from_millis(number(row, 0, damaged)?);
    Ok(StatementLine::new(&movement, &after, Some(time)))
}
