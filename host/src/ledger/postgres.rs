//! PostgreSQL: the ledger's tables in a database that several hosts share, one round trip to load a batch and one to save it.
//!
//! A batch is one transaction at READ COMMITTED whose row locks make it serial: it locks the journal first, then terminals,
//! cards and accounts, each by its key, so that no two batches wait for each other in a circle. A row is read by the statement
//! that locks it, and by nothing else: a join or an aggregate would see it as it was before the wait
//! (<https://www.postgresql.org/docs/current/transaction-iso.html>, 13.2.1). `FOR UPDATE` locks no row that is missing, so the name
//! of a terminal that says hello is inserted first.
//!
//! The statements of a save are sent with their `COMMIT`. One that fails makes it a `ROLLBACK`; the journal's update fails by
//! itself, with a division by zero, where the journal is not as it was loaded.
use super::{
    Enrolment,
    batch::{Batch, Cards, DECOY, MAX_NAMES},
    cells::{self, AccountRow, BALANCE, CARD, Cells, TERMINAL},
    mark::Mark,
    store::{Head, Store, StoreFault, Turn},
    words,
};
use crate::log::LEDGER;
use arrays::Arrays;
use atm_core::ledger::{
    AccountNumber, LedgerId, Name, Request,
    card::{Card, Token},
};
use keys::Keys;
use session::Session;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::{Row, types::ToSql};
use tracing::warn;

mod address;
mod arrays;
mod blocker;
pub mod copy;
mod keys;
mod orders;
mod other_keys;
mod session;
mod shape;
mod statements;
pub mod tables;

pub use address::{AddressError, Database};
pub(super) use orders::Orders;

use statements::{Statements, Step, exchange};

/// A ledger's database, opened for writing by one journal.
#[derive(Debug)]
pub struct Postgres {
    database: Database,
    /// The name of the host.
    host: String,
    journal: u32,
    /// That of the journal since the last commit that was acknowledged.
    epoch: u64,
    /// The place in the address of the server that was connected last.
    server: usize,
    /// `None` while a fault lasts.
    open: Option<Open>,
    mark: Mark,
    /// Whether the mark took the last head: a fault is logged once.
    is_noting: bool,
    /// What was loaded in the open transaction.
    loaded: Option<Loaded>,
}

/// A session, its statements, and the ledger's identity.
type Open = (Session, Statements, LedgerId);

/// The journal, and the names that were inserted for their hellos.
#[derive(Debug)]
struct Loaded {
    head: Head,
    turn: Turn,
    placed: BTreeSet<Name>,
}

impl Postgres {
    /// Opens the journal of the host of this name, which is made if it is new, and compares it with the mark.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn open(database: Database, host: &str, mut mark: Mark) -> Result<Self, StoreFault> {
        let noted = mark.read()?.map(|noted| noted.head);
        let (session, (journal, is_used)) = connect(&database, 0, |session| {
            tables::check(session, &database)?;
            let journal = tables::find_journal(session, host)?;
            Ok((journal, tables::check_mark(session, journal, noted, 0)?))
        })?;
        let server = session.server();
        if is_used && noted == Some(Head::default()) {
            return Err(StoreFault::Unusable(format!(
                "the host {host} was served with another folder, which has the mark of what it acknowledged: serve it with that, or under another name (--host-name)"
            )));
        }
        let open = Some(prepare(session)?);
        let host = host.to_owned();
        Ok(Self { database, host, journal, epoch: 0, server, open, mark, is_noting: true, loaded: None })
    }

    /// The journal's number.
    pub fn journal(&self) -> u32 {
        self.journal
    }

    fn session(&self) -> Result<&Open, StoreFault> {
        self.open.as_ref().ok_or_else(|| StoreFault::Failed("the database is not connected".to_owned()))
    }

    /// Closes the session after a fault that leaves its transaction in doubt.
    fn close_if_failed<T>(&mut self, result: Result<T, StoreFault>) -> Result<T, StoreFault> {
        if matches!(result, Err(StoreFault::Failed(_))) {
            self.open = None;
        }
        result
    }
}

