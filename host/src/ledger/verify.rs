//! Verification: derives the whole ledger again from its entries, and compares it with the tables.
//!
//! Every number and hash is checked, and every entry must be the one that [`decide`](atm_core::ledger::decide) gives for
//! its request. Derived terminals are in a temporary database, so memory does not grow with their number.
use super::{
    Enrolment,
    entry::{Hash, Head},
    reader::{AccountRow, Journal, Overview, Reader},
    replay::{Replay, derived_card},
    sqlite::{accounts, cards, enrolments, rows},
    store::StoreFault,
};
use atm_core::ledger::{
    Account, Record, Terminal,
    card::{AccountState, Card},
};
use rusqlite::Connection;
use std::fmt;

/// Faults that are reported; more are not looked for.
const MAX_FAULTS: usize = 20;

/// The result.
#[derive(Debug, Default)]
pub struct Report {
    /// What the tables say, if they were read to their ends.
    pub overview: Option<Overview>,
    /// What does not fit, the first of it.
    pub faults: Vec<String>,
}

impl Reader {
    /// Verifies the ledger; `progress` gets the count of the entries so far.
    ///
    /// # Errors
    /// [`StoreFault`], if it cannot be read.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Report, StoreFault> {
        let mut report = Report::default();
        match report.check(self, progress) {
            Err(StoreFault::Damaged(what) | StoreFault::Rejected(what)) => report.fault(what),
            checked => checked?,
        }
        Ok(report)
    }

    /// Compares journals with earlier heads, each a name, a number and a hash: they must be those journals and no others,
    /// and go on from these heads. Returns what does not fit.
    ///
    /// # Errors
    /// [`StoreFault`], if they cannot be read.
    pub fn compare_heads(
        &self,
        journals: &[Journal],
        earlier: &[(String, u64, Hash)],
    ) -> Result<Vec<String>, StoreFault> {
        let mut faults = Vec::new();
        for Journal { journal, name, head } in journals {
            let Some((_, number, hash)) = earlier.iter().find(|(earlier, ..)| earlier == name) else {
                faults.push(format!("journal {name} is not expected"));
                continue;
            };
            if head.number < *number {
                faults.push(format!("journal {name} has {} entries, and {number} are expected", head.number));
            } else if *number > 0 && rows::hash(&self.connection, *journal, *number)? != Some(*hash) {
                faults.push(format!("entry {number} of journal {name} is another one than expected"));
            }
        }
        let missing =
            earlier.iter().filter(|(name, ..)| journals.iter().all(|journal| journal.name != *name));
        faults.extend(missing.map(|(name, ..)| format!("journal {name} is missing")));
        Ok(faults)
    }
}

impl Report {
    fn check(&mut self, reader: &Reader, progress: &mut dyn FnMut(u64)) -> Result<(), StoreFault> {
        let integrity = texts(&reader.connection, &format!("PRAGMA integrity_check({MAX_FAULTS})"))?;
        integrity.into_iter().filter(|what| what != "ok").for_each(|what| self.fault(what));
        let mut replay = Replay::new()?;
        // A view that was changed answers wrongly, and no entry tells.
        let schema = "SELECT ifnull(sql, name) FROM sqlite_schema ORDER BY name";
        self.compare("the schema", texts(&reader.connection, schema)?, texts(&replay.database, schema)?);
        let (mut last, mut count) = (0, 0);
        loop {
            let snapshot = reader.snapshot()?;
            let Some((row, entries)) = reader.range(last, u64::MAX)? else {
                // Nothing comes after it in this snapshot.
                return self.compare_tables(reader, &mut replay, count);
            };
            drop(snapshot);
            entries.iter().try_for_each(|entry| replay.post(entry))?;
            count += entries.len() as u64;
            progress(count);
            last = row;
        }
    }

