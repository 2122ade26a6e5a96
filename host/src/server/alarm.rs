//! Alarm: counts refused verifications of the last minute over all terminals, and warns where they are too many.
//!
//! Each terminal slows down its own guesses, and three block a card. A thief with many terminals and many cards is seen only here.
use crate::log::{SERVER, limit::LogLimit};
use atm_core::ledger::{Outcome, Refusal, Response};
use std::{collections::VecDeque, time::Instant};
use tracing::warn;

/// Seconds over which refusals are counted.
const WINDOW: u64 = 60;

/// Whether a PIN was judged and refused.
pub(super) fn is_refused_verification(response: &Response) -> bool {
    matches!(response, Response::Settled { outcome: Outcome::Refused(Refusal::NotVerified), .. })
}

/// Refused verifications of the last minute.
#[derive(Debug)]
pub(super) struct Alarm {
    most: u32,
    start: Instant,
    /// Seconds since the start with refusals, and their number in each.
    by_second: VecDeque<(u64, u32)>,
    limit: LogLimit<1, WINDOW>,
}

impl Alarm {
    /// An alarm above `most` refusals a minute.
    pub(super) fn new(most: u32, now: Instant) -> Self {
        Self { most, start: now, by_second: VecDeque::new(), limit: LogLimit::default() }
    }

    /// Counts a refusal, and raises the alarm, at most once a minute; returns whether it did.
    pub(super) fn note_refusal(&mut self, now: Instant) -> bool {
        let (a_minute, most, mut is_raised) = (self.count(now), self.most, false);
        if a_minute > most {
            self.limit.log_at(now, 1, |_| {
                is_raised = true;
                warn!(target: SERVER, a_minute, limit = most, "alarm: too many verifications are refused, over all terminals");
            });
        }
        is_raised
    }

    /// Counts a refusal; returns those of the last minute.
    fn count(&mut self, now: Instant) -> u32 {
        let second = now.saturating_duration_since(self.start).as_secs();
        self.by_second.retain(|(at, _)| second.saturating_sub(*at) < WINDOW);
        match self.by_second.back_mut() {
            Some((at, count)) if *at == second => *count = count.saturating_add(1),
            _ => self.by_second.push_back((second, 1)),
        }
        self.by_second.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The milliseconds of these refusals at which the alarm was raised, above three a minute.
    fn raised(refusals: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let start = Instant::now();
        let mut alarm = Alarm::new(3, start);
        let mut at = |millis: &u64| alarm.note_refusal(start + Duration::from_millis(*millis));
        refusals.into_iter().filter(|millis| at(millis)).collect()
    }

    #[test]
    fn it_is_raised_above_the_limit_of_a_minute() {
        assert_eq!(raised([0, 1, 2]), [0; 0]);
        assert_eq!(raised([0, 1, 2, 3]), [3]);
        assert_eq!(raised([0, 20_000, 40_000, 59_999]), [59_999]);
        assert_eq!(raised([0, 20_000, 40_000, 60_000]), [0; 0]);
        assert_eq!(raised((0..100).map(|number| number * 20_000)), [0; 0], "three a minute for ever");
    }

    #[test]
    fn it_is_raised_once_a_minute_for_as_long_as_refusals_are_too_many() {
        let every_second = (0..200).map(|second| second * 1000);
        assert_eq!(raised(every_second), [3_000, 63_000, 123_000, 183_000]);
        assert_eq!(raised([0, 0, 0, 0, 3_600_000, 3_600_000, 3_600_000, 3_600_000]), [0, 3_600_000]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let start = Instant::now();
        let mut alarm = Alarm::new(0, start);
        for millis in (0..1_000_000).step_by(10) {
            alarm.note_refusal(start + Duration::from_millis(millis));
        }
        assert!(alarm.by_second.len() <= 60);
        assert_eq!(alarm.count(start + Duration::from_secs(1000)), 5901);
    }
}
