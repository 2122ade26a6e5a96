//! A wire is a frame and a codec: where the two endpoints choose them, and the buffers that they stand in.
#[cfg(feature = "json")]
use crate::codec::json;
#[cfg(feature = "postcard")]
use crate::codec::postcard;
#[cfg(feature = "postcard")]
use crate::frame::cobs;
#[cfg(feature = "json")]
use crate::frame::{length, raw};
use crate::{
    codec::{NoRoom, Said},
    frame::Step,
    message::{Fault, FromTerminal, Hello, Notice, Reply},
};
use core::{fmt, str::FromStr};
use heapless::{Vec, VecView};

/// How messages cross the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// JSON behind a 4-byte big-endian length: for TCP.
    #[cfg(feature = "json")]
    Json,
    /// JSON objects back to back one way, plain text the other: for the program that this one replaces.
    #[cfg(feature = "json")]
    Raw,
    /// Postcard in COBS frames with a CRC-32: for serial lines.
    #[cfg(feature = "postcard")]
    Postcard,
}

impl Wire {
    /// The wires that this build speaks, by name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        #[cfg(feature = "json")]
        ("json", Self::Json),
        #[cfg(feature = "json")]
        ("raw", Self::Raw),
        #[cfg(feature = "postcard")]
        ("postcard", Self::Postcard),
    ];

    /// Do its messages carry numbers?
    pub fn is_numbered(self) -> bool {
        match self {
            #[cfg(feature = "json")]
            Self::Raw => false,
            #[cfg(feature = "json")]
            Self::Json => true,
            #[cfg(feature = "postcard")]
            Self::Postcard => true,
        }
    }

    /// Is this fault what noise makes of a frame, and the sender known to send it again?
    pub(crate) fn discards(self, fault: Fault) -> bool {
        self.has_checksum() && matches!(fault, Fault::Damaged | Fault::TooLong | Fault::Incomplete)
    }

    fn has_checksum(self) -> bool {
        match self {
            #[cfg(feature = "json")]
            Self::Json | Self::Raw => false,
            #[cfg(feature = "postcard")]
            Self::Postcard => true,
        }
    }

    pub(crate) fn read_terminal(self, body: &[u8]) -> Result<Option<FromTerminal>, Fault> {
        match self {
            #[cfg(feature = "json")]
            Self::Json => json::read_terminal(body),
            #[cfg(feature = "json")]
            Self::Raw => {
                let text = core::str::from_utf8(body).map_err(|_| Fault::NotUtf8)?;
                Ok(Some(FromTerminal::Answer { re: None, answer: crate::message::Answer::new(text) }))
            }
            #[cfg(feature = "postcard")]
            Self::Postcard => postcard::read_terminal(body),
        }
    }

    pub(crate) fn read_host(self, body: &[u8]) -> Result<Option<Said<'_>>, Fault> {
        match self {
            #[cfg(feature = "json")]
            Self::Json | Self::Raw => json::read_host(body),
            #[cfg(feature = "postcard")]
            Self::Postcard => postcard::read_host(body),
        }
    }

    /// Writes a whole frame, whose body `write` makes; returns its length.
    fn frame(
        self,
        out: &mut [u8],
        body: impl FnOnce(&mut [u8]) -> Result<usize, NoRoom>,
    ) -> Result<usize, NoRoom> {
        match self {
            #[cfg(feature = "json")]
            Self::Json => {
                let (header, rest) = out.split_first_chunk_mut::<{ length::HEADER }>().ok_or(NoRoom)?;
                let length = body(rest)?;
                *header = u32::try_from(length).map_err(|_| NoRoom)?.to_be_bytes();
                length.checked_add(length::HEADER).ok_or(NoRoom)
            }
            #[cfg(feature = "json")]
            Self::Raw => body(out),
            #[cfg(feature = "postcard")]
            Self::Postcard => {
                let length = body(out)?;
                cobs::encode(out, length).ok_or(NoRoom)
            }
        }
    }
}

/// The text names no wire that this build speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownWire;

