//! A lossy channel: the frames in flight in one direction of a link.
use atm_core::{
    codec::postcard,
    frame::{Decoded, cobs},
    ledger::Name,
    message::Hello,
    seal,
};
use heapless::Vec as Fixed;
use std::{fmt, sync::Arc};

/// A whole frame, as it is on the wire.
pub(super) type Frame = Arc<[u8]>;

/// A channel that loses, duplicates and reorders frames: each of the last few may arrive at any time, any
/// number of times or never. A lost frame is one that never arrives: no action removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct LossyChannel {
    /// Without duplicates, the one that was sent last at the end.
    frames: Vec<Frame>,
}

impl LossyChannel {
    /// Sends the frames of an endpoint's output; all but the last `capacity` frames are lost.
    pub(super) fn send(&mut self, output: &[u8], capacity: usize) {
        for frame in frames(output) {
            self.frames.retain(|known| **known != *frame);
            self.frames.push(frame.into());
        }
        self.frames.drain(..self.frames.len().saturating_sub(capacity));
    }

    pub(super) fn get(&self, at: usize) -> Option<Frame> {
        self.frames.get(at).cloned()
    }

    /// Removes the oldest frame: delivery without duplicates.
    pub(super) fn take(&mut self) -> Option<Frame> {
        if self.frames.is_empty() { None } else { Some(self.frames.remove(0)) }
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
    }
}

/// The frames in an endpoint's output.
pub(super) fn frames(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split_inclusive(|byte| *byte == 0)
}

/// The body of a frame; empty if it is invalid.
fn body(frame: &[u8]) -> Fixed<u8, 200> {
    let mut body = Fixed::new();
    let (_, decoded) = cobs::Decoder::default().push(&mut body, frame);
    if decoded != Decoded::Frame {
        body.clear();
    }
    body
}

/// The highest attempt of the hellos in a terminal's output.
pub(super) fn hello_attempt(output: &[u8]) -> Option<u32> {
    use atm_core::message::TerminalMessage;
    let attempts = frames(output).filter_map(|frame| {
        let body = body(frame);
        match postcard::read_terminal(&body) {
            Ok(Some(TerminalMessage::Hello(hello))) => Some(hello.attempt),
            _ => sealed_hello(&body).map(|hello| hello.attempt),
        }
    });
    attempts.max()
}

/// The sealed hello in a body.
fn sealed_hello(body: &[u8]) -> Option<Hello> {
    let (hello, _) = body.split_last_chunk::<{ seal::TAG }>()?;
    postcard::read_sealed_hello(hello).ok().filter(|_| body.first() == Some(&seal::HELLO))
}

/// Shows the message in a frame.
pub(super) struct FrameDisplay<'a>(pub(super) &'a [u8]);

impl fmt::Display for FrameDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use atm_core::message::TerminalMessage;
        let body = body(self.0);
        if let Some(Hello { start, attempt, shown, pending, resume, .. }) = sealed_hello(&body) {
            return write!(
                f,
                "sealed hello (start {start}, attempt {attempt}, shown {shown}, pending {pending:?}, resume {resume})"
            );
        }
        if let [index @ (seal::SEALED | seal::WELCOME | seal::EARLY), rest @ ..] = body.as_slice() {
            return write!(f, "sealed body {index} {:02x?}", rest.get(..8).unwrap_or_default());
        }
        if let Ok(Some(message)) = postcard::read_terminal(&body) {
            return match message {
                TerminalMessage::Hello(hello) => write!(
                    f,
                    "hello of {} (start {}, attempt {}, shown {}, pending {:?}, resume {})",
                    hello.terminal.as_ref().map_or("no name", Name::as_str),
                    hello.start,
                    hello.attempt,
                    hello.shown,
                    hello.pending,
                    hello.resume
                ),
                TerminalMessage::Answer { re, answer } => {
                    write!(f, "answer {:?} to {re:?}", answer.text().unwrap_or(""))
                }
            };
        }
        match postcard::read_host(&body) {
            Ok(Some(message)) => match message.notice {
                Some(notice) => write!(f, "notice {notice:?}"),
                None => write!(
                    f,
                    "reply {:?} to {:?}{} {:?}",
                    message.seq,
                    message.re,
                    message.welcome.map_or(String::new(), |w| format!(", welcome {}.{}", w.start, w.attempt)),
                    message.text
                ),
            },
            _ => write!(f, "{:?}", self.0),
        }
    }
}
