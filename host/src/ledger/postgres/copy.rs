//! Copies between PostgreSQL and SQLite: a snapshot of a shared ledger for the commands that read one, and a ledger's move to a shared
//! database.
use super::{
    Database,
    arrays::{Arrays, insert},
    session::Session,
    tables,
};
use crate::ledger::{
    cells::{Cell, Cells, Kind},
    draft,
    reader::Reader,
    sqlite::{FILE, tables::SCHEMA},
    store::StoreFault,
};
use rusqlite::Connection;
use std::path::Path;
use tempfile::Builder;

/// The tables. A view follows from them.
pub(super) const TABLES: [&str; 6] = ["ledger", "journals", "accounts", "cards", "terminals", "entries"];

/// Rows that are read and written at once.
const ROWS: usize = 2_000;

/// The columns of a table, as the schema has them.
fn columns(sqlite: &Connection, table: &str) -> Result<Vec<(String, Kind)>, StoreFault> {
    let mut select = sqlite.prepare("SELECT name, type FROM pragma_table_info(?)")?;
    let kind = |kind: String| if kind == "TEXT" { Kind::Text } else { Kind::Integer };
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, kind(row.get(1)?)));
    Ok(select.query_map([table], read)?.collect::<Result<_, _>>()?)
}

/// The order in which a table is read: that of commits for entries.
fn order(table: &str) -> &'static str {
    match table {
        "entries" => " ORDER BY position",
        "terminals" => " ORDER BY terminal",
        _ => " ORDER BY 1",
    }
}

/// Copies a snapshot of a shared ledger into a temporary folder that only its owner may read, and opens the copy.
///
/// # Errors
/// [`StoreFault`].
pub fn snapshot(database: &Database) -> Result<Reader, StoreFault> {
    let mut folder = Builder::new();
    #[cfg(unix)]
    folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let folder = draft::make(|| folder.prefix("atm-").tempdir())?;
    let path = folder.path().join(FILE);
    let session = Session::connect(database, 0)?;
    tables::check(&session, database)?;
    copy(&session, &path)?;
    let Reader { connection, .. } = Reader::open_file(&path)?;
    Ok(Reader { connection, _copy: Some(folder) })
}

/// Copies all tables, as one commit has left them, into a new SQLite database.
fn copy(session: &Session, path: &Path) -> Result<(), StoreFault> {
    let mut sqlite = Connection::open(path)?;
    sqlite.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    let filled = sqlite.transaction()?;
    filled.execute_batch(SCHEMA)?;
    // The schema's own row of it.
    filled.execute("DELETE FROM cards", [])?;
    let client = session.client();
    session.run(client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))?;
    for table in TABLES {
        let columns = columns(&filled, table)?;
        let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let cursor = format!("DECLARE copy NO SCROLL CURSOR FOR SELECT {names} FROM {table}{}", order(table));
        session.run(client.batch_execute(&cursor))?;
        let values = vec!["?"; columns.len()].join(", ");
        let mut insert = filled.prepare(&format!("INSERT INTO {table} ({names}) VALUES ({values})"))?;
        loop {
            let rows = session.run(client.query(&format!("FETCH {ROWS} FROM copy"), &[]))?;
            for row in &rows {
                for (at, (_, kind)) in columns.iter().enumerate() {
                    match kind {
                        Kind::Integer => insert.raw_bind_parameter(at + 1, row.integer(at)?)?,
                        Kind::Text => insert.raw_bind_parameter(at + 1, row.text(at)?)?,
                    }
                }
                insert.raw_execute()?;
            }
            if rows.len() < ROWS {
                break;
            }
        }
        session.run(client.batch_execute("CLOSE copy"))?;
    }
    session.run(client.batch_execute("COMMIT"))?;
    filled.commit()?;
    Ok(())
}

