//! Liveness: once the faults stop, each terminal is served and the outcome of each movement is shown.
//!
//! Stateright checks "eventually" only in states without a next action, and a terminal can always retransmit.
//! So each state is checked by one fault-free run that starts there: nothing is lost, power stays, and one
//! more person asks for the balance.
use super::{
    bounds::Bounds,
    channel::FrameDisplay,
    driver::{Driver, TerminalPower},
    interned::{ShardedMap, hash_of},
};

/// More events than any fault-free run takes.
const MAX_EVENTS: usize = 300;

/// Retransmissions before the terminal gives up: more than an exchange without loss needs.
const RETRANSMISSIONS: usize = 4;

/// Hashes of states whose fault-free run is known to end well: runs from different states soon meet.
#[derive(Debug, Default)]
pub(super) struct Liveness(ShardedMap<u64, ()>);

/// The progress of the last person at the terminal.
#[derive(Clone, Copy, Hash, PartialEq, Eq)]
struct Progress {
    asked: bool,
    retransmissions: usize,
}

impl Liveness {
    /// Does the fault-free run end well: every movement reported, and the terminal at an open prompt? `key`
    /// is the hash of the station and the ledger.
    pub(super) fn holds_from(&self, key: u64, driver: impl FnOnce() -> Driver, bounds: &Bounds) -> bool {
        if self.0.get(&key).is_some() {
            return true;
        }
        let mut seen = vec![key];
        let mut driver = driver();
        stop_faults(&mut driver);
        let mut progress = Progress { asked: false, retransmissions: 0 };
        for _ in 0..MAX_EVENTS {
            driver.station.normalize();
            let key = hash_of(&(&driver, progress));
            let known = self.0.get(&key).is_some();
            if !known {
                seen.push(key);
            }
            if known || step(&mut driver, &mut progress, bounds).is_none() {
                let terminal = &driver.station.terminal;
                let reported =
                    driver.station.audit.violation.is_none() && driver.station.audit.all_movements_reported();
                let good =
                    known || (reported && !terminal.is_awaiting_reply() && terminal.prompt().is_some());
                if good {
                    seen.into_iter().for_each(|key| self.0.insert(key, ()));
                }
                return good;
            }
        }
        false
    }
}

/// The fault-free run in words, one line of text an event.
pub(super) fn trace(mut driver: Driver, bounds: &Bounds) -> Vec<String> {
    stop_faults(&mut driver);
    let mut progress = Progress { asked: false, retransmissions: 0 };
    let mut lines = Vec::new();
    for _ in 0..MAX_EVENTS {
        let before = driver.clone();
        let Some(event) = step(&mut driver, &mut progress, bounds) else { break };
        let station = &before.station;
        let link = station.links.last();
        let content = match event {
            LivenessEvent::ToTerminal => {
                link.and_then(|link| link.to_terminal.get(0)).map(|frame| FrameDisplay(&frame).to_string())
            }
            LivenessEvent::ToHost => {
                link.and_then(|link| link.to_host.get(0)).map(|frame| FrameDisplay(&frame).to_string())
            }
            LivenessEvent::Commit => station
                .hosts
                .iter()
                .find_map(|host| host.requests.first())
                .map(|request| format!("{request:?}")),
            LivenessEvent::Respond => station
                .hosts
                .iter()
                .find_map(|host| host.responses.first())
                .map(|(_, response)| format!("{response:?}")),
            LivenessEvent::Reconnect
            | LivenessEvent::AskBalance
            | LivenessEvent::Retransmit
            | LivenessEvent::GiveUp => None,
        };
        lines.push(format!("(fault-free) {}: {event:?} {}", station.name, content.unwrap_or_default()));
        if let Some(violation) = driver.station.audit.violation {
            lines.push(format!("{}: violation: {violation:?}", station.name));
            break;
        }
    }
    lines
}

/// Stops the faults: drops the frames in flight and the requests of a crashed host, the last losses of the
/// run. The states in which they arrived have runs of their own.
fn stop_faults(driver: &mut Driver) {
    driver.capacity = usize::MAX;
    driver.station.attacker.stop();
    driver.station.hosts.iter_mut().for_each(|host| host.orphaned.clear());
    for link in &mut driver.station.links {
        link.to_host.clear();
        link.to_terminal.clear();
    }
}

/// An event of a fault-free run.
#[derive(Clone, Copy, Debug)]
enum LivenessEvent {
    ToTerminal,
    ToHost,
    Commit,
    Respond,
    Reconnect,
    AskBalance,
    Retransmit,
    GiveUp,
}

/// Applies the next event of a fault-free run; `None` at its end.
fn step(driver: &mut Driver, progress: &mut Progress, bounds: &Bounds) -> Option<LivenessEvent> {
    // The host notices that older links are dead.
    while driver.station.links.len() > 1 {
        driver.close_link(0);
        driver.station.links.remove(0);
    }
    let link = driver.station.links.last_mut()?;
    if let Some(frame) = link.to_terminal.take() {
        driver.deliver_to_terminal(&frame, TerminalPower::Stays, bounds);
        return Some(LivenessEvent::ToTerminal);
    }
    if let Some(frame) = link.to_host.take() {
        // A busy host does not take it; the terminal retransmits it.
        driver.deliver_to_host(0, &frame);
        return Some(LivenessEvent::ToHost);
    }
    let mut hosts = 0..driver.station.hosts.len();
    if hosts.clone().any(|host| driver.commit_next(host)) {
        return Some(LivenessEvent::Commit);
    }
    if hosts.any(|host| driver.deliver_response(host)) {
        return Some(LivenessEvent::Respond);
    }
    let closed = driver.station.links.last().is_none_or(|link| link.host.is_none());
    Some(if closed || driver.station.terminal.is_over() {
        if bounds.set_backs > 0 {
            driver.ledger.pass_minute();
        }
        driver.reconnect(bounds, closed.then(|| driver.station.server()));
        LivenessEvent::Reconnect
    } else if driver.station.terminal.prompt().is_some() {
        // At another prompt than the menu, "balance" is an invalid answer, which gets a reply as well.
        if progress.asked || !driver.type_answer("balance", bounds) {
            return None;
        }
        *progress = Progress { asked: true, retransmissions: 0 };
        LivenessEvent::AskBalance
    } else if progress.retransmissions < RETRANSMISSIONS && driver.tick(bounds) {
        progress.retransmissions += 1;
        LivenessEvent::Retransmit
    } else {
        progress.retransmissions = 0;
        driver.next_person(bounds);
        LivenessEvent::GiveUp
    })
}
