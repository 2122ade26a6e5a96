//! History: what one ledger has committed, as the auditor saw it from outside. A set-back begins another history, which
//! has only what the copy had.
use super::Id;
use atm_core::ledger::{
    BLOCK, Command, Epoch, Name, Numbers, Outcome, Receipt, Rejection, Request, Response,
};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

/// Who sent a request, and what had been committed at that time.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The host.
    pub host: u32,
    /// The number of hellos of the terminal that had been admitted.
    admissions: u64,
}

/// What the auditor knows of a terminal's row.
#[derive(Clone, Debug)]
struct Row {
    /// The first number that is not reserved.
    end: u64,
    /// Numbers below that were never reserved, because a block began above them.
    gaps: Vec<Range<u64>>,
    /// The hellos that were admitted; the epoch, the turn and the host of the last one.
    admissions: u64,
    epoch: Option<Epoch>,
    turn: u32,
    host: u32,
}

/// What one ledger has committed.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The set-backs before it.
    pub(super) number: u32,
    /// The starting balance and all movements, in minor units.
    pub(super) balance: i128,
    /// The receipt of each operation that moved money.
    pub(super) moved: HashMap<Id, Receipt>,
    /// Whether it may be set back, so that the outcomes in the ledger's responses are kept.
    pub(super) keeps_outcomes: bool,
    outcomes: HashMap<Id, Vec<Outcome>>,
    /// The ids that were unknown because they were not reserved. A late hello may reserve them since.
    unknown: HashSet<Id>,
    rows: HashMap<Name, Row>,
    /// The turns that were given, and to which host.
    turns: HashSet<(Name, u32, u32)>,
}

impl History {
    /// Stamps a request of `host` that is sent now.
    pub(super) fn sender(&self, host: u32, terminal: Option<&Name>) -> Sender {
        let row = terminal.and_then(|name| self.rows.get(name));
        Sender { host, admissions: row.map_or(0, |row| row.admissions) }
    }

    /// Whether a response had this outcome of this operation.
    pub(super) fn has_responded(&self, id: &Id, outcome: Outcome) -> bool {
        self.outcomes.get(id).is_some_and(|outcomes| outcomes.contains(&outcome))
    }

    /// Whether a response had an outcome of this operation.
    pub(super) fn has_settled(&self, id: &Id) -> bool {
        self.outcomes.contains_key(id)
    }

    /// Whether the id was unknown because it was not reserved.
    pub(super) fn is_unknown(&self, id: &Id) -> bool {
        self.unknown.contains(id)
    }

    /// Whether the id is a number that was reserved.
    pub(super) fn is_reserved(&self, (name, number): &Id) -> bool {
        self.rows
            .get(name)
            .is_some_and(|row| *number < row.end && !row.gaps.iter().any(|gap| gap.contains(number)))
    }

    /// Whether this turn was given to the host of the request.
    pub(super) fn has_given_turn(&self, sender: Sender, name: &Name, turn: u32) -> bool {
        self.turns.contains(&(name.clone(), turn, sender.host))
    }

    /// Whether the request was sent after the last admitted hello, by its host and with its turn.
    fn is_of_last_hello(&self, sender: Sender, name: &Name, turn: u32) -> bool {
        self.rows.get(name).is_none_or(|row| {
            row.turn == turn && row.host == sender.host && row.admissions <= sender.admissions
        })
    }

