//! Fence: a process stops whose journal another one has taken over, and one whose ledger is damaged, with the reason.
use super::{GroupCommitter, State};
use crate::{
    ledger::{
        store::{Store, StoreFault, Turn},
        words::time_text,
    },
    log::LEDGER,
};
use tracing::error;

impl<S: Store> GroupCommitter<S> {
    /// Closes the ledger for good.
    pub(super) fn fail(&mut self, fault: &StoreFault) {
        self.metrics.update(|counters| {
            counters.is_ledger_open = Some(false);
            counters.is_fenced = matches!(fault, StoreFault::Fenced(_));
        });
        let reason = match fault {
            StoreFault::Fenced(found) => self.describe_fence(*found),
            _ => self.store.explain(fault),
        };
        error!(target: LEDGER, error = reason, "the ledger is closed for good");
        self.failure = Some(reason);
        self.state = State::Failed;
    }

    /// Which journal was taken over, between which times, from which epoch to which, and what an operator does about it. `found` is the turn of the other
    /// process, if it was read.
    fn describe_fence(&self, found: Option<Turn>) -> String {
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
