//! Derives the books again from the first entry, and says what does not fit.
use super::{books::Books, entry::Entry, error::Fault, store::View};
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

/// Reads all entries and holds everything that is stored against them; `progress` is told the number of each entry.
///
/// # Errors
/// The ledger cannot be read.
pub fn verify(view: &View, mut progress: impl FnMut(u64)) -> Result<Report, Fault> {
    let mut report = Report::default();
    // What follows from an entry that does not fit follows from nothing.
    let mut derives = true;
    let read = view.entries(1, |head, line| -> Result<(), Fault> {
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
        // The hashes that are stored are compared one by one: the first that is wrong is told, and not all behind it.
        report.books.head = head;
        Ok(())
    });
    match read {
        Err(Fault::Damaged(what)) => report.note(what),
        read => read?,
    }
    if report.books.head.number == 0 {
        report.note("it has no entry".to_owned());
    }
    match view.books() {
        Err(Fault::Damaged(what)) => report.note(what),
        Err(fault) => return Err(fault),
        Ok(stored) if derives => compare(&mut report, &stored),
        Ok(_) => {}
    }
    Ok(report)
}

/// Holds what is stored against what follows from the entries.
fn compare(report: &mut Report, stored: &Books) {
    let derived = std::mem::take(&mut report.books);
    report.same("the ledger's identity", stored.ledger(), derived.ledger());
    report.same("what the accounts began with", stored.opening, derived.opening);
    report.same("the end of the reserved numbers", stored.reserved, derived.reserved);
    report.same("the number of the last entry", stored.head.number, derived.head.number);
    report.same("the hash of the last entry", stored.head.hash, derived.head.hash);
    report.same("the cash of sessions without a name", stored.cash, derived.cash);
    report.same("the number of accounts", stored.accounts.len(), derived.accounts.len());
    for (number, balance) in &derived.accounts {
        let kept = stored.accounts.get(number).copied().unwrap_or_default();
        report.same(&format!("the balance of account {number}"), kept, *balance);
    }
    report.same("the number of terminals", stored.tills.len(), derived.tills.len());
    for (name, till) in &derived.tills {
        let kept = stored.tills.get(name).cloned().unwrap_or_default();
        report.same(&format!("the cash of {name}"), kept.cash, till.cash);
        let last = |last: &Option<(u64, _)>| last.as_ref().map_or(0, |(number, _)| *number);
        report.same(&format!("the last entry of {name}"), last(&kept.last), last(&till.last));
    }
    if !derived.is_balanced() {
        report.note("the two sides of the movements do not add up".to_owned());
    }
    report.books = derived;
}
