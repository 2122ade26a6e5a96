//! Performance targets: required ratios between the systems of one run, and limits for idle sessions.
use super::{
    idle::IdleResults,
    rounds::{Ratio, Results},
    system::{BY_CARD, DISK, FORMER, LEDGERS, ONE_ACCOUNT},
};
use std::fmt;

/// A target, and the measured value.
#[derive(Clone, Debug)]
pub struct PerformanceTarget {
    /// What is measured.
    pub what: String,
    /// The required value.
    pub bound: Bound,
    /// The measured value.
    pub value: f64,
    /// The least and the greatest value of the rounds, if it was measured in rounds.
    pub range: Option<(f64, f64)>,
    /// The unit of the value; empty for a ratio.
    pub unit: &'static str,
}

/// The bound of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At least this.
    Least(f64),
    /// At most this.
    Most(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Least(value) => write!(f, "≥ {value}"),
            Self::Most(value) => write!(f, "≤ {value}"),
        }
    }
}

impl PerformanceTarget {
    /// Does the value meet the bound?
    pub fn is_met(&self) -> bool {
        match self.bound {
            Bound::Least(bound) => self.value >= bound,
            Bound::Most(bound) => self.value <= bound,
        }
    }

    fn of(what: String, bound: Bound, ratio: Ratio) -> Self {
        let value = match bound {
            Bound::Least(_) => ratio.lower,
            Bound::Most(_) => ratio.upper,
        };
        Self { what, bound, value, range: Some((ratio.least, ratio.most)), unit: "" }
    }
}

/// The names of our server and the echo servers in the tables.
const ATM: &str = "atm, json";
const ECHOES: [&str; 2] = ["echo, threads", "echo, event loop"];
/// One request per operation, as with the competitors; without and with an idempotency key.
const DURABLE: &str = "atm, one answer a deposit";
const NAMED: &str = "atm, named terminals";

/// The targets in memory, for 8 sessions and more.
pub fn in_memory(results: &Results) -> Vec<PerformanceTarget> {
    let throughput = |name: &str, sessions| results.throughput(name, sessions).unwrap_or(0.0);
    let mut targets = Vec::new();
    for &sessions in results.sessions.iter().filter(|sessions| **sessions >= 8) {
        let [threads, event_loop] = ECHOES;
        let faster = if throughput(threads, sessions) >= throughput(event_loop, sessions) {
            threads
        } else {
            event_loop
        };
        let mut target = |name: &str, other: &str, bound, of: fn(&super::Sample) -> Option<f64>| {
            if let Some(ratio) = results.ratio((ATM, other), sessions, of) {
                targets.push(PerformanceTarget::of(format!("{name}, {sessions} sessions"), bound, ratio));
            }
        };
        target(
            &format!("throughput relative to the faster echo server ({faster})"),
            faster,
            Bound::Least(0.9),
            |one| Some(one.throughput),
        );
        target("throughput relative to Redis", "Redis", Bound::Least(1.2), |one| Some(one.throughput));
        let p99: fn(&super::Sample) -> Option<f64> = |one| one.p99.map(|time| time.as_secs_f64());
        target(
            &format!("p99 latency relative to the faster echo server ({faster})"),
            faster,
            Bound::Most(1.3),
            p99,
        );
    }
    targets
}

/// The targets on disk: relative to systems that do the same work, to the disk alone, and to the former ledger.
pub fn durable(results: &Results) -> Vec<PerformanceTarget> {
    let mut targets = Vec::new();
    let mut target = |what: &str, pair, sessions, bound, of: fn(&super::Sample) -> Option<f64>| {
        if let Some(ratio) = results.ratio(pair, sessions, of) {
            let plural = if sessions == 1 { "" } else { "s" };
            targets.push(PerformanceTarget::of(format!("{what}, {sessions} session{plural}"), bound, ratio));
        }
    };
    let many: Vec<usize> = results.sessions.iter().copied().filter(|sessions| *sessions >= 50).collect();
    for (ours, other, least) in [
        (NAMED, "Redis function, appendfsync always", 1.0),
        (DURABLE, "Redis INCRBY, appendfsync always", 0.7),
        (DURABLE, "PostgreSQL, one row", 15.0),
        (DURABLE, "PostgreSQL, 10,000 rows", 2.5),
    ] {
        for sessions in &many {
            let what = format!("throughput: {ours} / {other}");
            target(&what, (ours, other), *sessions, Bound::Least(least), |one| Some(one.throughput));
        }
    }
    let what = format!("p50 latency: {DURABLE} / {DISK}");
    target(&what, (DURABLE, DISK), 1, Bound::Most(2.3), |one| one.p50.map(|time| time.as_secs_f64()));
    for (ours, former) in [(DURABLE, FORMER[0]), (NAMED, FORMER[1])] {
        let what = format!("p99 latency: {ours} / {former}");
        target(&what, (ours, former), 50, Bound::Most(1.0), |one| one.p99.map(|time| time.as_secs_f64()));
    }
    targets
}

