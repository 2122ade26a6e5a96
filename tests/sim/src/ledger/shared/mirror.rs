//! A mirror of the tables, in SQLite, for the auditor of the tables: copied by psql, with nothing of the host.
use super::server::lock;
use atm_cluster::{Cluster, Psql, Row};
use rusqlite::{Connection, params_from_iter, types::Value};
use std::sync::{Arc, Mutex};

/// The tables that are copied as a whole.
const TABLES: [&str; 5] = ["ledger", "journals", "accounts", "cards", "terminals"];

/// The copy.
pub(super) struct Mirror {
    cluster: Arc<Mutex<Cluster>>,
    database: String,
    psql: Option<Psql>,
    copy: Connection,
    /// The columns of each table, and whether they are texts.
    columns: Vec<(&'static str, Vec<(String, bool)>)>,
    /// The position of the last entry that was copied.
    position: String,
}

impl Mirror {
    pub(super) fn new(cluster: Arc<Mutex<Cluster>>, database: String) -> Self {
        let copy = Connection::open_in_memory().expect("there is memory");
        copy.execute_batch(include_str!("../../../../../host/src/ledger/schema.sql")).expect("it is SQL");
        let of = |table| {
            let mut select =
                copy.prepare("SELECT name, type = 'TEXT' FROM pragma_table_info(?)").expect("it is SQL");
            let rows = select.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).expect("it is SQL");
            (table, rows.collect::<rusqlite::Result<_>>().expect("it has columns"))
        };
        let columns = TABLES.into_iter().chain(["entries"]).map(of).collect();
        Self { cluster, database, psql: None, copy, columns, position: "0".to_owned() }
    }

    /// The rows of a statement, on a connection that may be a new one.
    fn rows(&mut self, sql: &str) -> Vec<Row> {
        for _ in 0..2 {
            let psql = self.psql.get_or_insert_with(|| Psql::start(&lock(&self.cluster), &self.database));
            match psql.rows(sql) {
                Some(rows) => return rows,
                None => self.psql = None,
            }
        }
        panic!("psql fails: {sql}")
    }

    fn names(&self, table: &str) -> String {
        let (_, columns) = self.columns.iter().find(|(name, _)| *name == table).expect("it is a table");
        columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn insert(&self, table: &str, rows: &[Row]) {
        let (_, columns) = self.columns.iter().find(|(name, _)| *name == table).expect("it is a table");
        let places = vec!["?"; columns.len()].join(", ");
        let mut insert =
            self.copy.prepare_cached(&format!("INSERT INTO {table} VALUES ({places})")).expect("it is SQL");
        for row in rows {
            let cells = columns.iter().zip(row).map(|((_, is_text), cell)| match cell {
                None => Value::Null,
                Some(text) if *is_text => Value::Text(text.clone()),
                Some(text) => Value::Integer(text.parse().expect("it is a number")),
            });
            insert.execute(params_from_iter(cells)).expect("the row is as it was there");
        }
    }

    /// Copies new entries, and these tables as they are.
    pub(super) fn copy(&mut self, tables: &[&str]) -> &Connection {
        for table in tables {
            let rows = self.rows(&format!("SELECT {} FROM {table}", self.names(table)));
            self.copy.execute(&format!("DELETE FROM {table}"), []).expect("it is SQL");
            self.insert(table, &rows);
        }
        let names = self.names("entries");
        let mut rows = self.rows(&format!(
            "SELECT {names}, position FROM entries WHERE position > {} ORDER BY position",
            self.position
        ));
        for row in &mut rows {
            self.position = row.pop().flatten().expect("it has a position");
        }
        self.insert("entries", &rows);
        &self.copy
    }

    /// Copies everything anew.
    pub(super) fn copy_all(&mut self) -> &Connection {
        self.copy.execute("DELETE FROM entries", []).expect("it is SQL");
        self.position = "0".to_owned();
        self.copy(&TABLES)
    }
}
