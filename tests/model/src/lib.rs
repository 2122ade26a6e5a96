//! Every order of events that a few terminals, one host, lines that lie and power that fails can come to, within stated
//! bounds.
//!
//! What is explored are the real endpoints, conversations and ledger, cloned at every step; only their drivers are the
//! model's own. Channels lose, repeat and reorder whole frames; the ledger takes a request, and its response reaches the
//! host, whenever they like; a deadline that may pass may pass at any moment. [`Bounds`] says how much of everything there
//! is, and [stateright](https://docs.rs/stateright) goes through all of it.
//!
//! A broken frame is not modelled: to the endpoints it is a lost one (the check sum), and the frame room has its own tests.
#![forbid(unsafe_code)]
// A failure here is loud, as in a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

use atm_core::{
    ledger::{Name, Outcome},
    money::Amount,
};
use audit::Violation;
use driver::Driver;
use interned::{Interned, TransitionCache};
use ledger::ModelLedger;
use liveness::Liveness;
use stateright::{Model, Property};
use station::Station;

mod action;
mod audit;
mod bounds;
mod channel;
mod driver;
mod interned;
mod ledger;
mod liveness;
mod path;
mod station;

pub use action::ModelAction;
pub use bounds::Bounds;
pub use ledger::InjectedBug;
pub use path::{describe, sketch};

/// Everything there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelState {
    stations: Vec<Interned<Station>>,
    ledger: Interned<ModelLedger>,
    terminal_crashes: u8,
    commits_in_doubt: u8,
    /// Whose the last action was, unless it was the ledger's.
    actor: Option<usize>,
}

impl ModelState {
    fn driver(&self, at: usize, capacity: usize) -> Option<Driver> {
        let station = Station::clone(self.stations.get(at)?);
        Some(Driver { station, ledger: ModelLedger::clone(&self.ledger), capacity })
    }

    fn is(&self, violation: &[Violation]) -> bool {
        self.stations
            .iter()
            .any(|station| station.audit.violation.is_some_and(|found| violation.contains(&found)))
    }

    fn has_reported(&self, kind: impl Fn(Outcome) -> bool + Copy) -> bool {
        self.stations.iter().any(|station| station.audit.has_reported(kind))
    }
}

/// A model within some bounds.
#[derive(Debug)]
pub struct AtmModel {
    bounds: Bounds,
    liveness: Liveness,
    transitions: TransitionCache,
}

impl AtmModel {
    /// A model within `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, liveness: Liveness::default(), transitions: TransitionCache::default() }
    }

    /// What happens from `state` on once the faults stop, in words; nothing where it is wrong already.
    pub fn liveness_trace(&self, state: &ModelState) -> Vec<String> {
        if state.stations.iter().any(|station| station.audit.violation.is_some()) {
            return Vec::new();
        }
        let drivers = (0..state.stations.len()).filter_map(|at| state.driver(at, 0));
        drivers.flat_map(|driver| liveness::trace(driver, &self.bounds)).collect()
    }

    /// What an action makes of its station and of the ledger.
    fn step(&self, state: &ModelState, action: ModelAction) -> interned::Transition {
        let station = state.stations.get(action.station())?;
        let asks = action.asks_ledger();
        let key = (station.hash(), if asks { state.ledger.hash() } else { 0 }, action);
        let many = state.stations.len() > 1;
        if let Some(known) = self.transitions.get(&key).filter(|_| many) {
            let (station, ledger) = known?;
            return Some((station, ledger.unwrap_or_else(|| state.ledger.clone())));
        }
        let mut driver = state.driver(action.station(), self.bounds.frames_in_flight)?;
        let after = action.happen(&mut driver, &self.bounds).then(|| {
            driver.station.normalize();
            (Interned::new(driver.station), asks.then(|| Interned::new(driver.ledger)))
        });
        if many {
            self.transitions.insert(key, after.clone());
        }
        after.map(|(station, ledger)| (station, ledger.unwrap_or_else(|| state.ledger.clone())))
    }

    fn balance(&self) -> Amount {
        Amount::from_units(self.bounds.balance).unwrap_or(Amount::ZERO)
    }

    fn sum_holds(&self, state: &ModelState) -> bool {
        let sum = state.stations.iter().try_fold((self.balance(), Amount::ZERO), |(plus, minus), station| {
            let (more, less) = station.audit.totals();
            Some((plus.checked_add(more)?, minus.checked_add(less)?))
        });
        sum.and_then(|(plus, minus)| plus.checked_sub(minus)) == Some(state.ledger.balance())
    }

    fn is_live(&self, state: &ModelState) -> bool {
        state.stations.iter().all(|station| {
            let key = interned::hash_of(&(station.hash(), state.ledger.hash()));
            let driver = || Driver {
                station: Station::clone(station),
                ledger: ModelLedger::clone(&state.ledger),
                capacity: 0,
            };
            station.audit.violation.is_some() || self.liveness.holds_from(key, driver, &self.bounds)
        })
    }
}

