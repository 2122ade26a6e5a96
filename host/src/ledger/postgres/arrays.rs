//! Arrays: the rows of a batch as one parameter a column, so that a statement takes any number of rows in one round trip.
use crate::ledger::{
    cells::{Cell, Kind},
    store::StoreFault,
};
use tokio_postgres::types::ToSql;

/// The values of one column.
#[derive(Debug)]
enum Array {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

impl Array {
    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Integers(values) => values,
            Self::Texts(values) => values,
        }
    }
}

/// The parameters of a statement: an array a column.
#[derive(Debug)]
pub(super) struct Arrays(Vec<Array>);

impl Arrays {
    /// The arrays of these columns.
    ///
    /// # Errors
    /// [`StoreFault::Rejected`], if a row has other kinds.
    pub(super) fn new(
        columns: &[(&str, Kind)],
        rows: impl Iterator<Item = Result<Vec<Cell>, StoreFault>>,
    ) -> Result<Self, StoreFault> {
        let array = |(_, kind): &(&str, Kind)| match kind {
            Kind::Integer => Array::Integers(Vec::new()),
            Kind::Text => Array::Texts(Vec::new()),
        };
        let mut arrays: Vec<Array> = columns.iter().map(array).collect();
        for row in rows {
            for (array, cell) in arrays.iter_mut().zip(row?) {
                match (array, cell) {
                    (Array::Integers(values), Cell::Integer(value)) => values.push(value),
                    (Array::Texts(values), Cell::Text(value)) => values.push(value),
                    _ => {
                        return Err(StoreFault::Rejected(
                            "a value is of another kind than its column".to_owned(),
                        ));
                    }
                }
            }
        }
        Ok(Self(arrays))
    }

    /// As parameters.
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0.iter().map(Array::parameter).collect()
    }
}

fn array_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "bigint[]",
        Kind::Text => "text[]",
    }
}

/// `unnest($1::bigint[], …) AS new (column, …)`; the first parameter has this number.
fn unnest(columns: &[(&str, Kind)], first: usize) -> String {
    let arrays: Vec<_> =
        columns.iter().zip(first..).map(|((_, kind), at)| format!("${at}::{}", array_type(*kind))).collect();
    format!("unnest({}) AS new ({})", arrays.join(", "), names(columns, ""))
}

fn names(columns: &[(&str, Kind)], prefix: &str) -> String {
    let names: Vec<_> = columns.iter().map(|(name, _)| format!("{prefix}{name}")).collect();
    names.join(", ")
}

/// A statement that inserts rows; its first parameter has this number.
pub(super) fn insert(table: &str, columns: &[(&str, Kind)], first: usize) -> String {
    format!("INSERT INTO {table} ({0}) SELECT {0} FROM {1}", names(columns, ""), unnest(columns, first))
}

/// A statement that updates rows by the first column, the key; its first parameter has this number.
pub(super) fn update(table: &str, columns: &[(&str, Kind)], first: usize) -> String {
    let (key, rest) = columns.split_first().map_or(("", columns), |((key, _), rest)| (*key, rest));
    format!(
        "UPDATE {table} AS old SET ({}) = ROW({}) FROM {} WHERE old.{key} = new.{key}",
        names(rest, ""),
        names(rest, "new."),
        unnest(columns, first)
    )
}
