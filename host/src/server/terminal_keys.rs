//! Terminals' keys: computes the key that a sealed hello claims from its terminal's row, and bounds the steps for that.
//!
//! Any peer can claim a name, a series and a step. Only the steps from the row's own step to the claimed one are caused by
//! the claim, so they are bounded by name and in all (token buckets); a few of them are free, so that no forged claims keep the true
//! terminal out. The steps to the row's own step were all taken by authentic hellos, and are computed once.
use crate::access::Enrolment;
use atm_core::{
    host::KeyRequest,
    ledger::Name,
    seal::{Key, TerminalKey},
};
use rustc_hash::FxHashMap;
use std::{
    collections::HashMap,
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// Most steps of a claim above the step of its row: starts of a terminal since a backup of the ledger was made.
pub(super) const MAX_AHEAD: u32 = 4096;

/// Steps of a claim that cost no more than to open a message.
const FREE: u32 = 8;

/// Most steps a minute, and at once, that claims of one name cause, and those of all names (0.1 s of a core).
const PER_NAME: u32 = 2 * MAX_AHEAD;
const IN_ALL: u32 = 1 << 17;

/// Most steps a minute to the own steps of rows that are far from what was computed (1 s of a core). What is computed of a row
/// is kept; [`MAX_AHEAD`] steps are free, so that a row with the steps of a thief keeps no other terminal out.
const TO_ROWS: u32 = 1 << 20;

/// Most names whose computed keys, or whose spent steps, are kept.
const KEPT: usize = 1 << 17;

/// Why there is no key for a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The series was not issued or is revoked, or the step is too far ahead.
    NotValid,
    /// Too many steps were computed in the last minute.
    Bound,
}

/// The terminals' keys of one master key. `Debug` shows none of them.
#[derive(Debug)]
pub(super) struct TerminalKeys {
    master: Key,
    /// The keys at the steps of the rows, or on the way there.
    of_rows: HashMap<Name, TerminalKey>,
    by_name: FxHashMap<Name, Bucket>,
    in_all: Bucket,
    to_rows: Bucket,
}

impl TerminalKeys {
    pub(super) fn new(master: Key, now: Instant) -> Self {
        Self {
            master,
            of_rows: HashMap::new(),
            by_name: FxHashMap::default(),
            in_all: Bucket::new(IN_ALL, now),
            to_rows: Bucket::new(TO_ROWS, now),
        }
    }

    /// The key that a hello claims to be authentic under.
    pub(super) fn find(
        &mut self,
        claim: &KeyRequest,
        row: &Enrolment,
        now: Instant,
    ) -> Result<TerminalKey, NoKey> {
        if !row.may_use(claim.series.get()) {
            return Err(NoKey::NotValid);
        }
        let of_row =
            row.epoch.filter(|epoch| epoch.series == claim.series.get()).map_or(0, |epoch| epoch.step);
        if claim.step.saturating_sub(of_row) > MAX_AHEAD {
            return Err(NoKey::NotValid);
        }
        // A hello of an earlier step is to be answered under its own key, which follows from the first one alone.
        let base = if claim.step < of_row {
            TerminalKey::derive(&self.master, claim.series, &claim.terminal)
        } else {
            self.key_of_row(&claim.terminal, claim.series, of_row, now)?
        };
        let steps = claim.step.saturating_sub(base.step());
        if steps > FREE && !self.take(&claim.terminal, steps, now) {
            return Err(NoKey::Bound);
        }
        base.forward(claim.step, steps).ok_or(NoKey::NotValid)
    }

    /// The key at the step of a row. It is computed in parts where there are many steps.
    fn key_of_row(
        &mut self,
        name: &Name,
        series: NonZeroU32,
        step: u32,
        now: Instant,
    ) -> Result<TerminalKey, NoKey> {
        let kept = self.of_rows.get(name).filter(|key| key.series() == series && key.step() <= step);
        let from = kept.cloned().unwrap_or_else(|| TerminalKey::derive(&self.master, series, name));
        let steps = match step.saturating_sub(from.step()) {
            few if few <= MAX_AHEAD => few,
            many => self.to_rows.take_up_to(many, now),
        };
        let key = from.forward(from.step().saturating_add(steps), steps).ok_or(NoKey::NotValid)?;
        if steps > 0 {
            if self.of_rows.len() >= KEPT && !self.of_rows.contains_key(name) {
                self.of_rows.clear();
            }
            self.of_rows.insert(name.clone(), key.clone());
        }
        if key.step() == step { Ok(key) } else { Err(NoKey::Bound) }
    }

    /// Takes steps from the name's bucket and that of all, or none.
    fn take(&mut self, name: &Name, steps: u32, now: Instant) -> bool {
        if self.by_name.len() >= KEPT {
            self.by_name.retain(|_, bucket| !bucket.is_full(now));
        }
        let bucket = self.by_name.entry(name.clone()).or_insert_with(|| Bucket::new(PER_NAME, now));
        if !bucket.has(steps, now) || !self.in_all.has(steps, now) {
            return false;
        }
        bucket.take_up_to(steps, now);
        self.in_all.take_up_to(steps, now);
        true
    }
}

/// Token bucket of steps.
#[derive(Debug)]
struct Bucket {
    per_minute: u32,
    /// A step has 60,000 parts: one step a minute adds one of them a millisecond.
    parts: u64,
    refilled: Instant,
}

const PARTS: u64 = 60_000;

