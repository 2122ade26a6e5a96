//! Frames in flight, one way.
use atm_core::{
    codec::postcard,
    frame::{Decoded, cobs},
    ledger::Name,
};
use heapless::Vec as Fixed;
use std::{fmt, sync::Arc};

/// A whole frame, as it is on the wire.
pub(super) type Frame = Arc<[u8]>;

/// A channel that loses, repeats and reorders. Each of the last few frames that were sent may arrive at any time, as often
/// as it likes, or never: what is lost is what never arrives (again), so nothing needs to be taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Channel {
    /// In the order in which they were sent last.
    frames: Vec<Frame>,
}

impl Channel {
    /// Takes the frames of an endpoint's output; older ones than the last `most` are lost.
    pub(super) fn send(&mut self, output: &[u8], most: usize) {
        for frame in output.split_inclusive(|byte| *byte == 0) {
            self.frames.retain(|known| **known != *frame);
            self.frames.push(frame.into());
        }
        self.frames.drain(..self.frames.len().saturating_sub(most));
    }

    pub(super) fn get(&self, at: usize) -> Option<Frame> {
        self.frames.get(at).cloned()
    }

    /// Takes the first one out: it arrives once.
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

/// What stands in a frame.
fn body(frame: &[u8]) -> Fixed<u8, 128> {
    let mut body = Fixed::new();
    let (_, step) = cobs::Decoder::default().push(&mut body, frame);
    if step != Decoded::Frame {
        body.clear();
    }
    body
}

/// The attempt of a hello, if that is what a terminal sent.
pub(super) fn attempt(output: &[u8]) -> Option<u32> {
    use atm_core::message::TerminalMessage;
    let attempts =
        output.split_inclusive(|byte| *byte == 0).filter_map(|frame| {
            match postcard::read_terminal(&body(frame)) {
                Ok(Some(TerminalMessage::Hello(hello))) => Some(hello.attempt),
                _ => None,
            }
        });
    attempts.max()
}

/// A frame in words.
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use atm_core::message::TerminalMessage;
        let body = body(self.0);
        if let Ok(Some(said)) = postcard::read_terminal(&body) {
            return match said {
                TerminalMessage::Hello(hello) => write!(
                    f,
                    "hello of {} (start {}, attempt {}, shown {}, pending {:?}, resume {})",
                    hello.terminal.as_ref().map_or("nobody", Name::as_str),
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
            Ok(Some(said)) => match said.notice {
                Some(notice) => write!(f, "notice {notice:?}"),
                None => write!(
                    f,
                    "reply {:?} to {:?}{} {:?}",
                    said.seq,
                    said.re,
                    said.welcome.map_or(String::new(), |w| format!(", welcome {}.{}", w.start, w.attempt)),
                    said.text
                ),
            },
            _ => write!(f, "{:?}", self.0),
        }
    }
}
