//! A run of the simulation: an event loop under a fake clock, first with faults, then with noise alone to the end.
use super::{
    attacker::{AttackCounts, Attacker},
    auditor::{Auditor, CardCounts, LedgerCounts},
    bank::Bank,
    ledger::SimulatedLedger,
    link::SimulatedLink,
    station::{Person, Station},
};
use atm_core::{
    host::LinkKind,
    ledger::{LedgerId, Name},
    money::Amount,
    time::{Duration, Instant},
};
use cards::Operator;
use fastrand::Rng;
use firmware_sim::fault_injector::{Chances, FaultCounts};
use host::{SentRequest, SimulatedHost};
use std::collections::BTreeMap;

mod attack;
mod cards;
mod connections;
mod host;
mod power;
mod requests;
pub(super) use attack::first_key;

/// The parameters of a run.
#[derive(Clone, Copy, Debug)]
pub struct SimulationConfig {
    /// The seed of every random choice.
    pub seed: u64,
    /// How long faults happen, in milliseconds of simulated time.
    pub length: u32,
    /// Is every event printed?
    pub trace: bool,
    /// Is the ledger on a faulty disk, instead of in memory?
    pub durable: bool,
    /// Is it in PostgreSQL?
    pub database: bool,
    /// The number of hosts, which share the ledger. Several have it in memory or in PostgreSQL.
    pub hosts: u32,
    /// Is the ledger, in memory, set back to older copies of itself?
    pub set_back: bool,
    /// Are all links sealed, with an attacker on each?
    pub sealed: bool,
    /// Is access by card?
    pub cards: bool,
}

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct SimulationReport {
    /// Sessions that ended.
    pub sessions: u64,
    /// Answers typed.
    pub answers: u64,
    /// Operations that moved money.
    pub movements: u64,
    /// Power losses of terminals and of the host.
    pub power_losses: u64,
    /// Commits that were in doubt.
    pub doubts: u64,
    /// What the ledger did because of faults.
    pub ledger: LedgerCounts,
    /// Faults injected into the links.
    pub link_faults: FaultCounts,
    /// What the attacker did.
    pub attacks: AttackCounts,
    /// What happened with cards.
    pub cards: CardCounts,
    /// Faults of a database and its hosts, by kind.
    pub database_faults: BTreeMap<&'static str, u64>,
    /// Violations of the [`auditor`](crate::auditor)'s properties.
    pub violations: Vec<String>,
}

/// The database server of a thread's runs, started by the first that has its ledger there, and stopped when this is dropped.
#[derive(Default)]
pub struct Servers {
    #[cfg(feature = "postgres")]
    server: Option<crate::ledger::shared::Server>,
}

impl Servers {
    /// The ledger of a run with these hosts.
    #[cfg(feature = "postgres")]
    fn ledger(&mut self, hosts: u32, new: (LedgerId, Amount), bank: Option<&Bank>) -> SimulatedLedger {
        let server = self.server.get_or_insert_with(crate::ledger::shared::Server::start);
        SimulatedLedger::of_database(server, hosts, new, bank)
    }

    #[cfg(not(feature = "postgres"))]
    fn ledger(&mut self, _: u32, _: (LedgerId, Amount), _: Option<&Bank>) -> SimulatedLedger {
        panic!("a ledger in PostgreSQL needs the feature `postgres`")
    }
}

/// Milliseconds for the last inquiries after the faults stop: several times the longest wait in the protocol.
const QUIESCENCE: u32 = 300_000;

/// The idle time where access is by card.
const IDLE_WITH_CARDS: Duration = Duration::from_secs(30);

/// More turns at one time are an endless loop.
const MAX_TURNS: u32 = 10_000;

struct Simulation {
    now: Instant,
    rng: Rng,
    chances: Chances,
    ledger: SimulatedLedger,
    hosts: Vec<SimulatedHost>,
    /// Duplicates of requests, and the hosts that sent them.
    duplicate_requests: Vec<(usize, SentRequest)>,
    stations: Vec<Station>,
    idle_timeout: Duration,
    next_link_number: u64,
    next_power_loss: Option<Instant>,
    next_set_back: Option<Instant>,
    auditor: Auditor,
    /// On sealed links.
    attacker: Option<Attacker>,
    /// Where access is by card.
    operator: Option<Operator>,
    report: SimulationReport,
}

