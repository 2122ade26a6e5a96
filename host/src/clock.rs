//! Clocks: the monotonic time that the endpoints are driven with, and the wall-clock time of the ledger's entries.
use atm_core::time::{Duration, Instant, UnixTime};
use std::time;

/// A monotonic clock in milliseconds, which starts at zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock(time::Instant);

impl Clock {
    /// Starts a clock.
    pub fn start() -> Self {
        Self(time::Instant::now())
    }

    /// The time since the start.
    pub fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long to wait for `deadline`. Never less than what is left, so that a loop does not wake up early
    /// and spin.
    pub fn until(&self, deadline: Instant) -> time::Duration {
        let left = self.now().until(deadline);
        if left == Duration::ZERO {
            return time::Duration::ZERO;
        }
        time::Duration::from_millis(u64::from(left.millis()))
    }
}

/// The wall-clock time.
pub fn unix_time() -> UnixTime {
    let since = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