impl fmt::Display for UnknownWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such wire; there are")?;
        for (name, _) in Wire::ALL {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownWire {}

impl FromStr for Wire {
    type Err = UnknownWire;
    fn from_str(text: &str) -> Result<Self, UnknownWire> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, wire)| *wire).ok_or(UnknownWire)
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, wire)| wire == self).map_or("", |(name, _)| name))
    }
}

/// Frames counted since the line was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Whole frames.
    pub frames: u32,
    /// Frames (or what noise made of them) that were discarded.
    pub discarded: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Decoder {
    #[cfg(feature = "json")]
    Length(length::Decoder),
    #[cfg(feature = "json")]
    Answers(raw::Answers),
    #[cfg(feature = "json")]
    Objects(raw::Objects),
    #[cfg(feature = "postcard")]
    Cobs(cobs::Decoder),
}

impl Decoder {
    fn push(&mut self, body: &mut VecView<u8>, bytes: &[u8]) -> (usize, Step) {
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

    fn end(&mut self) -> Step {
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

/// What comes in: one frame at a time, kept until it is released.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Inbox<const N: usize> {
    decoder: Decoder,
    body: Vec<u8, N>,
    found: Step,
    counters: Counters,
}

impl<const N: usize> Inbox<N> {
    pub(crate) fn for_host(wire: Wire) -> Self {
        Self::new(match wire {
            #[cfg(feature = "json")]
            Wire::Json => Decoder::Length(length::Decoder::default()),
            #[cfg(feature = "json")]
            Wire::Raw => Decoder::Answers(raw::Answers::default()),
            #[cfg(feature = "postcard")]
            Wire::Postcard => Decoder::Cobs(cobs::Decoder::default()),
        })
    }

    pub(crate) fn for_terminal(wire: Wire) -> Self {
        Self::new(match wire {
            #[cfg(feature = "json")]
            Wire::Json => Decoder::Length(length::Decoder::default()),
            #[cfg(feature = "json")]
            Wire::Raw => Decoder::Objects(raw::Objects::default()),
            #[cfg(feature = "postcard")]
            Wire::Postcard => Decoder::Cobs(cobs::Decoder::default()),
        })
    }

    fn new(decoder: Decoder) -> Self {
        Self { decoder, body: Vec::new(), found: Step::More, counters: Counters::default() }
    }

    /// Takes bytes up to the end of one frame; none while one is kept.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        if self.found != Step::More {
            return 0;
        }
        let (taken, found) = self.decoder.push(&mut self.body, bytes);
        self.find(found);
        taken
    }

    /// The stream has ended.
    pub(crate) fn end(&mut self) {
        if self.found == Step::More {
            let found = self.decoder.end();
            self.find(found);
        }
    }

    /// Gives up on a frame that has begun, and says what it lacked.
    pub(crate) fn give_up(&mut self) -> Fault {
        self.counters.discarded = self.counters.discarded.wrapping_add(1);
        match self.decoder.end() {
            Step::Fault(fault) => fault,
            _ => Fault::Incomplete,
        }
    }

    fn find(&mut self, found: Step) {
        self.found = found;
        let count = match found {
            Step::More => return,
            Step::Frame | Step::Plain => &mut self.counters.frames,
            Step::Fault(_) | Step::Broken(_) => &mut self.counters.discarded,
        };
        *count = count.wrapping_add(1);
    }

    /// What is kept, with its bytes.
    pub(crate) fn found(&self) -> (Step, &[u8]) {
        (self.found, &self.body)
    }

    /// Lets go of what is kept.
    pub(crate) fn release(&mut self) {
        self.found = Step::More;
        // Nothing of it is of use any more: two endpoints that will do the same are equal.
        self.body.clear();
    }

    pub(crate) fn is_partial(&self) -> bool {
        self.found == Step::More && self.decoder.is_partial()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn take_counters(&mut self) -> Counters {
        core::mem::take(&mut self.counters)
    }
}

/// What goes out: whole frames, until the driver has sent them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outbox<const N: usize> {
    wire: Wire,
    bytes: Vec<u8, N>,
    sent: usize,
}