/// The targets of hosts that share a ledger: the best of 1, 2 and 4, relative to PostgreSQL's own updates.
pub fn hosts(results: &Results) -> Vec<PerformanceTarget> {
    let mut targets = Vec::new();
    for &sessions in &results.sessions {
        for (systems, other, least) in [
            (ONE_ACCOUNT, "PostgreSQL, one row", 6.0),
            (BY_CARD, "PostgreSQL, 10,000 rows", 1.0),
            (LEDGERS, "PostgreSQL, 10,000 rows", 1.0),
        ] {
            let rate = |name: &str| results.throughput(name, sessions).unwrap_or(0.0);
            let Some(best) = systems.into_iter().max_by(|one, two| rate(one).total_cmp(&rate(two))) else {
                continue;
            };
            if let Some(ratio) = results.ratio((best, other), sessions, |one| Some(one.throughput)) {
                let what = format!("throughput: {best} / {other}, {sessions} sessions");
                targets.push(PerformanceTarget::of(what, Bound::Least(least), ratio));
            }
        }
    }
    targets
}

/// The targets with idle sessions.
pub fn idle(idle: &IdleResults) -> Vec<PerformanceTarget> {
    let target = |what: &str, bound, value, unit| PerformanceTarget {
        what: format!("{what}, {} sessions", idle.sessions),
        bound,
        value,
        range: None,
        unit,
    };
    vec![
        target("resident memory per idle session", Bound::Most(2048.0), idle.memory, "bytes"),
        target(
            "sessions not greeted after a burst of connects",
            Bound::Most(0.0),
            idle.not_greeted as f64,
            "",
        ),
        target(
            "time until all sessions of the burst are greeted",
            Bound::Most(5.0),
            idle.burst_time.as_secs_f64(),
            "s",
        ),
        target(
            "time from connect to first reply of one more session",
            Bound::Most(0.1),
            idle.connect_to_reply.as_secs_f64(),
            "s",
        ),
        target(
            "a session over the limit gets a notice (1 = yes)",
            Bound::Least(1.0),
            f64::from(u8::from(idle.notified)),
            "",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::rounds::tests::results, *};

    #[test]
    fn the_targets_in_memory_are_relative_to_the_faster_echo_server() {
        let all = results(&[
            ("atm, json", 8, &[95.0]),
            ("echo, threads", 8, &[100.0]),
            ("echo, event loop", 8, &[200.0]),
            ("Redis", 8, &[50.0]),
        ]);
        let targets = in_memory(&all);
        let values: Vec<_> =
            targets.iter().map(|target| ((target.value * 1000.0).round(), target.is_met())).collect();
        // The p99 of a sample here is 1 / throughput.
        assert_eq!(values, [(475.0, false), (1900.0, true), (2105.0, false)]);
        assert!(targets[0].what.contains("event loop"));
        // There is no target for one session, or relative to a system that was left out.
        assert!(in_memory(&results(&[("atm, json", 1, &[1.0]), ("echo, threads", 1, &[1.0])])).is_empty());
        assert_eq!(in_memory(&results(&[("atm, json", 8, &[1.0]), ("echo, threads", 8, &[1.0])])).len(), 2);
    }

    #[test]
    fn the_targets_of_hosts_are_those_of_the_best_number_of_them() {
        let all = results(&[
            (ONE_ACCOUNT[0], 50, &[50.0]),
            (ONE_ACCOUNT[1], 50, &[70.0]),
            (ONE_ACCOUNT[2], 50, &[60.0]),
            (BY_CARD[0], 50, &[90.0]),
            ("PostgreSQL, one row", 50, &[10.0]),
            ("PostgreSQL, 10,000 rows", 50, &[100.0]),
        ]);
        let targets = hosts(&all);
        let found: Vec<_> = targets.iter().map(|target| (target.value, target.is_met())).collect();
        assert_eq!(found, [(7.0, true), (0.9, false)]);
        assert!(targets[0].what.contains("2 hosts, one account"), "{targets:?}");
    }

    #[test]
    fn a_target_without_its_figures_is_left_out() {
        let all = results(&[
            (DURABLE, 1, &[1000.0]),
            (DISK, 1, &[2000.0]),
            (DURABLE, 50, &[14.0]),
            ("PostgreSQL, one row", 50, &[1.0]),
            (FORMER[0], 50, &[13.0]),
        ]);
        let targets = durable(&all);
        assert_eq!(targets.len(), 2, "the median latency is not known here");
        assert!(!targets[0].is_met() && targets[0].bound == Bound::Least(15.0));
        // The p99 of a sample here is 1 / throughput.
        assert!(targets[1].is_met() && targets[1].bound == Bound::Most(1.0));
    }
}
