//! The simulation of one simulated day.
use super::{auditor::Auditor, ledger::SimulatedLedger, link::SimulatedLink, station::Station};
use atm_core::{
    host::{self, Conversation, LinkKind},
    ledger::{LedgerId, Name, Request, Response},
    money::Amount,
    time::{Duration, Instant},
};
use fastrand::Rng;
use firmware_sim::fault_injector::{Chances, FaultCounts};
use std::collections::VecDeque;

mod requests;

/// What a day is like.
#[derive(Clone, Copy, Debug)]
pub struct SimulationConfig {
    /// Everything is drawn from it.
    pub seed: u64,
    /// How long people come, in milliseconds.
    pub length: u32,
    /// Is everything that happens to be printed?
    pub trace: bool,
    /// Is the ledger on a disk that fails, or in memory that does not?
    pub durable: bool,
}

/// What a day was like.
#[derive(Clone, Debug, Default)]
pub struct SimulationReport {
    /// Sessions that ended.
    pub sessions: u64,
    /// Answers typed.
    pub answers: u64,
    /// Operations that moved money.
    pub movements: u64,
    /// Losses of power, of terminals and of the host.
    pub power_losses: u64,
    /// Commits that were in doubt.
    pub doubts: u64,
    /// Faults of the links.
    pub link_faults: FaultCounts,
    /// What went wrong.
    pub violations: Vec<String>,
}

/// How long the system has to become idle once the faults stop: several times the longest wait in the
/// protocol.
const CALM: u32 = 300_000;

/// More turns than that at one moment are a loop without an end.
const TURNS: u32 = 10_000;

struct Simulation {
    now: Instant,
    rng: Rng,
    chances: Chances,
    ledger: SimulatedLedger,
    /// Requests on their way to the ledger, and its responses on their way back.
    asked: VecDeque<(Instant, Request)>,
    answered: VecDeque<(Instant, Request, Response)>,
    /// Requests that will be asked a second time, whose answers nobody waits for.
    echoes: Vec<(Instant, Request)>,
    stations: Vec<Station>,
    parked: Vec<(Instant, Conversation)>,
    host_back_at: Option<Instant>,
    host_up: bool,
    idle: Duration,
    next_link: u64,
    next_crash: Option<Instant>,
    auditor: Auditor,
    report: SimulationReport,
}

/// Runs a day and says what it was like.
pub fn run(plan: SimulationConfig) -> SimulationReport {
    let mut simulation = Simulation::new(plan);
    let evening = Instant::from_millis(u64::from(plan.length));
    simulation.live(evening, |_| false);
    simulation.calm();
    let night = simulation.now + Duration::from_millis(CALM);
    simulation.live(night, |simulation| simulation.stations.iter().all(Station::is_done));
    for station in simulation.stations.iter().filter(|station| !station.is_done()) {
        simulation.auditor.violation(format!(
            "{}: no answer to the balance inquiry after the faults stopped",
            station.name
        ));
    }
    simulation.close()
}

