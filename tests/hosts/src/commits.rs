//! Stream of a PostgreSQL client: divides it into messages, and finds the one that carries out a `COMMIT`.
//!
//! The format is that of <https://www.postgresql.org/docs/15/protocol-message-formats.html>: the first message has no type; each other one
//! is a byte for its type, its length in 4 bytes (big-endian, without the type), and its content.

/// Reads one connection's stream, from its first byte on.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    has_started: bool,
    /// The name of the prepared statement `COMMIT`.
    statement: Option<Vec<u8>>,
    /// A message that is not complete yet.
    partial: Vec<u8>,
}

/// Whole messages: those before the one that carries out a `COMMIT`, and from that one on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Messages {
    pub(crate) before: Vec<u8>,
    pub(crate) commit: Vec<u8>,
}

impl Commits {
    /// Takes bytes; returns the messages that are complete now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Messages {
        self.partial.extend_from_slice(bytes);
        let mut messages = Messages::default();
        while let Some(message) = self.take() {
            let is_commit = self.is_commit(&message);
            let to = if is_commit || !messages.commit.is_empty() {
                &mut messages.commit
            } else {
                &mut messages.before
            };
            to.extend(message);
        }
        messages
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let type_length = usize::from(self.has_started);
        let length =
            self.partial.get(type_length..type_length + 4)?.try_into().map(u32::from_be_bytes).ok()?;
        let end = type_length + length as usize;
        (self.partial.len() >= end).then(|| {
            self.has_started = true;
            self.partial.drain(..end).collect()
        })
    }

    /// Notes the name of the prepared statement `COMMIT`; whether the message binds it.
    fn is_commit(&mut self, message: &[u8]) -> bool {
        let mut strings = message.get(5..).unwrap_or_default().split(|byte| *byte == 0);
        let (first, second) = (strings.next().unwrap_or_default(), strings.next().unwrap_or_default());
        match message.first() {
            Some(b'P') if second == b"COMMIT" => self.statement = Some(first.to_vec()),
            Some(b'B') => return self.statement.as_deref() == Some(second),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = (u32::try_from(content.len()).unwrap() + 4).to_be_bytes();
        [&[kind], &length[..], content].concat()
    }

    #[test]
    fn the_message_that_carries_out_a_commit_is_found_however_the_stream_is_divided() {
        let start = [&9_u32.to_be_bytes()[..], b"start"].concat();
        let before = [
            start,
            message(b'P', b"s1\0BEGIN\0\0\0"),
            message(b'P', b"s2\0COMMIT\0\0\0"),
            message(b'B', b"\0s1\0\0\0"),
        ];
        let commit = [message(b'B', b"\0s2\0\0\0"), message(b'E', b"\0\0\0\0\0"), message(b'S', b"")];
        let expected = Messages { before: before.concat(), commit: commit.concat() };
        let stream = [before.concat(), commit.concat()].concat();
        for size in 1..=stream.len() {
            let mut commits = Commits::default();
            let mut found = Messages::default();
            for bytes in stream.chunks(size) {
                let Messages { before, commit } = commits.push(bytes);
                let rest = if found.commit.is_empty() { &mut found.before } else { &mut found.commit };
                rest.extend(before);
                found.commit.extend(commit);
            }
            assert_eq!(found, expected, "{size}");
        }
    }
}
