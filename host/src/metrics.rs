//! Metrics: the counters and gauges of a running server, in Prometheus' text format.
use atm_core::ledger::{Admission, Outcome, Response};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

pub mod page;

/// Upper bounds of the histogram of sync times, in microseconds.
const BUCKETS: [u64; 10] = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000];

/// Values of [`Metrics::ledger`]: 0 without a ledger on disk, this where it is closed, one more where it is
/// open.
const CLOSED: u64 = 1;

/// The counters and gauges of a server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Sessions that were opened.
    pub sessions: AtomicU64,
    /// Sessions that are open.
    pub open_sessions: AtomicU64,
    /// Connections that were turned away.
    pub turned_away: AtomicU64,
    /// Duplicate requests: their idempotency key was used before.
    pub duplicates: AtomicU64,
    /// Hellos that proved that the ledger was set back.
    set_backs: AtomicU64,
    /// Commits of the ledger on disk.
    pub commits: AtomicU64,
    /// Requests in those commits.
    pub batched: AtomicU64,
    /// Entries that were written.
    pub entries: AtomicU64,
    /// Commits that returned an error and were in doubt.
    pub doubts: AtomicU64,
    /// The length of the ledger's write-ahead log, in bytes.
    pub log_bytes: AtomicU64,
    /// The state of the ledger on disk, see [`CLOSED`].
    ledger: AtomicU64,
    done: AtomicU64,
    refused: AtomicU64,
    not_done: AtomicU64,
    unknown: AtomicU64,
    syncs: AtomicU64,
    sync_micros: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl Metrics {
    /// Records how long a sync of the ledger's files took.
    pub fn observe_sync(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_micros.fetch_add(micros, Ordering::Relaxed);
        if let Some(bucket) = BUCKETS.iter().position(|most| micros <= *most)
            && let Some(counter) = self.buckets.get(bucket)
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sets whether the ledger on disk is open; it is closed while a fault lasts.
    pub fn set_ledger_open(&self, is_open: bool) {
        self.ledger.store(CLOSED.saturating_add(u64::from(is_open)), Ordering::Relaxed);
    }

    /// Counts the outcome in a response, or the proof that the ledger was set back.
    pub fn count_response(&self, response: &Response) {
        let counter = match response {
            Response::Settled { outcome: Outcome::Done(_), .. } => &self.done,
            Response::Settled { outcome: Outcome::Refused(_), .. } => &self.refused,
            Response::Settled { outcome: Outcome::NotDone, .. } => &self.not_done,
            Response::Settled { outcome: Outcome::Unknown, .. } => &self.unknown,
            Response::Admitted(Admission { set_back: Some(_), .. }) => &self.set_backs,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Prometheus' text format, version 0.0.4.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            write!(f, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
        };
        one("atm_sessions_total", "counter", "Sessions that were opened.", now(&self.sessions))?;
        one("atm_sessions", "gauge", "Sessions that are open.", now(&self.open_sessions))?;
        one(
            "atm_turned_away_total",
            "counter",
            "Connections that were turned away for lack of room.",
            now(&self.turned_away),
        )?;
        one(
            "atm_repeats_total",
            "counter",
            "Duplicate requests: their idempotency key was used before.",
            now(&self.duplicates),
        )?;
        one(
            "atm_ledger_set_backs_total",
            "counter",
            "Hellos that proved that the ledger was set back.",
            now(&self.set_backs),
        )?;
        one("atm_ledger_commits_total", "counter", "Commits of the ledger on disk.", now(&self.commits))?;
        one("atm_ledger_entries_total", "counter", "Entries that were written.", now(&self.entries))?;
        one(
            "atm_ledger_batched_total",
            "counter",
            "Requests in those commits; divided by them, the mean size of a batch.",
            now(&self.batched),
        )?;
        one(
            "atm_ledger_doubts_total",
            "counter",
            "Commits that returned an error and were in doubt.",
            now(&self.doubts),
        )?;
        // A ledger in memory is never closed.
        if let Some(is_open) = now(&self.ledger).checked_sub(CLOSED) {
            one(
                "atm_ledger_open",
                "gauge",
                "1 while the ledger on disk is open, 0 while a fault lasts.",
                is_open,
            )?;
            one(
                "atm_ledger_log_bytes",
                "gauge",
                "Length of the write-ahead log; it grows while another process keeps a transaction open.",
                now(&self.log_bytes),
            )?;
        }
        f.write_str(
            "# HELP atm_operations_total Operations by outcome.\n# TYPE atm_operations_total counter\n",
        )?;
        for (outcome, counter) in [
            ("done", &self.done),
            ("refused", &self.refused),
            ("not-done", &self.not_done),
            ("unknown", &self.unknown),
        ] {
            writeln!(f, "atm_operations_total{{outcome=\"{outcome}\"}} {}", now(counter))?;
        }
        self.fmt_sync_histogram(f)
    }
}

impl Metrics {
    fn fmt_sync_histogram(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAME: &str = "atm_ledger_sync_seconds";
        write!(
            f,
            "# HELP {NAME} Duration of each sync of the ledger's files: one per commit, and those of a checkpoint.\n# TYPE {NAME} histogram\n"
        )?;
        let (mut sum, all) = (0u64, self.syncs.load(Ordering::Relaxed));
        for (most, counter) in BUCKETS.iter().zip(&self.buckets) {
            sum = sum.saturating_add(counter.load(Ordering::Relaxed));
            writeln!(f, "{NAME}_bucket{{le=\"{}\"}} {sum}", Seconds(*most))?;
        }
        writeln!(f, "{NAME}_bucket{{le=\"+Inf\"}} {all}")?;
        writeln!(f, "{NAME}_sum {}", Seconds(self.sync_micros.load(Ordering::Relaxed)))?;
        writeln!(f, "{NAME}_count {all}")
    }
}

/// Displays microseconds as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::ledger::{Gap, LedgerId, Numbers};

    #[test]
    fn only_a_hello_that_proves_a_set_back_counts_as_one() {
        let metrics = Metrics::default();
        let gap = Gap { start: 1, end: 2 };
        for set_back in [None, Some(gap), None, Some(gap)] {
            let numbers = Numbers::NONE;
            let admission =
                Admission { ledger: LedgerId(7), turn: 1, former: None, numbers, set_back, last: None };
            metrics.count_response(&Response::Admitted(admission));
        }
        assert!(metrics.to_string().contains("\natm_ledger_set_backs_total 2\n"), "{metrics}");
    }
}
