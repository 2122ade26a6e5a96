//! Bytes between a link's transport and its endpoint, in both directions, and the end of the stream.
use super::{Link, STALL, opening};
use atm_core::time::Instant;
use std::io;

impl Link {
    /// Sends the terminal's output, as far as the transport takes it.
    pub(super) fn send(&mut self, now: Instant) {
        while self.transport.is_open() && !self.terminal.output().is_empty() {
            match self.transport.write(self.terminal.output()) {
                Ok(0) => {
                    let since = *self.stalled_since.get_or_insert(now);
                    if self.is_connection() && since + STALL <= now {
                        self.end(Some(io::ErrorKind::TimedOut.into()));
                    }
                    return;
                }
                Ok(count) => self.consume_output(count),
                // The host may have sent messages before it closed the connection: the output is dropped, and reading
                // returns these first and then the end.
                Err(_) if self.is_connection() => self.consume_output(self.terminal.output().len()),
                Err(error) => return self.end(Some(error)),
            }
        }
    }

    fn consume_output(&mut self, count: usize) {
        self.stalled_since = None;
        self.terminal.consume(count);
        if let Some(transcript) = &mut self.transcript {
            transcript.sent(count);
        }
        // The terminal may have had more to send than fitted into its output.
        self.transcribe_output();
    }

    /// Feeds the terminal a piece of the input, or its end; false where nothing has arrived.
    pub(super) fn receive(&mut self, now: Instant) -> bool {
        if self.consumed == self.filled {
            if self.ended.is_some() {
                if !self.end_fed {
                    // The terminal may hold the beginning of a message.
                    self.terminal.end();
                }
                return !std::mem::replace(&mut self.end_fed, true);
            }
            (self.consumed, self.filled) = (0, 0);
            match self.transport.read(&mut *self.input) {
                Ok(None) => return false,
                Ok(Some(0)) => self.end(None),
                Ok(Some(count)) => self.filled = count,
                Err(error) => self.end(Some(error)),
            }
        }
        let piece = self.input.get(self.consumed..self.filled).unwrap_or_default();
        let missing = opening::LENGTH.saturating_sub(self.opening.len()).min(piece.len());
        self.opening.extend(piece.get(..missing).unwrap_or_default());
        let before = self.terminal.counters();
        let count = self.terminal.feed(piece, now);
        if let Some(transcript) = &mut self.transcript {
            let complete = self.terminal.counters() != before;
            transcript.received(piece.get(..count).unwrap_or(piece), complete);
        }
        self.consumed = self.consumed.saturating_add(count);
        true
    }

    /// Notes that the connection or the port has ended; the first error counts.
    pub(super) fn end(&mut self, error: Option<io::Error>) {
        self.ended.get_or_insert(error);
    }

    /// Adds the terminal's new output to the transcript.
    pub(super) fn transcribe_output(&mut self) {
        if let Some(transcript) = &mut self.transcript {
            let hides =
                self.hides_answer && self.terminal.is_awaiting_reply() && !self.terminal.is_handshaking();
            transcript.queued(self.terminal.output(), hides);
        }
    }
}
