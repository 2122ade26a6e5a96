//! Model checking: explores every order of events of one or two terminals, one or two hosts, lossy links, power
//! losses and a set-back of the ledger, within stated bounds.
//!
//! The endpoints, conversations and the ledger in memory are the real ones, cloned at every step; the model
//! replaces their drivers. [`Bounds`] makes the state space finite and
//! [stateright](https://docs.rs/stateright) explores all of it:
//! * a link loses, duplicates and reorders whole frames;
//! * a request reaches the ledger, and its response the host, at any later moment;
//! * where access is by card, persons type numbers and PINs, right and wrong, and an operator blocks and unblocks;
//! * where links are sealed, an attacker replays any frame that was sent before, to either end, and forges messages in
//!   clear;
//! * a deadline passes at any moment after it was set.
//!
//! The properties that are checked are in the `properties` module. Corrupted frames are not modelled: the
//! checksum turns them into lost ones, and the tests of `atm_core`'s `frame` module cover that.
#![forbid(unsafe_code)]
// The model panics where a test would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

use atm_core::{ledger::Name, money::Amount};
use cards::CardBank;
use driver::Driver;
use interned::{Interned, TransitionCache};
use ledger::ModelLedger;
use liveness::Liveness;
use stateright::{Model, Property};
use station::Station;

mod action;
mod attacker;
mod audit;
mod bounds;
mod cards;
mod channel;
mod driver;
mod interned;
mod ledger;
mod liveness;
mod path;
mod properties;
mod station;

pub use action::ModelAction;
pub use attacker::Forgery;
pub use bounds::Bounds;
pub use cards::Order;
pub use ledger::InjectedBug;
pub use path::{describe, summarize};

/// A state of the whole system, and how many faults may still happen in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelState {
    stations: Vec<Interned<Station>>,
    ledger: Interned<ModelLedger>,
    terminal_crashes: u8,
    commits_in_doubt: u8,
    /// The only station that may act next, until it has committed an operation; see [`AtmModel::actions`].
    actor: Option<usize>,
}

impl ModelState {
    fn driver(&self, at: usize, capacity: usize) -> Option<Driver> {
        let station = Station::clone(self.stations.get(at)?);
        Some(Driver { station, ledger: ModelLedger::clone(&self.ledger), capacity })
    }

    fn has_violation(&self) -> bool {
        self.stations.iter().any(|station| station.audit.violation.is_some())
    }
}

/// The model of the system within some bounds.
#[derive(Debug)]
pub struct AtmModel {
    bounds: Bounds,
    liveness: Liveness,
    transitions: TransitionCache,
}

impl AtmModel {
    /// The model within `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, liveness: Liveness::default(), transitions: TransitionCache::default() }
    }

    /// The fault-free run from `state`, one line of text an event; empty if the state has a violation.
    pub fn liveness_trace(&self, state: &ModelState) -> Vec<String> {
        if state.has_violation() {
            return Vec::new();
        }
        let drivers = (0..state.stations.len()).filter_map(|at| state.driver(at, 0));
        drivers.flat_map(|driver| liveness::trace(driver, &self.bounds)).collect()
    }

    /// The station and the ledger after `action`; `None` if it is not possible.
    fn step(&self, state: &ModelState, action: ModelAction) -> interned::Transition {
        let station = state.stations.get(action.station())?;
        let commits = action.commits(&self.bounds);
        let key = (station.hash(), if commits { state.ledger.hash() } else { 0 }, action);
        let is_cached = state.stations.len() > 1;
        if let Some(known) = self.transitions.get(&key).filter(|_| is_cached) {
            let (station, ledger) = known?;
            return Some((station, ledger.unwrap_or_else(|| state.ledger.clone())));
        }
        let mut driver = state.driver(action.station(), self.bounds.frames_in_flight)?;
        let after = action.apply(&mut driver, &self.bounds).then(|| {
            driver.station.normalize();
            (Interned::new(driver.station), commits.then(|| Interned::new(driver.ledger)))
        });
        if is_cached {
            self.transitions.insert(key, after.clone());
        }
        after.map(|(station, ledger)| (station, ledger.unwrap_or_else(|| state.ledger.clone())))
    }

    /// The balance of an account at the start.
    fn balance(&self) -> Amount {
        Amount::from_units(self.bounds.balance).unwrap_or(Amount::ZERO)
    }

    /// The sum of all balances at the start.
    fn total(&self) -> Amount {
        let accounts = if self.bounds.cards { cards::ACCOUNTS.len() as u64 } else { 1 };
        Amount::from_units(self.bounds.balance * accounts).unwrap_or(Amount::ZERO)
    }
}

impl Model for AtmModel {
    type State = ModelState;
    type Action = ModelAction;

    fn init_states(&self) -> Vec<ModelState> {
        let bounds = &self.bounds;
        let names = ["a", "b"].into_iter().take(bounds.terminals);
        let names: Vec<Name> = names.filter_map(|name| name.parse().ok()).collect();
        let mut ledger = match bounds.cards {
            true => ModelLedger::of_cards(self.balance(), bounds.orders, bounds.bug),
            false => ModelLedger::new(self.balance(), bounds.bug),
        };
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
        // A violation is never undone: the states behind it prove nothing more.
        if state.has_violation() {
            return;
        }
        // Partial-order reduction: stations share only the balance, so the order of two stations' actions
        // matters only where an operation is committed. Of all equivalent orders, only the one is explored in
        // which a station's actions directly precede the commit of its own next operation; behind the last
        // commit, a single station acts. Every state of a station is still reached with every ledger that it
        // can meet, and each property is of one station and the ledger.
        let actor = state.actor;
        if actor.is_none() {
            // With cards, stations share their rows too. An operator's order is given directly after a commit.
            let orders = state.ledger.cards.iter().flat_map(CardBank::possible_orders);
            actions.extend(orders.map(|(card, order)| ModelAction::Order(card, order)));
        }
        for (at, station) in
            state.stations.iter().enumerate().filter(|(at, _)| actor.is_none_or(|actor| actor == *at))
        {
            action::possible_at(&self.bounds, state, at, station, actions);
        }
    }

    fn next_state(&self, state: &ModelState, action: ModelAction) -> Option<ModelState> {
        let at = action.station();
        let (station, ledger) = self.step(state, action)?;
        let mut next = state.clone();
        match action {
            ModelAction::DeliverThenCrash(..) | ModelAction::TerminalCrash(_) => next.terminal_crashes -= 1,
            ModelAction::CommitInDoubt(..) => next.commits_in_doubt -= 1,
            _ => {}
        }
        let before = next.stations.get_mut(at)?;
        next.actor = if action.commits_operation(before, &self.bounds) { None } else { Some(at) };
        (*before, next.ledger) = (station, ledger);
        Some(next)
    }

    fn within_boundary(&self, state: &ModelState) -> bool {
        // The host can demand a hello at any time, beyond those that the model's actions cause.
        state.stations.iter().all(|station| station.may_say_hello(0, &self.bounds))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.bounds)
    }
}
