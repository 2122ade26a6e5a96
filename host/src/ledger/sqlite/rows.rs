//! Rows of the tables as the core's values, and back.
use super::{Head, StoreFault, Turn};
use crate::ledger::{
    cells::{self, BALANCE, Cell, Cells, Column, Kind, TERMINAL, damaged, names},
    entry::{COLUMNS, Entry, Hash, TEXTS},
};
use atm_core::{
    ledger::{Account, AccountNumber, LedgerId, Name, Terminal},
    money::Amount,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter, types::ToSqlOutput};
use std::sync::LazyLock;

/// The place of the hash in a row of the entries.
const HASH: usize = 27;

type Result<T> = std::result::Result<T, StoreFault>;

impl Cells for Row<'_> {
    fn integer(&self, at: usize) -> Result<Option<i64>> {
        Ok(self.get(at)?)
    }

    fn text(&self, at: usize) -> Result<Option<&str>> {
        Ok(self.get_ref(at)?.as_str_or_null().map_err(rusqlite::Error::from)?)
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Integer(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

/// A process's random number as text.
pub(crate) fn owner(owner: u64) -> String {
    format!("{owner:016x}")
}

pub(crate) fn identity(connection: &Connection) -> Result<LedgerId> {
    let mut select = connection.prepare_cached("SELECT identity FROM ledger")?;
    let text: String = select.query_row([], |row| row.get(0))?;
    text.parse().map_err(|_| damaged("the ledger's identity"))
}

pub(crate) fn journal(connection: &Connection, journal: u32) -> Result<(Head, Turn)> {
    let mut select = connection
        .prepare_cached("SELECT epoch, owner, batches, number, hash FROM journals WHERE journal = ?")?;
    let read = |row: &Row<'_>| {
        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get::<_, String>(4)?))
    };
    let (epoch, owner, batches, number, hash) = select.query_row([journal], read)?;
    let hash = Hash::parse(&hash).ok_or_else(|| damaged("the journal's hash"))?;
    let owner = u64::from_str_radix(&owner, 16).map_err(|_| damaged("the journal's owner"))?;
    Ok((Head { batches, number, hash }, Turn { epoch, owner }))
}

/// The hash of an entry.
pub(crate) fn hash(connection: &Connection, journal: u32, number: u64) -> Result<Option<Hash>> {
    let select = "SELECT hash FROM entries WHERE journal = ? AND number = ?";
    let hash: Option<String> =
        connection.query_row(select, params![journal, number], |row| row.get(0)).optional()?;
    Ok(hash.and_then(|hash| Hash::parse(&hash)))
}

