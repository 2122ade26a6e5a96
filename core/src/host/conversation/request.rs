//! The conversation's one outstanding ledger request: made, handed to the driver, and known again by its ticket.
use super::{Conversation, Effect};
#[cfg(feature = "cards")]
use crate::ledger::card::CardRequest;
use crate::ledger::{Command, Epoch, Operation, Request, Ticket};

/// The request whose response is outstanding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Outstanding {
    #[default]
    None,
    /// Admit the hello of this epoch.
    Hello { epoch: Epoch },
    /// Reserve more numbers: the last reply has none and waits for it.
    ReserveNumbers { quit: bool },
    /// Carry out an operation under the idempotency key `id`.
    Operate { id: u64, operation: Operation },
    /// Carry out a card's request under the idempotency key `id`.
    #[cfg(feature = "cards")]
    Card { id: u64, request: CardRequest },
    /// Find the outcome of the operation `id`, or void it, for a hello.
    Settle { id: u64 },
}

impl Conversation {
    /// Makes a request outstanding.
    pub(super) fn emit_request(&mut self, outstanding: Outstanding) -> Effect {
        self.outstanding = outstanding;
        self.ticket = self.next_ticket;
        self.next_ticket.number = self.next_ticket.number.wrapping_add(1);
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

    /// The ticket of the next request, of the link that holds the conversation.
    pub(crate) fn next_ticket(&self) -> Ticket {
        self.next_ticket
    }

    /// Moves the conversation to another link, which counts its requests from here on.
    pub(crate) fn set_next_ticket(&mut self, ticket: Ticket) {
        self.next_ticket = ticket;
    }

    /// The outstanding request, once.
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        if !core::mem::take(&mut self.request_ready) {
            return None;
        }
        let command = match self.outstanding {
            Outstanding::None => return None,
            Outstanding::Hello { epoch } => Command::Hello(self.hello_claim(epoch)?),
            Outstanding::ReserveNumbers { .. } => Command::Reserve,
            Outstanding::Operate { id, operation } => Command::Operate { id, operation },
            Outstanding::Settle { id } => Command::Settle { id },
            #[cfg(feature = "cards")]
            Outstanding::Card { id, request } => Command::Card { id, request },
        };
        Some(Request { ticket: self.ticket, origin: self.origin.clone(), turn: self.turn, command })
    }
}
