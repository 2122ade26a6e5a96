//! Where a message starts and ends in a stream, and how to get back in step.
//!
//! Every decoder is fed any piece of the stream and takes bytes up to the end of one frame at the most; the frame then
//! stands in the caller's buffer until the next call. How the stream is cut makes no difference (but for the one
//! wire where it must: see [`raw`]).
use crate::message::Fault;

#[cfg(feature = "postcard")]
pub mod cobs;
pub mod length;
#[cfg(feature = "json")]
pub mod raw;

/// What a decoder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Decoded {
    /// Nothing yet: it took all bytes.
    More,
    /// A frame stands in the buffer.
    Frame,
    /// Bytes that are not a frame stand in the buffer, to be shown as they are.
    Plain,
    /// Something is wrong; the stream is in step again, or will be.
    Fault(Fault),
    /// Something is wrong and the stream cannot get back in step.
    Broken(Fault),
}
