//! The server's way to its ledger: takes the requests of one event-loop turn, commits them, and hands back
//! the responses.
//!
//! The event loop knows this trait alone. A response may come at once or later, and in any order: its request
//! says which terminal or session it belongs to.
#[cfg(feature = "ledger")]
use crate::access::Enrolment;
#[cfg(feature = "ledger")]
use atm_core::ledger::Name;
use atm_core::ledger::{InDoubt, Request, Response};
#[cfg(feature = "ledger")]
use std::task::Poll;

/// Commits requests for the event loop.
pub(super) trait Committer: Send {
    /// Submits a request. It comes back with its response: at once, or from
    /// [`responses`](Self::responses) after a [`commit`](Self::commit) (`None`).
    ///
    /// # Errors
    /// The ledger has failed for good: it answers no request.
    fn submit(&mut self, request: Request) -> Result<Option<(Request, Response)>, InDoubt>;

    /// Commits the requests that were queued since the last call, as one batch.
    fn commit(&mut self) {}

    /// Would [`commit`](Self::commit) write something now?
    fn has_queued(&self) -> bool {
        false
    }

    /// When [`has_queued`](Self::has_queued) is to be asked again, if a commit waits for another attempt.
    fn retry_at(&self) -> Option<std::time::Instant> {
        None
    }

    /// Do so many requests wait for the end of a fault that new sessions are to be turned away?
    fn is_full(&self) -> bool {
        false
    }

    /// What the row of a terminal says about who may use its name; `None` where there is no row. In memory no name has a key, and
    /// the authority of a certificate alone decides.
    ///
    /// A row that is pending is being read: it is to be asked for again after [`take_rows`](Self::take_rows), when the event loop has been
    /// woken.
    ///
    /// # Errors
    /// It cannot be read now.
    #[cfg(feature = "ledger")]
    fn enrolment(&mut self, _: &Name) -> Poll<Result<Option<Enrolment>, InDoubt>> {
        Poll::Ready(Ok(Some(Enrolment { tls: true, ..Enrolment::default() })))
    }

    /// Takes the rows that were read since the last call, and drops those of before.
    #[cfg(feature = "ledger")]
    fn take_rows(&mut self) {}

    /// Takes the responses that have come since the last call.
    ///
    /// # Errors
    /// The ledger has failed for good, and every response before that was taken.
    fn responses(&mut self) -> Result<Vec<(Request, Response)>, InDoubt> {
        Ok(Vec::new())
    }

    /// Why the ledger has failed for good, if it has and that is known.
    fn failure(&self) -> Option<String> {
        None
    }

    /// Commits what is queued and closes the ledger; false where it could not be closed in order.
    fn close(self: Box<Self>) -> bool {
        true
    }
}
