//! COBS frames of the `postcard` wire: zero-terminated, with a CRC-32 that detects damage.
//!
//! COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2),
//! 1999) removes every zero from a frame, so a zero always ends one, and the receiver resynchronises at the
//! next zero after any noise. The checksum is CRC-32/ISO-HDLC (as in Ethernet and zip), little-endian, after
//! the body.
use super::Decoded;
use crate::{
    checksum::{self, checksum},
    codec::BufferTooSmall,
    message::Fault,
};
use core::cell::Cell;
use heapless::VecView;

/// Ends a frame, and noise before one.
pub const DELIMITER: u8 = 0;

/// Bytes of the CRC after a body.
pub const TRAILER: usize = checksum::LENGTH;

/// The decoder's state; the body is in the caller's buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decoder {
    /// Bytes of the current block that are still to come.
    left: u8,
    /// Whether the current block ends in an encoded zero.
    zero: bool,
    /// Whether a frame has begun.
    partial: bool,
    /// Set once the frame cannot be decoded: everything up to the next zero is dropped.
    fault: Option<Fault>,
}

impl Decoder {
    /// Takes bytes up to the end of a frame; returns how many, and the result.
    pub fn push(&mut self, body: &mut VecView<u8>, bytes: &[u8]) -> (usize, Decoded) {
        for (taken, &byte) in bytes.iter().enumerate() {
            if byte == DELIMITER {
                match self.finish(body) {
                    Decoded::More => {}
                    decoded => return (taken.saturating_add(1), decoded),
                }
            } else if self.fault.is_none() {
                self.byte(body, byte);
            }
        }
        (bytes.len(), Decoded::More)
    }

    /// Whether a frame has begun and is not complete.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Whether an incomplete frame has begun as no message does whose first byte is at most `last`: text or a length has. A
    /// code byte alone is taken for text where it is a printable character.
    pub fn is_foreign(&self, body: &[u8], last: u8) -> bool {
        let is_text = self.left >= b' ' - 1;
        self.partial && body.first().map_or(is_text, |first| *first > last)
    }

    /// Drops an incomplete frame, at the end of the stream or at the frame's deadline.
    pub fn end(&mut self) -> Decoded {
        if core::mem::take(self).partial { Decoded::Fault(Fault::Incomplete) } else { Decoded::More }
    }

    fn byte(&mut self, body: &mut VecView<u8>, byte: u8) {
        if !self.partial {
            body.clear();
            self.partial = true;
            self.zero = false;
        }
        let fits = if self.left > 0 {
            self.left = self.left.saturating_sub(1);
            body.push(byte).is_ok()
        } else {
            // A code byte is the distance to the next zero; 255 means 254 bytes that no zero follows.
            let fits = !self.zero || body.push(0).is_ok();
            self.left = byte.saturating_sub(1);
            self.zero = byte != u8::MAX;
            fits
        };
        if !fits {
            self.fault = Some(Fault::TooLong);
        }
    }

    fn finish(&mut self, body: &mut VecView<u8>) -> Decoded {
        let Self { left, partial, fault, .. } = core::mem::take(self);
        if let Some(fault) = fault {
            return Decoded::Fault(fault);
        }
        if !partial {
            // A zero between frames: the sender writes one before a frame on an idle line, to end any noise there.
            return Decoded::More;
        }
        // An empty body is refused: its checksum is four zeros, which plain noise can produce.
        let fits = |(content, crc): (&[u8], &[u8; TRAILER])| !content.is_empty() && checksum(content) == *crc;
        let whole = left == 0 && body.split_last_chunk().is_some_and(fits);
        if !whole {
            return Decoded::Fault(Fault::Damaged);
        }
        body.truncate(body.len().saturating_sub(TRAILER));
        Decoded::Frame
    }
}

/// Writes a frame whose body is written by `body`; returns the frame's length in bytes.
///
/// # Errors
/// [`BufferTooSmall`] if `buffer` is too small, or from `body`.
pub fn encode(
    buffer: &mut [u8],
    body: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
) -> Result<usize, BufferTooSmall> {
    // COBS adds one byte before each block of 254. The body is written that much further back, and moves to
    // the front as it is encoded in place.
    let overhead = (buffer.len() / BLOCK).saturating_add(1);
    let rest = buffer.get_mut(overhead..).ok_or(BufferTooSmall)?;
    let length = body(rest)?;
    let (written, trailer) = rest.split_at_mut_checked(length).ok_or(BufferTooSmall)?;
    *trailer.first_chunk_mut().ok_or(BufferTooSmall)? = checksum(written);
    let content = length.checked_add(TRAILER).ok_or(BufferTooSmall)?;
    stuff(Cell::from_mut(buffer).as_slice_of_cells(), overhead, content).ok_or(BufferTooSmall)
}

