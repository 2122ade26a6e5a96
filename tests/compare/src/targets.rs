//! What is aimed at, each as a ratio in one run.
use super::{
    idle::IdleResults,
    rounds::{Ratio, Results},
    system::DISK,
};
use std::fmt;

/// An aim, and what came out.
#[derive(Clone, Debug)]
pub struct PerformanceTarget {
    /// What is aimed at.
    pub what: String,
    /// What it must be.
    pub bound: Bound,
    /// What it is.
    pub value: f64,
    /// Between which values the rounds were, where there were any.
    pub range: Option<(f64, f64)>,
    /// What the value is counted in; nothing for a ratio.
    pub unit: &'static str,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// This, or more.
    Least(f64),
    /// This, or less.
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
    /// Is it met?
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

/// Ours and the echo servers' names in the tables.
const ATM: &str = "atm, json";
const ECHOES: [&str; 2] = ["echo, threads", "echo, event loop"];
/// One request an operation, as those have whom it is compared with.
const DURABLE: &str = "atm, one answer a deposit";

/// The aims in memory, for 8 and more sessions.
pub fn in_memory(results: &Results) -> Vec<PerformanceTarget> {
    let rate = |name: &str, sessions| results.rate(name, sessions).unwrap_or(0.0);
    let mut aims = Vec::new();
    for &sessions in results.sessions.iter().filter(|sessions| **sessions >= 8) {
        let [threads, event_loop] = ECHOES;
        let faster = if rate(threads, sessions) >= rate(event_loop, sessions) { threads } else { event_loop };
        let mut aim = |name: &str, with: &str, bound, of: fn(&super::Sample) -> Option<f64>| {
            if let Some(ratio) = results.ratio((ATM, with), sessions, of) {
                aims.push(PerformanceTarget::of(format!("{name}, {sessions} sessions"), bound, ratio));
            }
        };
        aim(
            &format!("answers a second, of the faster echo's ({faster})"),
            faster,
            Bound::Least(0.9),
            |one| Some(one.rate),
        );
        aim("answers a second, of Redis's requests", "Redis", Bound::Least(1.2), |one| Some(one.rate));
        let p99: fn(&super::Sample) -> Option<f64> = |one| one.p99.map(|time| time.as_secs_f64());
        aim(&format!("p99, of the faster echo's ({faster})"), faster, Bound::Most(1.3), p99);
    }
    aims
}

/// The aims on the disk: for many sessions, and for one against what the disk itself takes.
pub fn durable(results: &Results) -> Vec<PerformanceTarget> {
    let mut aims = Vec::new();
    for &sessions in results.sessions.iter().filter(|sessions| **sessions >= 50) {
        for (name, least) in [
            ("Redis, appendfsync always", 1.0),
            ("PostgreSQL, one row", 20.0),
            ("PostgreSQL, 10,000 rows", 3.0),
        ] {
            if let Some(ratio) = results.ratio((DURABLE, name), sessions, |one| Some(one.rate)) {
                let what = format!("operations a second, of those of {name}, {sessions} sessions");
                aims.push(PerformanceTarget::of(what, Bound::Least(least), ratio));
            }
        }
    }
    let p50 = |one: &super::Sample| one.p50.map(|time| time.as_secs_f64());
    if let Some(ratio) = results.ratio((DURABLE, DISK), 1, p50) {
        let what = "p50 of the answer that settles a deposit, of one fdatasync, 1 session".to_owned();
        aims.push(PerformanceTarget::of(what, Bound::Most(1.5), ratio));
    }
    aims
}

/// The aims with idle sessions.
pub fn idle(idle: &IdleResults) -> Vec<PerformanceTarget> {
    let aim = |what: &str, bound, value, unit| PerformanceTarget {
        what: format!("{what}, {} sessions", idle.sessions),
        bound,
        value,
        range: None,
        unit,
    };
    vec![
        aim("resident memory of an idle session", Bound::Most(2048.0), idle.memory, "bytes"),
        aim("not served of a burst of connects", Bound::Most(0.0), idle.unserved as f64, ""),
        aim("until all of the burst are greeted", Bound::Most(5.0), idle.greeted.as_secs_f64(), "s"),
        aim(
            "a new session among them, from connect to reply",
            Bound::Most(0.1),
            idle.newcomer.as_secs_f64(),
            "s",
        ),
        aim("one over the limit is told so", Bound::Least(1.0), f64::from(u8::from(idle.told)), ""),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::rounds::tests::results, *};

    #[test]
    fn the_faster_echo_is_the_measure() {
        let all = results(&[
            ("atm, json", 8, &[95.0]),
            ("echo, threads", 8, &[100.0]),
            ("echo, event loop", 8, &[200.0]),
            ("Redis", 8, &[50.0]),
        ]);
        let aims = in_memory(&all);
        let told: Vec<_> = aims.iter().map(|aim| ((aim.value * 1000.0).round(), aim.is_met())).collect();
        // The samples' times are the rates turned over.
        assert_eq!(told, [(475.0, false), (1900.0, true), (2105.0, false)]);
        assert!(aims[0].what.contains("event loop"));
        // Nothing is aimed at with one session, or against what was left out.
        assert!(in_memory(&results(&[("atm, json", 1, &[1.0]), ("echo, threads", 1, &[1.0])])).is_empty());
        assert_eq!(in_memory(&results(&[("atm, json", 8, &[1.0]), ("echo, threads", 8, &[1.0])])).len(), 2);
    }

    #[test]
    fn aims_on_the_disk_are_for_many_sessions_and_for_one() {
        let all = results(&[
            (DURABLE, 1, &[1000.0]),
            (DISK, 1, &[2000.0]),
            (DURABLE, 50, &[19.0]),
            ("PostgreSQL, one row", 50, &[1.0]),
        ]);
        let aims = durable(&all);
        assert_eq!(aims.len(), 1, "the middle time is not known here");
        assert!(!aims[0].is_met() && aims[0].bound == Bound::Least(20.0));
    }
}
