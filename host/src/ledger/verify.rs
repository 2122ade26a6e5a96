//! Derives the books again from the first entry, and says what does not fit.
use super::{
    books::{Books, Head},
    entry::Entry,
    error::Fault,
    store::{Stored, View},
};
use atm_core::ledger::LedgerId;
use std::fmt::Display;

/// More faults than these are not told one by one.
const TOLD: usize = 20;

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The books that follow from the entries.
    pub books: Books,
    /// What does not fit, the first ones of it.
    pub faults: Vec<String>,
}

impl Report {
    fn note(&mut self, what: String) {
        if self.faults.len() < TOLD {
            self.faults.push(what);
        }
    }

    fn same<T: PartialEq + Display>(&mut self, what: &str, stored: T, derived: T) {
        if stored != derived {
            self.note(format!("{what} is stored as {stored}, and {derived} follows from the entries"));
        }
    }
}

/// Shows all entries, in their order, to whoever asks.
pub type Read<'a> = &'a mut dyn FnMut(&mut dyn FnMut(Head, &str) -> Result<(), Fault>) -> Result<(), Fault>;

/// Verifies what a store holds; `progress` is told the number of each entry.
///
/// # Errors
/// The ledger cannot be read.
pub fn verify(view: &View, progress: impl FnMut(u64)) -> Result<Report, Fault> {
    verify_read(&view.stored()?, &mut |see| view.entries(1, see), progress)
}

/// Reads all entries and holds what is stored against them; `progress` is told the number of each entry.
///
/// # Errors
/// The ledger cannot be read.
pub fn verify_read(stored: &Stored, read: Read<'_>, mut progress: impl FnMut(u64)) -> Result<Report, Fault> {
    let mut report = Report::default();
    // What follows from an entry that does not fit follows from nothing.
    let mut derives = true;
    let done = read(&mut |head, line| {
        progress(head.number);
        let expected = report.books.head.number.saturating_add(1);
        if head.number != expected && derives {
            report.note(format!("entry {expected} is missing: {} comes in its place", head.number));
            derives = false;
        }
        if report.books.head.hash.next(line) != head.hash {
            report.note(format!("entry {}: its hash is not the one that follows: {line}", head.number));
        }
        if derives {
            let posted = match Entry::parse(line) {
                Some(entry) => report.books.post(entry, line),
                None => Err("it is not an entry"),
            };
            if let Err(misfit) = posted {
                report.note(format!("entry {}: {misfit}: {line}", head.number));
                derives = false;
            }
        }
        // Each hash is held against the one that is stored before it: one that is wrong is told, and not all behind it.
        report.books.head = head;
        Ok(())
    });
    match done {
        Err(Fault::Damaged(what)) => {
            report.note(what);
            derives = false;
        }
        done => done?,
    }
    if report.books.head.number == 0 {
        report.note("it has no entry".to_owned());
    } else if derives {
        compare(&mut report, stored)?;
    }
    Ok(report)
}

/// Holds what is stored against what follows from the entries.
fn compare(report: &mut Report, stored: &Stored) -> Result<(), Fault> {
    let derived = std::mem::take(&mut report.books);
    report.same("the identity", LedgerId(stored.get("ledger")?), derived.ledger());
    report.same("what the accounts began with", i128::from(stored.get("opening")?), derived.opening);
    report.same("the end of the reserved numbers", stored.get("numbers")?, derived.reserved);
    report.same("the number of the last entry", stored.get("head")?, derived.head.number);
    report.same("the count of accounts", stored.accounts.len(), derived.accounts.len());
    for (number, balance) in derived.accounts() {
        let kept = stored.accounts.get(&number).copied().unwrap_or_default();
        report.same(&format!("the balance of account {number}"), kept, balance.minor());
    }
    let nobody = stored.terminals.get("").map_or(0, |(_, cash)| *cash);
    report.same("the cash of sessions without a name", nobody, derived.cash);
    let named = stored.terminals.keys().filter(|name| !name.is_empty()).count();
    let operated = derived.tills().filter(|(_, till)| till.last > 0).count();
    report.same("the count of terminals", named, operated);
    let mut tills: Vec<_> = derived.tills().collect();
    tills.sort_by_key(|(name, _)| *name);
    for (name, till) in tills {
        let (last, cash) = stored.terminals.get(name.as_str()).copied().unwrap_or_default();
        report.same(&format!("the cash of {name}"), cash, till.cash);
        report.same(&format!("the last entry of {name}"), last, till.last);
        report.same(&format!("the last set-back of {name}"), stored.set_back(name), till.set_back);
    }
    if !derived.is_balanced() {
        report.note("the two sides of the movements do not add up".to_owned());
    }
    report.books = derived;
    Ok(())
}
