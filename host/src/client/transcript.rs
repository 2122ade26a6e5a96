//! Transcript: the messages that crossed a link in both directions, byte for byte, as `atm demo` shows them.
use super::event::Direction;

/// In place of an answer that is a secret.
const HIDDEN: &[u8] = b"(hidden)";

/// The messages since the last [`take`](Self::take), in order, as they were on the wire.
#[derive(Default)]
pub(super) struct Transcript {
    messages: Vec<(Direction, Vec<u8>)>,
    /// The bytes received of a message that is not complete.
    partial: Vec<u8>,
    /// How many bytes at the start of the terminal's output are already in `messages`.
    transcribed: usize,
}

impl Transcript {
    pub(super) fn take(&mut self) -> Vec<(Direction, Vec<u8>)> {
        std::mem::take(&mut self.messages)
    }

    /// Adds received bytes; `complete` if they end a message.
    pub(super) fn received(&mut self, bytes: &[u8], complete: bool) {
        self.partial.extend(bytes);
        if complete {
            self.messages.push((Direction::In, std::mem::take(&mut self.partial)));
        }
    }

    /// Adds the part of the terminal's present `output` that is new; a mark in its place, if it `hides` a secret.
    pub(super) fn queued(&mut self, output: &[u8], hides: bool) {
        if let Some(message @ [_, ..]) = output.get(self.transcribed..) {
            self.messages.push((Direction::Out, if hides { HIDDEN } else { message }.to_vec()));
            self.transcribed = output.len();
        }
    }

    /// The transport has taken `count` bytes from the start of the output.
    pub(super) fn sent(&mut self, count: usize) {
        self.transcribed = self.transcribed.saturating_sub(count);
    }

    /// Drops what belongs to a connection that was lost.
    pub(super) fn reset(&mut self) {
        self.partial.clear();
        self.transcribed = 0;
    }
}
