//! Fence: the reason with which a process stops when another one has taken its journal over.
use super::GroupCommitter;
use crate::ledger::{
    store::{Store, Turn},
    words::time_text,
};

impl<S: Store> GroupCommitter<S> {
    /// Which journal was taken over, between which times, from which epoch to which, and what an operator does about it. `found` is the turn of the other
    /// process, if it was read.
    pub(super) fn describe_fence(&self, found: Option<Turn>) -> String {
        let [journal, advice] = self.store.takeover();
        let (before, now) = (time_text(self.served_at), time_text((self.clock)()));
        let epoch = found.map_or_else(|| "another one".to_owned(), |turn| turn.epoch.to_string());
        format!(
            "another process has taken the journal over, that of {journal}: its epoch was {} at {before}, and is {epoch} at {now}. What this process has \
             acknowledged stands. {advice}",
            self.turn.epoch
        )
    }
}
