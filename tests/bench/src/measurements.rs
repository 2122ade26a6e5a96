//! What a load has measured.
use hdrhistogram::Histogram;
use std::time::Duration;

/// The longest time that is told apart from longer ones: an hour, in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

/// What a thread has computed is told as of the last tick, which comes each 1 to 10 ms.
const TICKS: Duration = Duration::from_millis(100);

/// Digits of a time that are kept.
const DIGITS: u8 = 3;

/// What the sessions of one thread, or of all of them, have measured.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    /// Replies that came in the time that counts.
    pub answers: u64,
    /// How many of them settled an operation.
    pub settled: u64,
    /// How long the time that counts was.
    pub elapsed: Duration,
    /// How long the threads of the load computed in that time, the system's work for their sockets with it: where that is as
    /// long as the time itself, the load is what limits a server that could do more. Not known on every system.
    pub busy: Option<Duration>,
    /// How long replies took: each whose request was due in that time, whenever it came. A request that was lost or never made
    /// is in it with how long it had waited.
    pub latency: LatencyHistogram,
    /// The same of those that settled an operation.
    pub settling: LatencyHistogram,
    /// Bytes sent and received in that time.
    pub sent: u64,
    /// See [`sent`](Self::sent).
    pub received: u64,
    /// Requests that were due and could not be made: every session waited for a reply, or none was left.
    pub late: u64,
    /// How many of them had no session left.
    pub orphaned: u64,
    /// Sessions that were lost or never opened, and why, for the first of them.
    pub lost: usize,
    /// See [`lost`](Self::lost).
    pub reasons: Vec<String>,
}

impl Measurements {
    /// A reply came.
    pub(super) fn answered(&mut self, after: Duration, settles: bool) {
        self.latency.record(after, 1);
        if settles {
            self.settling.record(after, 1);
        }
    }

    /// So many requests have waited as long in vain.
    pub(super) fn never_answered(&mut self, after: Duration, count: u64) {
        self.latency.record(after, count);
    }

    /// Adds what another thread has measured in the same time.
    pub fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.settled += other.settled;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.busy = match (self.busy, other.busy) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        self.latency.add(&other.latency);
        self.settling.add(&other.settling);
        self.sent += other.sent;
        self.received += other.received;
        self.late += other.late;
        self.orphaned += other.orphaned;
        self.lost += other.lost;
        self.reasons.extend(other.reasons);
    }

    /// How much of a core the load took; not known of a time that is short beside the system's ticks.
    pub fn share_busy(&self) -> Option<f64> {
        let elapsed = self.elapsed.as_secs_f64();
        self.busy.filter(|_| self.elapsed >= TICKS).map(|busy| busy.as_secs_f64() / elapsed)
    }

    /// So many in the time that counts, a second.
    pub fn rate(&self, count: u64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }
}

/// How long this thread has computed since it was started, where the system is Linux and tells it.
///
/// The clock that POSIX has for it would do, but is asked for through the vDSO, which valgrind does not have.
pub(super) fn computed() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// How long things took, each known to three digits.
#[derive(Clone, Debug, Default)]
pub struct LatencyHistogram(Option<Histogram<u64>>);

impl LatencyHistogram {
    fn record(&mut self, time: Duration, count: u64) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if self.0.is_none() {
            // The bounds are such as it takes.
            self.0 = Histogram::new_with_bounds(1, LONGEST, DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record_n(nanos, count);
        }
    }

    fn add(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Some(histogram), Some(other)) => {
                // Both have the same bounds.
                let _ = histogram.add(other);
            }
            (None, Some(_)) => self.0.clone_from(&other.0),
            (_, None) => {}
        }
    }

    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// The time within which this share of them came (0.5: the median).
    pub fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.as_ref().map_or(0, |histogram| histogram.value_at_quantile(share)))
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.as_ref().map_or(0, Histogram::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_all_threads() {
        let (mut one, mut other) = (Measurements::default(), Measurements::default());
        for milliseconds in 1..=100 {
            let one = if milliseconds % 2 == 0 { &mut one } else { &mut other };
            one.answered(Duration::from_millis(milliseconds), milliseconds > 90);
        }
        one.add(other);
        assert_eq!((one.latency.count(), one.settling.count()), (100, 10));
        for (share, milliseconds) in [(0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100)] {
            let (found, meant) = (one.latency.at(share), Duration::from_millis(milliseconds));
            assert!(found.abs_diff(meant) < meant / 500, "{share}: {found:?}");
        }
        assert!(one.latency.max() >= Duration::from_millis(100));
        assert_eq!(LatencyHistogram::default().at(0.5), Duration::ZERO);
    }
}
