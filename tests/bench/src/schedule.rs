//! When requests are due.
use std::time::{Duration, Instant};

/// Requests at a steady rate.
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

    /// When the next request is due. It is reckoned from the start: no error adds up.
    pub fn due(&self) -> Instant {
        self.at(self.next)
    }

    fn at(&self, number: u64) -> Instant {
        let after = Duration::try_from_secs_f64(number as f64 * self.interval).unwrap_or(Duration::MAX);
        // A rate so low that the clock does not reach as far: in a hundred years.
        self.start.checked_add(after).unwrap_or(self.start + Duration::from_secs(100 * 365 * 86_400))
    }

    /// How many more are due before `until`.
    pub fn before(&self, until: Instant) -> u64 {
        let span = until.saturating_duration_since(self.start).as_secs_f64();
        // Due at `until` itself is not before it. The quotient may be off by one, which the clock tells.
        let mut all = (span / self.interval).ceil() as u64;
        while all > 0 && self.at(all - 1) >= until {
            all -= 1;
        }
        while self.at(all) < until {
            all += 1;
        }
        all.saturating_sub(self.next)
    }

    /// The next request was made.
    pub fn step(&mut self) {
        self.skip(1);
    }

    /// So many were made, or never will be.
    pub fn skip(&mut self, count: u64) {
        self.next = self.next.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_millionth_request_is_on_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 30_000.0);
        assert_eq!(schedule.due(), start);
        for _ in 0..3_000_000 {
            schedule.step();
        }
        let off = schedule.due().duration_since(start).as_secs_f64() - 100.0;
        assert!(off.abs() < 1e-6, "{off}");
    }

    #[test]
    fn what_is_due_before_a_time_is_what_steps_come_to() {
        let start = Instant::now();
        for (rate, milliseconds) in [(1000.0, 100), (3.0, 1000), (7.7, 12_345), (30_000.0, 1), (0.001, 5)] {
            let (mut schedule, until) =
                (Schedule::new(start, rate), start + Duration::from_millis(milliseconds));
            schedule.step();
            let before = schedule.before(until);
            let mut steps = 0;
            while schedule.due() < until {
                schedule.step();
                steps += 1;
            }
            assert_eq!((before, schedule.before(until)), (steps, 0), "{rate}");
        }
        assert_eq!(Schedule::new(start, 1e-9).before(start), 0);
    }
}
