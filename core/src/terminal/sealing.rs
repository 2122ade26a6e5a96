//! The terminal's side of a sealed link: which frames are read, under which key, and which meet with silence.
use super::{Terminal, TerminalState};
use crate::{
    frame::Decoded,
    message::Notice,
    seal::{self, Header},
    time::{Duration, Instant},
};

// The messages of a body in clear, or in an opened one.
const HELLO: u8 = 0;
const ANSWER: u8 = 1;
const REPLY: u8 = 2;
const NOTICE: u8 = 3;

/// Between two hellos that a `who` in clear causes, where there is no [`Retransmit`](super::Retransmit).
const WHO_INTERVAL: Duration = Duration::from_secs(1);

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// Opens the decoded frame. False if it is to be dropped in silence.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        let (decoded, body) = self.inbox.decoded();
        if decoded != Decoded::Frame || self.inbox.is_opened() {
            return true;
        }
        let is_authentic = match body.first() {
            // Of this side's own direction: an echo.
            Some(&(HELLO | ANSWER | seal::HELLO)) => return false,
            Some(&seal::WELCOME) => self.open_welcome(),
            Some(&seal::SEALED) => {
                self.keys.session().is_some_and(|session| self.inbox.open(&session.down, 0, &[REPLY, NOTICE]))
            }
            Some(&seal::EARLY) => self
                .keys
                .awaiting_welcome()
                .is_some_and(|hello| self.inbox.open(&hello.early(), 0, &[NOTICE])),
            Some(&NOTICE) => {
                self.handle_clear_notice(now);
                false
            }
            _ => false,
        };
        if !is_authentic {
            self.inbox.count_unauthentic();
        }
        is_authentic
    }

    /// Opens a welcome. The first one that opens fixes the keys, and until the next hello only its header is read.
    fn open_welcome(&mut self) -> bool {
        let header = self.inbox.decoded().1.get(1..).and_then(<[u8]>::first_chunk);
        let Some(header) = header.copied().map(Header::from_bytes) else { return false };
        if let Some(session) = self.keys.session() {
            return session.header == header && self.inbox.open(&session.down, Header::LENGTH, &[REPLY]);
        }
        let Some(hello) = self.keys.awaiting_welcome() else { return false };
        let session = hello.session(header);
        let is_authentic = self.inbox.open(&session.down, Header::LENGTH, &[REPLY]);
        if is_authentic {
            self.keys.fix(header);
            self.welcomed = true;
        }
        is_authentic
    }

    /// A `who` in clear, while an answer waits for its reply: the host has lost the keys. Any peer can send one, so it causes
    /// at most one hello in a retransmission interval.
    fn handle_clear_notice(&mut self, now: Instant) {
        let read = self.config.wire.read_host(self.inbox.decoded().1);
        let is_who = matches!(read, Ok(Some(message)) if message.notice == Some(Notice::Who));
        if is_who && matches!(self.state, TerminalState::AwaitReply(_)) && now >= self.no_who_until {
            let interval = self.config.retransmit.map_or(WHO_INTERVAL, |retransmit| retransmit.first_wait);
            self.no_who_until = now + interval;
            self.say_hello(now);
        }
    }
}
