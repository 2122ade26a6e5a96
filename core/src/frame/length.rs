//! Length-prefixed frames of the `json` wire: a 4-byte big-endian length (Python's `!I`), then the body.
use super::Decoded;
use crate::message::Fault;
use heapless::VecView;

/// The longest body that is skipped, in bytes; a longer one breaks the stream. It would keep the session busy
/// with bytes that are dropped.
pub const MAX_SKIPPED: u32 = 64 * 1024;

/// Bytes of the length prefix.
pub const HEADER: usize = 4;

/// The decoder's state; the body is in the caller's buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decoder {
    state: LengthState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum LengthState {
    Header { bytes: [u8; HEADER], have: u8 },
    Body { left: u32 },
    Skip { left: u32 },
    Broken,
}

const START: LengthState = LengthState::Header { bytes: [0; HEADER], have: 0 };

impl Default for Decoder {
    fn default() -> Self {
        Self { state: START }
    }
}

impl Decoder {
    /// Takes bytes up to the end of a frame; returns how many, and the result.
    pub fn push(&mut self, body: &mut VecView<u8>, mut bytes: &[u8]) -> (usize, Decoded) {
        let all = bytes.len();
        let mut decoded = Decoded::More;
        while decoded == Decoded::More && !bytes.is_empty() {
            decoded = self.part(body, &mut bytes);
        }
        (all.saturating_sub(bytes.len()), decoded)
    }

    /// Whether a frame has begun and is not complete. A broken stream stays incomplete: on a serial line, the
    /// deadline of a frame resets the decoder.
    pub fn is_partial(&self) -> bool {
        !matches!(self.state, LengthState::Header { have: 0, .. })
    }

    /// Whether an incomplete length has begun as none that is accepted or skipped does: text or a `postcard` frame has.
    pub fn is_foreign(&self) -> bool {
        let LengthState::Header { bytes, have } = &self.state else { return false };
        // The first two bytes of the longest that is skipped.
        let [high, low, ..] = MAX_SKIPPED.to_be_bytes();
        bytes.iter().zip([high, low]).take(usize::from(*have)).any(|(byte, most)| *byte > most)
    }

    /// Drops an incomplete frame, at the end of the stream or at the frame's deadline.
    pub fn end(&mut self) -> Decoded {
        match core::mem::take(self).state {
            LengthState::Header { have: 0, .. } => Decoded::More,
            LengthState::Header { bytes, have } => {
                let text = bytes.iter().take(usize::from(have)).all(is_text);
                Decoded::Fault(if text { Fault::WrongWire } else { Fault::Incomplete })
            }
            _ => Decoded::Fault(Fault::Incomplete),
        }
    }

    fn part(&mut self, body: &mut VecView<u8>, bytes: &mut &[u8]) -> Decoded {
        match &mut self.state {
            LengthState::Header { bytes: header, have } => {
                // The common case: the whole prefix is in this piece.
                if let (0, Some((whole, rest))) = (&have, bytes.split_first_chunk()) {
                    *bytes = rest;
                    let whole = *whole;
                    return self.header(whole, body);
                }
                let Some((first, rest)) = bytes.split_first() else { return Decoded::More };
                *bytes = rest;
                if let Some(slot) = header.get_mut(usize::from(*have)) {
                    *slot = *first;
                }
                *have = have.saturating_add(1);
                if usize::from(*have) < HEADER {
                    return Decoded::More;
                }
                let header = *header;
                self.header(header, body)
            }
            LengthState::Body { left } => {
                let part = split(bytes, *left);
                *left = left.saturating_sub(len(part));
                // It fits: the length was compared with the capacity when the prefix was read.
                let fits = body.extend_from_slice(part).is_ok();
                if *left > 0 {
                    return Decoded::More;
                }
                self.state = START;
                if fits { Decoded::Frame } else { Decoded::Fault(Fault::TooLong) }
            }
            LengthState::Skip { left } => {
                *left = left.saturating_sub(len(split(bytes, *left)));
                if *left == 0 {
                    self.state = START;
                }
                Decoded::More
            }
            LengthState::Broken => {
                *bytes = &[];
                Decoded::More
            }
        }
    }