impl<const N: usize> Outbox<N> {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, bytes: Vec::new(), sent: 0 }
    }

    pub(crate) fn output(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or(&[])
    }

    /// `count` bytes of the output were sent.
    pub(crate) fn consume(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        if self.sent >= self.bytes.len() {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn frame(&mut self, body: impl FnOnce(&mut [u8]) -> Result<usize, NoRoom>) -> Result<(), NoRoom> {
        append(self.wire, &mut self.bytes, body)
    }

    pub(crate) fn reply(&mut self, reply: &Reply) -> Result<(), NoRoom> {
        match self.wire {
            #[cfg(feature = "json")]
            Wire::Json => self.frame(|out| json::write_reply(reply, out)),
            #[cfg(feature = "json")]
            Wire::Raw => self
                .frame(|out| json::write_bare(reply.is_prompt(), crate::screen::Text(&reply.screens), out)),
            #[cfg(feature = "postcard")]
            Wire::Postcard => self.frame(|out| postcard::write_reply(reply, out)),
        }
    }

    /// Says `notice`, and then asks `open` again if there is an open prompt.
    pub(crate) fn notice(&mut self, notice: Notice, open: Option<&Reply>) -> Result<(), NoRoom> {
        match self.wire {
            #[cfg(feature = "json")]
            Wire::Json => self.frame(|out| json::write_notice(notice, out))?,
            // One object: the original client takes what one read brings for one.
            #[cfg(feature = "json")]
            Wire::Raw => {
                return match open {
                    Some(open) => {
                        let text = crate::screen::Text(&open.screens);
                        self.frame(|out| {
                            json::write_bare(open.is_prompt(), format_args!("{notice}\n\n{text}"), out)
                        })
                    }
                    None => self.frame(|out| json::write_bare(false, notice, out)),
                };
            }
            #[cfg(feature = "postcard")]
            Wire::Postcard => self.frame(|out| postcard::write_notice(notice, out))?,
        }
        open.map_or(Ok(()), |open| self.reply(open))
    }

    pub(crate) fn hello(&mut self, hello: &Hello) -> Result<(), NoRoom> {
        match self.wire {
            #[cfg(feature = "json")]
            Wire::Json => self.frame(|out| json::write_hello(hello, out)),
            // There is no hello on this wire: the host greets at once.
            #[cfg(feature = "json")]
            Wire::Raw => Ok(()),
            #[cfg(feature = "postcard")]
            Wire::Postcard => self.frame(|out| postcard::write_hello(hello, out)),
        }
    }

    pub(crate) fn answer(&mut self, re: Option<u64>, text: &str) -> Result<(), NoRoom> {
        match self.wire {
            #[cfg(feature = "json")]
            Wire::Json => self.frame(|out| json::write_answer(re, text, out)),
            #[cfg(feature = "json")]
            Wire::Raw => self.frame(|out| {
                // An empty answer would be no bytes at all, and never be read; the host trims a blank.
                let text = if text.is_empty() { " " } else { text };
                out.get_mut(..text.len()).ok_or(NoRoom)?.copy_from_slice(text.as_bytes());
                Ok(text.len())
            }),
            #[cfg(feature = "postcard")]
            Wire::Postcard => self.frame(|out| postcard::write_answer(re, text, out)),
        }
    }
}

/// Appends a frame, whole or not at all.
fn append(
    wire: Wire,
    bytes: &mut VecView<u8>,
    body: impl FnOnce(&mut [u8]) -> Result<usize, NoRoom>,
) -> Result<(), NoRoom> {
    let start = bytes.len();
    bytes.resize(bytes.capacity(), 0).map_err(|_| NoRoom)?;
    let written = wire.frame(bytes.get_mut(start..).ok_or(NoRoom)?, body);
    bytes.truncate(start.saturating_add(*written.as_ref().unwrap_or(&0)));
    written.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wires_read_back() {
        for (name, wire) in Wire::ALL {
            assert_eq!(name.parse(), Ok(*wire));
            assert_eq!(std::format!("{wire}"), *name);
        }
        assert_eq!("morse".parse::<Wire>(), Err(UnknownWire));
    }
}
