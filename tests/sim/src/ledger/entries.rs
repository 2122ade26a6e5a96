//! Entries of a ledger in tables: each new one is reported to the auditor, with the rows of cards after it.
use crate::{
    auditor::{Auditor, CardEntry, CardRowsSeen},
    bank::Bank,
    tables::{self, Settled},
};
use atm_core::{
    ledger::{AccountNumber, Command, Operation, Origin, Outcome, Receipt, Request, Response, Ticket},
    money::Amount,
    time::UnixTime,
};
use atm_host::ledger::words::{self, Figures};
use rusqlite::{Connection, Row, types::Type};

type Read<T> = rusqlite::Result<T>;

/// Reports the entries after those whose hashes are `seen`, and a violation if the last one of these is gone.
///
/// # Errors
/// SQLite's.
pub(super) fn report(
    reader: &Connection,
    bank: Option<&Bank>,
    seen: &mut Vec<String>,
    auditor: &mut Auditor,
) -> Read<()> {
    if let Some(bank) = bank {
        let entries = entries(reader, seen.len())?;
        auditor.entered_with_cards(&entries, &rows(reader, bank)?);
    }
    let (last, entries) = tables::settled(reader, seen.len())?;
    if last.as_ref() != seen.last() {
        auditor.violation(format!("entry {} was committed and is gone", seen.len()));
    }
    for (hash, settled) in entries {
        seen.push(hash);
        match settled.filter(|_| bank.is_none()) {
            Some(Settled { key: Some((name, id)), operation: Some(operation), outcome, .. }) => {
                operated(auditor, &name, id, operation, outcome);
            }
            Some(Settled { key: None, .. }) => auditor.violation("no terminal requested it".to_owned()),
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn operated(auditor: &mut Auditor, name: &str, id: u64, operation: Operation, outcome: Outcome) {
    let Ok(name) = name.parse() else { return auditor.violation(format!("{name} is no name")) };
    let (before, after) = balances_around(outcome);
    let command = Command::Operate { id, operation };
    let request = Request { ticket: Ticket::default(), origin: Origin::Terminal(name), turn: 0, command };
    auditor.committed(&request, &Response::Settled { id, outcome }, before, after);
}

/// The balance before and after an operation, by its receipt.
fn balances_around(outcome: Outcome) -> (Amount, Amount) {
    match outcome {
        Outcome::Done(Receipt::Deposited { amount, balance }) => {
            (balance.checked_sub(amount).unwrap_or_default(), balance)
        }
        Outcome::Done(Receipt::Withdrawn { amount, balance }) => {
            (balance.checked_add(amount).unwrap_or_default(), balance)
        }
        _ => (Amount::ZERO, Amount::ZERO),
    }
}

/// The rows that the auditor compares.
///
/// # Errors
/// SQLite's.
pub(super) fn rows(connection: &Connection, bank: &Bank) -> Read<CardRowsSeen> {
    let mut balance = connection.prepare_cached("SELECT balance FROM accounts WHERE account = ?")?;
    let mut card = connection.prepare_cached("SELECT tries, blocked FROM cards WHERE card = ?")?;
    let balances = bank.accounts.iter();
    let balances = balances.map(|(number, _)| balance.query_row([number], |row| row.get(0)).map(i64::into));
    Ok(CardRowsSeen {
        balances: balances.collect::<Read<_>>()?,
        cards: (1..=bank.cards.len())
            .map(|number| card.query_row([number], |row| Ok((row.get(0)?, row.get(1)?))))
            .collect::<Read<_>>()?,
    })
}

fn damaged(at: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(at, "not what the ledger writes".to_owned(), Type::Text)
}

/// The settled operations of the entries after the first `number`.
fn entries(connection: &Connection, number: usize) -> Read<Vec<CardEntry>> {
    let select =
        "SELECT terminal, id, operation, ifnull(reason, kind), amount, balance, payee, detail, own, time
        FROM entries e LEFT JOIN (SELECT card AS known, accounts AS own FROM cards) ON known = e.card
        WHERE e.rowid > ? AND kind IN ('done', 'refused', 'void') ORDER BY e.rowid";
    connection.prepare_cached(select)?.query_map([number], entry)?.collect()
}

fn entry(row: &Row<'_>) -> Read<CardEntry> {
    let amount = |at| {
        let minor: Option<u64> = row.get::<_, Option<i64>>(at)?.map(i64::cast_unsigned);
        Ok::<_, rusqlite::Error>(minor.and_then(Amount::from_minor))
    };
    let name: Option<String> = row.get(0)?;
    let operation: Option<String> = row.get(2)?;
    let outcome: String = row.get(3)?;
    let is_verified = operation.as_deref() == Some("verification") && outcome == "done";
    let accounts: Option<String> = row.get(8)?;
    let figures = Figures {
        amount: amount(4)?,
        balance: amount(5)?,
        payee: row.get::<_, Option<u32>>(6)?.map(AccountNumber),
        detail: row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
        accounts: accounts.filter(|_| is_verified).and_then(|text| words::accounts(&text)),
    };
    let id = row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned).ok_or_else(|| damaged(1))?;
    // An entry has its account's balance, also where the outcome does not say it.
    let mut all = [figures, Figures { balance: None, ..figures }].into_iter();
    let record = all.find_map(|figures| words::record(id, operation.as_deref(), &outcome, &figures));
    let record = record.ok_or_else(|| damaged(3))?;
    Ok(CardEntry {
        name: name.and_then(|name| name.parse().ok()).ok_or_else(|| damaged(0))?,
        id,
        operation: record.operation,
        outcome: record.outcome,
        time: UnixTime::from_millis(row.get::<_, i64>(9)?.cast_unsigned()),
    })
}
