//! Log limit: bounds the warnings of one kind that peers cause, and counts those in between.
use std::time::{Duration, Instant};

/// At most `MOST` warnings in `SECONDS` seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogLimit<const MOST: u32 = 10, const SECONDS: u64 = 1> {
    /// The end of the interval, and how many were logged in it.
    until: Option<Instant>,
    logged: u32,
    unlogged: u64,
}

impl<const MOST: u32, const SECONDS: u64> LogLimit<MOST, SECONDS> {
    /// Logs a warning with the count since the last one, if there is any (the field `unlogged`); adds `count` to it where none may be
    /// logged now.
    pub(crate) fn log(&mut self, count: u64, warn: impl FnOnce(Option<u64>)) {
        self.log_at(Instant::now(), count, warn);
    }

    /// The same at this time.
    pub(crate) fn log_at(&mut self, now: Instant, count: u64, warn: impl FnOnce(Option<u64>)) {
        if self.until.is_none_or(|until| until <= now) {
            (self.until, self.logged) = (Some(now + Duration::from_secs(SECONDS)), 0);
        }
        if self.logged >= MOST {
            self.unlogged = self.unlogged.saturating_add(count);
            return;
        }
        self.logged = self.logged.saturating_add(1);
        let unlogged = std::mem::take(&mut self.unlogged);
        warn((unlogged > 0).then_some(unlogged));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts that were logged, of warnings at these milliseconds.
    fn logged<const MOST: u32, const SECONDS: u64>(
        mut limit: LogLimit<MOST, SECONDS>,
        warnings: impl IntoIterator<Item = (u64, u64)>,
    ) -> Vec<(u64, Option<u64>)> {
        let (start, mut logged) = (Instant::now(), Vec::new());
        for (millis, count) in warnings {
            let now = start + Duration::from_millis(millis);
            limit.log_at(now, count, |unlogged| logged.push((millis, unlogged)));
        }
        logged
    }

    #[test]
    fn ten_warnings_a_second_are_logged_and_the_others_counted() {
        let shown = logged(LogLimit::<10, 1>::default(), (0..1_100).map(|millis| (millis, 1)));
        let mut expected: Vec<_> = (0..10).chain(1_000..1_010).map(|millis| (millis, None)).collect();
        expected[10].1 = Some(990);
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_warning_a_minute_is_logged_with_the_sum_of_the_counts() {
        let warnings = [(0, 1), (1_000, 5), (59_999, 7), (60_000, 1), (61_000, 1)];
        assert_eq!(logged(LogLimit::<1, 60>::default(), warnings), [(0, None), (60_000, Some(12))]);
    }
}
