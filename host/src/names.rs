//! Name quota: caps the names of terminals that a ledger takes, in number and in new ones a minute (token bucket).
//!
//! Any peer that reaches the port may say hello under any name, and each new name takes a row for all time.
use crate::log::{SESSION, limit::LogLimit};
use std::time::{Duration, Instant};
use tracing::warn;

/// Parts of a name's place: one name a minute adds one of them a millisecond.
const PARTS: u64 = 60_000;

/// How many new names a ledger takes.
#[derive(Clone, Copy, Debug)]
pub struct NameQuota {
    max: u64,
    per_minute: u32,
    /// Places for new names, in parts.
    places: u64,
    refilled: Instant,
    refusals: LogLimit,
}

impl NameQuota {
    /// At most `max` names, and `per_minute` new ones at once and a minute.
    pub fn new(max: u64, per_minute: u32, now: Instant) -> Self {
        let places = u64::from(per_minute).saturating_mul(PARTS);
        Self { max, per_minute, places, refilled: now, refusals: LogLimit::default() }
    }

    /// How many names there may be now, where there are `names`.
    pub fn limit(&mut self, names: u64, now: Instant) -> u64 {
        let millis =
            u64::try_from(now.saturating_duration_since(self.refilled).as_millis()).unwrap_or(u64::MAX);
        self.refilled += Duration::from_millis(millis);
        let per_minute = u64::from(self.per_minute);
        let added = millis.saturating_mul(per_minute);
        self.places = self.places.saturating_add(added).min(per_minute.saturating_mul(PARTS));
        self.max.min(names.saturating_add(self.places / PARTS))
    }

    /// Logs that another name is kept out, where there are `names`.
    pub fn log_refusal(&mut self, names: u64) {
        let limit = self.option(names);
        self.refusals.log(1, |unlogged| {
            warn!(target: SESSION, limit, unlogged, "turned away: no room for another name");
        });
    }

    /// The option whose limit keeps another name out, where there are `names`.
    fn option(&self, names: u64) -> &'static str {
        if names >= self.max { "--max-terminals" } else { "--new-terminals" }
    }

    /// Takes the places of names that are new.
    pub fn take(&mut self, new: u64) {
        self.places = self.places.saturating_sub(new.saturating_mul(PARTS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_names_are_capped_at_once_a_minute_and_in_number() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut quota = NameQuota::new(100, 60, start);
        assert_eq!(quota.limit(0, start), 60);
        quota.take(60);
        assert_eq!((quota.limit(60, at(999)), quota.option(60)), (60, "--new-terminals"));
        // One a second, also where it is asked for more often.
        assert_eq!((quota.limit(60, at(1000)), quota.limit(60, at(1999))), (61, 61));
        quota.take(1);
        assert_eq!((quota.limit(61, at(1999)), quota.limit(61, at(2000))), (61, 62));
        // No more at once after a long time, and no more than there may be.
        assert_eq!((quota.limit(0, at(1 << 40)), quota.limit(61, at(1 << 40))), (60, 100));
        assert_eq!(quota.limit(1000, at(1 << 40)), 100, "names of a former limit");
        assert_eq!(quota.option(100), "--max-terminals");
        quota.take(u64::MAX);
        assert_eq!(quota.limit(0, at(1 << 40)), 0);
    }
}
