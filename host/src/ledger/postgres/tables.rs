//! Tables: made for a new ledger, with a journal for each host, and compared with the mark.
use super::{Database, session::Session, shape};
use crate::ledger::{
    cells::{self, Cell, Cells},
    entry::{FORMAT, Hash, created},
    mark,
    sqlite::{Beginning, HOST_JOURNAL, OPERATOR_JOURNAL, rows::owner, tables::SCHEMA},
    store::{Head, StoreFault, Turn},
};
use atm_core::ledger::{Account, AccountNumber, LedgerId};
use atm_core::money::Amount;
use tokio_postgres::{Row, types::ToSql};

/// What differs from the schema of SQLite: entries have the order of their commits. A number is drawn after every lock of the batch
/// was taken, so of two batches that touch one row the later has the greater numbers.
const DIFFERENCES: &str =
    "ALTER TABLE entries ADD COLUMN position BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE";

/// The engine and the version that were tested.
const TESTED: &str = "PostgreSQL 15.";

/// The name of the first host's journal.
pub const FIRST_HOST: &str = "host";

/// Where no account was loaded.
pub(super) const NO_ACCOUNT: Account =
    Account { number: AccountNumber::OPEN, balance: Amount::ZERO, version: 0 };

/// Makes the tables, if the database has none, and the first entry; returns whether it did.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::Unusable`] for the tables of another version.
pub fn migrate(database: &Database, new: Beginning) -> Result<bool, StoreFault> {
    let session = Session::connect(database, 0)?;
    let client = session.client();
    if !begin(&session, database)? {
        session.run(client.batch_execute("ROLLBACK"))?;
        check_format(&session)?;
        return shape::check(&session, database).map(|()| false);
    }
    let account = Account { number: AccountNumber::OPEN, balance: new.balance, version: 1 };
    let mut head = Head { batches: 1, ..Head::default() };
    let entry = head.append(HOST_JOURNAL, new.time, &created(new.identity, &account));
    let entries = super::Arrays::new(
        &super::statements::entry_columns(),
        [super::statements::of_entry(&entry)].into_iter(),
    )?;
    let append = super::arrays::insert("entries", &super::statements::entry_columns(), 1);
    session.run(client.execute(&append, &entries.parameters()))?;
    let balance = to_column(account.balance.minor())?;
    let (number, format) = (i64::from(account.number.0), to_column(FORMAT)?);
    session.run(client.execute(
        "INSERT INTO accounts (account, balance, version) VALUES ($1, $2, 1)",
        &[&number, &balance],
    ))?;
    let identity = new.identity.to_string();
    session.run(
        client.execute("INSERT INTO ledger (format, identity) VALUES ($1, $2)", &[&format, &identity]),
    )?;
    let insert = "INSERT INTO journals (journal, name, epoch, owner, batches, number, hash) VALUES ($1, $2, 0, $3, $4, $5, $6)";
    for (journal, name, head) in
        [(HOST_JOURNAL, FIRST_HOST, head), (OPERATOR_JOURNAL, "operator", Head::default())]
    {
        let (batches, number) = (to_column(head.batches)?, to_column(head.number)?);
        let values: [&(dyn ToSql + Sync); 6] =
            [&i64::from(journal), &name, &owner(0), &batches, &number, &head.hash.as_str()];
        session.run(client.execute(insert, &values))?;
    }
    session.run(client.batch_execute("COMMIT"))?;
    Ok(true)
}

