//! What follows from the entries, stored beside them from time to time: who opens a ledger begins with it, and derives
//! what the entries behind it change.
use super::{ACCOUNTS, Entries, STATE, TERMINALS, damaged, fault, wrong_hash};
use crate::ledger::{
    books::{Books, Head, Till},
    entry::{Entry, FORMAT, Fact, Hash, Side, Time},
    error::Fault,
};
use atm_core::{
    ledger::{Gap, LedgerId, Name, Record, Terminal},
    money::Amount,
};
use redb::{ReadTransaction, ReadableTable, TableError, WriteTransaction};
use std::collections::BTreeMap;

/// Writes what has changed since the summary behind the entry `before`.
pub(super) fn write(transaction: &WriteTransaction, books: &Books, before: u64) -> Result<(), Fault> {
    let mut terminals = transaction.open_table(TERMINALS).map_err(fault)?;
    let mut state = transaction.open_table(STATE).map_err(fault)?;
    for (name, till) in books.tills() {
        if till.last > before {
            terminals.insert(name.as_str(), (till.last, till.cash)).map_err(fault)?;
        }
        if till.set_back > before {
            state.insert(set_back_key(name).as_str(), till.set_back).map_err(fault)?;
        }
    }
    terminals.insert("", (0, books.cash)).map_err(fault)?;
    let mut accounts = transaction.open_table(ACCOUNTS).map_err(fault)?;
    for (number, balance) in books.accounts() {
        accounts.insert(number, balance.minor()).map_err(fault)?;
    }
    let opening = u64::try_from(books.opening).map_err(|_| damaged("the accounts began with a debt"))?;
    for (key, value) in [
        ("format", FORMAT),
        ("ledger", books.ledger().0),
        ("opening", opening),
        ("numbers", books.reserved),
        ("head", books.head.number),
    ] {
        state.insert(key, value).map_err(fault)?;
    }
    Ok(())
}

/// Before a terminal's name, the key of its last `set-back` entry in the table `state`.
const SET_BACK: &str = "set-back:";

fn set_back_key(name: &Name) -> String {
    format!("{SET_BACK}{name}")
}

/// What follows from the entries, as the summary and the entries behind it have it: nothing is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The table `state`.
    pub state: BTreeMap<String, u64>,
    /// Balances by account.
    pub accounts: BTreeMap<u64, u64>,
    /// The last entry and the cash of each terminal; without a name, of sessions without one.
    pub terminals: BTreeMap<String, (u64, i128)>,
}

impl Stored {
    /// One value of the state.
    ///
    /// # Errors
    /// It is not there.
    pub fn get(&self, key: &str) -> Result<u64, Fault> {
        let value = self.state.get(key).copied();
        value.ok_or_else(|| damaged(format!("its state does not tell the {key}")))
    }

    /// The number of a terminal's last `set-back` entry; 0 where there is none.
    pub(in crate::ledger) fn set_back(&self, name: &Name) -> u64 {
        self.state.get(&set_back_key(name)).copied().unwrap_or(0)
    }

    /// Takes the next entry. One that says nothing changes nothing: to find that out is for whoever derives the books.
    pub(super) fn follow(&mut self, number: u64, line: &str) {
        let mut set = |key: &str, value| self.state.insert(key.to_owned(), value);
        set("head", number);
        let Some(entry) = Entry::parse(line) else { return };
        match &entry.fact {
            Fact::Created { ledger, .. } | Fact::Restored { ledger } => drop(set("ledger", ledger.0)),
            Fact::Numbers { end } => drop(set("numbers", *end)),
            Fact::SetBack { terminal, .. } => drop(set(&set_back_key(terminal), number)),
            Fact::Settled { key: Some((name, _)), .. } => {
                self.terminals.entry(name.as_str().to_owned()).or_default().0 = number;
            }
            Fact::Settled { key: None, .. } => {}
        }
        let Some(posting) = entry.posting() else { return };
        let amount = posting.amount.minor();
        for (side, add) in [(posting.debit, true), (posting.credit, false)] {
            let cash = if add { i128::from(amount) } else { -i128::from(amount) };
            match side {
                // Where it went before the first account had anything.
                Side::Opening => {}
                Side::Cash(name) => {
                    let name = name.as_ref().map_or("", Name::as_str).to_owned();
                    let sum = &mut self.terminals.entry(name).or_default().1;
                    *sum = sum.saturating_add(cash);
                }
                Side::Account(number) => {
                    let balance = self.accounts.entry(number).or_default();
                    *balance =
                        if add { balance.saturating_sub(amount) } else { balance.saturating_add(amount) };
                }
            }
        }
    }
}

