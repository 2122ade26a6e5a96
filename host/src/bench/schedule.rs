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
        let after = Duration::try_from_secs_f64(self.next as f64 * self.interval).unwrap_or(Duration::MAX);
        // A rate so low that the clock does not reach as far: in a hundred years.
        self.start.checked_add(after).unwrap_or(self.start + Duration::from_secs(100 * 365 * 86_400))
    }

    /// The next request was made.
    pub fn step(&mut self) {
        self.next = self.next.saturating_add(1);
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
}