impl Model for AtmModel {
    type State = ModelState;
    type Action = ModelAction;

    fn init_states(&self) -> Vec<ModelState> {
        let bounds = &self.bounds;
        let names = ["a", "b"].into_iter().take(bounds.terminals);
        let names: Vec<Name> = names.filter_map(|name| name.parse().ok()).collect();
        let mut ledger = ModelLedger::new(self.balance(), &names, bounds.bug);
        let mut stations = Vec::new();
        for (at, name) in names.into_iter().enumerate() {
            let mut driver =
                Driver { station: Station::new(name, bounds), ledger, capacity: bounds.frames_in_flight };
            driver.start(bounds);
            if bounds.is_reliable(at) {
                driver.run_reliably(bounds);
            }
            driver.station.normalize();
            stations.push(Interned::new(driver.station));
            ledger = driver.ledger;
        }
        vec![ModelState {
            stations,
            ledger: Interned::new(ledger),
            terminal_crashes: bounds.terminal_crashes,
            commits_in_doubt: bounds.commits_in_doubt,
            actor: None,
        }]
    }

    fn actions(&self, state: &ModelState, actions: &mut Vec<ModelAction>) {
        // What is wrong stays wrong: there is nothing to be learned behind it.
        if state.stations.iter().any(|station| station.audit.violation.is_some()) {
            return;
        }
        // Stations share the balance and nothing else, so the order of what happens at one and at the other matters only as
        // far as the balance is concerned. Of all the orders that come to the same, the one is explored in which each
        // station acts right before its own next operation is committed, and one alone after the last: every state of a
        // station, with the ledger that it meets, is still reached, and what is checked is of one station and the ledger.
        let actor = state.actor;
        for (at, station) in
            state.stations.iter().enumerate().filter(|(at, _)| actor.is_none_or(|actor| actor == *at))
        {
            action::of_station(&self.bounds, state, at, station, actions);
        }
    }

    fn next_state(&self, state: &ModelState, action: ModelAction) -> Option<ModelState> {
        let at = action.station();
        let (station, ledger) = self.step(state, action)?;
        let mut next = state.clone();
        match action {
            ModelAction::DeliverThenCrash(..) | ModelAction::TerminalCrash(_) => next.terminal_crashes -= 1,
            ModelAction::CommitInDoubt(_) => next.commits_in_doubt -= 1,
            _ => {}
        }
        let before = next.stations.get_mut(at)?;
        next.actor = if action.is_seen(before) { None } else { Some(at) };
        (*before, next.ledger) = (station, ledger);
        Some(next)
    }

    fn within_boundary(&self, state: &ModelState) -> bool {
        // The host can ask for a hello at any time.
        state.stations.iter().all(|station| station.may_say_hello(0, &self.bounds))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("an operation moves money at most once", |_, s: &ModelState| {
                !s.is(&[Violation::MovedTwice])
            }),
            Property::always("money moves only for what was typed", |_, s: &ModelState| {
                !s.is(&[Violation::NotRequested])
            }),
            Property::always("money never moves with nobody there", |_, s: &ModelState| {
                !s.is(&[Violation::PersonGone])
            }),
            Property::always("money never moves once it was told", |_, s: &ModelState| {
                !s.is(&[Violation::AfterOutcome])
            }),
            Property::always("what is told is what was done", |_, s: &ModelState| {
                !s.is(&[Violation::FalseOutcome, Violation::UnknownOutcome])
            }),
            Property::always("one operation is told one outcome", |_, s: &ModelState| {
                !s.is(&[Violation::OutcomeChanged])
            }),
            Property::always("replies are shown once and in order", |_, s: &ModelState| {
                !s.is(&[Violation::ReplyOrder])
            }),
            Property::always("the ledger in memory never fails", |_, s: &ModelState| {
                !s.is(&[Violation::LedgerFailed])
            }),
            Property::always("the balance is the sum of what moved", Self::sum_holds),
            Property::always("once the faults stop, all is told and nobody waits", Self::is_live),
            // That the model is not empty:
            Property::sometimes("something done is told", |_, s: &ModelState| {
                s.has_reported(|told| matches!(told, Outcome::Done(_)))
            }),
            Property::sometimes("something not done is told", |_, s: &ModelState| {
                s.has_reported(|told| told == Outcome::NotDone)
            }),
            Property::sometimes("a refusal is told", |_, s: &ModelState| {
                s.has_reported(|told| matches!(told, Outcome::Refused(_)))
            }),
            Property::sometimes("all that was typed is told", |world: &Self, s: &ModelState| {
                let answers = world.bounds.answers;
                s.stations
                    .iter()
                    .any(|station| station.audit.answers() == answers && station.audit.all_answers_resolved())
            }),
        ];
        if self.bounds.links > 1 {
            properties.push(Property::sometimes("a conversation is taken over", |_, s: &ModelState| {
                s.stations.iter().any(|station| station.was_taken_over())
            }));
        }
        properties
    }
}
