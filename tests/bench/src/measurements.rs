//! Measurements: throughput, latency histograms, and the load generator's own processor time.
use hdrhistogram::Histogram;
use std::time::Duration;

/// The longest latency that a histogram distinguishes: an hour, in nanoseconds. Longer ones are recorded as
/// this.
const MAX_LATENCY: u64 = 3_600_000_000_000;

/// The shortest time whose processor time is reported: Linux updates it at ticks of 1 to 10 ms.
const MIN_CPU_INTERVAL: Duration = Duration::from_millis(100);

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// The measurements of one thread, or of all of them.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    /// Replies received in the measured time.
    pub answers: u64,
    /// Replies among them that completed an operation.
    pub operations: u64,
    /// The measured time.
    pub elapsed: Duration,
    /// Processor time of the load generator's threads in the measured time, the kernel's work for their
    /// sockets included. Where it equals the measured time, the load generator is the bottleneck. `None` on
    /// systems other than Linux.
    pub cpu_time: Option<Duration>,
    /// Latency of the replies to requests that were due in the measured time, whenever the reply came,
    /// counted from when the request was due. A request that was never sent or answered is recorded with the
    /// time that it had waited: otherwise a server that stalls would hide its own pauses (coordinated
    /// omission).
    pub answer_latency: LatencyHistogram,
    /// Latency of those replies that completed an operation.
    pub operation_latency: LatencyHistogram,
    /// Bytes sent in the measured time.
    pub bytes_sent: u64,
    /// Bytes received in the measured time.
    pub bytes_received: u64,
    /// Requests that were due but never sent: every session was waiting for a reply, or none was left.
    pub missed: u64,
    /// Requests among them that were never sent because no session was left.
    pub missed_without_session: u64,
    /// Sessions that were lost or could not be opened.
    pub lost: usize,
    /// Why, for the first of them.
    pub reasons: Vec<String>,
}

impl Measurements {
    /// Records the latency of a reply.
    pub(super) fn record_reply(&mut self, latency: Duration, completes_operation: bool) {
        self.answer_latency.record(latency, 1);
        if completes_operation {
            self.operation_latency.record(latency, 1);
        }
    }

    /// Records `count` requests that were never answered, with the time that they have waited.
    pub(super) fn record_unanswered(&mut self, waited: Duration, count: u64) {
        self.answer_latency.record(waited, count);
    }

    /// Adds the measurements of another thread in the same time.
    pub fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.operations += other.operations;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.cpu_time = match (self.cpu_time, other.cpu_time) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        self.answer_latency.add(&other.answer_latency);
        self.operation_latency.add(&other.operation_latency);
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.missed += other.missed;
        self.missed_without_session += other.missed_without_session;
        self.lost += other.lost;
        self.reasons.extend(other.reasons);
    }

    /// Processor time as a share of one core; `None` if it is unknown or the measured time is too short for
    /// it.
    pub fn cpu_share(&self) -> Option<f64> {
        let elapsed = self.elapsed.as_secs_f64();
        self.cpu_time.filter(|_| self.elapsed >= MIN_CPU_INTERVAL).map(|time| time.as_secs_f64() / elapsed)
    }

    /// The throughput, per second, of `count` events in the measured time.
    pub fn throughput(&self, count: u64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }
}

/// The processor time of this thread since its start, on Linux (the first field of schedstat, see
/// sched-stats.rst in the documentation of its kernel).
///
/// POSIX's CLOCK_THREAD_CPUTIME_ID has it too, but is read through the vDSO, which valgrind does not provide.
pub(super) fn thread_cpu_time() -> Option<Duration> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    schedstat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// A histogram of latencies, to three significant digits.
#[derive(Clone, Debug, Default)]
pub struct LatencyHistogram(Option<Histogram<u64>>);

impl LatencyHistogram {
    fn record(&mut self, latency: Duration, count: u64) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if self.0.is_none() {
            // These bounds and digits are valid.
            self.0 = Histogram::new_with_bounds(1, MAX_LATENCY, DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record_n(nanos, count);
        }
    }

    fn add(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Some(histogram), Some(other)) => {
                // Both have the same bounds: this cannot fail.
                let _ = histogram.add(other);
            }
            (None, Some(_)) => self.0.clone_from(&other.0),
            (_, None) => {}
        }
    }

    /// The number of recorded latencies.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// The latency at a quantile: 0.5 is the median, 0.99 the p99.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.0.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile)))
    }

    /// The longest latency.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.as_ref().map_or(0, Histogram::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_all_threads() {
        let (mut one, mut other) = (Measurements::default(), Measurements::default());
        for milliseconds in 1..=100 {
            let one = if milliseconds % 2 == 0 { &mut one } else { &mut other };
            one.record_reply(Duration::from_millis(milliseconds), milliseconds > 90);
        }
        one.add(other);
        assert_eq!((one.answer_latency.count(), one.operation_latency.count()), (100, 10));
        for (quantile, milliseconds) in [(0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100)] {
            let (found, expected) =
                (one.answer_latency.quantile(quantile), Duration::from_millis(milliseconds));
            assert!(found.abs_diff(expected) < expected / 500, "{quantile}: {found:?}");
        }
        assert!(one.answer_latency.max() >= Duration::from_millis(100));
        assert_eq!(LatencyHistogram::default().quantile(0.5), Duration::ZERO);
    }
}