    /// Compares the tables with what follows from all entries.
    fn compare_tables(&mut self, reader: &Reader, replay: &mut Replay, count: u64) -> Result<(), StoreFault> {
        let overview = reader.overview()?;
        let (ledger, account) = replay.ledger.unzip();
        let identities = texts(&reader.connection, "SELECT identity FROM ledger")?;
        self.compare("the identity", identities, Vec::from_iter(ledger.map(|ledger| ledger.to_string())));
        self.compare("the last entry's row", overview.entries, count);
        replay.save()?;
        self.compare_accounts(reader, account, &replay.database)?;
        self.compare_cards(reader, &replay.database)?;
        for Journal { journal, name, head } in &overview.journals {
            let derived = replay.heads.remove(journal).unwrap_or_default();
            let end = |head: Head| (head.number, head.hash);
            self.compare(format!("the end of journal {name}"), end(*head), end(derived));
        }
        for journal in replay.heads.keys() {
            self.fault(format!("journal {journal} has entries and no row"));
        }
        let (mut terminals, mut known) = (0, 0);
        rows::terminals(&reader.connection, |(name, terminal)| {
            terminals += 1;
            let found = rows::terminal(&replay.database, &name)?;
            known += u64::from(found.is_some());
            // The token of the last operation's card cannot be derived.
            let derives = |row: Terminal| {
                let last = row.last.map(|last| (last.card.is_some(), Record { card: None, ..last }));
                (last, row.delay, row.gap, row.set_back_at)
            };
            let derived = found.unwrap_or(Terminal::NEW);
            self.compare(format!("the row of terminal {name}"), derives(terminal), derives(derived));
            let enrolment = |database| {
                enrolments::read(database, &name)
                    .map(|found| found.unwrap_or((Terminal::NEW, Enrolment::default())))
            };
            let [(_, stored), (_, issued)] = [enrolment(&reader.connection)?, enrolment(&replay.database)?];
            let derives = |row: &Enrolment| (row.status(), row.series, row.tls, row.closed);
            self.compare(format!("the enrolment of terminal {name}"), derives(&stored), derives(&issued));
            if stored.epoch < issued.epoch {
                self.fault(format!("the epoch of terminal {name} is before its enrolment"));
            }
            let used = terminal.last.map_or(0, |last| last.id.saturating_add(1)).max(terminal.gap.end);
            if terminal.next_number < used {
                self.fault(format!("number {used} of terminal {name} is not reserved"));
            }
            Ok(())
        })?;
        self.compare("the count of terminals with entries", known, rows::count_terminals(&replay.database)?);
        self.compare("the last terminal's row", overview.terminals, terminals);
        self.overview = Some(overview);
        Ok(())
    }

    /// Compares the accounts: that of open access, and those of cards.
    fn compare_accounts(
        &mut self,
        reader: &Reader,
        open: Option<Account>,
        derived: &Connection,
    ) -> Result<(), StoreFault> {
        let known = accounts::numbers(&reader.connection)?;
        let of_open = open.map(|account| account.number.0);
        let expected = Vec::from_iter(of_open.into_iter().chain(accounts::numbers(derived)?));
        if known != expected {
            self.compare("the list of accounts", known, expected);
            return Ok(());
        }
        accounts::for_each::<StoreFault>(&reader.connection, |row| {
            let number = row.account.number;
            let expected = match open.filter(|account| account.number == number) {
                Some(account) => Some(AccountRow { account, owner: None, state: AccountState::Open }),
                None => accounts::read(derived, number)?,
            };
            match expected {
                Some(expected) => self.compare(format!("account {}", number.0), row, expected),
                None => self.fault(format!("account {} has no entry", number.0)),
            }
            Ok(())
        })
    }

    /// Compares the cards; their tokens and verifiers, which cannot be derived, by their digests.
    fn compare_cards(&mut self, reader: &Reader, derived: &Connection) -> Result<(), StoreFault> {
        let mut count = 0;
        cards::for_each::<StoreFault>(&reader.connection, |(number, card)| {
            count += 1;
            let Some(expected) = cards::read(derived, number)? else {
                self.fault(format!("card {number} has no entry"));
                return Ok(());
            };
            let stored = derived_card(number, card);
            if stored.token != expected.token {
                self.fault(format!(
                    "card {number} has another token, verifier or last digits than its entries"
                ));
            }
            self.compare(format!("card {number}"), stored, Card { token: stored.token, ..expected });
            Ok(())
        })?;
        let mut expected = 0;
        cards::for_each::<StoreFault>(derived, |_| {
            expected += 1;
            Ok(())
        })?;
        self.compare("the count of cards", count, expected);
        Ok(())
    }

    fn compare<T: PartialEq + fmt::Debug>(&mut self, what: impl fmt::Display, stored: T, derived: T) {
        if stored != derived {
            self.fault(format!(
                "{what} is {stored:?} in its table, and {derived:?} follows from the entries"
            ));
        }
    }

    fn fault(&mut self, what: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(what);
        }
    }
}

/// The first column of what a query gives.
fn texts(connection: &Connection, query: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}
