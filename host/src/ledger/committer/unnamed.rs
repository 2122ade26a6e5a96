//! Unnamed operations: none is carried out after its client may have given it up.
//!
//! An operation of an unnamed session has no idempotency key: its client says "unknown" to the person when the host is silent for too long, and the person may
//! type it again. So it is not left in the queue while the ledger is closed, nor after it has waited for long: it is dropped, and its outcome is unknown. What
//! a named terminal asks for waits, because the terminal asks for its outcome.
use super::GroupCommitter;
use crate::ledger::store::Store;
use atm_core::ledger::{Command, Origin, Outcome, Request, Response};
use std::time::Duration;

/// How long an unnamed operation may wait for its batch: half the time after which clients give a silent host up.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The id of an operation of an unnamed session that may change a balance.
fn unnamed_operation(request: &Request) -> Option<u64> {
    let (Command::Operate { id, .. } | Command::Card { id, .. }) = request.command else { return None };
    let is_report = request.command.operation().is_none_or(|operation| operation.is_report());
    (matches!(request.origin, Origin::Session(_)) && !is_report).then_some(id)
}

impl<S: Store> GroupCommitter<S> {
    /// Drops unnamed operations from the queue.
    pub(super) fn withdraw_unnamed(&mut self) {
        let answered = &mut self.answered;
        self.queue.retain(|request| {
            let Some(id) = unnamed_operation(request) else { return true };
            answered.push((request.clone(), Response::Settled { id, outcome: Outcome::Unknown }));
            false
        });
    }

    /// Whether one of these requests, which are not in the queue, is to be dropped.
    pub(super) fn is_late(&self, requests: &[Request]) -> bool {
        self.waiting_since.elapsed() > PATIENCE
            && requests.iter().any(|request| unnamed_operation(request).is_some())
    }

    /// Drops them, if the queue has waited for long.
    pub(super) fn withdraw_late(&mut self) {
        if self.waiting_since.elapsed() > PATIENCE {
            self.withdraw_unnamed();
        }
    }
}
