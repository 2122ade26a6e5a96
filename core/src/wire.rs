//! Wire formats: each [`Wire`] is a framing and a codec; the endpoints' buffers for both directions.
//!
//! A driver chooses one by name and passes it to an endpoint's configuration; both sides must use the same.
//!
//! ```
//! # #[cfg(all(feature = "json", feature = "postcard"))] {
//! use atm_core::wire::Wire;
//!
//! let wire: Wire = "postcard".parse()?;
//! assert_eq!(wire, Wire::Postcard);
//! assert!(wire.is_numbered());
//! # }
//! # Ok::<_, atm_core::wire::UnknownWire>(())
//! ```
#[cfg(feature = "json")]
use crate::codec::json;
#[cfg(feature = "postcard")]
use crate::codec::postcard;
#[cfg(feature = "postcard")]
use crate::frame::cobs;
#[cfg(feature = "json")]
use crate::frame::length;
use crate::{
    codec::{BufferTooSmall, HostMessage},
    message::{Fault, TerminalMessage},
};
use core::{fmt, str::FromStr};
mod inbox;
mod outbox;
mod sealing;
pub use inbox::Counters;
pub(crate) use inbox::Inbox;
pub(crate) use outbox::Outbox;
pub(crate) use sealing::{Envelope, Keys, Proof};

/// How messages cross the link: framing and encoding. The protocol's section 1 has every byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Wire {
    /// JSON with a 4-byte big-endian length prefix: for TCP.
    #[cfg(feature = "json")]
    Json,
    /// JSON objects back to back from the host, plain text from the terminal: the wire of the program that
    /// this one replaces.
    #[cfg(feature = "json")]
    Raw,
    /// Postcard in COBS frames with a CRC-32: for serial lines.
    #[cfg(feature = "postcard")]
    Postcard,
}

impl Wire {
    /// The wires of this build, by name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        #[cfg(feature = "json")]
        ("json", Self::Json),
        #[cfg(feature = "json")]
        ("raw", Self::Raw),
        #[cfg(feature = "postcard")]
        ("postcard", Self::Postcard),
    ];

    /// Whether messages carry sequence numbers, so that a duplicate is recognised and a lost reply is sent
    /// again.
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

    /// Whether noise can cause this fault: the frame is dropped, and its sender retransmits it.
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

    /// The byte that ends any noise before a frame and costs the receiver nothing where there was none.
    fn delimiter(self) -> Option<u8> {
        match self {
            #[cfg(feature = "json")]
            Self::Json | Self::Raw => None,
            #[cfg(feature = "postcard")]
            Self::Postcard => Some(cobs::DELIMITER),
        }
    }

    pub(crate) fn read_terminal(self, body: &[u8]) -> Result<Option<TerminalMessage>, Fault> {
        match self {
            #[cfg(feature = "json")]
            Self::Json => json::read_terminal(body),
            #[cfg(feature = "json")]
            Self::Raw => {
                let text = core::str::from_utf8(body).map_err(|_| Fault::NotUtf8)?;
                Ok(Some(TerminalMessage::Answer { re: None, answer: crate::message::Answer::new(text) }))
            }
            #[cfg(feature = "postcard")]
            Self::Postcard => postcard::read_terminal(body),
        }
    }

    pub(crate) fn read_host(self, body: &[u8]) -> Result<Option<HostMessage<'_>>, Fault> {
        match self {
            #[cfg(feature = "json")]
            Self::Json | Self::Raw => json::read_host(body),
            #[cfg(feature = "postcard")]
            Self::Postcard => postcard::read_host(body),
        }
    }

    /// Writes a frame whose body is written by `body`; returns the frame's length in bytes.
    fn frame(
        self,
        out: &mut [u8],
        body: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<usize, BufferTooSmall> {
        match self {
            #[cfg(feature = "json")]
            Self::Json => {
                let (header, rest) =
                    out.split_first_chunk_mut::<{ length::HEADER }>().ok_or(BufferTooSmall)?;
                let length = body(rest)?;
                *header = u32::try_from(length).map_err(|_| BufferTooSmall)?.to_be_bytes();
                length.checked_add(length::HEADER).ok_or(BufferTooSmall)
            }
            #[cfg(feature = "json")]
            Self::Raw => body(out),
            #[cfg(feature = "postcard")]
            Self::Postcard => cobs::encode(out, body),
        }
    }
}

/// The error of parsing a [`Wire`]: this build has no wire of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wire_parses_from_its_name() {
        for (name, wire) in Wire::ALL {
            assert_eq!(name.parse(), Ok(*wire));
            assert_eq!(std::format!("{wire}"), *name);
        }
        assert_eq!("morse".parse::<Wire>(), Err(UnknownWire));
        for (_, wire) in Wire::ALL {
            assert!(std::format!("{:?}", Outbox::<8>::new(*wire)).contains(&std::format!("{wire:?}")));
        }
        for (name, _) in Wire::ALL {
            assert!(std::format!("{UnknownWire}").contains(name));
        }
    }

    #[cfg(feature = "json")]
    #[test]
    fn frames_are_counted_until_the_counters_are_taken() {
        let mut inbox = Inbox::<8>::for_host(Wire::Json);
        for (bytes, frames, discarded) in [(&b"\0\0\0\x01x"[..], 1, 0), (b"\0\0\0\0", 1, 1)] {
            assert_eq!(inbox.push(bytes), bytes.len());
            inbox.release();
            assert_eq!((inbox.counters().frames, inbox.counters().discarded), (frames, discarded));
        }
        let taken = inbox.take_counters();
        assert_eq!((taken.frames, taken.discarded), (1, 1));
        assert_eq!(inbox.counters(), Counters::default());
    }
}