/// A fault as a host's operator reads it: the ways out of a damaged folder are not those of a database.
pub fn in_database(fault: StoreFault) -> StoreFault {
    match fault {
        StoreFault::Damaged(reason) => StoreFault::DamagedDatabase(reason),
        fault => fault,
    }
}

/// Prepares the statements of a session.
fn prepare(session: Session) -> Result<Open, StoreFault> {
    let statements = Statements::prepare(&session)?;
    let ledger = session.run(session.client().query("SELECT identity FROM ledger", &[]))?;
    let ledger = tables::read_identity(&ledger)?;
    Ok((session, statements, ledger))
}

/// Connects to a server that takes writes and has what was acknowledged, beginning with the server of this place. One that was replaced by its
/// standby and goes on beside it takes writes too: it lacks commits, or commits nothing without its standby.
fn connect<T>(
    database: &Database,
    first: usize,
    check: impl Fn(&Session) -> Result<T, StoreFault>,
) -> Result<(Session, T), StoreFault> {
    let (mut first, mut others) = (first, database.servers.len().saturating_sub(1));
    let mut failure = None;
    loop {
        let session = Session::connect(database, first)?;
        let fault = match check(&session) {
            Ok(checked) => return Ok((session, checked)),
            Err(fault) => fault,
        };
        match &fault {
            StoreFault::Damaged(reason) if others > 0 => {
                warn!(target: LEDGER, reason, "a server of the database lacks what was acknowledged: the next one is tried");
            }
            // The lock may be that of a commit that this one does not end.
            StoreFault::Failed(_) | StoreFault::Busy if others > 0 => {
                warn!(target: LEDGER, error = %fault, "a server of the database does not answer: the next one is tried");
                failure = Some(fault);
            }
            // One that did not answer may have what the others lack.
            StoreFault::Damaged(_) => return Err(failure.unwrap_or(fault)),
            _ => return Err(fault),
        }
        (first, others) = (session.server().wrapping_add(1), others.saturating_sub(1));
    }
}

impl Store for Postgres {
    fn load(&mut self, requests: &mut dyn Iterator<Item = &Request>) -> Result<Batch, StoreFault> {
        let loaded = self.load_batch(&Keys::of(requests));
        match loaded {
            Ok((batch, placed)) => {
                self.loaded = Some(Loaded { head: batch.head, turn: batch.turn, placed });
                Ok(batch)
            }
            // A session that failed is closed: a ROLLBACK on it would wait for a silent server once more.
            Err(fault @ StoreFault::Failed(_)) => self.close_if_failed(Err(fault)),
            Err(fault) => {
                self.abandon();
                Err(fault)
            }
        }
    }

    fn save(&mut self, batch: &Batch) -> Result<(), StoreFault> {
        let Some(loaded) = self.loaded.take() else {
            return Err(StoreFault::Failed("no batch was loaded".to_owned()));
        };
        let saved = self.save_batch(batch, &loaded);
        if matches!(saved, Err(StoreFault::Rejected(_) | StoreFault::Busy)) {
            self.abandon();
        }
        self.close_if_failed(saved)?;
        self.epoch = batch.turn.epoch;
        let noted = self.mark.write(&batch.head);
        if let (Err(error), true) = (&noted, self.is_noting) {
            warn!(target: LEDGER, %error, "what is acknowledged cannot be noted: its loss would not be noticed");
        }
        self.is_noting = noted.is_ok();
        Ok(())
    }

    fn abandon(&mut self) {
        self.loaded = None;
        let ended = self
            .session()
            .map(|(session, statements, _)| session.run(session.client().query(&statements.rollback, &[])));
        if !matches!(ended, Ok(Ok(_))) {
            // The server ends the transaction of a closed session.
            self.open = None;
        }
    }

