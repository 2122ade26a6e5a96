//! Recovery from a lost connection, one step at a time.
//!
//! 1. Something ends the connection: the peer closes it, reading or writing fails (on a serial port: its device is gone), or the endpoint reports a silent
//!    host, a garbled stream, a host that has no room for a named terminal, or one that stops, where there are others (`fail`). That sets
//!    `ended`.
//! 2. `recover` runs once everything received before was delivered. Without a reconnector (a connection of a
//!    terminal without a name, `--no-reconnect`, a serial port whose name does not last), or after the session's end, it returns `LinkEvent::Closed`. Otherwise it closes
//!    the transport and returns `LinkEvent::ConnectionLost`.
//! 3. The reconnector makes attempts, at each host of a list at once and then with backoff (`client/reconnect.rs` has the state diagram).
//! 4. On a new connection the endpoint says hello, which resumes the session, and retransmits an answer that has no
//!    reply. The host recognizes a duplicate by its idempotency key, so the operation is done once. Another host of the same ledger resumes
//!    nothing: its welcome has the outcome of that answer.
//! 5. The host's welcome makes `poll_event` return `LinkEvent::Reconnected`. Without one for 60 seconds the link ends
//!    with `LinkEvent::Closed`.
use super::{
    super::reconnect::{Loss, ReconnectProgress},
    Link, LinkEvent, NextPerson,
};
use atm_core::time::Instant;
use std::io;

impl Link {
    /// Handles a closed connection: starts reconnecting, goes on with it, or reports the end.
    pub(super) fn recover(&mut self, now: Instant) -> Option<LinkEvent> {
        let ends_for_the_next = self.next_person == NextPerson::SessionEnded;
        let over = self.terminal.is_over() && !ends_for_the_next && !self.moves_on;
        if let Some(error) = &mut self.ended {
            // The server has refused this terminal's certificate by a TLS alert, as it would refuse it again.
            let is_refused =
                error.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
            let Some(reconnector) = self.reconnector.as_mut().filter(|_| !over && !is_refused) else {
                return Some(LinkEvent::Closed(error.take()));
            };
            let loss = match error.as_ref().map(io::Error::kind) {
                _ if ends_for_the_next => Loss::SessionEnded,
                _ if self.terminal.is_turned_away() => Loss::Busy,
                Some(io::ErrorKind::TimedOut) => Loss::Gone,
                _ if self.moves_on => Loss::Gone,
                _ => Loss::Closed,
            };
            let was_served = reconnector.on_lost(now, loss);
            self.close();
            return (was_served && !ends_for_the_next).then_some(LinkEvent::ConnectionLost);
        }
        if self.transport.is_open() {
            return None;
        }
        match self.reconnector.as_mut()?.poll(now) {
            ReconnectProgress::Pending => {}
            ReconnectProgress::Connected(opened) => {
                if let Err(error) = self.transport.attach(opened) {
                    self.end(Some(error));
                    return None;
                }
                if ends_for_the_next {
                    self.next_person = NextPerson::Connected;
                }
                self.moves_on = false;
                self.terminal.reconnect(now);
                self.transcribe_output();
            }
            ReconnectProgress::GaveUp(error) => {
                self.reconnector = None;
                self.end(None);
                return Some(LinkEvent::Closed(Some(error)));
            }
        }
        None
    }

    /// Closes the transport and drops what belongs to its connection.
    fn close(&mut self) {
        self.transport.close();
        (self.consumed, self.filled) = (0, 0);
        (self.ended, self.end_fed, self.stalled_since) = (None, false, None);
        if let Some(transcript) = &mut self.transcript {
            transcript.reset();
        }
    }

    /// Ends a connection that is open but of no more use.
    pub(super) fn fail(&mut self, kind: io::ErrorKind) {
        if self.transport.is_open() {
            self.end(Some(kind.into()));
        }
    }
}
