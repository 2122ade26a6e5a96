//! Message codecs: encode a message into the caller's slice and decode it from one, without allocation.
//!
//! Internal: public only so that `core/tests` and `core/fuzz` reach it. It may change in any release.
use crate::{
    ledger::Outcome,
    message::{Notice, Welcome},
    screen::{ScreenText, Screens},
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

/// The error of an encoder: the caller's slice is too small for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferTooSmall;

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too small for the message")
    }
}

impl core::error::Error for BufferTooSmall {}

/// A reply or a notice as a terminal reads it, the same for every wire.
///
/// A [`terminal::Event`](crate::terminal::Event) carries it; its `text` is what to show, as in the example of
/// the [crate](crate).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HostMessage<'a> {
    /// The reply's sequence number; `None` in a notice and on a wire without numbers.
    pub seq: Option<u64>,
    /// The number of the prompt whose answer this replies to.
    pub re: Option<u64>,
    /// Does it ask for an answer?
    pub prompt: bool,
    /// Is the answer to be hidden where it is typed, and never kept?
    #[cfg(feature = "cards")]
    pub secret: bool,
    /// Is the session over?
    pub ends: bool,
    /// Set in the reply to a hello.
    pub welcome: Option<Welcome>,
    /// The outcome of an operation, if it reports one.
    pub outcome: Option<Outcome>,
    /// The notice, if it is one and this version knows it.
    pub notice: Option<Notice>,
    /// What to show.
    #[cfg_attr(feature = "defmt", defmt(Display2Format))]
    pub text: MessageText<'a>,
}

/// The text of a [`HostMessage`] in the form in which it came; `Display` writes it as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageText<'a> {
    /// Typed screens, from the `postcard` wire.
    Screens(Screens),
    /// A notice, from the `postcard` wire.
    Notice(Notice),
    /// A JSON string, still escaped.
    #[cfg(feature = "json")]
    Json(JsonStr<'a>),
    /// Bytes that are not a message; invalid UTF-8 is shown as U+FFFD.
    Plain(&'a [u8]),
}

impl fmt::Display for MessageText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Screens(screens) => write!(f, "{}", ScreenText(screens)),
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
mod tests;
