//! Inbound buffer: decodes a wire's bytes into frames and keeps one frame until the endpoint has handled it.
use super::Wire;
#[cfg(feature = "json")]
use crate::frame::{length, raw};
#[cfg(feature = "seal")]
use crate::seal::{self, Key};
#[cfg(feature = "postcard")]
use crate::{codec::postcard, frame::cobs};
use crate::{frame::Decoded, message::Fault};
use core::fmt;
use heapless::{Vec, VecView};
#[cfg(feature = "seal")]
use zeroize::Zeroize;

/// Inbound frames of an endpoint since it was made, or since its counters were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Whole frames.
    pub frames: u32,
    /// Faulty or incomplete frames, which were discarded.
    pub discarded: u32,
    /// Whole frames that are not authentic, or in clear where only sealed ones are read: they met with silence.
    #[cfg(feature = "seal")]
    pub unauthentic: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Decoder {
    #[cfg(feature = "json")]
    Length(length::Decoder),
    #[cfg(feature = "json")]
    Answers(raw::AnswerDecoder),
    #[cfg(feature = "json")]
    Objects(raw::ObjectDecoder),
    #[cfg(feature = "postcard")]
    Cobs(cobs::Decoder),
}

impl Decoder {
    fn push(&mut self, body: &mut VecView<u8>, bytes: &[u8]) -> (usize, Decoded) {
        match self {
            #[cfg(feature = "json")]
            Self::Length(decoder) => decoder.push(body, bytes),
            #[cfg(feature = "json")]
            Self::Answers(decoder) => decoder.push(body, bytes),
            #[cfg(feature = "json")]
            Self::Objects(decoder) => decoder.push(body, bytes),
            #[cfg(feature = "postcard")]
            Self::Cobs(decoder) => decoder.push(body, bytes),
        }
    }

    fn end(&mut self) -> Decoded {
        match self {
            #[cfg(feature = "json")]
            Self::Length(decoder) => decoder.end(),
            #[cfg(feature = "json")]
            Self::Answers(decoder) => decoder.end(),
            #[cfg(feature = "json")]
            Self::Objects(decoder) => decoder.end(),
            #[cfg(feature = "postcard")]
            Self::Cobs(decoder) => decoder.end(),
        }
    }

    fn is_partial(&self) -> bool {
        match self {
            #[cfg(feature = "json")]
            Self::Length(decoder) => decoder.is_partial(),
            #[cfg(feature = "json")]
            Self::Answers(decoder) => decoder.is_partial(),
            #[cfg(feature = "json")]
            Self::Objects(decoder) => decoder.is_partial(),
            #[cfg(feature = "postcard")]
            Self::Cobs(decoder) => decoder.is_partial(),
        }
    }
}

/// Decodes one frame at a time and keeps it until it is released.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Inbox<const N: usize> {
    decoder: Decoder,
    body: Vec<u8, N>,
    decoded: Decoded,
    /// Where the content of the kept frame begins, if it was sealed and is opened.
    #[cfg(feature = "seal")]
    opened: Option<usize>,
    /// Whether a whole frame has come.
    has_framed: bool,
    counters: Counters,
}

impl<const N: usize> Inbox<N> {
    pub(crate) fn for_host(wire: Wire) -> Self {
        Self::new(match wire {
            #[cfg(feature = "json")]
            Wire::Json => Decoder::Length(length::Decoder::default()),
            #[cfg(feature = "json")]
            Wire::Raw => Decoder::Answers(raw::AnswerDecoder::default()),
            #[cfg(feature = "postcard")]
            Wire::Postcard => Decoder::Cobs(cobs::Decoder::default()),
        })
    }

    pub(crate) fn for_terminal(wire: Wire) -> Self {
        Self::new(match wire {
            #[cfg(feature = "json")]
            Wire::Json => Decoder::Length(length::Decoder::default()),
            #[cfg(feature = "json")]
            Wire::Raw => Decoder::Objects(raw::ObjectDecoder::default()),
            #[cfg(feature = "postcard")]
            Wire::Postcard => Decoder::Cobs(cobs::Decoder::default()),
        })
    }

    fn new(decoder: Decoder) -> Self {
        let (decoded, counters) = (Decoded::More, Counters::default());
        Self {
            decoder,
            body: Vec::new(),
            decoded,
            #[cfg(feature = "seal")]
            opened: None,
            has_framed: false,
            counters,
        }
    }

