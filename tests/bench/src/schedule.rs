//! The schedule of an open loop: when each request is due, at a constant rate.
use std::time::{Duration, Instant};

/// Requests at a constant rate.
#[derive(Clone, Debug)]
pub struct Schedule {
    start: Instant,
    /// Seconds from one request to the next.
    interval: f64,
    next: u64,
}

impl Schedule {
    /// `rate` requests a second, the first of them due at `start`.
    pub fn new(start: Instant, rate: f64) -> Self {
        Self { start, interval: 1.0 / rate, next: 0 }
    }

    /// When the next request is due, computed from the start, so that no rounding error adds up.
    pub fn next_due(&self) -> Instant {
        self.at(self.next)
    }

    fn at(&self, number: u64) -> Instant {
        let after = Duration::try_from_secs_f64(number as f64 * self.interval).unwrap_or(Duration::MAX);
        // At a very low rate the clock's range ends before that time: in a hundred years.
        self.start.checked_add(after).unwrap_or(self.start + Duration::from_secs(100 * 365 * 86_400))
    }

    /// How many further requests are due before `until`.
    pub fn due_before(&self, until: Instant) -> u64 {
        let span = until.saturating_duration_since(self.start).as_secs_f64();
        // A request due at `until` itself is not counted. The quotient may be off by one; the loops correct
        // it.
        let mut all = (span / self.interval).ceil() as u64;
        while all > 0 && self.at(all - 1) >= until {
            all -= 1;
        }
        while self.at(all) < until {
            all += 1;
        }
        all.saturating_sub(self.next)
    }

    /// Moves on to the request after the next one.
    pub fn advance(&mut self) {
        self.skip(1);
    }

    /// Moves on by `count` requests, sent or not.
    pub fn skip(&mut self, count: u64) {
        self.next = self.next.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_errors_do_not_accumulate() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 30_000.0);
        assert_eq!(schedule.next_due(), start);
        for _ in 0..3_000_000 {
            schedule.advance();
        }
        let off = schedule.next_due().duration_since(start).as_secs_f64() - 100.0;
        assert!(off.abs() < 1e-6, "{off}");
    }

    #[test]
    fn due_before_counts_the_requests_that_advance_passes() {
        let start = Instant::now();
        for (rate, milliseconds) in [(1000.0, 100), (3.0, 1000), (7.7, 12_345), (30_000.0, 1), (0.001, 5)] {
            let (mut schedule, until) =
                (Schedule::new(start, rate), start + Duration::from_millis(milliseconds));
            schedule.advance();
            let before = schedule.due_before(until);
            let mut steps = 0;
            while schedule.next_due() < until {
                schedule.advance();
                steps += 1;
            }
            assert_eq!((before, schedule.due_before(until)), (steps, 0), "{rate}");
        }
        assert_eq!(Schedule::new(start, 1e-9).due_before(start), 0);
    }
}
