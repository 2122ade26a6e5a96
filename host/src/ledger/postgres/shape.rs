//! Shape of the tables: compared with the schema, so that a database that was changed by hand is refused.
use super::{Database, copy::TABLES, session::Session};
use crate::ledger::{cells::Cells, sqlite::tables::SCHEMA, store::StoreFault};
use rusqlite::Connection;
use tokio_postgres::Row;

/// The constraints of the schema, but for those that a column has alone; those of `position` are not in SQLite.
const CONSTRAINTS: [&str; 9] = [
    "accounts CHECK ((balance >= 0))",
    "accounts PRIMARY KEY (account)",
    "cards PRIMARY KEY (card)",
    "cards UNIQUE (token)",
    "entries PRIMARY KEY (journal, number)",
    "entries UNIQUE (\"position\")",
    "journals PRIMARY KEY (journal)",
    "journals UNIQUE (name)",
    "terminals PRIMARY KEY (terminal)",
];

/// Refuses a database whose tables have not the columns and the constraints of the schema. An engine that was not tested may write the latter
/// otherwise: there the names and types of columns are compared.
///
/// # Errors
/// [`StoreFault`].
pub(super) fn check(session: &Session, database: &Database) -> Result<(), StoreFault> {
    let select = "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' ||
                      CASE WHEN is_identity = 'YES' THEN 'identity' ELSE coalesce(split_part(column_default, '::', 1), '-') END
                  FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ANY ($1::text[]) ORDER BY 1";
    let tables: Vec<_> = TABLES.iter().map(|table| (*table).to_owned()).collect();
    let found = session.run(session.client().query(select, &[&tables]))?;
    let (mut found, mut expected) = (texts(&found)?, columns()?);
    if database.any_engine {
        for text in found.iter_mut().chain(&mut expected) {
            *text = text.split(' ').take(3).collect::<Vec<_>>().join(" ");
        }
        return differ(&found, &expected);
    }
    differ(&found, &expected)?;
    let select = "SELECT conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                  WHERE conrelid = ANY ($1::text[]::regclass[]) AND contype IN ('c', 'f', 'p', 'u', 'x') ORDER BY 1";
    let found = session.run(session.client().query(select, &[&tables]))?;
    differ(&texts(&found)?, &CONSTRAINTS.map(str::to_owned))
}

fn texts(rows: &[Row]) -> Result<Vec<String>, StoreFault> {
    rows.iter().map(|row| Ok(row.text(0)?.unwrap_or_default().to_owned())).collect()
}

/// The columns that there must be: table, name, type, whether it may be NULL, and the default value.
fn columns() -> Result<Vec<String>, StoreFault> {
    let schema = Connection::open_in_memory()?;
    schema.execute_batch(SCHEMA)?;
    let mut select = schema.prepare(
        "SELECT ?1 || ' ' || name || ' ' || lower(type) || ' ' || iif(\"notnull\" OR pk, 'NO', 'YES') || ' ' || ifnull(dflt_value, '-')
         FROM pragma_table_info(?1)",
    )?;
    let mut columns = vec!["entries position bigint NO identity".to_owned()];
    for table in TABLES {
        for column in select.query_map([table], |row| row.get(0))? {
            columns.push(column?);
        }
    }
    Ok(columns)
}

fn differ(found: &[String], expected: &[String]) -> Result<(), StoreFault> {
    let extra = found.iter().find(|text| !expected.contains(text));
    let reason = match (extra, expected.iter().find(|text| !found.contains(text))) {
        (None, None) => return Ok(()),
        (Some(extra), None) => format!("there is {extra:?}"),
        (None, Some(missing)) => format!("{missing:?} is missing"),
        (Some(extra), Some(missing)) => format!("there is {extra:?}, and {missing:?} is missing"),
    };
    Err(StoreFault::Unusable(format!(
        "the tables are not those of this version ({reason}): they were changed by hand"
    )))
}