/// Begins a transaction and makes the tables, if the database has none; returns whether it did. Two commands that do so take turns.
pub(super) fn begin(session: &Session, database: &Database) -> Result<bool, StoreFault> {
    check_engine(session, database.any_engine)?;
    let client = session.client();
    session.run(client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(4702388)"))?;
    let has_tables = session.run(client.query_one("SELECT to_regclass('ledger') IS NOT NULL", &[]))?;
    if has_tables.try_get(0)? {
        return Ok(false);
    }
    session.run(client.batch_execute(SCHEMA))?;
    session.run(client.batch_execute(DIFFERENCES))?;
    Ok(true)
}

pub(super) fn to_column(number: u64) -> Result<i64, StoreFault> {
    i64::try_from(number).map_err(|error| StoreFault::Rejected(error.to_string()))
}

/// Refuses an engine that was not tested, or a version of it.
fn check_engine(session: &Session, any: bool) -> Result<(), StoreFault> {
    let row = session.run(session.client().query_one("SELECT version()", &[]))?;
    let version = row.text(0)?.unwrap_or_default();
    if any || version.starts_with(TESTED) {
        return Ok(());
    }
    let reason =
        format!("it is {version}, and only {TESTED} was tested: --untested-engine uses it all the same");
    Err(StoreFault::Unusable(reason))
}

/// Whether these are the tables of this version.
fn check_format(session: &Session) -> Result<(), StoreFault> {
    let rows = session.run(session.client().query("SELECT format FROM ledger", &[]))?;
    let [row] = &rows[..] else {
        let reason =
            format!("its table ledger has {} rows in place of one: it was changed by hand", rows.len());
        return Err(StoreFault::Unusable(reason));
    };
    match row.integer(0)?.and_then(|format| u64::try_from(format).ok()) {
        Some(FORMAT) => Ok(()),
        other => Err(StoreFault::Unusable(format!(
            "another version of atm wrote it, in format {}: this one reads {FORMAT}",
            other.unwrap_or_default()
        ))),
    }
}

/// Refuses an engine that was not tested, and tables of another version or shape.
pub(super) fn check(session: &Session, database: &Database) -> Result<(), StoreFault> {
    check_engine(session, database.any_engine)?;
    check_format(session)?;
    shape::check(session, database)
}

/// The number of a host's journal, which is made if it is new.
pub(super) fn find_journal(session: &Session, host: &str) -> Result<u32, StoreFault> {
    let client = session.client();
    // Hosts that start at the same time take turns.
    session.run(client.batch_execute("BEGIN; SELECT format FROM ledger FOR UPDATE"))?;
    let insert = "INSERT INTO journals (journal, name, epoch, owner, batches, number, hash)
                  SELECT (SELECT max(journal) + 1 FROM journals), $1, 0, $2, 0, 0, $3
                  WHERE NOT EXISTS (SELECT FROM journals WHERE name = $1)";
    session.run(client.execute(insert, &[&host, &owner(0), &Hash::default().as_str()]))?;
    session.run(client.batch_execute("COMMIT"))?;
    let row = session.run(client.query_one("SELECT journal FROM journals WHERE name = $1", &[&host]))?;
    match row.integer(0)?.and_then(|journal| u32::try_from(journal).ok()) {
        // That of the command line.
        None | Some(OPERATOR_JOURNAL) => {
            Err(StoreFault::Unusable(format!("no host may have the name {host}")))
        }
        Some(journal) => Ok(journal),
    }
}

/// Compares the journal with what was acknowledged by this host, and its epoch with that of this process, 0 before it has one; returns whether a process has
/// opened it before. The epoch tells a server apart that has another commit of the same count, without an entry.
pub(super) fn check_mark(
    session: &Session,
    journal: u32,
    noted: Option<Head>,
    epoch: u64,
) -> Result<bool, StoreFault> {
    let noted = noted.ok_or_else(mark::missing)?;
    let number = i64::from(journal);
    let client = session.client();
    let select = "SELECT epoch, owner, batches, number, hash FROM journals WHERE journal = $1";
    let (head, turn) = read_journal(&session.run(client.query(select, &[&number]))?)?;
    let at = to_column(noted.number)?;
    let select = "SELECT hash FROM entries WHERE journal = $1 AND number = $2";
    let row = session.run(client.query_opt(select, &[&number, &at]))?;
    let hash = match &row {
        Some(row) => row.text(0)?.and_then(Hash::parse),
        None => Some(Hash::default()),
    };
    if turn.epoch < epoch {
        return Err(StoreFault::Damaged(format!(
            "the journal of this host has epoch {}, but epoch {epoch} was acknowledged: the database was restored, or lost commits when another server took \
             over",
            turn.epoch
        )));
    }
    if head.batches >= noted.batches && hash == Some(noted.hash) {
        return Ok(turn.epoch > 0);
    }
    Err(StoreFault::Damaged(format!(
        "entry {} (commit {}) was acknowledged, and is not in the journal of this host, which ends at entry {} (commit {}): the folder is of \
         a host with another name, or the database was restored, lost commits when another server took over, or was changed by hand",
        noted.number, noted.batches, head.number, head.batches
    )))
}

/// Reads the columns epoch, owner, batches, number and hash of a journal.
pub(super) fn read_journal(rows: &[Row]) -> Result<(Head, Turn), StoreFault> {
    let damaged = || cells::damaged("a journal's row");
    let row = rows.first().ok_or_else(damaged)?;
    let number = |at| -> Result<u64, StoreFault> {
        row.integer(at)?.and_then(|number| number.try_into().ok()).ok_or_else(damaged)
    };
    let owner = row.text(1)?.and_then(|owner| u64::from_str_radix(owner, 16).ok()).ok_or_else(damaged)?;
    let hash = row.text(4)?.and_then(Hash::parse).ok_or_else(damaged)?;
    Ok((Head { batches: number(2)?, number: number(3)?, hash }, Turn { epoch: number(0)?, owner }))
}

/// Reads the column identity.
pub(super) fn read_identity(rows: &[Row]) -> Result<LedgerId, StoreFault> {
    let text = rows.first().map(|row| row.text(0)).transpose()?.flatten();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| cells::damaged("the ledger's identity"))
}

/// The parameters of the update of a journal: what it becomes, its number, and what it must be before.
pub(super) fn of_journal(
    journal: u32,
    (stood, former): (&Head, &Turn),
    (head, turn): (&Head, &Turn),
) -> Result<[Cell; 9], StoreFault> {
    let integer = |number| Ok::<_, StoreFault>(Cell::Integer(Some(to_column(number)?)));
    let text = |text: String| Cell::Text(Some(text));
    Ok([
        integer(turn.epoch)?,
        text(owner(turn.owner)),
        integer(head.batches)?,
        integer(head.number)?,
        text(head.hash.as_str().to_owned()),
        integer(journal.into())?,
        integer(former.epoch)?,
        text(owner(former.owner)),
        integer(stood.batches)?,
    ])
}

/// Cells as parameters.
pub(super) fn parameters(cells: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    cells.iter().map(parameter).collect()
}

fn parameter(cell: &Cell) -> &(dyn ToSql + Sync) {
    match cell {
        Cell::Integer(number) => number,
        Cell::Text(text) => text,
    }
}
