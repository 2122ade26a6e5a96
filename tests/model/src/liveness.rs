//! When the faults stop: does everything come to rest, and is everything told?
//!
//! Stateright's own "eventually" is of no use here: it only looks at states in which nothing can happen any more, and a
//! terminal that repeats always can. So from every state the run is followed in which nothing is lost any more, power
//! stays, and one more person asks for the balance. It is one run, but there is one from every state.
use super::{
    bounds::Bounds,
    channel::Words,
    driver::{Driver, Power},
    interned::{ShardedMap, hash_of},
};

/// No wait of the protocol takes as many transitions.
const STEPS: usize = 300;

/// How often a terminal repeats before it gives up: more often than any exchange needs where nothing is lost.
const REPEATS: usize = 4;

/// The drivers that are known to come to rest: runs from different states soon meet.
#[derive(Debug, Default)]
pub(super) struct Liveness(ShardedMap<u64, ()>);

/// What the person at the terminal has come to.
#[derive(Clone, Copy, Hash, PartialEq, Eq)]
struct LastPerson {
    asked: bool,
    repeats: usize,
}

impl Liveness {
    /// Does the station come to rest, with everything told? `key` stands for the station and the ledger together.
    pub(super) fn holds_from(&self, key: u64, driver: impl FnOnce() -> Driver, bounds: &Bounds) -> bool {
        if self.0.get(&key).is_some() {
            return true;
        }
        let mut seen = vec![key];
        let mut driver = driver();
        stop_faults(&mut driver);
        let mut last = LastPerson { asked: false, repeats: 0 };
        for _ in 0..STEPS {
            driver.station.normalize();
            let key = hash_of(&(&driver, last));
            let known = self.0.get(&key).is_some();
            if !known {
                seen.push(key);
            }
            if known || step(&mut driver, &mut last, bounds).is_none() {
                let terminal = &driver.station.terminal;
                let told =
                    driver.station.audit.violation.is_none() && driver.station.audit.all_movements_reported();
                let good = known || (told && !terminal.is_awaiting_reply() && terminal.prompt().is_some());
                if good {
                    seen.into_iter().for_each(|key| self.0.insert(key, ()));
                }
                return good;
            }
        }
        false
    }
}

/// What the run from a driver is, in words, for whom it did not come to rest.
pub(super) fn trace(mut driver: Driver, bounds: &Bounds) -> Vec<String> {
    stop_faults(&mut driver);
    let mut last = LastPerson { asked: false, repeats: 0 };
    let mut lines = Vec::new();
    for _ in 0..STEPS {
        let before = driver.clone();
        let Some(done) = step(&mut driver, &mut last, bounds) else { break };
        let station = &before.station;
        let link = station.links.last();
        let said = match done {
            LivenessStep::ToTerminal => {
                link.and_then(|link| link.to_terminal.get(0)).map(|frame| Words(&frame).to_string())
            }
            LivenessStep::ToHost => {
                link.and_then(|link| link.to_host.get(0)).map(|frame| Words(&frame).to_string())
            }
            LivenessStep::Commit => station.requests.first().map(|request| format!("{request:?}")),
            LivenessStep::Respond => station.responses.first().map(|(_, response)| format!("{response:?}")),
            LivenessStep::Reconnect
            | LivenessStep::AskBalance
            | LivenessStep::Retransmit
            | LivenessStep::GiveUp => None,
        };
        lines.push(format!("(without faults) {}: {done:?} {}", station.name, said.unwrap_or_default()));
        if let Some(violation) = driver.station.audit.violation {
            lines.push(format!("{}: violation: {violation:?}", station.name));
            break;
        }
    }
    lines
}

/// The faults stop. What a dead host asked has come to the ledger by now or never will, and what is in flight is the last
/// to be lost: the states in which it arrived have runs of their own.
fn stop_faults(driver: &mut Driver) {
    driver.capacity = usize::MAX;
    driver.station.orphaned.clear();
    for link in &mut driver.station.links {
        link.to_host.clear();
        link.to_terminal.clear();
    }
}

/// What happens in a liveness run.
#[derive(Clone, Copy, Debug)]
enum LivenessStep {
    ToTerminal,
    ToHost,
    Commit,
    Respond,
    Reconnect,
    AskBalance,
    Retransmit,
    GiveUp,
}

/// The next thing that happens, if anything does.
fn step(driver: &mut Driver, last: &mut LastPerson, bounds: &Bounds) -> Option<LivenessStep> {
    // Nobody hears what comes down an old line, and the host notices that it is dead.
    while driver.station.links.len() > 1 {
        driver.close_link(0);
        driver.station.links.remove(0);
    }
    let link = driver.station.links.last_mut()?;
    if let Some(frame) = link.to_terminal.take() {
        driver.deliver_to_terminal(&frame, Power::Stays, bounds);
        return Some(LivenessStep::ToTerminal);
    }
    if let Some(frame) = link.to_host.take() {
        // Where the host is busy, it comes when the terminal repeats it.
        driver.deliver_to_host(0, &frame);
        return Some(LivenessStep::ToHost);
    }
    if driver.commit_next() {
        return Some(LivenessStep::Commit);
    }
    if driver.deliver_response() {
        return Some(LivenessStep::Respond);
    }
    let closed = driver.station.links.last().is_none_or(|link| link.host.is_none());
    Some(if closed || driver.station.terminal.is_over() {
        driver.reconnect(bounds, closed);
        LivenessStep::Reconnect
    } else if driver.station.terminal.prompt().is_some() {
        // At another prompt than the menu it is an answer like any other.
        if last.asked || !driver.type_answer("balance", bounds) {
            return None;
        }
        *last = LastPerson { asked: true, repeats: 0 };
        LivenessStep::AskBalance
    } else if last.repeats < REPEATS && driver.tick(bounds) {
        last.repeats += 1;
        LivenessStep::Retransmit
    } else {
        last.repeats = 0;
        driver.next_person(bounds);
        LivenessStep::GiveUp
    })
}
