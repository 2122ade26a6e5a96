//! Rows of the tables as the core's values, and back.
use super::{Head, StoreFault, Turn};
use crate::ledger::{
    cells::{self, Cells, damaged},
    entry::{COLUMNS, Entry, Hash, TEXTS},
    words,
};
use atm_core::{
    ledger::{Account, AccountNumber, LedgerId, Name, Terminal},
    money::Amount,
    time::UnixTime,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

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
    let mut save = connection.prepare_cached(
        "INSERT INTO accounts (account, balance, version) VALUES (?1, ?2, ?3)
         ON CONFLICT (account) DO UPDATE SET (balance, version) = (?2, ?3)",
    )?;
    save.execute(params![account.number.0, account.balance.minor(), account.version])?;
    Ok(())
}

/// Terminals that have a row. No row is ever deleted, so the last row's number is their count.
pub(crate) fn count_terminals(connection: &Connection) -> Result<u64> {
    let mut select = connection.prepare_cached("SELECT coalesce(max(rowid), 0) FROM terminals")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

/// The columns of a terminal's row behind its name.
macro_rules! columns {
    () => {
        "epoch_series, epoch_step, start, attempt, turn, next_number, gap_start, gap_end, set_back_at, last_id, last_operation, last_outcome, \
         last_amount, last_balance, last_card, last_payee, last_detail, last_accounts, delay_until, delay_length"
    };
}

pub(crate) fn terminal(connection: &Connection, name: &Name) -> Result<Option<Terminal>> {
    let select = concat!("SELECT terminal, ", columns!(), " FROM terminals WHERE terminal = ?");
    let mut select = connection.prepare_cached(select)?;
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
    let mut select = connection.prepare(concat!("SELECT terminal, ", columns!(), " FROM terminals"))?;
    let mut rows = select.query_and_then([], |row| cells::terminal(row))?;
    rows.try_for_each(|row| row.and_then(&mut see))
}

pub(crate) fn save_terminal(connection: &Connection, name: &Name, terminal: &Terminal) -> Result<()> {
    let mut save = connection.prepare_cached(concat!(
        "INSERT INTO terminals (terminal, ",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) ON CONFLICT (terminal) DO UPDATE SET (",
        columns!(),
        ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)"
    ))?;
    let Terminal { epoch, turn, next_number, gap, set_back_at, last, delay } = terminal;
    let (operation, outcome, figures) = match last {
        Some(last) => {
            let (operation, outcome, figures) = words::words(last);
            (operation, Some(outcome), figures)
        }
        None => Default::default(),
    };
    save.execute(params![
        name.as_str(),
        epoch.map(|epoch| epoch.series),
        epoch.map(|epoch| epoch.step),
        epoch.map(|epoch| epoch.start),
        epoch.map(|epoch| epoch.attempt),
        turn,
        next_number,
        gap.start,
        gap.end,
        set_back_at.map(UnixTime::millis),
        last.map(|last| last.id),
        operation,
        outcome,
        figures.amount.map(Amount::minor),
        figures.balance.map(Amount::minor),
        last.and_then(|last| last.card).as_ref().map(words::token_text),
        figures.payee.map(|payee| payee.0),
        figures.detail,
        figures.accounts.as_ref().map(|accounts| words::accounts_text(accounts).to_string()),
        delay.until.millis(),
        delay.length,
    ])?;
    Ok(())
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
