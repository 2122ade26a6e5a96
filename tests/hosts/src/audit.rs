//! Auditor: compares what the terminals have asked for and learned with the rows of the tables.
use crate::{
    record::{Operation, Record},
    tables::{Entry, Tables},
};
use atm_core::ledger::{Outcome, Receipt, Refusal};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Compares everything; returns what is not as it must be. Every terminal has learned the outcome of all that it has sent.
pub(crate) fn audit(tables: &Tables, records: &BTreeMap<String, Record>) -> Vec<String> {
    let mut faults = Vec::new();
    let entries = by_id(tables, &mut faults);
    for (name, record) in records {
        for (id, operation) in &record.operations {
            let entry = entries.get(&(name.as_str(), *id)).copied();
            faults.extend(compare(name, *id, operation, entry));
        }
    }
    for ((name, id), entry) in &entries {
        let is_known = records.get(*name).is_some_and(|record| record.operations.contains_key(id));
        if !is_known && records.contains_key(*name) {
            faults.push(format!("{name} has not asked for {id}, which is booked: {entry:?}"));
        }
    }
    check_balances(tables, &mut faults);
    check_inquiries(tables, records, &mut faults);
    check_journals(tables, &mut faults);
    faults
}

/// The entries of operations. Two of one id are a fault.
fn by_id<'a>(tables: &'a Tables, faults: &mut Vec<String>) -> HashMap<(&'a str, u64), &'a Entry> {
    let mut entries = HashMap::new();
    for entry in tables.entries.iter().filter(|entry| matches!(&*entry.kind, "done" | "refused" | "void")) {
        let Some(id) = entry.id else {
            faults.push(format!("an operation without an id: {entry:?}"));
            continue;
        };
        if let Some(other) = entries.insert((entry.terminal.as_str(), id), entry) {
            faults.push(format!("booked twice: {other:?} and {entry:?}"));
        }
    }
    entries
}

/// What is wrong about one operation.
fn compare(name: &str, id: u64, operation: &Operation, entry: Option<&Entry>) -> Option<String> {
    let fault = |what: &str| Some(format!("{name} {id}: {what}: {operation:?}, {entry:?}"));
    if !operation.asked.is_money() {
        let is_void = entry.is_none_or(|entry| entry.kind == "void");
        return if is_void { None } else { fault("it moves no money, and is booked") };
    }
    let Some(outcome) = operation.outcome else {
        return fault(if operation.is_over {
            "its reply was shown without its outcome"
        } else {
            "its outcome was not learned"
        });
    };
    let Some(entry) = entry else { return fault("it is not booked") };
    if booked(entry) == Some(shown(outcome)) { None } else { fault("its outcome is another one") }
}

/// An outcome by its words and figures: kind, operation or reason, amount, balance.
type Words<'a> = (&'a str, &'a str, u64, u64);

fn shown(outcome: Outcome) -> Words<'static> {
    match outcome {
        Outcome::Done(Receipt::Deposited { amount, balance }) => {
            ("done", "deposit", amount.minor(), balance.minor())
        }
        Outcome::Done(Receipt::Withdrawn { amount, balance }) => {
            ("done", "withdrawal", amount.minor(), balance.minor())
        }
        Outcome::Refused(Refusal::Insufficient { balance }) => {
            ("refused", "insufficient", 0, balance.minor())
        }
        Outcome::NotDone => ("void", "", 0, 0),
        _ => ("another", "", 0, 0),
    }
}

fn booked(entry: &Entry) -> Option<Words<'_>> {
    let (amount, balance) = (entry.amount.try_into().ok()?, entry.balance.try_into().ok()?);
    match (entry.kind.as_str(), entry.operation.as_str()) {
        ("done", "deposit") => Some(("done", "deposit", amount, balance)),
        ("done", "withdrawal" | "withdrawal-all") => Some(("done", "withdrawal", amount, balance)),
        ("refused", _) => Some(("refused", &entry.reason, 0, balance)),
        ("void", _) => Some(("void", "", 0, 0)),
        _ => None,
    }
}

/// The movements of the account, in the order of its versions, add up to each balance, and to the account's.
fn check_balances(tables: &Tables, faults: &mut Vec<String>) {
    const ACCOUNT: &str = "account:1";
    let is_movement = |entry: &&Entry| entry.debit == ACCOUNT || entry.credit == ACCOUNT;
    let mut movements: Vec<&Entry> = tables.entries.iter().filter(is_movement).collect();
    movements.sort_by_key(|entry| entry.version);
    let mut account = (0, 0);
    for entry in movements {
        let moved = if entry.credit == ACCOUNT { entry.amount } else { -entry.amount };
        account = (account.0 + moved, account.1 + 1);
        if account != (entry.balance, entry.version) {
            faults.push(format!("the movements before it add up to {account:?}: {entry:?}"));
            account = (entry.balance, entry.version);
        }
    }
    if account != tables.account {
        faults.push(format!("the account has {:?}, and its movements add up to {account:?}", tables.account));
    }
}

/// Each balance that was shown is one that the account had.
fn check_inquiries(tables: &Tables, records: &BTreeMap<String, Record>, faults: &mut Vec<String>) {
    let movements = tables.entries.iter().filter(|entry| entry.version > 0);
    let balances: HashSet<i64> = movements.map(|entry| entry.balance).collect();
    for (name, record) in records {
        for (id, operation) in &record.operations {
            if let Some(Outcome::Done(Receipt::Balance { balance })) = operation.outcome
                && !i64::try_from(balance.minor()).is_ok_and(|balance| balances.contains(&balance))
            {
                faults.push(format!("{name} {id}: the account never had the balance {balance}"));
            }
        }
    }
}

/// Each journal has the entries that its row counts.
fn check_journals(tables: &Tables, faults: &mut Vec<String>) {
    for journal in &tables.journals {
        let mut numbers: Vec<u64> = tables
            .entries
            .iter()
            .filter(|entry| entry.journal == journal.journal)
            .map(|entry| entry.number)
            .collect();
        numbers.sort_unstable();
        if !numbers.iter().copied().eq(1..=journal.number) {
            let last = numbers.last();
            faults.push(format!("{journal:?} has {} entries, the last of them {last:?}", numbers.len()));
        }
    }
}

/// How many operations are not in the tables although they were acknowledged.
pub(crate) fn lost(tables: &Tables, records: &BTreeMap<String, Record>) -> usize {
    let entries = by_id(tables, &mut Vec::new());
    let done = |operation: &Operation| {
        operation.asked.is_money() && matches!(operation.outcome, Some(Outcome::Done(_)))
    };
    let acknowledged = records.iter().flat_map(|(name, record)| {
        record
            .operations
            .iter()
            .filter(|(_, operation)| done(operation))
            .map(move |(id, _)| (name.as_str(), *id))
    });
    acknowledged.filter(|key| !entries.contains_key(key)).count()
}

/// No epoch, count or number of a journal goes back, and none is lost.
pub(crate) fn check_progress(before: &Tables, after: &Tables) -> Vec<String> {
    let mut faults = Vec::new();
    for old in &before.journals {
        let new = after.journals.iter().find(|new| new.journal == old.journal && new.name == old.name);
        let goes_on = new.is_some_and(|new| {
            new.epoch >= old.epoch && new.batches >= old.batches && new.number >= old.number
        });
        if !goes_on {
            faults.push(format!("a journal went back: {old:?}, and then {new:?}"));
        }
    }
    faults
}

#[cfg(test)]
mod tests;
