//! Block: another transaction that keeps batches waiting for long is named in the log and seen in the health.
use super::{GroupCommitter, unnamed::PATIENCE};
use crate::{ledger::store::Store, log::LEDGER};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How long batches may wait for another transaction before that is a fault.
const LIMIT: Duration = Duration::from_secs(3);

// Before unnamed operations, which may be all that waits, are dropped.
const _: () = assert!(LIMIT.as_secs() < PATIENCE.as_secs());

/// Batches wait for another transaction.
pub(super) struct Block {
    /// When the first of them began.
    since: Instant,
    /// It was logged: that is done once.
    is_logged: bool,
}

impl<S: Store> GroupCommitter<S> {
    /// Whether batches have waited for long.
    pub(super) fn is_blocked(&self) -> bool {
        self.block.as_ref().is_some_and(|block| block.is_logged)
    }

    /// Notes that another transaction is in the way of the present batch.
    pub(super) fn note_block(&mut self) {
        let block = self.block.get_or_insert(Block { since: self.began, is_logged: false });
        if block.is_logged || block.since.elapsed() < LIMIT {
            return;
        }
        block.is_logged = true;
        let waited_s = block.since.elapsed().as_secs();
        let cause = self.store.find_blocker();
        warn!(target: LEDGER, waited_s, cause, "the ledger's rows are locked: no outcome is sent before another transaction has ended");
        self.metrics.update(|counters| counters.is_blocked = true);
    }

    /// Notes that the rows of a batch are locked by this process.
    pub(super) fn end_block(&mut self) {
        if self.block.take().is_some_and(|block| block.is_logged) {
            info!(target: LEDGER, "the other transaction has ended: the ledger takes entries again");
            self.metrics.update(|counters| counters.is_blocked = false);
        }
    }
}
