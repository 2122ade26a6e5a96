//! The unframed `raw` wire of the program that this one replaces: JSON objects back to back from the host,
//! plain text from the terminal.
use super::Decoded;
use crate::{
    codec::scan::{Scan, Scanner},
    message::Fault,
};
use heapless::VecView;

/// The host's decoder: each read is an answer until a newline has come; after that, each line is one.
///
/// The original client does not terminate its answers, so only the read ends one: two answers that TCP merges
/// are decoded as one. A client that sends lines (`nc`) does not have this problem. An answer that begins with a zero is
/// of another wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AnswerDecoder {
    /// Whether a newline has come.
    lines: bool,
    too_long: bool,
    partial: bool,
}

impl AnswerDecoder {
    /// Takes the bytes of one read, or up to the end of a line; returns how many, and the result.
    pub fn push(&mut self, body: &mut VecView<u8>, bytes: &[u8]) -> (usize, Decoded) {
        if bytes.is_empty() {
            return (0, Decoded::More);
        }
        if !self.partial {
            body.clear();
            // The first byte of a length and of a `postcard` sender; no text has it.
            if bytes.first() == Some(&0) {
                return (bytes.len(), Decoded::Broken(Fault::WrongWire));
            }
        }
        let newline = bytes.iter().position(|b| *b == b'\n');
        self.lines |= newline.is_some();
        let whole = newline.is_some() || !self.lines;
        let part = newline.and_then(|end| bytes.get(..end)).unwrap_or(bytes);
        self.too_long |= body.extend_from_slice(part).is_err();
        self.partial = !whole;
        let taken = part.len().saturating_add(usize::from(newline.is_some()));
        (taken, if whole { self.found() } else { Decoded::More })
    }

    /// Ends the stream: a last line without its newline is an answer too.
    pub fn end(&mut self) -> Decoded {
        if !core::mem::take(&mut self.partial) { Decoded::More } else { self.found() }
    }

    /// Whether a line has begun and is not complete.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    fn found(&mut self) -> Decoded {
        if core::mem::take(&mut self.too_long) { Decoded::Fault(Fault::TooLong) } else { Decoded::Frame }
    }
}

/// The terminal's decoder: JSON objects back to back, cut anywhere; anything else is text to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectDecoder {
    state: ObjectState,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum ObjectState {
    /// Before an object.
    #[default]
    Between,
    /// In what may be an object.
    Object(Scanner),
    /// In other text; `shown` if the buffer's content has been returned.
    Text { shown: bool },
    /// The stream is of another wire; the rest is dropped.
    Broken,
}

const SHOWN: ObjectState = ObjectState::Text { shown: true };

/// Whether the decoder consumed the byte, and what it found.
enum ByteResult {
    Consumed(Decoded),
    Unconsumed(Decoded),
}

impl ObjectDecoder {
    /// Takes bytes up to the end of an object, or text up to the end of `bytes`; returns how many, and
    /// the result.
    pub fn push(&mut self, body: &mut VecView<u8>, bytes: &[u8]) -> (usize, Decoded) {
        for (taken, &byte) in bytes.iter().enumerate() {
            match self.byte(body, byte) {
                ByteResult::Unconsumed(decoded) => return (taken, decoded),
                ByteResult::Consumed(Decoded::More) => {}
                ByteResult::Consumed(decoded) => return (taken.saturating_add(1), decoded),
            }
        }
        // Text has no terminator: it is shown as it comes, except for a character that is cut in two.
        if self.state == (ObjectState::Text { shown: false }) && !cut_in_two(body) {
            self.state = SHOWN;
            return (bytes.len(), Decoded::Plain);
        }
        (bytes.len(), Decoded::More)
    }

    /// Ends the stream: an incomplete object is shown as text.
    pub fn end(&mut self) -> Decoded {
        let partial = self.is_partial();
        if partial {
            self.state = ObjectState::Between;
            return Decoded::Plain;
        }
        Decoded::More
    }

    /// Whether an object has begun and is not complete.
    pub fn is_partial(&self) -> bool {
        matches!(self.state, ObjectState::Object(_) | ObjectState::Text { shown: false })
    }

    fn byte(&mut self, body: &mut VecView<u8>, byte: u8) -> ByteResult {
        match &mut self.state {
            ObjectState::Broken => ByteResult::Consumed(Decoded::More),
            ObjectState::Between if byte.is_ascii_whitespace() => ByteResult::Consumed(Decoded::More),
            // Every length of the `json` wire begins with a zero, and text never does.
            ObjectState::Between if byte == 0 => {
                self.state = ObjectState::Broken;
                ByteResult::Consumed(Decoded::Broken(Fault::WrongWire))
            }
            ObjectState::Between | ObjectState::Text { shown: true } => {
                body.clear();
                let object = byte == b'{';
                self.state = if object {
                    ObjectState::Object(Scanner::new())
                } else {
                    ObjectState::Text { shown: false }
                };
                self.byte(body, byte)
            }
            // Too long for the buffer: shown in pieces.
            ObjectState::Text { .. } | ObjectState::Object(_) if body.is_full() => {
                self.state = SHOWN;
                ByteResult::Unconsumed(Decoded::Plain)
            }
            ObjectState::Text { .. } if byte == b'{' && !body.is_empty() => {
                self.state = SHOWN;
                ByteResult::Unconsumed(Decoded::Plain)
            }
            ObjectState::Text { .. } => {
                // It fits: the buffer is not full.
                let _ = body.push(byte);
                ByteResult::Consumed(Decoded::More)
            }
            ObjectState::Object(scanner) => {
                let scanned = scanner.push(byte);
                let _ = body.push(byte);
                match scanned {
                    Ok(Scan::More) => {}
                    Ok(Scan::Done) => {
                        self.state = ObjectState::Between;
                        return ByteResult::Consumed(Decoded::Frame);
                    }
                    Err(_) => self.state = ObjectState::Text { shown: false },
                }
                ByteResult::Consumed(Decoded::More)
            }
        }
    }
}