    /// The ledger has given `response` to a request of a named terminal. `has_lost_turn` says that a lost history had
    /// given the request's turn to its host.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn respond(
        &mut self,
        sender: Sender,
        name: &Name,
        has_lost_turn: bool,
        (request, response): (&Request, &Response),
    ) -> Result<(), String> {
        let row = self.rows.get(name);
        let is_of_last_hello = self.is_of_last_hello(sender, name, request.turn)
            // A set-back gives turns again, and the host was given this one before it.
            || (has_lost_turn && row.is_none_or(|row| row.turn == request.turn));
        match (request.command, *response) {
            (Command::Hello(claim), Response::Admitted(admission)) => {
                let end = row.map_or(1, |row| row.end);
                let epoch = row.and_then(|row| row.epoch);
                if epoch != admission.former {
                    return Err(format!("{:?} is not the former epoch {epoch:?}", admission.former));
                }
                if epoch == Some(claim.epoch) && !claim.admit_equal {
                    return Err(format!("an equal hello was admitted: {:?}", claim.epoch));
                }
                if claim.epoch.series > 0 && epoch > Some(claim.epoch) {
                    return Err(format!("an older sealed hello was admitted: {:?}", claim.epoch));
                }
                // A later hello hears of it too, as long as it has seen no number above the gap.
                let gaps = row.map_or(0..0, |row| row.gaps.iter().fold(0..0, cover));
                let is_set_back = claim.ledger == Some(admission.ledger)
                    && (claim.seen >= end || gaps.contains(&claim.seen));
                let first = first(admission.numbers);
                if admission.set_back.is_some() != is_set_back || (is_set_back && first <= claim.seen) {
                    return Err(format!("seen {}, reserved below {end}: {admission:?}", claim.seen));
                }
                let row = self.rows.entry(name.clone()).or_insert_with(|| Row {
                    end,
                    gaps: Vec::new(),
                    admissions: 0,
                    epoch: None,
                    turn: 0,
                    host: 0,
                });
                (row.epoch, row.turn, row.host) = (Some(claim.epoch), admission.turn, sender.host);
                row.admissions += 1;
                self.turns.insert((name.clone(), admission.turn, sender.host));
                row.reserve(first)
            }
            (Command::Hello(claim), Response::Rejected(rejection)) => {
                let end = row.map_or(1, |row| row.end);
                let is_equal = row.is_some_and(|row| row.epoch == Some(claim.epoch)) && !claim.admit_equal;
                let is_older = claim.epoch.series > 0 && row.is_some_and(|row| row.epoch > Some(claim.epoch));
                let is_true = match rejection {
                    Rejection::Full => row.is_none(),
                    Rejection::InUse => is_equal || is_older,
                    Rejection::Unsound | Rejection::TooSoon | Rejection::SetBack(_) => claim.seen >= end,
                    // No operator gives orders.
                    Rejection::Revoked => false,
                };
                if is_true { Ok(()) } else { Err(format!("{rejection:?}: {claim:?}, reserved below {end}")) }
            }
            (_, Response::Fenced) if is_of_last_hello && row.is_some() && !has_lost_turn => {
                Err(format!("fenced a request of the last hello: turn {}", request.turn))
            }
            (_, Response::Fenced) => Ok(()),
            _ if !is_of_last_hello => {
                Err(format!("carried out a request from before the last hello: {response:?}"))
            }
            (Command::Reserve, Response::Reserved(numbers)) => match self.rows.get_mut(name) {
                Some(row) => row.reserve(first(numbers)),
                None => Err("numbers were reserved without a hello".to_owned()),
            },
            (
                Command::Operate { id, .. } | Command::Settle { id } | Command::Card { id, .. },
                Response::Settled { id: settled, outcome },
            ) if id == settled => {
                if !self.keeps_outcomes {
                    return Ok(());
                }
                let key = (name.clone(), id);
                if outcome == Outcome::Unknown && !self.is_reserved(&key) {
                    self.unknown.insert(key.clone());
                }
                let outcomes = self.outcomes.entry(key).or_default();
                if !outcomes.contains(&outcome) {
                    outcomes.push(outcome);
                }
                Ok(())
            }
            (Command::Card { id, .. }, Response::Statement { id: settled, .. }) if id == settled => Ok(()),
            _ => Err(format!("not a response: {response:?}")),
        }
    }
}

/// The smallest range that has both inside.
fn cover(all: Range<u64>, gap: &Range<u64>) -> Range<u64> {
    if all.is_empty() { gap.clone() } else { all.start.min(gap.start)..all.end.max(gap.end) }
}

/// The first number of a block; 0 if it is empty.
fn first(mut numbers: Numbers) -> u64 {
    numbers.take().unwrap_or(0)
}

impl Row {
    /// The block from `first` on was reserved.
    fn reserve(&mut self, first: u64) -> Result<(), String> {
        if first < self.end {
            return Err(format!("{first} was reserved again, below {}", self.end));
        }
        if first > self.end {
            self.gaps.push(self.end..first);
        }
        self.end = first + u64::from(BLOCK);
        Ok(())
    }
}
