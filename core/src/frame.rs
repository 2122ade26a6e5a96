//! Framing: finds where a message starts and ends in a byte stream, and resynchronises after noise.
//!
//! A decoder takes any piece of the stream, up to the end of one frame at the most; the frame's body stays in
//! the caller's buffer until the next call. How the stream is cut into pieces makes no difference, except in
//! [`raw::AnswerDecoder`], where the end of a read is the end of an answer.
//!
//! Internal: public only so that `core/tests` and `core/fuzz` reach it. It may change in any release.
use crate::message::Fault;

#[cfg(feature = "postcard")]
pub mod cobs;
pub mod length;
#[cfg(feature = "json")]
pub mod raw;

/// The result of feeding a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Decoded {
    /// No frame yet; all bytes were taken.
    More,
    /// The buffer holds the body of a whole frame.
    Frame,
    /// The buffer holds bytes that are not a frame, to be shown as they are.
    Plain,
    /// A bad frame was dropped; the decoder resynchronises.
    Fault(Fault),
    /// The stream cannot be decoded any further.
    Broken(Fault),
}
