//! Tables: made for a new ledger, given another identity, and compared with the mark.
use super::{Beginning, HOST_JOURNAL, OPERATOR_JOURNAL, accounts, enrolments, execute, rows};
use crate::ledger::{
    cells::AccountRow,
    entry::{FORMAT, Hash, created, restored},
    mark,
    store::{Head, StoreFault},
};
use atm_core::{
    ledger::{Account, AccountNumber, card::AccountState},
    time::UnixTime,
};
use rusqlite::{Connection, params};
use std::fmt::Display;

/// The tables.
pub(crate) const SCHEMA: &str = include_str!("../schema.sql");

/// Whether the database has no table.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, StoreFault> {
    Ok(connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?)
}

/// Makes the tables and the first entry, in one commit.
pub(super) fn create(connection: &Connection, new: Beginning) -> Result<(), StoreFault> {
    execute(connection, "BEGIN IMMEDIATE")?;
    connection.execute_batch(SCHEMA)?;
    let account = Account { number: AccountNumber::OPEN, balance: new.balance, version: 1 };
    accounts::save(connection, &AccountRow { account, owner: None, state: AccountState::Open })?;
    let insert = "INSERT INTO ledger (format, identity) VALUES (?, ?)";
    connection.execute(insert, params![FORMAT, new.identity.to_string()])?;
    let insert = "INSERT INTO journals (journal, name, epoch, owner, batches, number, hash) VALUES (?, ?, 0, ?, 0, 0, ?)";
    for (journal, name) in [(HOST_JOURNAL, "host"), (OPERATOR_JOURNAL, "operator")] {
        connection.execute(insert, params![journal, name, rows::owner(0), Hash::default().as_str()])?;
    }
    post(connection, HOST_JOURNAL, new.time, &created(new.identity, &account))?;
    execute(connection, "COMMIT")
}

/// Gives the ledger another identity, with an entry that says so, and closes all enrolled terminals; returns the journal's
/// head.
pub(crate) fn renew(connection: &Connection, journal: u32, new: Beginning) -> Result<Head, StoreFault> {
    check_format(connection)?;
    execute(connection, "BEGIN IMMEDIATE")?;
    connection.execute("UPDATE ledger SET identity = ?", [new.identity.to_string()])?;
    enrolments::close_all(connection)?;
    let head = post(connection, journal, new.time, &restored(new.identity))?;
    execute(connection, "COMMIT")?;
    Ok(head)
}

/// Appends an entry that is alone in its batch; returns the journal's head.
fn post(
    connection: &Connection,
    journal: u32,
    time: UnixTime,
    fact: &impl Display,
) -> Result<Head, StoreFault> {
    let (mut head, _) = rows::journal(connection, journal)?;
    head.batches = head.batches.saturating_add(1);
    rows::append(connection, &[head.append(journal, time, fact)])?;
    let update = "UPDATE journals SET batches = ?, number = ?, hash = ? WHERE journal = ?";
    connection.execute(update, params![head.batches, head.number, head.hash.as_str(), journal])?;
    Ok(head)
}

/// Whether these are the tables of this version.
pub(crate) fn check_format(connection: &Connection) -> Result<(), StoreFault> {
    if is_empty(connection)? {
        return Err(StoreFault::Damaged("it has no tables".to_owned()));
    }
    match connection.query_row("SELECT format FROM ledger", [], |row| row.get::<_, u64>(0))? {
        FORMAT => Ok(()),
        other => Err(StoreFault::Unusable(format!("another version of atm wrote it, in format {other}"))),
    }
}

/// Whether the database is of this version and has everything that was acknowledged.
pub(crate) fn check_mark(connection: &Connection, noted: Option<Head>) -> Result<(), StoreFault> {
    check_format(connection)?;
    let (head, _) = rows::journal(connection, HOST_JOURNAL)?;
    let noted = noted.ok_or_else(mark::missing)?;
    let has = |Head { number, hash, .. }: Head| -> Result<bool, StoreFault> {
        Ok(rows::hash(connection, HOST_JOURNAL, number)?.unwrap_or_default() == hash)
    };
    if head.batches < noted.batches || !has(noted)? {
        return Err(StoreFault::Damaged(format!(
            "it ends at entry {} (commit {}), but entry {} (commit {}) was acknowledged: it is an older copy, or its \
             write-ahead log (ledger.db-wal) is missing or damaged",
            head.number, head.batches, noted.number, noted.batches
        )));
    }
    // Each journal has all of its entries and none beyond; no entry was ever deleted.
    let count = "SELECT (SELECT coalesce(max(rowid), 0) FROM entries) = (SELECT sum(number) FROM journals)";
    if has(head)? && connection.query_row(count, [], |row| row.get(0))? {
        return Ok(());
    }
    Err(StoreFault::Damaged("its entries and the ends of its journals contradict each other".to_owned()))
}
