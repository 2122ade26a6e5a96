//! A batch: the rows that the requests of one event-loop turn touch, and what the requests, decided one after the other,
//! change in them.
use super::{
    enrol,
    entry::{self, Entry, Head, Touched},
    store::Turn,
};
use atm_core::{
    ledger::{
        Account, Command, Decision, Gap, LedgerId, Name, Origin, Outcome, Refusal, Rejection, Request,
        Response, Rows, Terminal, card::Limits, decide,
    },
    time::UnixTime,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

mod cards;

pub use cards::{Cards, DECOY};

/// Names that a ledger has room for: none is ever removed.
pub const MAX_NAMES: u64 = 1_000_000;

/// A request and its response.
pub type Answered = (Request, Response);

/// A row, and whether it has changed since it was loaded.
pub type Row<T> = (T, bool);

/// What one commit holds: loaded by a store, changed by requests, saved by the store.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The ledger's identity.
    pub ledger: LedgerId,
    /// The journal's number.
    pub journal: u32,
    /// How far it has come.
    pub head: Head,
    /// Its writer.
    pub turn: Turn,
    /// The account of open access.
    pub account: Row<Account>,
    /// The rows of cards that the requests touch.
    pub cards: Cards,
    /// The limits of a card's withdrawals; `None` with open access. Where there are limits, nothing is done without a card.
    pub limits: Option<Limits>,
    /// The terminals that have a row, in one order for all: databases with the same requests have the same rows.
    pub terminals: BTreeMap<Name, Row<Terminal>>,
    /// Terminals that have a row.
    pub names: u64,
    /// How many may have one: no row is added beyond.
    pub max_names: u64,
    /// Terminals whose authentic hellos proved that the ledger was set back: rejected, and out of service from here on.
    pub closed: BTreeSet<Name>,
    /// The new entries.
    pub entries: Vec<Entry>,
    /// Operations that were decided before, under the same id.
    pub duplicates: usize,
}

impl Batch {
    /// Decides a request, on the rows as those before it have changed them, and keeps its changes.
    pub fn decide(&mut self, request: &Request, time: UnixTime) -> Response {
        let name = request.origin.terminal();
        let terminal = name.and_then(|name| self.terminals.get(name)).map(|(terminal, _)| terminal);
        let has_room = terminal.is_some() || self.names < self.max_names;
        let cards = self.limits.map(|limits| self.cards.rows(&request.command.touched(), limits));
        let rows = Rows { cards, ..Rows::open(self.ledger, &self.account.0, terminal, has_room) };
        let Decision { mut response, changes, entry } = decide(request, &rows, Some(time));
        let gap = terminal.map_or(Gap::NONE, |terminal| terminal.gap);
        if response == Response::Fenced && terminal.is_some_and(enrol::is_changed_since_hello) {
            response = Response::Rejected(Rejection::Revoked);
        }
        if let (Some(_), Some(operation), Response::Settled { outcome, .. }) =
            (name, request.command.operation(), response)
        {
            let is_first = operation.is_report() || entry.is_some();
            let is_known = !matches!(outcome, Outcome::Unknown | Outcome::Refused(Refusal::Conflict));
            self.duplicates += usize::from(!is_first && is_known);
        }
        match (changes.account, self.limits) {
            (Some(account), None) => self.account = (account, true),
            (None, None) => {}
            (_, Some(_)) => self.cards.change(request, &changes, entry.as_ref(), time),
        }
        if let (Some(changed), Some(name)) = (changes.terminal, name) {
            let before = self.terminals.insert(name.clone(), (changed, true));
            self.names += u64::from(before.is_none());
            if changed.gap != gap {
                if changed.epoch.is_some_and(|epoch| epoch.series > 0) {
                    self.closed.insert(name.clone());
                    response = Response::Rejected(Rejection::SetBack(changed.gap));
                }
                self.append(time, &entry::set_back(name, changed.gap));
            }
        }
        if let Some(entry) = entry {
            let account = self.account.0;
            let touched = match self.limits {
                None => Touched { account: Some(&account), ..Touched::default() },
                Some(_) => self.cards.touched(request, &changes, entry::is_right_pin(&entry.record)),
            };
            let fact = entry::settled(name, &entry, touched);
            self.entries.push(self.head.append(self.journal, time, &fact));
        }
        response
    }

    /// Settles a request of a batch that did not stand: a named operation is voided, the outcome of an unnamed session's
    /// is unknown. `None` for a request that only reports: it may be decided again. A PIN that was judged in such a batch is
    /// voided too: no answer said whether it was right, so that no try is given.
    pub fn void(&mut self, request: &Request, time: UnixTime) -> Option<Response> {
        let (Command::Operate { id, .. } | Command::Card { id, .. }) = request.command else { return None };
        if request.command.operation().is_some_and(|operation| operation.is_report()) {
            return None;
        }
        let Origin::Terminal(name) = &request.origin else {
            return Some(Response::Settled { id, outcome: Outcome::Unknown });
        };
        // Whichever conversation the terminal has now, the operation of the earlier one is voided.
        let turn = self.terminals.get(name).map_or(0, |(terminal, _)| terminal.turn);
        let (ticket, origin) = (request.ticket, request.origin.clone());
        Some(self.decide(&Request { ticket, origin, turn, command: Command::Settle { id } }, time))
    }

    /// Whether there is nothing to save.
    pub fn is_unchanged(&self) -> bool {
        self.entries.is_empty() && self.terminals.values().all(|(_, has_changed)| !has_changed)
    }

    fn append(&mut self, time: UnixTime, fact: &impl Display) {
        self.entries.push(self.head.append(self.journal, time, fact));
    }
}
