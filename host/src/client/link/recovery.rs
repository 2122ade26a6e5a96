//! A link whose connection is lost.
use super::{super::reconnect::ReconnectProgress, Link, LinkEvent};
use atm_core::time::Instant;
use std::io;

impl Link {
    /// Sees to a line that has ended: it is opened again, or that is that.
    pub(super) fn recover(&mut self, now: Instant) -> Option<LinkEvent> {
        let over = self.terminal.is_over();
        if let Some(error) = &mut self.ended {
            let Some(reconnector) = self.reconnector.as_mut().filter(|_| !over) else {
                return Some(LinkEvent::Closed(error.take()));
            };
            let news = reconnector.lose(now);
            self.close();
            return news.then_some(LinkEvent::ConnectionLost);
        }
        if self.transport.is_open() {
            return None;
        }
        match self.reconnector.as_mut()?.turn(now) {
            ReconnectProgress::Wait => {}
            ReconnectProgress::Connected(stream) => {
                if let Err(error) = self.transport.attach(stream) {
                    self.end(Some(error));
                    return None;
                }
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

    /// Forgets what belongs to the connection that is lost.
    fn close(&mut self) {
        self.transport.close();
        (self.taken, self.read) = (0, 0);
        (self.ended, self.end_told, self.stalled) = (None, false, None);
        if let Some(transcript) = &mut self.transcript {
            transcript.reset();
        }
    }

    /// The connection is of no more use.
    pub(super) fn fail(&mut self, kind: io::ErrorKind) {
        if self.transport.is_open() {
            self.end(Some(kind.into()));
        }
    }
}
