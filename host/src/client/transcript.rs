//! What crossed the line, for those who want to see it.
use super::event::Direction;

/// What crossed the line, a message each, as it was on the wire.
#[derive(Default)]
pub(super) struct Transcript {
    messages: Vec<(Direction, Vec<u8>)>,
    /// The bytes of the message that is coming in.
    partial: Vec<u8>,
    /// How many bytes of the terminal's present output are among the messages.
    output: usize,
}

impl Transcript {
    pub(super) fn take(&mut self) -> Vec<(Direction, Vec<u8>)> {
        std::mem::take(&mut self.messages)
    }

    /// Something came in, with the end of a message or not.
    pub(super) fn received(&mut self, bytes: &[u8], whole: bool) {
        self.partial.extend(bytes);
        if whole {
            self.messages.push((Direction::In, std::mem::take(&mut self.partial)));
        }
    }

    /// This is the terminal's output now.
    pub(super) fn queued(&mut self, output: &[u8]) {
        if let Some(message @ [_, ..]) = output.get(self.output..) {
            self.messages.push((Direction::Out, message.to_vec()));
            self.output = output.len();
        }
    }

    /// This much of the output is gone.
    pub(super) fn sent(&mut self, count: usize) {
        self.output = self.output.saturating_sub(count);
    }

    /// The line is another one.
    pub(super) fn reset(&mut self) {
        self.partial.clear();
        self.output = 0;
    }
}