/// Bytes of the longest block, which no zero follows.
const BLOCK: usize = 254;

/// COBS-encodes the `length` bytes at `start` to the front of the same `buffer`; returns the encoded length.
fn stuff(buffer: &[Cell<u8>], start: usize, length: usize) -> Option<usize> {
    let content = buffer.get(start..)?.get(..length)?;
    let mut out = buffer.iter();
    let mut code_at = out.next()?;
    let mut code = 1u8;
    for byte in content {
        let byte = byte.get();
        if byte != 0 {
            out.next()?.set(byte);
            code = code.saturating_add(1);
        }
        if byte == 0 || code == u8::MAX {
            code_at.set(code);
            (code_at, code) = (out.next()?, 1);
        }
    }
    code_at.set(code);
    out.next()?.set(DELIMITER);
    buffer.len().checked_sub(out.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::few;
    use heapless::Vec;
    use proptest::{prelude::*, sample::Index};
    use std::{vec, vec::Vec as StdVec};

    /// The longest body here, with its checksum.
    const MOST: usize = 700;

    /// Decodes a stream that is cut into pieces of the given sizes, used in turn.
    fn decode(stream: &[u8], cuts: &[usize]) -> StdVec<Result<StdVec<u8>, Fault>> {
        let (mut decoder, mut body) = (Decoder::default(), Vec::<u8, MOST>::new());
        let (mut rest, mut cuts, mut found) = (stream, cuts.iter().cycle(), vec![]);
        while !rest.is_empty() {
            let mut piece;
            (piece, rest) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
            while !piece.is_empty() {
                let (taken, decoded) = decoder.push(&mut body, piece);
                assert!(taken > 0);
                piece = &piece[taken..];
                match decoded {
                    Decoded::More => assert!(piece.is_empty()),
                    Decoded::Frame => found.push(Ok(body.to_vec())),
                    Decoded::Fault(fault) => found.push(Err(fault)),
                    other => panic!("{other:?}"),
                }
            }
        }
        found
    }

    fn frame(body: &[u8]) -> StdVec<u8> {
        let mut buffer = vec![0xaa; body.len() + body.len() / 200 + 16];
        let length = encode(&mut buffer, |out| {
            out[..body.len()].copy_from_slice(body);
            Ok(body.len())
        })
        .unwrap();
        buffer.truncate(length);
        buffer
    }

    fn with_crc(body: &[u8]) -> StdVec<u8> {
        const REFERENCE: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        let crc = REFERENCE.checksum(body);
        [body, &crc.to_le_bytes()].concat()
    }

    /// Bodies whose frames have blocks of every length: with few zeros, many, or nothing else.
    fn bodies() -> impl Strategy<Value = StdVec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..few(600)),
            prop::collection::vec(1u8.., 240..600),
            prop::collection::vec(prop_oneof![30 => 1u8.., 1 => Just(0)], 1..few(600)),
            prop::collection::vec(0u8..2, 1..40),
        ]
    }

    #[test]
    fn a_frame_byte_by_byte() {
        assert_eq!(frame(b"1"), [6, b'1', 0xb7, 0xef, 0xdc, 0x83, 0]);
        assert_eq!(decode(&[6, b'1', 0xb7, 0xef, 0xdc, 0x83, 0], &[1]), [Ok(vec![b'1'])]);
    }

    #[test]
    fn an_empty_body_is_refused() {
        assert_eq!(frame(b""), [1, 1, 1, 1, 1, 0]);
        assert_eq!(decode(&[1, 1, 1, 1, 1, 0], &[1]), [Err(Fault::Damaged)]);
    }

    #[test]
    fn no_zero_follows_a_block_of_254_bytes() {
        for length in 245..=260 {
            let body: StdVec<u8> = (0..length).map(|at| (at % 255) as u8 + 1).collect();
            let framed = frame(&body);
            assert!(framed[..framed.len() - 1].iter().all(|byte| *byte != 0));
            assert_eq!(decode(&framed, &[usize::MAX]), [Ok(body)]);
        }
    }

    #[test]
    fn an_over_long_frame_is_dropped_with_its_tail() {
        // The tail is a valid frame: a decoder that restarts in the middle would accept it.
        let tail = frame(b"withdraw all");
        let long = [&[0xff; MOST + 4][..], &tail].concat();
        let stream = [&long[..], &frame(b"ok")].concat();
        for cut in [1, 7, usize::MAX] {
            assert_eq!(decode(&stream, &[cut]), [Err(Fault::TooLong), Ok(b"ok".to_vec())]);
        }
        let most = vec![7; MOST - TRAILER];
        assert_eq!(decode(&frame(&most), &[usize::MAX]), [Ok(most)]);
        assert_eq!(decode(&frame(&[7; MOST - TRAILER + 1]), &[9]), [Err(Fault::TooLong)]);
        assert_eq!(decode(&frame(&[0; MOST - TRAILER + 1]), &[9]), [Err(Fault::TooLong)]);
    }

    #[test]
    fn zeros_between_frames_are_ignored() {
        assert_eq!(decode(&[&[0, 0], &frame(b"a")[..], &[0, 0, 0], &frame(b"b")].concat(), &[1]).len(), 2);
    }

    #[test]
    fn the_end_of_the_stream_drops_an_incomplete_frame() {
        let (mut decoder, mut body) = (Decoder::default(), Vec::<u8, 16>::new());
        assert_eq!(decoder.end(), Decoded::More);
        decoder.push(&mut body, &[5, 1, 2]);
        assert!(decoder.is_partial());
        assert_eq!(decoder.end(), Decoded::Fault(Fault::Incomplete));
        assert_eq!(decoder, Decoder::default());
        assert_eq!(decoder.push(&mut body, &frame(b"ok")).1, Decoded::Frame);
        assert_eq!(&body[..], b"ok");
    }

    #[test]
    fn a_buffer_that_is_too_small_is_an_error() {
        for capacity in 0..12 {
            let mut buffer = [0x55; 12];
            let made = encode(&mut buffer[..capacity], |_| Ok(5));
            assert_eq!(
                made,
                if capacity >= 11 { Ok(11) } else { Err(BufferTooSmall) },
                "5 bytes, 4 of checksum, one of overhead, and the zero"
            );
        }
        assert_eq!(encode(&mut [0; 4], |_| Ok(usize::MAX)), Err(BufferTooSmall));
        assert_eq!(encode(&mut [0; 40], |_| Err(BufferTooSmall)), Err(BufferTooSmall));
    }

    proptest! {
        #[test]
        fn frames_agree_with_the_cobs_crate(body in bodies()) {
            let framed = frame(&body);
            prop_assert_eq!(decode(&framed, &[usize::MAX]), vec![Ok(body.clone())]);
            let content = with_crc(&body);
            let mut reference = vec![0; cobs::max_encoding_length(content.len())];
            let length = cobs::encode(&content, &mut reference);
            reference.truncate(length);
            reference.push(0);
            prop_assert_eq!(decode(&reference, &[usize::MAX]), vec![Ok(body)]);
            let mut read = vec![0; framed.len()];
            let length = cobs::decode(&framed, &mut read).unwrap().frame_size();
            prop_assert_eq!(&read[..length], &content[..]);
        }

        #[test]
        fn every_cut_gives_the_same_frames(
            frames in prop::collection::vec(prop_oneof![
                4 => bodies().prop_map(|body| frame(&body)),
                1 => prop::collection::vec(any::<u8>(), 0..few(800)),
            ], 0..5),
            cuts in prop::collection::vec(1usize..60, 1..8),
        ) {
            let stream = frames.concat();
            let whole = decode(&stream, &[usize::MAX]);
            prop_assert_eq!(&decode(&stream, &cuts), &whole);
            prop_assert_eq!(&decode(&stream, &[1]), &whole);
        }

        #[test]
        fn noise_damages_no_frame_after_the_next_zero(
            noise in prop::collection::vec(any::<u8>(), 0..few(900)), bodies in prop::collection::vec(bodies(), 1..4),
        ) {
            let frames: StdVec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
            let expected: StdVec<_> = bodies.into_iter().map(Ok).collect();
            let stream = [&noise[..], &[0], &frames].concat();
            let found = decode(&stream, &[usize::MAX]);
            prop_assert!(found.ends_with(&expected), "{found:?}");
            prop_assert!(found[..found.len() - expected.len()].iter().all(|noise| noise.is_err()), "noise decodes to no frame");
            let stream = [&frames[..], &noise].concat();
            prop_assert!(decode(&stream, &[usize::MAX]).starts_with(&expected));
        }

        #[test]
        fn a_truncated_frame_is_refused(body in bodies(), end in any::<Index>()) {
            let framed = frame(&body);
            let part = [&framed[..end.index(framed.len() - 1)], &[0]].concat();
            prop_assert!(decode(&part, &[usize::MAX]).iter().all(|frame| frame.is_err()));
        }

        #[test]
        fn a_flipped_bit_is_refused(body in bodies(), at in any::<Index>(), bit in 0u8..8) {
            let mut framed = frame(&body);
            let at = at.index(framed.len());
            framed[at] ^= 1 << bit;
            framed.push(0);
            for found in decode(&framed, &[usize::MAX]) {
                prop_assert!(found.is_err(), "{:?}", found);
            }
        }
    }
}