/// Whether the text ends in the middle of a character.
fn cut_in_two(text: &[u8]) -> bool {
    // Only the end matters; invalid bytes before it are shown as U+FFFD.
    let end = text.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    core::str::from_utf8(end).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;
    use proptest::prelude::*;
    use std::{string::String, vec, vec::Vec as StdVec};

    fn answers(reads: &[&str]) -> StdVec<Result<String, Fault>> {
        let (mut decoder, mut body) = (AnswerDecoder::default(), Vec::<u8, 8>::new());
        let mut found = vec![];
        let mut note = |decoded, body: &[u8]| match decoded {
            Decoded::Frame => found.push(Ok(String::from_utf8(body.to_vec()).unwrap())),
            Decoded::Fault(fault) => found.push(Err(fault)),
            _ => {}
        };
        for read in reads {
            let mut bytes = read.as_bytes();
            while !bytes.is_empty() {
                let (taken, decoded) = decoder.push(&mut body, bytes);
                bytes = &bytes[taken..];
                note(decoded, &body);
            }
        }
        note(decoder.end(), &body);
        found
    }

    fn ok(texts: &[&str]) -> StdVec<Result<String, Fault>> {
        texts.iter().map(|text| Ok(String::from(*text))).collect()
    }

    #[test]
    fn each_read_is_an_answer_until_a_newline_comes() {
        assert_eq!(answers(&["1", "40", "3"]), ok(&["1", "40", "3"]));
        assert_eq!(answers(&["1", "4\n", "3", "5\n", "7"]), ok(&["1", "4", "35", "7"]));
        assert_eq!(answers(&["1\n40\n3"]), ok(&["1", "40", "3"]));
        assert_eq!(answers(&["\n"]), ok(&[""]));
    }

    #[test]
    fn a_line_is_partial_until_its_newline_comes() {
        let (mut decoder, mut body) = (AnswerDecoder::default(), Vec::<u8, 8>::new());
        for (read, partial) in
            [("", false), ("1", false), ("2\n", false), ("3", true), ("4", true), ("\n", false)]
        {
            decoder.push(&mut body, read.as_bytes());
            assert_eq!(decoder.is_partial(), partial, "{read:?}");
        }
    }

    #[test]
    fn an_over_long_answer_is_one_fault() {
        let long = Err(Fault::TooLong);
        assert_eq!(answers(&["123456789", "1"]), [long.clone(), Ok("1".into())]);
        assert_eq!(answers(&["a\n12345", "6789", "0\n1\n"]), [Ok("a".into()), long, Ok("1".into())]);
    }

    /// Decodes a stream into objects and text; adjacent text is joined.
    fn objects(stream: &[u8], cuts: &[usize]) -> StdVec<(Decoded, StdVec<u8>)> {
        let (mut decoder, mut body) = (ObjectDecoder::default(), Vec::<u8, 64>::new());
        let mut found: StdVec<(Decoded, StdVec<u8>)> = vec![];
        let mut note = |decoded, body: &[u8]| match (decoded, found.last_mut()) {
            (Decoded::More, _) => {}
            (Decoded::Plain, Some((Decoded::Plain, text))) => text.extend(body),
            _ => found.push((decoded, body.to_vec())),
        };
        let (mut rest, mut cuts) = (stream, cuts.iter().cycle());
        while !rest.is_empty() {
            let mut piece;
            (piece, rest) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
            while !piece.is_empty() {
                let (taken, decoded) = decoder.push(&mut body, piece);
                assert!(taken > 0 || decoded == Decoded::Plain);
                piece = &piece[taken..];
                note(decoded, &body);
            }
        }
        note(decoder.end(), &body);
        found
    }

    #[test]
    fn objects_back_to_back_decode_at_every_cut() {
        let list = [r#"{"input":true,"data":"}{\"\\"}"#, r#"{"a":{"b":[{},"\ud83d\ude00"]}}"#, r#"{}"#];
        let stream = list.join(" \n");
        for cut in (1..stream.len()).step_by(crate::STRIDE) {
            let found = objects(stream.as_bytes(), &[cut, 1, usize::MAX]);
            let expected: StdVec<_> = list.iter().map(|o| (Decoded::Frame, o.as_bytes().to_vec())).collect();
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[test]
    fn text_between_objects_is_returned_whole() {
        for cut in 1..9 {
            let found = objects("höhe {x} {\"a\":1}".as_bytes(), &[cut]);
            let text = (Decoded::Plain, "höhe {x} ".as_bytes().to_vec());
            assert_eq!(found, [text, (Decoded::Frame, b"{\"a\":1}".to_vec())], "cut {cut}");
        }
    }

    #[test]
    fn an_object_that_never_ends_is_shown_in_pieces() {
        let stream = std::format!("{{\"a\":\"{}", "x".repeat(200));
        assert_eq!(objects(stream.as_bytes(), &[7]), [(Decoded::Plain, stream.into_bytes())]);
    }

    proptest! {
        #[test]
        fn every_byte_of_any_stream_is_returned(stream in prop::collection::vec(1u8.., 0..crate::few(300)), cut in 1usize..40) {
            let bodies: StdVec<u8> = objects(&stream, &[cut]).into_iter().flat_map(|(_, bytes)| bytes).collect();
            let squeeze = |bytes: &[u8]| bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect::<StdVec<_>>();
            prop_assert_eq!(squeeze(&bodies), squeeze(&stream));
        }
    }
}
