//! Health: whether the store answers, also while no request comes, and since when it has been at work.
use super::{GroupCommitter, State};
use crate::ledger::store::Store;
use std::time::Instant;

impl<S: Store> GroupCommitter<S> {
    /// Asks the store whether it answers, and whether this process still writes to the journal, by an empty batch that is not saved. The caller does so
    /// while no request comes: a fault is settled, and counted, as that of a batch.
    pub fn probe(&mut self) {
        if !matches!(self.state, State::Open) {
            return;
        }
        self.begin_work();
        if self.begin(Vec::new()).is_some() {
            self.store.abandon();
        }
        self.end_work();
    }

    /// Notes that the store is at work from now on.
    pub(super) fn begin_work(&self) {
        let now = Instant::now();
        self.metrics.update(|counters| counters.ledger_at_work = Some(now));
    }

    /// Notes that the store has answered, well or not.
    pub(super) fn end_work(&self) {
        self.metrics.update(|counters| counters.ledger_at_work = None);
    }
}