    fn reopen(&mut self) -> Result<(), StoreFault> {
        (self.open, self.loaded) = (None, None);
        let noted = self.mark.read()?.map(|noted| noted.head);
        // The other server first: this one may accept a connection and be silent, or have been replaced without notice.
        let first = self.server.wrapping_add(1);
        let check = |session: &Session| tables::check_mark(session, self.journal, noted, self.epoch);
        let (session, _) = connect(&self.database, first, check)?;
        self.server = session.server();
        self.open = Some(prepare(session)?);
        Ok(())
    }

    fn explain(&self, fault: &StoreFault) -> String {
        in_database(fault.clone()).to_string()
    }

    fn enrolment(&mut self, name: &Name) -> Result<Option<Enrolment>, StoreFault> {
        let read = self.read_enrolment(name);
        self.close_if_failed(read)
    }

    fn find_blocker(&mut self) -> String {
        let found = self.session().and_then(|(session, ..)| blocker::find(session));
        match found {
            Ok(Some(blocker)) => blocker,
            Ok(None) => "a lock was not granted in time, and the transaction that has it has ended meanwhile"
                .to_owned(),
            Err(fault) => format!("a lock was not granted in time: {fault}"),
        }
    }

    fn takeover(&self) -> [String; 2] {
        let (host, journal) = (&self.host, self.journal);
        [
            format!("the host {host} (journal {journal}) in the {}", self.database.display()),
            "Only one process may serve under a name, and each that starts ends the one before: end one of the two for good, or serve it under another \
             --host-name, with another folder (--data)."
                .to_owned(),
        ]
    }

    fn close(&mut self) -> Result<(), StoreFault> {
        self.open = None;
        Ok(self.mark.sync()?)
    }
}

impl Postgres {
    fn load_batch(&self, keys: &Keys) -> Result<(Batch, BTreeSet<Name>), StoreFault> {
        let (session, statements, ledger) = self.session()?;
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        let (names, new) = (list(&keys.names), list(&keys.new));
        let text = |token: &Token| words::token_text(token).to_string();
        let newest: Vec<_> = keys.claims.iter().map(|claim| text(&claim.newest())).collect();
        // None, where one key is live.
        let older = keys.claims.iter().map(|claim| {
            let [newest, older] = claim.tokens();
            (newest != older).then(|| text(older))
        });
        let older: Vec<_> = older.collect();
        let accounts: Vec<i64> = keys.accounts.iter().copied().collect();
        let journal = i64::from(self.journal);
        let steps: [Step<'_>; 6] = [
            Some((&statements.begin, vec![])),
            Some((&statements.journal, vec![&journal])),
            (!new.is_empty()).then(|| (&statements.place, vec![&new as _])),
            (!names.is_empty()).then(|| (&statements.terminals, vec![&names as _])),
            (!newest.is_empty()).then(|| (&statements.cards, vec![&newest as _, &older as _])),
            (!accounts.is_empty()).then(|| (&statements.accounts, vec![&accounts as _])),
        ];
        let rows = session.run(exchange(session.client(), &steps))?;
        let [_, journal, new, terminal_rows, card_rows, account_rows] = &rows[..] else {
            return Err(StoreFault::Failed("the database has answered another exchange".to_owned()));
        };
        let (head, turn) = tables::read_journal(journal)?;
        let mut terminals = BTreeMap::new();
        let name = |row: &Row| {
            row.text(0)?.unwrap_or_default().parse().map_err(|_| cells::damaged("a terminal's name"))
        };
        let placed: BTreeSet<Name> = new.iter().map(name).collect::<Result<_, StoreFault>>()?;
        for row in terminal_rows {
            let (name, terminal) = cells::terminal(row)?;
            if !placed.contains(&name) {
                terminals.insert(name, (terminal, false));
            }
        }
        let mut cards = Cards::default();
        for row in card_rows {
            let (number, card) = cells::card(row)?;
            cards.add_card(number, card);
        }
        if !cards.has_card(DECOY) && keys.claims.iter().any(|claim| cards.number(claim) == DECOY) {
            if Statements::has_decoy(session)? {
                // While its row was waited for, the card got another token.
                return Err(StoreFault::Busy);
            }
            // It was deleted by hand, and the batch would be tried again for ever.
            cards.add_card(DECOY, Card::DECOY);
        }
        let mut open = None;
        for row in account_rows {
            let row = cells::account(row)?;
            let number = row.account.number;
            if number == AccountNumber::OPEN {
                open = Some(row.account);
            }
            if let Some(mut row) = AccountRow::for_cards(row) {
                if keys.statements.contains(&i64::from(number.0)) {
                    row.statement = statements.movements(session, number)?;
                }
                cards.add_account(row);
            }
        }
        // Only a new name needs the count: that of all hosts, as it was a moment ago.
        let names = if placed.is_empty() {
            0
        } else {
            statements.count(session)?.saturating_sub(placed.len() as u64)
        };
        let batch = Batch {
            ledger: *ledger,
            journal: self.journal,
            head,
            turn,
            account: (open.unwrap_or(tables::NO_ACCOUNT), false),
            cards,
            limits: None,
            terminals,
            names,
            max_names: MAX_NAMES,
            closed: BTreeSet::new(),
            entries: Vec::new(),
            duplicates: 0,
        };
        Ok((batch, placed))
    }

