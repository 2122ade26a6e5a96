//! Rows of the ledger's tables as `psql` prints them: nothing of the product reads them.
use atm_cluster::Cluster;
use std::{fmt::Debug, str::FromStr};

/// The name of the database.
pub(crate) const DATABASE: &str = "ledger";

/// A row of `entries` about an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) journal: u64,
    pub(crate) number: u64,
    pub(crate) kind: String,
    pub(crate) terminal: String,
    /// None in an entry about no operation.
    pub(crate) id: Option<u64>,
    pub(crate) operation: String,
    pub(crate) reason: String,
    pub(crate) debit: String,
    pub(crate) credit: String,
    pub(crate) amount: i64,
    /// The account's balance and version after it, where it moved money.
    pub(crate) balance: i64,
    pub(crate) version: i64,
}

/// A row of `journals`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    pub(crate) journal: u64,
    pub(crate) name: String,
    pub(crate) epoch: u64,
    pub(crate) batches: u64,
    pub(crate) number: u64,
}

/// All that the auditor reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) entries: Vec<Entry>,
    pub(crate) journals: Vec<Journal>,
    /// Balance and version of the account of open access.
    pub(crate) account: (i64, i64),
}

impl Tables {
    pub(crate) fn read(server: &Cluster) -> Self {
        let lines = |sql: &str| -> Vec<Vec<String>> {
            let text = server.sql(DATABASE, sql);
            text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
        };
        let entries = lines(
            "SELECT journal, number, kind, terminal, id, operation, reason, debit, credit, amount, balance, version FROM entries",
        );
        let accounts = lines("SELECT balance, version FROM accounts WHERE account = 1");
        Self {
            entries: entries.iter().map(|row| entry(row)).collect(),
            journals: Self::journals(server),
            account: accounts.first().map_or((0, 0), |row| (number(row, 0), number(row, 1))),
        }
    }

    /// How far the clocks of the hosts a and b are apart by their last entries, in milliseconds.
    pub(crate) fn apart(server: &Cluster) -> u64 {
        let last = |name| {
            format!("(SELECT max(time) FROM entries JOIN journals USING (journal) WHERE name = '{name}')")
        };
        let sql = format!("SELECT coalesce(abs({} - {}), 0)", last("a"), last("b"));
        server.sql(DATABASE, &sql).parse().unwrap()
    }

    /// The rows of `journals`.
    pub(crate) fn journals(server: &Cluster) -> Vec<Journal> {
        let text = server
            .sql(DATABASE, "SELECT journal, name, epoch, batches, number FROM journals ORDER BY journal");
        let row = |line: &str| {
            let row: Vec<String> = line.split('|').map(str::to_owned).collect();
            Journal {
                journal: number(&row, 0),
                name: text_at(&row, 1),
                epoch: number(&row, 2),
                batches: number(&row, 3),
                number: number(&row, 4),
            }
        };
        text.lines().map(row).collect()
    }
}

fn text_at(row: &[String], at: usize) -> String {
    row.get(at).cloned().unwrap_or_else(|| panic!("{row:?} has no column {at}"))
}

/// A number; 0 for NULL.
fn number<T: FromStr<Err: Debug> + Default>(row: &[String], at: usize) -> T {
    let text = text_at(row, at);
    if text.is_empty() { T::default() } else { text.parse().unwrap() }
}

fn entry(row: &[String]) -> Entry {
    let text = |at| text_at(row, at);
    Entry {
        journal: number(row, 0),
        number: number(row, 1),
        kind: text(2),
        terminal: text(3),
        id: (!text(4).is_empty()).then(|| number(row, 4)),
        operation: text(5),
        reason: text(6),
        debit: text(7),
        credit: text(8),
        amount: number(row, 9),
        balance: number(row, 10),
        version: number(row, 11),
    }
}
