//! Sizes of the host's buffers: each has room for the longest message that its build sends or takes.

/// Size in bytes of the input buffer: the longest body of a frame. A hello with every field takes 309 of
/// them, the longest answer 410 with each of its bytes escaped as `\u00XX`.
pub const IN: usize = 512;

/// Size in bytes of the output buffer. The longest reply takes 763 of them between a `working` and a
/// `taken-over` notice, and 651 behind a fault. A `taken-over` that does not fit behind unread output is left
/// out.
#[cfg(not(feature = "cards"))]
pub const OUT: usize = 768;

/// Size in bytes of the output buffer. The longest reply is a statement.
#[cfg(feature = "cards")]
pub const OUT: usize = 1280;

/// [`IN`], where `postcard` is the only wire: the longest hello takes 98 bytes, the longest answer 75, the
/// checksum 4.
#[cfg(not(feature = "seal"))]
pub const POSTCARD_IN: usize = 104;

/// [`IN`], where `postcard` is the only wire: the longest sealed hello takes 134 bytes, a sealed answer 97, the
/// checksum 4.
#[cfg(feature = "seal")]
pub const POSTCARD_IN: usize = 144;

/// [`OUT`], where `postcard` is the only wire.
#[cfg(not(feature = "seal"))]
pub const POSTCARD_OUT: usize = 160;

/// [`OUT`], where `postcard` is the only wire: a sealed notice takes 103 bytes with its frame, and a sealed welcome
/// after it 119. A `taken-over` that does not fit after them is left out.
#[cfg(all(feature = "seal", not(feature = "cards")))]
pub const POSTCARD_OUT: usize = 224;

/// [`OUT`], where `postcard` is the only wire: a sealed notice takes 183 bytes with its frame where there are cards, and a sealed
/// welcome after it 199. A `taken-over` that does not fit after them is left out.
#[cfg(feature = "cards")]
pub const POSTCARD_OUT: usize = 384;
