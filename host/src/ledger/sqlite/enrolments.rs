//! Enrolments: the columns of terminals' rows that an operator changes.
use super::{StoreFault, rows};
use crate::{access::Enrolment, ledger::cells::damaged};
use atm_core::ledger::{Name, Terminal};
use rusqlite::{Connection, OptionalExtension, params};

type Result<T> = std::result::Result<T, StoreFault>;

/// Which rows were ever enrolled.
const ENROLLED: &str = "series > 0 OR tls = 1";

/// A terminal's row with its enrolment.
pub(crate) fn read(connection: &Connection, name: &Name) -> Result<Option<(Terminal, Enrolment)>> {
    let mut select =
        connection.prepare_cached("SELECT series, tls, closed FROM terminals WHERE terminal = ?")?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let Some((series, tls, closed)) = select.query_row([name.as_str()], read).optional()? else {
        return Ok(None);
    };
    let terminal = rows::terminal(connection, name)?;
    Ok(terminal.map(|terminal| (terminal, Enrolment { series, epoch: terminal.epoch, tls, closed })))
}

/// The names of the terminals that were ever enrolled, in their order.
pub(crate) fn names(connection: &Connection) -> Result<Vec<Name>> {
    // A revoked certificate leaves no other mark.
    let select =
        format!("SELECT terminal FROM terminals WHERE {ENROLLED} OR epoch_series > 0 ORDER BY terminal");
    let mut select = connection.prepare(&select)?;
    let names = select.query_and_then([], |row| {
        let name: String = row.get(0)?;
        name.parse().map_err(|_| damaged(&format!("the row of terminal {name}")))
    })?;
    names.collect()
}

/// Saves both parts of a row.
pub(crate) fn save(
    connection: &Connection,
    name: &Name,
    terminal: &Terminal,
    enrolment: &Enrolment,
) -> Result<()> {
    rows::save_terminal(connection, name, terminal)?;
    let update = "UPDATE terminals SET series = ?, tls = ?, closed = ? WHERE terminal = ?";
    let Enrolment { series, tls, closed, .. } = enrolment;
    connection.prepare_cached(update)?.execute(params![series, tls, closed, name.as_str()])?;
    Ok(())
}

/// Closes a terminal that has a key.
pub(crate) fn close(connection: &Connection, name: &Name) -> Result<()> {
    connection
        .prepare_cached("UPDATE terminals SET closed = 1 WHERE terminal = ? AND series > 0")?
        .execute([name.as_str()])?;
    Ok(())
}

/// Closes every terminal that was ever enrolled.
pub(crate) fn close_all(connection: &Connection) -> Result<()> {
    connection.execute(&format!("UPDATE terminals SET closed = 1 WHERE {ENROLLED}"), [])?;
    Ok(())
}

/// Opens every terminal again; returns how many were closed.
pub(crate) fn confirm_all(connection: &Connection) -> Result<usize> {
    Ok(connection.execute("UPDATE terminals SET closed = 0 WHERE closed = 1", [])?)
}