/// Was it written by a version that is known here?
///
/// # Errors
/// [`Fault::Newer`] where it is a later one's, [`Fault::Foreign`] where it is no ledger.
pub(super) fn check_format(transaction: &ReadTransaction) -> Result<(), Fault> {
    let state = match transaction.open_table(STATE) {
        Err(TableError::TableDoesNotExist(_)) => return Err(Fault::Foreign),
        result => result.map_err(fault)?,
    };
    match state.get("format").map_err(fault)?.map(|format| format.value()) {
        Some(format) if format > FORMAT => Err(Fault::Newer(format)),
        Some(_) => Ok(()),
        None => Err(damaged("its state does not tell the format")),
    }
}

/// The summary.
pub(super) fn stored(transaction: &ReadTransaction) -> Result<Stored, Fault> {
    let mut stored = Stored::default();
    let state = transaction.open_table(STATE).map_err(fault)?;
    for item in state.iter().map_err(fault)? {
        let (key, value) = item.map_err(fault)?;
        stored.state.insert(key.value().to_owned(), value.value());
    }
    for item in transaction.open_table(ACCOUNTS).map_err(fault)?.iter().map_err(fault)? {
        let (number, balance) = item.map_err(fault)?;
        stored.accounts.insert(number.value(), balance.value());
    }
    for item in transaction.open_table(TERMINALS).map_err(fault)?.iter().map_err(fault)? {
        let (name, value) = item.map_err(fault)?;
        stored.terminals.insert(name.value().to_owned(), value.value());
    }
    Ok(stored)
}

/// The books as they are summed up; their head says behind which entry.
pub(super) fn books(transaction: &ReadTransaction) -> Result<Books, Fault> {
    let stored = stored(transaction)?;
    let entries = Entries::of(transaction)?;
    let summed = stored.get("head")?;
    let mut books = Books {
        ledger: Some(LedgerId(stored.get("ledger")?)),
        opening: i128::from(stored.get("opening")?),
        reserved: stored.get("numbers")?,
        head: head(&entries, summed)?,
        ..Books::default()
    };
    for (number, balance) in stored.accounts {
        let balance =
            Amount::from_minor(balance).ok_or_else(|| damaged("a balance is more than there can be"))?;
        books.accounts.insert(number, balance);
    }
    let parse = |name: &str| name.parse::<Name>().map_err(|_| damaged("a terminal has an impossible name"));
    for (name, (last, cash)) in &stored.terminals {
        if name.is_empty() {
            books.cash = *cash;
            continue;
        }
        let name = parse(name)?;
        let record = record(&entries, &name, *last)?;
        let row = Terminal { last: Some(record), ..Terminal::NEW };
        books.tills.insert(name, Till { cash: *cash, last: *last, row, ..Till::default() });
    }
    for (key, number) in &stored.state {
        let Some(name) = key.strip_prefix(SET_BACK) else { continue };
        let name = parse(name)?;
        let (gap, time) = set_back(&entries, &name, *number)?;
        let till = books.tills.entry(name).or_default();
        (till.set_back, till.row.gap, till.row.set_back_at) = (*number, gap, Some(time.into()));
    }
    if !books.is_balanced() {
        return Err(damaged("the balances do not add up"));
    }
    Ok(books)
}

/// The entry of this number, behind which the summary stands.
fn head(entries: &Entries, number: u64) -> Result<Head, Fault> {
    let (head, line) = entries.get(number)?;
    let before = match number.checked_sub(1) {
        None | Some(0) => Hash::default(),
        Some(before) => entries.get(before)?.0.hash,
    };
    if before.next(&line) == head.hash { Ok(head) } else { Err(wrong_hash(number)) }
}

/// A terminal's gap, and when it was proved.
fn set_back(entries: &Entries, name: &Name, number: u64) -> Result<(Gap, Time), Fault> {
    let (_, line) = entries.get(number)?;
    match Entry::parse(&line) {
        Some(Entry { fact: Fact::SetBack { terminal, gap }, time, .. }) if terminal == *name => {
            Ok((gap, time))
        }
        _ => Err(damaged(format!("entry {number} is not of {name}"))),
    }
}

/// A terminal's last operation.
fn record(entries: &Entries, name: &Name, number: u64) -> Result<Record, Fault> {
    let (_, line) = entries.get(number)?;
    match Entry::parse(&line).map(|entry| entry.fact) {
        Some(Fact::Settled { key: Some((whose, id)), operation, outcome, .. }) if whose == *name => {
            Ok(Record { id, operation, outcome })
        }
        _ => Err(damaged(format!("entry {number} is not of {name}"))),
    }
}