    /// Takes bytes up to the end of one frame, and none while a frame is kept; returns how many.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        if self.decoded != Decoded::More {
            return 0;
        }
        let (taken, decoded) = self.decoder.push(&mut self.body, bytes);
        self.keep(decoded);
        taken
    }

    /// Ends the stream.
    pub(crate) fn end(&mut self) {
        if self.decoded == Decoded::More {
            let decoded = self.decoder.end();
            self.keep(decoded);
        }
    }

    /// Drops an incomplete frame; returns the fault.
    pub(crate) fn give_up(&mut self) -> Fault {
        self.counters.discarded = self.counters.discarded.wrapping_add(1);
        match self.decoder.end() {
            Decoded::Fault(fault) => fault,
            _ => Fault::Incomplete,
        }
    }

    fn keep(&mut self, decoded: Decoded) {
        self.decoded = decoded;
        self.has_framed |= decoded == Decoded::Frame;
        let count = match decoded {
            Decoded::More => return,
            Decoded::Frame | Decoded::Plain => &mut self.counters.frames,
            Decoded::Fault(_) | Decoded::Broken(_) => &mut self.counters.discarded,
        };
        *count = count.wrapping_add(1);
    }

    /// Whether a frame is kept.
    pub(crate) fn has_frame(&self) -> bool {
        self.decoded != Decoded::More
    }

    /// The kept frame's kind and its body.
    pub(crate) fn decoded(&self) -> (Decoded, &[u8]) {
        #[cfg(feature = "seal")]
        let body = match self.opened {
            None => &self.body[..],
            Some(at) => self.body.get(at..).unwrap_or(&[]),
        };
        #[cfg(not(feature = "seal"))]
        let body = &self.body;
        (self.decoded, body)
    }

    /// Releases the kept frame.
    pub(crate) fn release(&mut self) {
        self.decoded = Decoded::More;
        #[cfg(feature = "seal")]
        if self.opened.take().is_some() || cfg!(feature = "cards") {
            self.body.as_mut_slice().zeroize();
        }
        // Cleared, so that two endpoints that will behave alike compare equal.
        self.body.clear();
    }

    /// Opens the kept frame, whose body has a header of `header` bytes: the body is its content then. False, and the
    /// body is wiped, if it is not authentic under `key`, or no message of these kinds is in it.
    #[cfg(feature = "seal")]
    pub(crate) fn open(&mut self, key: &Key, header: usize, kinds: &[u8]) -> bool {
        let content = seal::open(key, header, &mut self.body).unwrap_or(0..0);
        let is_read =
            self.body.get(content.start).is_some_and(|kind| !content.is_empty() && kinds.contains(kind));
        self.body.truncate(content.end);
        self.opened = Some(content.start);
        is_read
    }

    /// Whether the kept frame was opened.
    #[cfg(feature = "seal")]
    pub(crate) fn is_opened(&self) -> bool {
        self.opened.is_some()
    }

    /// Counts the kept frame as not authentic.
    #[cfg(feature = "seal")]
    pub(crate) fn count_unauthentic(&mut self) {
        self.counters.unauthentic = self.counters.unauthentic.wrapping_add(1);
    }

    /// Whether a whole frame has come since the endpoint was made.
    pub(crate) fn has_framed(&self) -> bool {
        self.has_framed
    }

    pub(crate) fn is_partial(&self) -> bool {
        self.decoded == Decoded::More && self.decoder.is_partial()
    }

    /// Whether an incomplete frame has begun as one of another wire does.
    // Not inlined: it is called from three places.
    #[inline(never)]
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_partial()
            && match &self.decoder {
                #[cfg(feature = "json")]
                Decoder::Length(decoder) => decoder.is_foreign(),
                #[cfg(feature = "json")]
                Decoder::Answers(_) | Decoder::Objects(_) => false,
                #[cfg(feature = "postcard")]
                Decoder::Cobs(decoder) => decoder.is_foreign(&self.body, postcard::LAST),
            }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn take_counters(&mut self) -> Counters {
        core::mem::take(&mut self.counters)
    }
}

/// A frame may hold a PIN.
#[cfg(feature = "cards")]
impl<const N: usize> Drop for Inbox<N> {
    fn drop(&mut self) {
        self.body.as_mut_slice().zeroize();
    }
}

/// Without the content of a sealed frame; with cards, of any.
impl<const N: usize> fmt::Debug for Inbox<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "seal")]
        let body = if self.opened.is_some() || cfg!(feature = "cards") { &b".."[..] } else { &self.body };
        #[cfg(not(feature = "seal"))]
        let body = &self.body;
        f.debug_struct("Inbox")
            .field("decoder", &self.decoder)
            .field("body", &body)
            .field("decoded", &self.decoded)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
