//! Time as an argument: the core never reads a clock.
use core::ops::Add;

/// A point in time of the driver's own monotonic clock, in milliseconds since any fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The time from `self` until `later`; zero where `later` has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration(u32::try_from(later.0.saturating_sub(self.0)).unwrap_or(u32::MAX))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::from(span.0)))
    }
}

/// A span of time in milliseconds, at most about 49 days: 32 bits, because a Cortex-M3 divides no 64-bit number in
/// hardware and no timer of this protocol is longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u32);

impl Duration {
    /// No time at all.
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

    /// Twice the span, at most `most`.
    pub(crate) fn doubled(self, most: Self) -> Self {
        Self(self.0.saturating_mul(2)).min(most)
    }
}

/// The earlier of two deadlines, where there is one.
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}
