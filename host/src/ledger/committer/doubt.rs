//! A batch in doubt: what the journal was before it and is after it, so that a settling write can tell whether it stands.
use crate::ledger::{batch::Answered, store::Head};
use atm_core::time::UnixTime;
use std::time::Duration;

/// What is known of the batch.
pub(super) struct Doubt {
    /// The journal before the batch, and its epoch.
    pub(super) before: Head,
    pub(super) epoch: u64,
    /// The journal after the batch.
    pub(super) after: Head,
    /// The journal after the voids, once a settling write with them was tried.
    pub(super) voided: Option<Head>,
    /// The responses that the requests have if it stands.
    pub(super) answered: Vec<Answered>,
    /// The new names that there are if it stands.
    pub(super) names: u64,
    /// The time of the voids: each attempt writes the same entries.
    pub(super) time: UnixTime,
    pub(super) backoff: Duration,
    /// The fault as it was logged: it may be met many times.
    pub(super) logged: String,
}

impl Doubt {
    /// Whether the batch stands in a journal of ours; `None` if it is neither before nor after it. A batch raises the
    /// count of batches, a settling write that and the epoch. One that fails may take the batch with it that it found,
    /// so the journal is compared anew at each attempt.
    pub(super) fn stands(&self, found: &Head, epoch: u64) -> Option<bool> {
        let batches = found.batches.wrapping_sub(epoch.wrapping_sub(self.epoch));
        let is_at = |head: &Head| (found.number, found.hash) == (head.number, head.hash);
        if batches == self.after.batches && is_at(&self.after) {
            return Some(true);
        }
        let is_before = is_at(&self.before) || self.voided.as_ref().is_some_and(is_at);
        (batches == self.before.batches && is_before).then_some(false)
    }
}