    fn save_batch(&self, batch: &Batch, loaded: &Loaded) -> Result<(), StoreFault> {
        let (session, statements, _) = self.session()?;
        let terminals = batch.terminals.iter().filter(|(_, (_, has_changed))| *has_changed);
        let terminals = terminals.map(|(name, (terminal, _))| cells::of_terminal(name, terminal));
        let terminals = Arrays::new(&TERMINAL, terminals)?;
        let (cards, accounts) = batch.cards.changed();
        let cards = Arrays::new(&CARD, cards.map(|(number, card)| cells::of_card(number, card)))?;
        let open = Some(&batch.account).filter(|(_, has_changed)| *has_changed).map(|(account, _)| account);
        let accounts = open.into_iter().chain(accounts.map(|row| &row.account)).map(cells::of_balance);
        let accounts = Arrays::new(&BALANCE, accounts)?;
        let entries =
            Arrays::new(&statements::entry_columns(), batch.entries.iter().map(statements::of_entry))?;
        // Hellos that were not admitted.
        let unused: Vec<_> = loaded
            .placed
            .iter()
            .filter(|name| !batch.terminals.contains_key(name))
            .map(Name::to_string)
            .collect();
        let closed: Vec<_> = batch.closed.iter().map(Name::to_string).collect();
        let before = (&loaded.head, &loaded.turn);
        let journal = tables::of_journal(self.journal, before, (&batch.head, &batch.turn))?;
        let mut parameters = tables::parameters(&journal);
        for rows in [&terminals, &cards, &accounts, &entries] {
            parameters.extend(rows.parameters());
        }
        let steps: [Step<'_>; 4] = [
            Some((&statements.save, parameters)),
            (!closed.is_empty()).then(|| (&statements.close, vec![&closed as _])),
            (!unused.is_empty()).then(|| (&statements.remove, vec![&unused as _])),
            Some((&statements.commit, vec![])),
        ];
        session.take_warning();
        session.run(exchange(session.client(), &steps))?;
        session.check_warning()
    }

    fn read_enrolment(&self, name: &Name) -> Result<Option<Enrolment>, StoreFault> {
        let (session, statements, _) = self.session()?;
        let name = name.as_str();
        let parameters: [&(dyn ToSql + Sync); 1] = [&name];
        let row = session.run(session.client().query_opt(&statements.enrolment, &parameters))?;
        row.map(|row| {
            let (_, terminal) = cells::terminal(&row)?;
            cells::enrolment(&row, TERMINAL.len(), terminal.epoch)
        })
        .transpose()
    }
}

impl Cells for Row {
    fn integer(&self, at: usize) -> Result<Option<i64>, StoreFault> {
        self.try_get(at).map_err(|error| StoreFault::Damaged(error.to_string()))
    }

    fn text(&self, at: usize) -> Result<Option<&str>, StoreFault> {
        self.try_get(at).map_err(|error| StoreFault::Damaged(error.to_string()))
    }
}
