//! Link events from the endpoint's events: on a connection, a silent or a garbled host is a lost connection.
use super::{
    super::{
        event::{LinkEvent, ReceivedMessage},
        reconnect::Reconnector,
    },
    Link, NextPerson,
    opening::is_foreign,
};
use atm_core::{
    message::{Fault, Notice},
    screen::CardPrompt,
    terminal::Event,
    time::Instant,
    wire::Wire,
};
use std::io;

impl Link {
    /// The next event for the caller. The first one on a new connection that the host serves comes after
    /// [`LinkEvent::Reconnected`].
    pub(super) fn poll_event(&mut self, now: Instant) -> Option<LinkEvent> {
        if self.deferred_event.is_some() {
            return self.deferred_event.take();
        }
        let event = self.poll_terminal(now);
        let terminal = &self.terminal;
        let served = self.transport.is_open()
            && !(terminal.is_handshaking() || terminal.is_turned_away() || terminal.is_over());
        match &mut self.reconnector {
            Some(reconnector) if served && reconnector.is_lost() => {
                self.moved = reconnector.on_served(now);
                let next_person = std::mem::replace(&mut self.next_person, NextPerson::No);
                if next_person == NextPerson::Connected && self.moved.is_none() {
                    return event;
                }
                self.deferred_event = event;
                Some(LinkEvent::Reconnected)
            }
            _ => event,
        }
    }

    /// The terminal's next event, as the caller gets it.
    fn poll_terminal(&mut self, now: Instant) -> Option<LinkEvent> {
        let connection = self.is_connection();
        let reconnects = connection && self.reconnector.is_some();
        // Bytes that are not the host's say nothing of the host.
        let sealed = self.sealed.is_some();
        let recovers = (reconnects && self.has_received) || (connection && sealed);
        let by_card = self.by_card;
        let is_lost = self.reconnector.as_ref().is_some_and(Reconnector::is_lost);
        let has_others = connection && self.reconnector.as_ref().is_some_and(Reconnector::has_others);
        let event = loop {
            break match self.terminal.poll_event(now) {
                None => return self.is_wrong_wire().then_some(LinkEvent::Broken(Fault::WrongWire)),
                // A connection loses nothing by itself: where retransmissions get no reply, it is dead.
                Some(Event::LinkDown) if connection => {
                    self.fail(io::ErrorKind::TimedOut);
                    continue;
                }
                Some(Event::LinkUp) if connection => continue,
                // The host spoke this wire before: a part of the stream was lost, and a new connection helps.
                Some(Event::Broken(_)) if recovers => {
                    self.fail(io::ErrorKind::InvalidData);
                    continue;
                }
                // The host may have room again before the reconnector gives up, and there may be another one. The person sees it once.
                Some(Event::Message(message))
                    if (reconnects && message.notice == Some(Notice::Busy))
                        || (has_others && message.notice == Some(Notice::Stopping)) =>
                {
                    self.moves_on = message.notice == Some(Notice::Stopping);
                    let message = ReceivedMessage { ends: false, ..ReceivedMessage::from(&message) };
                    self.fail(io::ErrorKind::ConnectionRefused);
                    if is_lost {
                        continue;
                    }
                    LinkEvent::Message(message)
                }
                // The host's idle time ends a little before the terminal's.
                Some(Event::Message(message)) if by_card && message.notice == Some(Notice::Idle) => {
                    if !connection {
                        self.terminal.reconnect(now);
                    } else if reconnects {
                        self.next_person = NextPerson::SessionEnded;
                        self.fail(io::ErrorKind::ConnectionReset);
                    } else {
                        break LinkEvent::Message(ReceivedMessage::from(&message));
                    }
                    LinkEvent::NextPerson
                }
                Some(Event::Message(message)) => LinkEvent::Message(ReceivedMessage::from(&message)),
                Some(Event::Fault(_)) if sealed => continue,
                Some(Event::Fault(fault)) => LinkEvent::Fault(fault),
                Some(Event::Broken(fault)) => LinkEvent::Broken(fault),
                Some(Event::LinkDown) => LinkEvent::LinkDown,
                Some(Event::LinkUp) => LinkEvent::LinkUp,
                Some(Event::LedgerSetBack { pending }) => LinkEvent::LedgerSetBack { pending },
                Some(Event::Idle) => LinkEvent::NextPerson,
            };
        };
        // A message may have made the terminal send something.
        self.transcribe_output();
        let first = !std::mem::replace(&mut self.has_received, true);
        (self.owed_since, self.silence_reported) = (now, false);
        Some(match event {
            // Frames of the other wires begin with a length or end with a zero byte; text for a person has no NUL.
            LinkEvent::Message(message) if first && message.plain && message.text.contains('\0') => {
                LinkEvent::Broken(Fault::WrongWire)
            }
            LinkEvent::Message(mut message) => {
                message.prompt = message.prompt.and(self.terminal.prompt());
                self.by_card |= message.is_by_card();
                if message.prompt.is_some() {
                    self.hides_answer = message.secret || message.card == Some(CardPrompt::Number);
                }
                message.ends |= self.terminal.is_over() && !self.moves_on;
                // A fault that ends the session is about its hello, and refuses no answer.
                if message.ends && matches!(message.notice, Some(Notice::Fault(_))) {
                    message.failure = None;
                }
                LinkEvent::Message(message)
            }
            event => event,
        })
    }

    /// Does the host speak another wire? A `postcard` frame that cannot be decoded is discarded without an event, but a connection
    /// does not corrupt bytes: there it never was one.
    fn is_wrong_wire(&self) -> bool {
        let is_foreign = self.terminal.counters().discarded > 0 || is_foreign(&self.opening);
        self.is_connection()
            && is_foreign
            && self.wire == Wire::Postcard
            && self.sealed.is_none()
            && !(self.reconnector.is_some() && self.has_received)
    }
}
