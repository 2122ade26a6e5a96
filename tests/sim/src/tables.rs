//! Auditor of the tables: reads a ledger's database through SQL alone, and re-derives everything in it from its entries.
//!
//! It shares no code with the host: the chain is hashed here from the columns, balances and versions are added up, and
//! the terminals' rows are compared with the last entry of each.
use atm_core::{
    ledger::{AccountNumber, Operation, Outcome, Receipt, Refusal, card::Accounts},
    money::Amount,
};
use rusqlite::{Connection, Row, types::ValueRef};
use std::collections::BTreeMap;

mod audit;
mod cards;
pub use audit::audit;
pub use cards::Card;

/// An entry that settled an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The terminal and the id; `None` for a session without a name.
    pub key: Option<(String, u64)>,
    /// The operation; `None` for a void.
    pub operation: Option<Operation>,
    /// The outcome.
    pub outcome: Outcome,
}

impl Settled {
    /// What it moved to the account, in minor units.
    pub fn moved(&self) -> i128 {
        moved(self.outcome)
    }
}

/// An entry's hash, and the operation that it settled.
pub type Entry = (String, Option<Settled>);

/// What an outcome moved to the account of its session, in minor units.
pub fn moved(outcome: Outcome) -> i128 {
    match outcome {
        Outcome::Done(Receipt::Deposited { amount, .. }) => i128::from(amount.minor()),
        Outcome::Done(Receipt::Withdrawn { amount, .. } | Receipt::Transferred { amount, .. }) => {
            -i128::from(amount.minor())
        }
        _ => 0,
    }
}

/// What the tables say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    /// The balance of the account of open access, in minor units.
    pub balance: u64,
    /// The balance of each account.
    pub accounts: BTreeMap<u64, u64>,
    /// The cards by their numbers in the table, with the decoy.
    pub cards: BTreeMap<u64, Card>,
    /// Settled operations of all journals, in the order of their numbers.
    pub settled: Vec<Settled>,
    /// The highest number of each journal.
    pub heads: BTreeMap<u64, u64>,
    /// Terminals, and the first number that is not reserved.
    pub terminals: BTreeMap<String, u64>,
    /// What contradicts itself.
    pub faults: Vec<String>,
}

/// The entries after the first `number`, each with its hash and, if it settles an operation, that; and the hash of the last one
/// of those. An entry does not say which accounts a verified card has.
///
/// # Errors
/// SQLite's.
pub fn settled(connection: &Connection, number: usize) -> rusqlite::Result<(Option<String>, Vec<Entry>)> {
    let select = "SELECT hash, kind, ifnull(reason, ''), ifnull(operation, ''), ifnull(amount, ''), ifnull(balance, ''),
        ifnull(payee, ''), ifnull(detail, ''), terminal, id FROM entries WHERE rowid >= ? ORDER BY rowid";
    let mut entries: Vec<Entry> = connection
        .prepare_cached(select)?
        .query_map([number], |row| {
            let text = |at| {
                row.get_ref(at).map(|value| match value {
                    ValueRef::Integer(number) => number.to_string(),
                    other => other.as_str().unwrap_or_default().to_owned(),
                })
            };
            let columns = [text(1)?, text(2)?, text(3)?, text(4)?, text(5)?, text(6)?, text(7)?];
            let key = match (row.get(8)?, opt(row, 9)?) {
                (Some(name), Some(id)) => Some((name, id)),
                _ => None,
            };
            let settled = operation(columns.each_ref().map(String::as_str), Accounts::NONE);
            let settled = settled.ok().map(|(operation, outcome)| Settled { key, operation, outcome });
            Ok((row.get(0)?, settled))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let last = (number > 0 && !entries.is_empty()).then(|| entries.remove(0).0);
    Ok((last, entries))
}

fn number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "a number expected")
}

/// An operation and its outcome by the columns kind, reason, operation, amount, balance, payee and detail; `accounts` are those of
/// the card.
fn operation(columns: [&str; 7], accounts: Accounts) -> Result<(Option<Operation>, Outcome), &'static str> {
    let [kind, reason, word, amount, balance, payee, detail] = columns;
    let minor = |text| number(text).map(|minor| Amount::from_minor(minor).unwrap_or_default());
    let small =
        |text| number(text).and_then(|number| number.try_into().map_err(|_| "a smaller number expected"));
    let operation = match word {
        "" => None,
        "deposit" => Some(Operation::Deposit(minor(amount)?)),
        "withdrawal" => Some(Operation::Withdraw(minor(amount)?)),
        "withdrawal-all" => Some(Operation::WithdrawAll),
        "verification" => Some(Operation::Verify),
        "pin-change" => Some(Operation::ChangePin),
        "transfer" => {
            Some(Operation::Transfer { payee: AccountNumber(small(payee)?), amount: minor(amount)? })
        }
        _ => return Err("no such operation"),
    };
    let is_withdrawal = matches!(word, "withdrawal" | "withdrawal-all");
    let outcome = match (kind, reason, operation) {
        ("void", "", None) => Outcome::NotDone,
        ("done", "", Some(operation)) => Outcome::Done(match operation {
            Operation::Deposit(amount) => Receipt::Deposited { amount, balance: minor(balance)? },
            Operation::Verify => Receipt::Verified { version: small(detail)?, accounts },
            Operation::ChangePin => Receipt::PinChanged,
            Operation::Transfer { payee, amount } => {
                Receipt::Transferred { payee, amount, balance: minor(balance)? }
            }
            _ => Receipt::Withdrawn { amount: minor(amount)?, balance: minor(balance)? },
        }),
        ("refused", reason, Some(operation)) => Outcome::Refused(match (reason, operation) {
            ("insufficient", Operation::Transfer { .. }) => {
                Refusal::Insufficient { balance: minor(balance)? }
            }
            ("insufficient", _) if is_withdrawal => Refusal::Insufficient { balance: minor(balance)? },
            ("balance-limit", Operation::Deposit(_)) => Refusal::BalanceLimit { balance: minor(balance)? },
            ("not-verified", Operation::Verify | Operation::ChangePin) => Refusal::NotVerified,
            ("delayed", Operation::Verify | Operation::ChangePin) => {
                Refusal::Delayed { seconds: small(detail)? }
            }
            ("withdrawal-limit", _) if is_withdrawal => Refusal::WithdrawalLimit { limit: minor(detail)? },
            ("day-limit", _) if is_withdrawal => Refusal::DayLimit { left: minor(detail)? },
            ("no-payee", Operation::Transfer { .. }) => Refusal::NoPayee,
            ("same-account", Operation::Transfer { .. }) => Refusal::SameAccount,
            ("no-access", _) => Refusal::NoAccess,
            ("frozen", _) => Refusal::Frozen,
            ("closed", _) => Refusal::Closed,
            _ => return Err("no such refusal"),
        }),
        _ => return Err("no such outcome"),
    };
    Ok((operation, outcome))
}

fn get(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}

fn opt(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<u64>> {
    row.get::<_, Option<i64>>(at).map(|number| number.map(i64::cast_unsigned))
}
