//! The clock that the core's endpoints are told the time by.
use atm_core::time::{Duration, Instant};
use std::time;

/// A monotonic clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock(time::Instant);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self(time::Instant::now())
    }

    /// The time.
    pub fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long to wait for `deadline`: never less than what is left of it, so that nobody wakes up early and spins.
    pub fn until(&self, deadline: Instant) -> time::Duration {
        let left = self.now().until(deadline);
        if left == Duration::ZERO {
            return time::Duration::ZERO;
        }
        time::Duration::from_millis(u64::from(left.millis()))
    }
}
