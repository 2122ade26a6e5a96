//! Messages to bytes and back, in the caller's slice.
use crate::{
    ledger::Outcome,
    message::{Notice, Welcome},
    screen::{Screens, Text},
};
use core::fmt;

#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "postcard")]
pub mod postcard;
#[cfg(feature = "json")]
pub mod scan;
#[cfg(feature = "json")]
pub mod unescape;
#[cfg(feature = "json")]
pub use unescape::JsonStr;

/// The caller's slice is too small for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too small for the message")
    }
}

impl core::error::Error for NoRoom {}

/// What a terminal reads of a reply or a notice, whatever wire it came on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HostMessage<'a> {
    /// The reply's number; `None` in a notice and on a wire without numbers.
    pub seq: Option<u64>,
    /// The number of the prompt whose answer it follows.
    pub re: Option<u64>,
    /// Does it ask for an answer?
    pub prompt: bool,
    /// Is the session over?
    pub ends: bool,
    /// Set where it answers a hello.
    pub welcome: Option<Welcome>,
    /// The outcome that it tells.
    pub outcome: Option<Outcome>,
    /// The notice, where it is one that this side knows.
    pub notice: Option<Notice>,
    /// What to show.
    #[cfg_attr(feature = "defmt", defmt(Display2Format))]
    pub text: MessageText<'a>,
}

/// What to show a person, as the wire has it; `Display` gives the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageText<'a> {
    /// Typed screens.
    Screens(Screens),
    /// A notice.
    Notice(Notice),
    /// Text as it stands in JSON, between the quotes.
    #[cfg(feature = "json")]
    Json(JsonStr<'a>),
    /// Bytes that are not a message.
    Plain(&'a [u8]),
}

impl fmt::Display for MessageText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Screens(screens) => write!(f, "{}", Text(screens)),
            Self::Notice(notice) => write!(f, "{notice}"),
            #[cfg(feature = "json")]
            Self::Json(text) => write!(f, "{text}"),
            Self::Plain(bytes) => {
                for chunk in bytes.utf8_chunks() {
                    f.write_str(chunk.valid())?;
                    if !chunk.invalid().is_empty() {
                        f.write_str("\u{fffd}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_buffer_that_is_too_small_is_told() {
        assert_eq!(NoRoom.to_string(), "the buffer is too small for the message");
    }
}