    fn header(&mut self, header: [u8; HEADER], body: &mut VecView<u8>) -> Decoded {
        body.clear();
        let length = u32::from_be_bytes(header);
        if length == 0 {
            self.state = START;
            return Decoded::Fault(Fault::Empty);
        }
        if usize::try_from(length).is_ok_and(|length| length <= body.capacity()) {
            self.state = LengthState::Body { left: length };
            return Decoded::More;
        }
        if length <= MAX_SKIPPED {
            self.state = LengthState::Skip { left: length };
            return Decoded::Fault(Fault::TooLong);
        }
        self.state = LengthState::Broken;
        // Four characters of text decode to a length of at least 150 MB: the peer speaks another wire.
        Decoded::Broken(if header.iter().all(is_text) { Fault::WrongWire } else { Fault::TooLong })
    }
}

/// Whether this byte of a prefix could be text. The first two bytes of an accepted length never are.
fn is_text(byte: &u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

/// Splits off at most `most` bytes from the front.
fn split<'a>(bytes: &mut &'a [u8], most: u32) -> &'a [u8] {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    let (part, rest) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
    *bytes = rest;
    part
}

fn len(part: &[u8]) -> u32 {
    u32::try_from(part.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;
    use proptest::prelude::*;
    use std::{vec, vec::Vec as StdVec};

    /// Decodes a stream that is cut into pieces of the given sizes, used in turn.
    fn decode(stream: &[u8], cuts: &[usize]) -> StdVec<(Decoded, StdVec<u8>)> {
        let (mut decoder, mut body) = (Decoder::default(), Vec::<u8, 16>::new());
        let mut found = vec![];
        let (mut rest, mut cuts) = (stream, cuts.iter().cycle());
        while !rest.is_empty() {
            let mut piece;
            (piece, rest) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
            while !piece.is_empty() {
                let (taken, decoded) = decoder.push(&mut body, piece);
                assert!(taken > 0);
                piece = &piece[taken..];
                if decoded != Decoded::More {
                    found.push((decoded, body.to_vec()));
                }
            }
        }
        found
    }

    fn frame(body: &[u8]) -> StdVec<u8> {
        [&(body.len() as u32).to_be_bytes()[..], body].concat()
    }

    #[test]
    fn an_over_long_body_is_skipped_and_the_next_frame_decodes() {
        let stream = [frame(&[7; 17]), frame(b"ok")].concat();
        let found = decode(&stream, &[5]);
        assert_eq!(found, [(Decoded::Fault(Fault::TooLong), vec![]), (Decoded::Frame, b"ok".to_vec())]);
    }

    #[test]
    fn a_length_above_the_skip_limit_breaks_the_stream() {
        let broken = |stream: &[u8]| decode(stream, &[1])[0].0;
        assert_eq!(broken(&65_537u32.to_be_bytes()), Decoded::Broken(Fault::TooLong));
        assert_eq!(broken(b"{\"in"), Decoded::Broken(Fault::WrongWire));
        assert_eq!(broken(b"1\r\n2"), Decoded::Broken(Fault::WrongWire));
        let after = decode(&[&[0xff; 4][..], &frame(b"ok")].concat(), &[3]);
        assert_eq!(after.len(), 1);
    }

    #[test]
    fn an_empty_frame_is_the_fault_empty() {
        assert_eq!(decode(&[frame(b""), frame(b"x")].concat(), &[9])[0].0, Decoded::Fault(Fault::Empty));
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_same_frames(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            cuts in prop::collection::vec(1usize..30, 1..8),
        ) {
            let stream: StdVec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
            let whole = decode(&stream, &[usize::MAX]);
            prop_assert_eq!(&decode(&stream, &cuts), &whole);
            prop_assert_eq!(&decode(&stream, &[1]), &whole);
            let frames: StdVec<_> = whole.into_iter().filter(|(decoded, _)| *decoded == Decoded::Frame).map(|(_, b)| b).collect();
            let expected: StdVec<_> = bodies.into_iter().filter(|b| (1..=16).contains(&b.len())).collect();
            prop_assert_eq!(frames, expected);
        }

        #[test]
        fn every_prefix_gives_a_prefix_of_the_frames(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..17), 1..5), end in any::<prop::sample::Index>(),
        ) {
            let stream: StdVec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
            let whole = decode(&stream, &[usize::MAX]);
            let part = decode(&stream[..end.index(stream.len())], &[usize::MAX]);
            prop_assert_eq!(&part[..], &whole[..part.len()]);
        }

        #[test]
        fn any_bytes_decode_the_same_at_every_cut(stream in prop::collection::vec(any::<u8>(), 0..crate::few(200)), cut in 1usize..20) {
            prop_assert_eq!(decode(&stream, &[cut]), decode(&stream, &[usize::MAX]));
        }
    }
}
