//! Buffers as small as the wire of an image allows.
use atm_core::wire::Wire;

/// What the images speak.
#[cfg(feature = "json")]
pub const WIRE: Wire = Wire::Json;
/// What the images speak.
#[cfg(not(feature = "json"))]
pub const WIRE: Wire = Wire::Postcard;

/// The longest body of a frame that comes in, in bytes, with its check sum: a hello with every field.
#[cfg(not(feature = "json"))]
pub const IN: usize = 96;
/// The longest body of a frame that comes in, in bytes.
#[cfg(feature = "json")]
pub const IN: usize = atm_core::host::IN;

/// The longest that goes out, in bytes: a notice with a reply behind it.
#[cfg(not(feature = "json"))]
pub const OUT: usize = 160;
/// The longest that goes out, in bytes.
#[cfg(feature = "json")]
pub const OUT: usize = atm_core::host::OUT;
