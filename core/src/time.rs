//! Instants and durations in milliseconds. The core never reads a clock: `now` is an argument of every call
//! that needs it.
//!
//! ```
//! use atm_core::time::{Duration, Instant};
//! let start = std::time::Instant::now();
//! let now = || Instant::from_millis(start.elapsed().as_millis() as u64);
//! let deadline = now() + Duration::from_secs(10);
//! assert!(now().until(deadline) <= Duration::from_secs(10));
//! ```
use core::ops::Add;

/// A point in time of the driver's monotonic clock, in milliseconds since any fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The instant `millis` milliseconds after the clock's zero.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's zero.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The time from `self` until `later`; zero if `later` is earlier.
    pub fn until(self, later: Self) -> Duration {
        Duration(u32::try_from(later.0.saturating_sub(self.0)).unwrap_or(u32::MAX))
    }
}

/// Wall-clock time in milliseconds since 1970 (Unix time). It may jump, so only a ledger uses it, and no timer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnixTime(u64);

impl UnixTime {
    /// The time `millis` milliseconds after the beginning of 1970 in UTC.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the beginning of 1970 in UTC.
    pub const fn millis(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    // Not inlined: on a 32-bit processor this is longer than a call.
    #[inline(never)]
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::from(span.0)))
    }
}

/// A span of time in milliseconds, at most about 49 days: 32 bits, because a Cortex-M3 divides no 64-bit
/// number in hardware and no timer of this protocol is longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u32);

impl Duration {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// A span of whole seconds, at most 4,294,967.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// A span of milliseconds.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// The span in milliseconds.
    pub const fn millis(self) -> u32 {
        self.0
    }

    /// Twice the span, at most `max`.
    pub(crate) fn doubled(self, max: Self) -> Self {
        Self(self.0.saturating_mul(2)).min(max)
    }
}

/// The earlier of two deadlines; `None` if there is none.
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_an_instant_plus_a_duration() {
        let now = Instant::from_millis(7000);
        let deadline = now + Duration::from_secs(2);
        assert_eq!((deadline.millis(), now.until(deadline)), (9000, Duration::from_millis(2000)));
        assert_eq!(deadline.until(now), Duration::ZERO, "it has passed");
        assert_eq!(now.until(Instant::from_millis(u64::MAX)).millis(), u32::MAX);
    }

    #[test]
    fn the_earlier_of_two_deadlines() {
        let (a, b) = (Some(Instant::from_millis(1)), Some(Instant::from_millis(2)));
        for (one, other, first) in [(a, b, a), (b, a, a), (a, None, a), (None, a, a), (None, None, None)] {
            assert_eq!(earliest(one, other), first);
        }
    }

    #[test]
    fn a_duration_doubles_up_to_the_maximum() {
        let max = Duration::from_millis(500);
        for (span, twice) in [(100, 200), (250, 500), (300, 500), (u32::MAX, 500)] {
            assert_eq!(Duration::from_millis(span).doubled(max).millis(), twice);
        }
    }
}