pub(crate) fn account(connection: &Connection, number: AccountNumber) -> Result<Account> {
    let mut select = connection.prepare_cached("SELECT balance, version FROM accounts WHERE account = ?")?;
    let (balance, version) = select.query_row([number.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let balance = Amount::from_minor(balance).ok_or_else(|| damaged("an account's balance"))?;
    Ok(Account { number, balance, version })
}

pub(crate) fn save_account(connection: &Connection, account: &Account) -> Result<()> {
    save(connection, &SAVE_BALANCE, &cells::of_balance(account)?)
}

/// Terminals that have a row. No row is ever deleted, so the last row's number is their count.
pub(crate) fn count_terminals(connection: &Connection) -> Result<u64> {
    let mut select = connection.prepare_cached("SELECT coalesce(max(rowid), 0) FROM terminals")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

static TERMINAL_COLUMNS: LazyLock<String> = LazyLock::new(|| names(&TERMINAL));
static SAVE_TERMINAL: LazyLock<String> = LazyLock::new(|| upsert("terminals", &TERMINAL));
static SAVE_BALANCE: LazyLock<String> = LazyLock::new(|| upsert("accounts", &BALANCE));

/// The statement that saves these columns of a row, which may be new; the first is its key.
pub(crate) fn upsert(table: &str, columns: &[Column]) -> String {
    let ((key, _), rest) = columns.split_first().unwrap_or((&("", Kind::Text), &[]));
    let rest_names = names(rest);
    let places = |from: usize| Vec::from_iter((from..=columns.len()).map(|at| format!("?{at}"))).join(", ");
    format!(
        "INSERT INTO {table} ({key}, {rest_names}) VALUES ({}) ON CONFLICT ({key}) DO UPDATE SET ({rest_names}) = ({})",
        places(1),
        places(2)
    )
}

/// Saves a row by its [statement](upsert).
pub(crate) fn save(connection: &Connection, upsert: &str, row: &[Cell]) -> Result<()> {
    connection.prepare_cached(upsert)?.execute(params_from_iter(row))?;
    Ok(())
}

pub(crate) fn terminal(connection: &Connection, name: &Name) -> Result<Option<Terminal>> {
    let select = format!("SELECT {} FROM terminals WHERE terminal = ?", *TERMINAL_COLUMNS);
    let mut select = connection.prepare_cached(&select)?;
    let mut rows = select.query_and_then([name.as_str()], |row| cells::terminal(row))?;
    Ok(rows.next().transpose()?.map(|(_, terminal)| terminal))
}

/// The rows of a range.
const RANGE: usize = 10_000;

/// Reads all rows of a table in ranges, by their numbers. `select` has the first number and the count of a range as its parameters.
/// Where no transaction was open before, none is while `see` handles a range, however long that takes: the log is shortened meanwhile.
pub(crate) fn in_ranges<T, E: From<StoreFault>>(
    connection: &Connection,
    select: &str,
    read: impl Fn(&Row<'_>) -> Result<T>,
    number: impl Fn(&T) -> u64,
    mut see: impl FnMut(T) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut first = 0;
    loop {
        let range = || {
            let mut select = connection.prepare_cached(select)?;
            select.query_and_then(params![first, RANGE], &read)?.collect::<Result<Vec<T>>>()
        };
        let range = range()?;
        let Some(last) = range.last() else { return Ok(()) };
        first = number(last).saturating_add(1);
        range.into_iter().try_for_each(&mut see)?;
    }
}

/// Reads all terminals.
pub(crate) fn terminals(
    connection: &Connection,
    mut see: impl FnMut((Name, Terminal)) -> Result<()>,
) -> Result<()> {
    let mut select = connection.prepare(&format!("SELECT {} FROM terminals", *TERMINAL_COLUMNS))?;
    let mut rows = select.query_and_then([], |row| cells::terminal(row))?;
    rows.try_for_each(|row| row.and_then(&mut see))
}

pub(crate) fn save_terminal(connection: &Connection, name: &Name, terminal: &Terminal) -> Result<()> {
    save(connection, &SAVE_TERMINAL, &cells::of_terminal(name, terminal)?)
}

/// Appends entries. The columns of a row are those of the line behind its format.
pub(crate) fn append(connection: &Connection, entries: &[Entry]) -> Result<()> {
    let insert = format!("INSERT INTO entries ({COLUMNS}, hash) VALUES (?{})", ", ?".repeat(HASH - 1));
    let mut insert = connection.prepare_cached(&insert)?;
    // Once a batch: the loop below is on the path of each operation.
    let columns: Vec<_> = COLUMNS.split(',').map(|name| (name, TEXTS.contains(&name))).collect();
    for Entry { line, hash } in entries {
        for (at, ((name, is_text), text)) in (1..).zip(columns.iter().zip(line.split(',').skip(1))) {
            if text.is_empty() {
                continue;
            }
            if *is_text {
                insert.raw_bind_parameter(at, text)?;
            } else {
                let refused = |error| StoreFault::Rejected(format!("{name} {text}: {error}"));
                insert.raw_bind_parameter(at, text.parse::<i64>().map_err(refused)?)?;
            }
        }
        insert.raw_bind_parameter(HASH, hash.as_str())?;
        insert.raw_execute()?;
        // What the next entry does not bind is null.
        insert.clear_bindings();
    }
    Ok(())
}
