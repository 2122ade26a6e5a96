//! Rows of the tables as the core's values, and back.
use super::{Head, StoreFault, Turn};
use crate::ledger::entry::{COLUMNS, Entry, Hash, TEXTS, operation_word, outcome_word, record};
use atm_core::{
    ledger::{Account, AccountNumber, Epoch, Gap, LedgerId, Name, Terminal},
    money::Amount,
    time::UnixTime,
};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Null};

/// The place of the hash in a row of the entries.
const HASH: usize = 19;

type Result<T> = std::result::Result<T, StoreFault>;

/// A process's random number as text.
pub(crate) fn owner(owner: u64) -> String {
    format!("{owner:016x}")
}

pub(super) fn damaged(what: &str) -> StoreFault {
    StoreFault::Damaged(format!("{what} is not one that atm has written"))
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
         last_amount, last_balance"
    };
}

pub(crate) fn terminal(connection: &Connection, name: &Name) -> Result<Option<Terminal>> {
    let select = concat!("SELECT terminal, ", columns!(), " FROM terminals WHERE terminal = ?");
    let mut select = connection.prepare_cached(select)?;
    let mut rows = select.query_and_then([name.as_str()], read_terminal)?;
    Ok(rows.next().transpose()?.map(|(_, terminal)| terminal))
}

/// Reads all terminals.
pub(crate) fn terminals(
    connection: &Connection,
    mut see: impl FnMut((Name, Terminal)) -> Result<()>,
) -> Result<()> {
    let mut select = connection.prepare(concat!("SELECT terminal, ", columns!(), " FROM terminals"))?;
    let mut rows = select.query_and_then([], read_terminal)?;
    rows.try_for_each(|row| row.and_then(&mut see))
}

fn read_terminal(row: &Row<'_>) -> Result<(Name, Terminal)> {
    let name: String = row.get(0)?;
    let damaged = || damaged(&format!("the row of terminal {name}"));
    let epoch = match (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?) {
        (Some(series), Some(step), Some(start), Some(attempt)) => {
            Some(Epoch { series, step, start, attempt })
        }
        (None, None, None, None) => None,
        _ => return Err(damaged()),
    };
    let (operation, outcome): (Option<String>, Option<String>) = (row.get(11)?, row.get(12)?);
    let amount = row.get::<_, Option<u64>>(13)?.and_then(Amount::from_minor);
    let balance = row.get::<_, Option<u64>>(14)?.and_then(Amount::from_minor);
    let last = match (row.get(10)?, outcome) {
        (None, None) => None,
        (Some(id), Some(outcome)) => {
            Some(record(id, operation.as_deref(), &outcome, amount, balance).ok_or_else(damaged)?)
        }
        _ => return Err(damaged()),
    };
    let terminal = Terminal {
        epoch,
        turn: row.get(5)?,
        next_number: row.get(6)?,
        gap: Gap { start: row.get(7)?, end: row.get(8)? },
        set_back_at: row.get::<_, Option<u64>>(9)?.map(UnixTime::from_millis),
        last,
        ..Terminal::NEW
    };
    Ok((name.parse().map_err(|_| damaged())?, terminal))
}

pub(crate) fn save_terminal(connection: &Connection, name: &Name, terminal: &Terminal) -> Result<()> {
    let mut save = connection.prepare_cached(concat!(
        "INSERT INTO terminals (terminal, ",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (terminal) DO UPDATE SET (",
        columns!(),
        ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
    ))?;
    let Terminal { epoch, turn, next_number, gap, set_back_at, last, .. } = terminal;
    let (outcome, amount, balance) = last.as_ref().map_or((None, None, None), |last| {
        let (outcome, amount, balance) = outcome_word(last);
        (Some(outcome), amount, balance)
    });
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
        last.and_then(|last| last.operation).map(operation_word),
        outcome,
        amount.map(Amount::minor),
        balance.map(Amount::minor),
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
                insert.raw_bind_parameter(at, Null)?;
            } else if *is_text {
                insert.raw_bind_parameter(at, text)?;
            } else {
                let refused = |error| StoreFault::Rejected(format!("{name} {text}: {error}"));
                insert.raw_bind_parameter(at, text.parse::<i64>().map_err(refused)?)?;
            }
        }
        insert.raw_bind_parameter(HASH, hash.as_str())?;
        insert.raw_execute()?;
    }
    Ok(())
}