/// Runs the simulation.
///
/// # Panics
/// The ledger is to be in PostgreSQL, and there is none, or this is a build without the feature `postgres`.
pub fn run(config: SimulationConfig, servers: &mut Servers) -> SimulationReport {
    let mut simulation = Simulation::new(config, servers);
    let faults_end = Instant::from_millis(u64::from(config.length));
    simulation.advance(faults_end, |_| false);
    simulation.stop_faults();
    let end = simulation.now + Duration::from_millis(QUIESCENCE);
    simulation.advance(end, |simulation| simulation.stations.iter().all(Station::is_done));
    for station in simulation.stations.iter().filter(|station| !station.is_done()) {
        simulation.auditor.violation(format!(
            "{}: no answer to the balance inquiry after the faults stopped",
            station.name
        ));
    }
    simulation.finish()
}

impl Simulation {
    fn new(config: SimulationConfig, servers: &mut Servers) -> Self {
        let mut rng = Rng::with_seed(config.seed);
        let mut balance = Amount::from_units(rng.u64(0..500)).unwrap_or(Amount::ZERO);
        // From a link without faults to one that delivers little.
        let chances = Chances::all(*rng.choice(&[0.0, 0.01, 0.05, 0.15]).unwrap_or(&0.0));
        // Noise between frames costs nothing: it goes on when the faults have stopped.
        let noise = *rng.choice(&[0.0, 0.3, 1.0]).unwrap_or(&0.0);
        let noise_interval = *rng.choice(&[0, 200]).unwrap_or(&0);
        let chances = Chances { noise, noise_interval, ..chances };
        // Who is in a hurry and never leaves uses up a block of numbers.
        let person = if rng.u32(0..8) == 0 { Person::Hurried } else { Person::Usual };
        let count = rng.usize(1..=4);
        let mut stations: Vec<Station> = (0..count)
            .filter_map(|index| {
                let name: Name = format!("kiosk-{index}").parse().ok()?;
                let kind = if rng.bool() { LinkKind::Serial } else { LinkKind::Connection };
                let baud = *rng.choice(&[9_600, 115_200]).unwrap_or(&9_600);
                let may_restore = !config.set_back && !config.cards;
                Some(Station::new(name, (kind, baud), person, may_restore, config.sealed))
            })
            .collect();
        let bank = config.cards.then(|| Bank::draw(&mut rng));
        if let Some(bank) = &bank {
            balance = bank.total();
        }
        let mut auditor =
            Auditor::new(balance, !config.durable && !config.database, config.set_back, config.trace);
        if let Some(bank) = bank.clone() {
            auditor.audit_cards(bank);
            stations.iter_mut().for_each(|station| station.serve_cards(&mut rng, auditor.cards()));
        }
        let mut attacker = None;
        if config.sealed {
            auditor.audit_sealed_links();
            let names = stations.iter().map(|station| station.name.clone()).collect();
            attacker = Some(Attacker::new(names, rng.u64(..)));
        }
        let identity = LedgerId(rng.u64(..));
        let idle_timeout = Duration::from_millis(rng.u32(2_000..60_000));
        Self {
            now: Instant::default(),
            chances,
            ledger: match &bank {
                _ if config.database => servers.ledger(config.hosts, (identity, balance), bank.as_ref()),
                Some(bank) if config.durable => SimulatedLedger::of_cards_on_disk(identity, bank),
                Some(bank) => SimulatedLedger::of_cards(identity, bank),
                None => SimulatedLedger::new(config.durable, identity, balance),
            },
            hosts: (0..config.hosts.max(1)).map(SimulatedHost::new).collect(),
            duplicate_requests: Vec::new(),
            stations,
            idle_timeout: if config.cards { IDLE_WITH_CARDS } else { idle_timeout },
            next_link_number: 1,
            next_power_loss: Some(Instant::from_millis(rng.u64(1..20_000))),
            next_set_back: config.set_back.then(|| Instant::from_millis(rng.u64(1..60_000))),
            auditor,
            attacker,
            operator: bank.map(|_| Operator::new(&mut rng)),
            report: SimulationReport::default(),
            rng,
        }
    }

