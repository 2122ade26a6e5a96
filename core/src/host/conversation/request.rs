//! The conversation's one outstanding ledger request: made, handed to the driver, and matched with its
//! response.
use super::{Conversation, Effect};
use crate::ledger::{Name, Operation, Origin, Request};

/// The request whose response is outstanding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Outstanding {
    #[default]
    None,
    /// Open the terminal's numbers and its last operation, for a hello.
    Open,
    /// Reserve more numbers: the last reply has none and waits for it.
    ReserveNumbers { quit: bool },
    /// Carry out an operation under the idempotency key `id`.
    Operate { id: u64, operation: Operation },
    /// Find the outcome of the operation `id`, or void it, for a hello.
    Settle { id: u64 },
}

impl Conversation {
    /// Whether `request` is the outstanding one.
    pub(super) fn awaits(&self, request: &Request) -> bool {
        match (self.outstanding, request) {
            (
                Outstanding::Operate { id, operation },
                Request::Operate { origin, id: requested_id, operation: requested_operation },
            ) => id == *requested_id && operation == *requested_operation && *origin == self.origin,
            (Outstanding::Settle { id }, Request::Settle { terminal, id: requested_id }) => {
                id == *requested_id && self.is_terminal(terminal)
            }
            (Outstanding::Open | Outstanding::ReserveNumbers { .. }, Request::Open { terminal }) => {
                self.is_terminal(terminal)
            }
            _ => false,
        }
    }

    fn is_terminal(&self, terminal: &Name) -> bool {
        matches!(&self.origin, Origin::Terminal(name) if name == terminal)
    }

    /// Makes a request outstanding.
    pub(super) fn emit_request(&mut self, outstanding: Outstanding) -> Effect {
        self.outstanding = outstanding;
        self.request_ready = true;
        Effect::EmitRequest
    }

    /// Makes the outstanding request ready once more.
    pub(crate) fn retry_request(&mut self) {
        self.request_ready = self.is_busy();
    }

    /// Whether [`take_request`](Self::take_request) has a request.
    pub(crate) fn has_request(&self) -> bool {
        self.request_ready
    }

    /// The outstanding request, once.
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        if !core::mem::take(&mut self.request_ready) {
            return None;
        }
        let origin = self.origin.clone();
        Some(match (self.outstanding, origin) {
            (Outstanding::Operate { id, operation }, origin) => Request::Operate { origin, id, operation },
            (Outstanding::Settle { id }, Origin::Terminal(terminal)) => Request::Settle { terminal, id },
            (Outstanding::Open | Outstanding::ReserveNumbers { .. }, Origin::Terminal(terminal)) => {
                Request::Open { terminal }
            }
            _ => return None,
        })
    }
}
