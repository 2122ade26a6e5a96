//! Health: whether the store answers, also while no request comes, and since when it has been at work.
use super::{GroupCommitter, State};
use crate::{
    access::Enrolment,
    ledger::store::{Store, StoreFault},
    log::LEDGER,
};
use atm_core::ledger::{InDoubt, Name};
use std::time::Instant;
use tracing::warn;

impl<S: Store> GroupCommitter<S> {
    /// Asks the store whether it answers, and whether this process still writes to the journal, by an empty batch that is not saved. The caller does so
    /// while no request comes: a fault is settled, and counted, as that of a batch.
    pub fn probe(&mut self) {
        if !matches!(self.state, State::Open) {
            return;
        }
        self.retry_at = None;
        self.begin_work();
        if self.begin(Vec::new()).is_some() {
            self.store.abandon();
        }
        self.end_work();
    }

    /// What the row of a terminal says about who may use its name; `None` if it has no row. It is read at once, outside of
    /// a batch: the batch of the hello that it admits compares the epoch anew.
    ///
    /// # Errors
    /// It cannot be read now: a commit is in doubt, or the ledger has failed.
    pub fn enrolment(&mut self, name: &Name) -> Result<Option<Enrolment>, InDoubt> {
        let State::Open = self.state else { return Err(InDoubt) };
        self.begin_work();
        let read = self.store.enrolment(name);
        self.end_work();
        read.map_err(|fault| {
            warn!(target: LEDGER, %name, error = %fault, "a terminal's enrolment cannot be read");
            if matches!(fault, StoreFault::Failed(_)) {
                self.doubt(&fault, self.head, self.head, Vec::new(), 0);
            }
            InDoubt
        })
    }

    /// Notes that the store is at work from now on.
    pub(super) fn begin_work(&mut self) {
        self.began = Instant::now();
        self.metrics.update(|counters| counters.ledger_at_work = Some(self.began));
    }

    /// Notes that the store has answered, well or not.
    pub(super) fn end_work(&self) {
        self.metrics.update(|counters| counters.ledger_at_work = None);
    }
}
