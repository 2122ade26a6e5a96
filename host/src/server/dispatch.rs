//! What connections ask of the ledger and of each other.
use super::{Connection, Location, Server};
use crate::ledger::keeper::Answer;
use atm_core::ledger::{InDoubt, Name, Origin, Request, Response};
use mio::Token;
use tracing::{error, info};

impl Server {
    /// Asks the ledger; `None` where the answer comes later, or never.
    pub(super) fn ask(&mut self, request: &Request) -> Option<Response> {
        match self.teller.ask(request) {
            Ok(response) => {
                if let Some(response) = &response {
                    self.metrics.count_outcome(response);
                }
                response
            }
            Err(error) => {
                self.give_up(error);
                None
            }
        }
    }

    /// The ledger answers nothing any more, and nobody may be told anything: whoever asked comes back and asks what
    /// became of it.
    fn give_up(&mut self, error: InDoubt) {
        if !self.failed {
            error!(%error, "the server stops");
        }
        self.failed = true;
        self.begin_to_stop();
    }

    /// Takes the answers that have come from the ledger to whoever waits for them.
    pub(super) fn settle(&mut self) {
        loop {
            match self.teller.answers() {
                Ok(none) if none.is_empty() => return,
                Ok(answers) => answers.into_iter().for_each(|answer| self.deliver(answer)),
                // Told once all that was answered is delivered.
                Err(error) => return self.give_up(error),
            }
        }
    }

    /// An outcome goes to where its terminal is now: on a connection, or away. Whoever is gone for good is told when it
    /// asks.
    fn deliver(&mut self, (request, response): Answer) {
        let token = match request.origin() {
            Origin::Session(session) => usize::try_from(session).ok().map(Token),
            Origin::Terminal(name) => match self.conversations.location_mut(&name) {
                Some(Location::Connected(token)) => Some(*token),
                Some(Location::Parked(conversation)) => {
                    if let Some(next) = conversation.complete_parked(&request, response)
                        && let Some(response) = self.ask(&next)
                    {
                        self.deliver((next, response));
                    }
                    None
                }
                None => None,
            },
        };
        let Some(token) = token else { return };
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.host.complete(&request, response, self.now);
            self.drive(token);
        }
    }

    /// A terminal said hello: its conversation is fetched from wherever it is held.
    pub(super) fn arrive(&mut self, token: Token, connection: &mut Connection, name: Name) {
        let now = self.now;
        let Some(hello) = connection.host.incoming_hello() else { return };
        let held = match self.conversations.location(&name) {
            None => Ok(None),
            Some(Location::Parked(conversation)) if !conversation.admits(hello) => Err(()),
            Some(Location::Parked(_)) => Ok(self.conversations.unpark(&name)),
            Some(Location::Connected(elsewhere)) => match self.connections.get_mut(elsewhere) {
                None => Ok(None),
                // Somebody else sits there by now.
                Some(other) if !other.holds(&name) => Ok(None),
                Some(other)
                    if other.host.conversation().is_some_and(|conversation| !conversation.admits(hello)) =>
                {
                    Err(())
                }
                Some(other) => {
                    self.again.push(*elsewhere);
                    Ok(other.host.take_over(now))
                }
            },
        };
        match held {
            Ok(conversation) => {
                info!(session = token.0, terminal = %name, known = conversation.is_some(), "terminal arrived");
                self.conversations.connect(name, token);
                connection.host.admit(conversation, now);
            }
            Err(()) => {
                info!(session = token.0, terminal = %name, "terminal refused: a later one has its name");
                connection.host.refuse(now);
            }
        }
    }
}