/// Moves a ledger from a folder, which the caller has locked, to a database without tables: its identity and its journals stay. `note` notes the
/// move in the folder, before the first row. Every row is compared. Returns false if it was moved there before.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::Unusable`] if the database has another ledger.
pub fn fill(
    source: &Reader,
    database: &Database,
    note: impl FnOnce() -> Result<(), StoreFault>,
) -> Result<bool, StoreFault> {
    let session = Session::connect(database, 0)?;
    let client = session.client();
    if !tables::begin(&session, database)? {
        session.run(client.batch_execute("ROLLBACK"))?;
        return was_filled(source, &session).map(|()| false);
    }
    note()?;
    session.run(client.batch_execute("DELETE FROM cards"))?;
    for table in TABLES {
        let columns = columns(&source.connection, table)?;
        let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let statement = session.run(client.prepare(&insert(table, &columns, 1)))?;
        let mut select = source.connection.prepare(&rows_of(table, &columns))?;
        let mut rows = select.query([])?;
        loop {
            let mut chunk = Vec::with_capacity(ROWS);
            while chunk.len() < ROWS
                && let Some(row) = rows.next()?
            {
                chunk.push(read(row, &columns));
            }
            let is_last = chunk.len() < ROWS;
            let arrays = Arrays::new(&columns, chunk.into_iter())?;
            session.run(client.execute(&statement, &arrays.parameters()))?;
            if is_last {
                break;
            }
        }
    }
    session.run(client.batch_execute("COMMIT"))?;
    compare(source, &snapshot(database)?)?;
    Ok(true)
}

/// A statement that reads the rows of a table in the order in which they were made.
fn rows_of(table: &str, columns: &[(&str, Kind)]) -> String {
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let order = if table == "entries" { "rowid" } else { "1" };
    format!("SELECT {} FROM {table} ORDER BY {order}", names.join(", "))
}

fn read(row: &rusqlite::Row<'_>, columns: &[(&str, Kind)]) -> Result<Vec<Cell>, StoreFault> {
    let cell = |(at, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Integer => Cell::Integer(row.get(at)?),
            Kind::Text => Cell::Text(row.get(at)?),
        })
    };
    columns.iter().enumerate().map(cell).collect()
}

/// Compares all rows of two ledgers.
fn compare(source: &Reader, copy: &Reader) -> Result<(), StoreFault> {
    for table in TABLES {
        let columns = columns(&source.connection, table)?;
        let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let text = rows_of(table, &columns);
        let (mut one, mut other) = (source.connection.prepare(&text)?, copy.connection.prepare(&text)?);
        let (mut one, mut other) = (one.query([])?, other.query([])?);
        loop {
            let (one, other) = (one.next()?, other.next()?);
            let rows = [one, other].map(|row| row.map(|row| read(row, &columns)).transpose());
            let [one, other] = rows;
            let (one, other) = (one?, other?);
            if one != other {
                return Err(StoreFault::Damaged(format!("a row of {table} is another one in the database")));
            }
            if one.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Whether the database has this ledger, which may have gone on since.
fn was_filled(source: &Reader, session: &Session) -> Result<(), StoreFault> {
    let overview = source.overview()?;
    let select = "SELECT identity FROM ledger";
    let identity = tables::read_identity(&session.run(session.client().query(select, &[]))?)?;
    let other = || StoreFault::Unusable("the database has another ledger".to_owned());
    if identity != overview.ledger {
        return Err(other());
    }
    for journal in overview.journals.iter().filter(|journal| journal.head.number > 0) {
        let (number, at) = (i64::from(journal.journal), tables::to_column(journal.head.number)?);
        let select = "SELECT hash FROM entries WHERE journal = $1 AND number = $2";
        let rows = session.run(session.client().query(select, &[&number, &at]))?;
        let hash = rows.first().map(|row| row.text(0)).transpose()?.flatten();
        if hash != Some(journal.head.hash.as_str()) {
            return Err(other());
        }
    }
    Ok(())
}