impl Simulation {
    fn new(plan: SimulationConfig) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let balance = Amount::from_units(rng.u64(0..500)).unwrap_or(Amount::ZERO);
        // From a good link to one that hardly lets anything through.
        let chances = Chances::all(*rng.choice(&[0.0, 0.01, 0.05, 0.15]).unwrap_or(&0.0));
        let count = rng.usize(1..=4);
        let stations = (0..count)
            .filter_map(|index| {
                let name: Name = format!("kiosk-{index}").parse().ok()?;
                let kind = if rng.bool() { LinkKind::Serial } else { LinkKind::Connection };
                let baud = *rng.choice(&[9_600, 115_200]).unwrap_or(&9_600);
                Some(Station::new(name, kind, baud))
            })
            .collect();
        Self {
            now: Instant::default(),
            chances,
            ledger: SimulatedLedger::new(plan.durable, LedgerId(rng.u64(..)), balance, plan.seed),
            asked: VecDeque::new(),
            answered: VecDeque::new(),
            echoes: Vec::new(),
            stations,
            parked: Vec::new(),
            host_back_at: None,
            host_up: true,
            idle: Duration::from_millis(rng.u32(2_000..60_000)),
            next_link: 1,
            next_crash: Some(Instant::from_millis(rng.u64(1..20_000))),
            auditor: Auditor::new(balance, plan.trace),
            report: SimulationReport::default(),
            rng,
        }
    }

    /// Lets time pass until `end`, or until `enough`.
    fn live(&mut self, end: Instant, enough: impl Fn(&Self) -> bool) {
        let mut turns = 0;
        loop {
            if self.turn() {
                turns += 1;
                if turns > TURNS {
                    self.auditor.violation(format!("at {:?}: no end to the events", self.now));
                    return;
                }
                continue;
            }
            turns = 0;
            let due = self.due();
            if enough(self) || due.is_none_or(|due| due > end) {
                self.now = self.now.max(end.min(due.unwrap_or(end)));
                return;
            }
            // What is due in the past was seen to: whoever asks for it again asks for no time to pass.
            let next = due.unwrap_or(end);
            self.now = if next > self.now { next } else { self.now + Duration::from_millis(1) };
        }
    }

    fn due(&self) -> Option<Instant> {
        let stations = self.stations.iter().filter_map(Station::due).min();
        let asked = self.asked.front().map(|(due, _)| *due);
        let answered = self.answered.front().map(|(due, ..)| *due);
        let echoes = self.echoes.iter().map(|(due, _)| *due).min();
        let parked = self.parked.iter().map(|(until, _)| *until).min();
        [stations, asked, answered, echoes, parked, self.host_back_at, self.next_crash]
            .into_iter()
            .flatten()
            .min()
    }

    /// Everything that can be done now, once; true where anything was.
    fn turn(&mut self) -> bool {
        let mut moved = self.power();
        moved |= self.serve_ledger();
        for index in 0..self.stations.len() {
            moved |= self.plug(index);
            let station = &mut self.stations[index];
            moved |= station.pump(self.now, &mut self.rng, &mut self.auditor);
            for at in 0..self.stations[index].links.len() {
                moved |= self.stations[index].links[at].pump(self.now);
                moved |= self.see_to(index, at);
            }
            moved |= self.unplug(index);
        }
        moved
    }

    /// Power goes and comes.
    fn power(&mut self) -> bool {
        let mut moved = false;
        if self.next_crash.is_some_and(|at| at <= self.now) {
            moved = true;
            self.next_crash = Some(self.now + Duration::from_millis(self.rng.u32(1..20_000)));
            let back = self.now + Duration::from_millis(self.rng.u32(10..3_000));
            let victim = self.rng.usize(0..=self.stations.len());
            if victim == self.stations.len() && self.host_up {
                self.crash_host(back);
            } else if let Some(station) = self.stations.get_mut(victim)
                && station.has_power()
            {
                self.report.power_losses += 1;
                self.auditor.trace(self.now, || format!("{} loses power", station.name));
                station.crash();
                station.back_at = Some(back);
            }
        }
        if self.host_back_at.is_some_and(|at| at <= self.now) {
            moved = true;
            self.host_back_at = None;
            self.host_up = true;
            for index in 0..self.stations.len() {
                if self.stations[index].link_kind == LinkKind::Serial {
                    let config = self.config(index);
                    let now = self.now;
                    if let Some(link) = self.stations[index].links.last_mut() {
                        link.open(config, now);
                    }
                }
            }
        }
        moved
    }

    /// The host loses power: what was committed stays, all else is gone.
    fn crash_host(&mut self, back: Instant) {
        self.report.power_losses += 1;
        self.auditor.trace(self.now, || "the host loses power".to_owned());
        self.host_up = false;
        self.host_back_at = Some(back);
        self.parked.clear();
        self.answered.clear();
        let asked = std::mem::take(&mut self.asked).into_iter().map(|(_, request)| request).collect();
        self.ledger.lose_power(asked, &mut self.rng, &mut self.auditor);
        for station in &mut self.stations {
            let connection = station.link_kind == LinkKind::Connection;
            for link in &mut station.links {
                link.end = None;
            }
            if connection && station.has_power() && station.back_at.is_none() {
                station.back_at = Some(back + Duration::from_millis(self.rng.u32(1..2_000)));
            }
        }
    }

    fn config(&self, index: usize) -> host::Config {
        let station = &self.stations[index];
        let mut config = host::Config::new(station.wire(), station.link_kind);
        config.idle_timeout = self.idle;
        config.frame_timeout = Duration::from_secs(2);
        config
    }

    /// Power or a link comes back to a station.
    fn plug(&mut self, index: usize) -> bool {
        if self.stations[index].back_at.is_none_or(|at| at > self.now) {
            return false;
        }
        let config = self.config(index);
        let station = &mut self.stations[index];
        station.back_at = None;
        if station.links.is_empty() || (station.link_kind == LinkKind::Connection && self.host_up) {
            station.plug(self.next_link, self.chances, self.rng.u64(..));
            self.next_link += 1;
            if self.host_up
                && let Some(link) = station.links.last_mut()
            {
                link.open(config, self.now);
            }
        } else if station.link_kind == LinkKind::Connection {
            // Nobody listens: the client tries again.
            station.back_at = Some(self.now + Duration::from_millis(500));
            return true;
        }
        if station.has_power() {
            station.reconnect(self.now, &self.auditor);
        } else {
            station.start(self.now, &mut self.rng, &mut self.auditor);
        }
        true
    }

    /// Connections that the host is done with, and old ones that nobody holds, are closed.
    fn unplug(&mut self, index: usize) -> bool {
        let kind = self.stations[index].link_kind;
        if kind == LinkKind::Serial {
            return false;
        }
        let links = self.stations[index].links.len();
        let mut moved = false;
        for at in (0..links).rev() {
            // An old connection is noticed to be dead some time or other.
            let forgotten = at + 1 < links && self.rng.u32(0..2_000) == 0;
            let link = &mut self.stations[index].links[at];
            if link.is_finished(kind) || (forgotten && link.end.is_some()) {
                if let Some(conversation) = link.end.as_mut().and_then(|end| end.host.park()) {
                    self.parked.push((self.now + self.idle, conversation));
                }
                link.end = None;
                moved = true;
                if at + 1 == links {
                    // The terminal notices that its connection was closed; it had time to read what was said
                    // before.
                    let notices = self.now + Duration::from_millis(self.rng.u32(1..5_000));
                    let station = &mut self.stations[index];
                    if station.has_power() && station.back_at.is_none() {
                        station.back_at = Some(notices);
                    }
                }
            }
            if at + 1 < links && self.stations[index].links[at].end.is_none() {
                let link = self.stations[index].links.remove(at);
                self.count(&link);
            }
        }
        moved
    }

    fn count(&mut self, link: &SimulatedLink) {
        self.report.link_faults.add(link.up.counts());
        self.report.link_faults.add(link.down.counts());
    }

    /// The faults stop, and the power stays.
    fn calm(&mut self) {
        self.auditor.trace(self.now, || "the faults stop".to_owned());
        self.next_crash = None;
        self.ledger.stop_faults();
        self.chances = Chances::default();
        for station in &mut self.stations {
            for link in &mut station.links {
                link.up.disable_faults();
                link.down.disable_faults();
            }
            station.wind_up(self.now);
        }
    }

    fn close(mut self) -> SimulationReport {
        for index in 0..self.stations.len() {
            for link in std::mem::take(&mut self.stations[index].links) {
                self.count(&link);
            }
            self.report.answers += self.stations[index].answers;
            self.report.sessions += self.stations[index].sessions;
        }
        self.report.movements = self.auditor.movements() as u64;
        self.report.doubts = self.ledger.doubts();
        let (balance, wrong) = self.ledger.verify();
        self.report.violations = self.auditor.finish(balance);
        self.report.violations.extend(wrong);
        self.report
    }
}
