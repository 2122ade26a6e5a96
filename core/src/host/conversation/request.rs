//! The conversation's one outstanding ledger request: made, handed to the driver, and completed once, by its ticket.
use super::{Conversation, Effect};
use crate::ledger::{Command, Epoch, Operation, Rejection, Request, Response, Ticket};
#[cfg(feature = "cards")]
use crate::{ledger::card::CardRequest, screen::append};

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
    /// Takes the ledger's response to the request with this ticket; [`Effect::Nothing`] if that request is not
    /// outstanding.
    pub(crate) fn complete(&mut self, ticket: Ticket, response: Response) -> Effect {
        if ticket != self.ticket {
            return Effect::Nothing;
        }
        let effect = match (core::mem::take(&mut self.outstanding), &response) {
            (Outstanding::Operate { id, .. }, Response::Settled { id: settled, outcome })
                if id == *settled =>
            {
                let screens = self.session.complete(*outcome);
                self.reply_with(Some(id), &screens)
            }
            #[cfg(feature = "cards")]
            (Outstanding::Card { id, request }, Response::Settled { id: settled, outcome })
                if id == *settled =>
            {
                let screens = self.session.complete(*outcome);
                let mut shown = self.earlier_receipt(request.claim().newest(), *outcome);
                append(&mut shown, &screens);
                self.reply_with(Some(id), &shown)
            }
            #[cfg(feature = "cards")]
            (Outstanding::Card { id, .. }, Response::Statement { id: found, statement }) if id == *found => {
                let screens = self.session.show_statement(statement);
                self.reply_with(Some(id), &screens)
            }
            (Outstanding::Settle { id }, Response::Settled { id: settled, outcome }) if id == *settled => {
                self.reply_with_outcome(Some(id), *outcome)
            }
            (Outstanding::ReserveNumbers { quit }, Response::Reserved(numbers)) => {
                self.numbers = *numbers;
                self.number_reply(quit)
            }
            (Outstanding::Hello { epoch }, Response::Admitted(admission)) => {
                return self.admitted(epoch, admission);
            }
            (Outstanding::Hello { epoch }, Response::Rejected(rejection)) => {
                return self.rejected(epoch, *rejection);
            }
            (Outstanding::None, _) => return Effect::Nothing,
            (_, Response::Fenced) => return self.fenced(),
            (_, Response::Rejected(Rejection::Revoked)) => {
                return self.rejected(self.committed, Rejection::Revoked);
            }
            (outstanding, _) => {
                // Not a response to this request: it stays outstanding.
                self.outstanding = outstanding;
                return Effect::Nothing;
            }
        };
        // The hello that waits gets the outcome, instead of the connection on which the request was made.
        if self.waiting_hello.is_some() && !self.is_busy() { self.serve_hello() } else { effect }
    }

    /// Takes the ledger's response to the request with this ticket while the conversation is parked, and returns the
    /// next request, if there is one. The reply is kept until the terminal says hello.
    pub fn complete_parked(&mut self, ticket: Ticket, response: Response) -> Option<Request> {
        self.complete(ticket, response);
        self.take_request()
    }
}