    /// Advances the clock from event to event until `end`, or until `is_done`.
    fn advance(&mut self, end: Instant, is_done: impl Fn(&Self) -> bool) {
        let mut turns = 0;
        loop {
            if self.turn() {
                turns += 1;
                if turns > MAX_TURNS {
                    self.auditor.violation(format!("at {:?}: no end to the events", self.now));
                    return;
                }
                continue;
            }
            turns = 0;
            let due = self.deadline();
            if is_done(self) || due.is_none_or(|due| due > end) {
                self.now = self.now.max(end.min(due.unwrap_or(end)));
                return;
            }
            // A deadline that is not in the future was handled in the last turn: time must pass all the same.
            let next = due.unwrap_or(end);
            self.now = if next > self.now { next } else { self.now + Duration::from_millis(1) };
        }
    }

    /// When something happens next.
    fn deadline(&self) -> Option<Instant> {
        let stations = self.stations.iter().filter_map(Station::deadline).min();
        let hosts = self.hosts.iter().filter_map(SimulatedHost::deadline).min();
        let duplicate = self.duplicate_requests.iter().map(|(_, sent)| sent.due).min();
        let attack = self.attacker.as_ref().and_then(|attacker| attacker.next);
        let operator = self.operator.as_ref().map(|operator| operator.next);
        [stations, hosts, duplicate, attack, operator, self.next_power_loss, self.next_set_back]
            .into_iter()
            .flatten()
            .min()
    }

    /// Handles everything that is due, once; true if anything was.
    fn turn(&mut self) -> bool {
        let mut progress = self.switch_power();
        progress |= self.set_back();
        progress |= self.serve_ledger();
        progress |= self.attack();
        progress |= self.operate();
        self.search_secrets();
        for index in 0..self.stations.len() {
            progress |= self.connect(index);
            let station = &mut self.stations[index];
            progress |= station.pump(self.now, &mut self.rng, &mut self.auditor);
            for at in 0..self.stations[index].links.len() {
                progress |= self.stations[index].links[at].pump(self.now, &mut self.auditor);
                progress |= self.handle_event(index, at);
            }
            self.record(index);
            progress |= self.close_links(index);
        }
        progress
    }

    /// Do faults still happen?
    fn has_faults(&self) -> bool {
        self.next_power_loss.is_some()
    }

    /// Adds the faults of a link that is removed.
    fn count_faults(&mut self, link: &SimulatedLink) {
        self.report.link_faults.add(link.to_host.counts());
        self.report.link_faults.add(link.to_terminal.counts());
    }

    /// Stops all faults and power losses, and has each station make its last inquiry.
    fn stop_faults(&mut self) {
        self.auditor.trace(self.now, || "the faults stop".to_owned());
        self.next_power_loss = None;
        self.next_set_back = None;
        self.attacker.iter_mut().for_each(|attacker| attacker.next = None);
        self.ledger.stop_faults();
        self.chances = self.chances.only_noise();
        for station in &mut self.stations {
            for link in &mut station.links {
                link.to_host.disable_faults();
                link.to_terminal.disable_faults();
            }
            station.start_last_inquiry(self.now);
        }
    }

    /// Ends the audit.
    fn finish(mut self) -> SimulationReport {
        for index in 0..self.stations.len() {
            for link in std::mem::take(&mut self.stations[index].links) {
                self.count_faults(&link);
            }
            self.report.answers += self.stations[index].answers;
            self.report.sessions += self.stations[index].sessions;
        }
        self.report.movements = self.auditor.movements() as u64;
        self.report.ledger = self.auditor.counts();
        self.report.cards = self.auditor.card_counts();
        self.report.attacks = self.attacker.as_ref().map(|attacker| attacker.counts).unwrap_or_default();
        self.report.doubts = self.ledger.doubts();
        self.report.database_faults = self.ledger.faults();
        let (balance, violations) = self.ledger.verify();
        self.report.violations = self.auditor.finish(balance);
        self.report.violations.extend(violations);
        self.report
    }
}