impl Bucket {
    fn new(per_minute: u32, now: Instant) -> Self {
        Self { per_minute, parts: u64::from(per_minute).saturating_mul(PARTS), refilled: now }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_millis();
        let millis = u64::try_from(passed).unwrap_or(u64::MAX);
        self.refilled += Duration::from_millis(millis);
        let (rate, most) = (u64::from(self.per_minute), u64::from(self.per_minute).saturating_mul(PARTS));
        self.parts = self.parts.saturating_add(millis.saturating_mul(rate)).min(most);
    }

    fn has(&mut self, steps: u32, now: Instant) -> bool {
        self.refill(now);
        self.parts >= u64::from(steps).saturating_mul(PARTS)
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.has(self.per_minute, now)
    }

    /// Takes as many of these steps as there are, and returns their number.
    fn take_up_to(&mut self, steps: u32, now: Instant) -> u32 {
        self.refill(now);
        let steps = steps.min(u32::try_from(self.parts / PARTS).unwrap_or(u32::MAX));
        self.parts = self.parts.saturating_sub(u64::from(steps).saturating_mul(PARTS));
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::ledger::Epoch;

    fn master() -> Key {
        Key::from([7; 32])
    }

    fn row(series: u32, floor: u32, step: u32) -> Enrolment {
        let epoch = Epoch { series: floor, step, ..Epoch::clear(0, 0) };
        Enrolment { series, epoch: Some(epoch), ..Enrolment::default() }
    }

    fn claim(name: &str, series: u32, step: u32) -> KeyRequest {
        KeyRequest { terminal: name.parse().unwrap(), series: series.try_into().unwrap(), step }
    }

    fn expected(claim: &KeyRequest) -> TerminalKey {
        let first = TerminalKey::derive(&master(), claim.series, &claim.terminal);
        first.forward(claim.step, u32::MAX).unwrap()
    }

    #[test]
    fn the_key_is_that_of_the_claim_at_earlier_and_later_steps_and_in_the_next_series() {
        let now = Instant::now();
        let mut keys = TerminalKeys::new(master(), now);
        for (series, step) in [(3, 100), (3, 104), (3, 40), (3, 100 + MAX_AHEAD), (4, 0), (4, 17), (3, 101)] {
            let claim = claim("kiosk-7", series, step);
            assert_eq!(keys.find(&claim, &row(4, 3, 100), now), Ok(expected(&claim)), "{claim:?}");
        }
        // The row goes on, and back after a restore.
        for of_row in [900, 20] {
            let claim = claim("kiosk-7", 3, of_row + 1);
            assert_eq!(keys.find(&claim, &row(3, 3, of_row), now), Ok(expected(&claim)));
        }
    }

    #[test]
    fn no_key_is_given_for_a_series_that_is_not_valid_or_a_step_too_far_ahead() {
        let now = Instant::now();
        let mut keys = TerminalKeys::new(master(), now);
        for (series, step) in [(2, 100), (5, 0), (3, 101 + MAX_AHEAD), (4, 1 + MAX_AHEAD), (3, u32::MAX)] {
            let claim = claim("kiosk-7", series, step);
            assert_eq!(keys.find(&claim, &row(4, 3, 100), now), Err(NoKey::NotValid), "{claim:?}");
        }
        assert_eq!(keys.find(&claim("kiosk-7", 1, 0), &Enrolment::default(), now), Err(NoKey::NotValid));
    }

    #[test]
    fn forged_claims_are_bounded_and_do_not_keep_the_true_terminal_out() {
        let now = Instant::now();
        let mut keys = TerminalKeys::new(master(), now);
        let mut flood = |name: &str, now| {
            (0..1000).filter(|_| keys.find(&claim(name, 1, 5000), &row(1, 1, 1000), now).is_ok()).count()
        };
        assert_eq!(flood("kiosk-7", now), 2, "a name's steps of a minute");
        let names: usize = (0..100).map(|number| flood(&format!("kiosk-{number}"), now)).sum();
        assert_eq!(names, 30, "the steps of a minute in all");
        let later = now + Duration::from_secs(60);
        assert_eq!(flood("kiosk-7", later), 2);
        for step in 1000..=1000 + FREE {
            let claim = claim("kiosk-7", 1, step);
            assert_eq!(keys.find(&claim, &row(1, 1, 1000), later), Ok(expected(&claim)));
        }
    }

    #[test]
    fn a_row_of_very_many_steps_is_reached_in_the_end_and_keeps_no_other_terminal_out() {
        const STEP: u32 = TO_ROWS + MAX_AHEAD + 3;
        let now = Instant::now();
        let mut keys = TerminalKeys::new(master(), now);
        let many = claim("kiosk-7", 1, STEP);
        assert_eq!(keys.find(&many, &row(1, 1, STEP), now), Err(NoKey::Bound));
        assert_eq!(keys.find(&many, &row(1, 1, STEP), now), Err(NoKey::Bound));
        let other = claim("kiosk-8", 1, 2001);
        assert_eq!(keys.find(&other, &row(1, 1, 2000), now), Ok(expected(&other)));
        let found = keys.find(&many, &row(1, 1, STEP), now + Duration::from_secs(1)).unwrap();
        assert_eq!(found.step(), STEP);
    }

    #[test]
    fn no_key_is_in_the_debug_text() {
        let keys = TerminalKeys::new(master(), Instant::now());
        assert!(format!("{keys:?}").contains("master: Key(..)"));
    }
}
