//! Dispatch: carries requests to the ledger, outcomes to where their terminals are, and a conversation to the
//! connection where its terminal said hello, or to the table when that connection ends.
use super::{Connection, Location, Server, alarm::is_refused_verification, response_log::log_response};
use crate::log::{LEDGER, SERVER, SESSION};
use atm_core::{
    host::{self, Conversation},
    ledger::{InDoubt, Name, Origin, Request, Response},
};
use mio::Token;
use std::time::Instant;
use tracing::{error, info};

impl Server {
    /// Handles what an endpoint reports.
    pub(super) fn handle_event(&mut self, token: Token, connection: &mut Connection, event: host::Event) {
        let now = self.now;
        if connection.refuses_uncertified(token, &event, now) {
            self.metrics.update(|counters| counters.refused_terminals += 1);
            return;
        }
        match event {
            host::Event::Request(_) | host::Event::Quit if connection.is_in_reserve() => {
                self.turn_away(token, connection);
            }
            host::Event::Request(request) => {
                if let Some((request, response)) = self.submit(request) {
                    connection.host.complete(request.ticket, response, now);
                }
            }
            host::Event::Quit => {
                info!(target: SERVER, session = token.0, "stop requested by the person at this session");
                self.stop.stop();
            }
            host::Event::Hello(name) => self.handle_hello(token, connection, name),
            host::Event::Key(claim) => self.handle_key(token, connection, &claim),
        }
    }

    /// Removes a connection and parks its conversation.
    pub(super) fn close_connection(&mut self, token: Token, mut connection: Box<Connection>) {
        connection.deregister(self.poll.registry());
        if let Some(conversation) = connection.host.park() {
            self.park(token, conversation);
        }
        self.conversations.disconnect(token);
        self.end_session(token, &mut connection);
    }

    /// Parks a conversation whose connection is lost or ended. There is room for one of each name, so that no other terminal
    /// drops it.
    pub(super) fn park(&mut self, token: Token, conversation: Conversation) {
        let most = usize::try_from(self.config.max_terminals).unwrap_or(usize::MAX);
        self.conversations.park(token, conversation, self.now + self.config.idle, most);
    }

    /// Submits a request to the ledger, and returns it with its response; `None` where that comes later, or
    /// never because the ledger has failed.
    pub(super) fn submit(&mut self, request: Request) -> Option<(Request, Response)> {
        let (ticket, operation, began) = (request.ticket, request.command.operation(), Instant::now());
        match self.committer.submit(request) {
            Ok(Some((request, response))) => {
                self.record(&request, &response, Some(began));
                Some((request, response))
            }
            Ok(None) => {
                if operation.is_some() {
                    self.in_flight.insert(ticket, began);
                }
                None
            }
            Err(error) => {
                self.stop_after_ledger_failure(error);
                None
            }
        }
    }

    /// Counts and logs a response; `began` is when its request was submitted.
    fn record(&mut self, request: &Request, response: &Response, began: Option<Instant>) {
        let alarm = self.alarm.as_mut().filter(|_| is_refused_verification(response));
        let is_raised = alarm.is_some_and(|alarm| alarm.note_refusal(Instant::now()));
        self.metrics.update(|counters| {
            counters.count_response(request, response);
            counters.verification_alarms += u64::from(is_raised);
            if let (Some(operation), Some(began)) = (request.command.operation(), began) {
                counters.observe_operation(operation, began.elapsed());
            }
        });
        log_response(request, response);
    }

    /// Stops the server after the ledger has failed for good. No outcome is sent: a terminal with an
    /// outstanding request asks for its outcome when it says hello again.
    fn stop_after_ledger_failure(&mut self, error: InDoubt) {
        if !self.ledger_failed {
            error!(target: LEDGER, %error, "the ledger has failed: stopping");
        }
        self.ledger_failed = true;
        self.start_shutdown();
    }

    /// Delivers the responses that have come from the ledger.
    pub(super) fn deliver_responses(&mut self) {
        loop {
            match self.committer.responses() {
                Ok(none) if none.is_empty() => return,
                Ok(responses) => {
                    for (request, response) in responses {
                        let began = self.in_flight.remove(&request.ticket);
                        self.record(&request, &response, began);
                        self.deliver(&request, response);
                    }
                }
                // Comes only after every response before it was delivered.
                Err(error) => return self.stop_after_ledger_failure(error),
            }
        }
    }

    /// Delivers an outcome to where its terminal is now: a connection, or a parked conversation. A terminal
    /// that is at neither asks for the outcome with its next hello.
    fn deliver(&mut self, request: &Request, response: Response) {
        let token = match &request.origin {
            Origin::Session(session) => usize::try_from(session.number).ok().map(Token),
            Origin::Terminal(name) => match self.conversations.location_mut(name) {
                Some(Location::Connected(token)) => Some(*token),
                Some(Location::Parked(conversation, _)) => {
                    let next = conversation.complete_parked(request.ticket, response);
                    if conversation.is_over() {
                        self.conversations.unpark(name);
                    }
                    if let Some((next, response)) = next.and_then(|next| self.submit(next)) {
                        self.deliver(&next, response);
                    }
                    None
                }
                None => None,
            },
        };
        let Some(token) = token else { return };
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.host.complete(request.ticket, response, self.now);
            self.advance(token);
        }
    }

    /// Handles the hello of a named terminal: moves its conversation here from where it is held, or refuses
    /// the hello unless its epoch is greater or that of a plain client.
    pub(super) fn handle_hello(&mut self, token: Token, connection: &mut Connection, name: Name) {
        let now = self.now;
        connection.note_hello();
        if connection.is_in_reserve() && !self.admit_from_reserve(token, connection, &name) {
            return;
        }
        if self.refuses_terminal(token, connection, &name) {
            return;
        }
        let Some(hello) = connection.host.incoming_hello() else { return };
        let conversation = match self.conversations.location(&name) {
            None => Ok(None),
            Some(Location::Parked(conversation, _)) if !conversation.admits(hello) => Err(()),
            Some(Location::Parked(..)) => {
                let parked = self.conversations.unpark(&name);
                Ok(parked.filter(|conversation| !conversation.is_idle(self.config.idle, now)))
            }
            Some(Location::Connected(other_token)) => match self.connections.get_mut(other_token) {
                None => Ok(None),
                // Another terminal has said hello there in the meantime.
                Some(other) if !other.serves(&name) => Ok(None),
                Some(other)
                    if other.host.conversation().is_some_and(|conversation| !conversation.admits(hello)) =>
                {
                    Err(())
                }
                Some(other) => {
                    self.ready_queue.push(*other_token);
                    Ok(other.host.take_over(now))
                }
            },
        };
        match conversation {
            Ok(conversation) => {
                info!(target: SESSION, session = token.0, terminal = %name, known = conversation.is_some(), "hello dispatched");
                self.conversations.connect(name, token);
                connection.host.admit(conversation, now);
            }
            Err(()) => {
                info!(target: SESSION, session = token.0, terminal = %name, "hello refused: the name is in use by this or a later epoch");
                connection.host.refuse(now);
            }
        }
    }
}
