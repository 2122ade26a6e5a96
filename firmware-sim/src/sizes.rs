//! Sizes of an image's buffers and of its EEPROM in bytes: as small as its wire allows.
#[cfg(feature = "cards")]
use atm_core::seal::{Header, TAG, WIDE_BUCKET};
use atm_core::wire::Wire;

/// Bytes of the EEPROM that are used (a 24LC512 has 64 KiB): room for 30 terminals.
pub const EEPROM: usize = 8192;
/// The wire of the images: `json` with the feature of that name, else `postcard`.
pub const WIRE: Wire = wire::WIRE;
/// The longest frame body that a host receives: a hello with every field.
pub const IN: usize = wire::IN;
/// The longest output of a host: a notice with a reply behind it.
pub const OUT: usize = wire::OUT;
/// The longest frame body that a terminal receives.
#[cfg(not(feature = "cards"))]
pub const TERMINAL_IN: usize = OUT;
/// The longest frame body that a terminal receives: a sealed welcome in the wide bucket, and its checksum.
#[cfg(feature = "cards")]
pub const TERMINAL_IN: usize = 1 + Header::LENGTH + TAG + WIDE_BUCKET + 4;
/// The longest output of a terminal: a hello with every field.
pub const TERMINAL_OUT: usize = wire::TERMINAL_OUT;

#[cfg(not(feature = "json"))]
mod wire {
    use super::Wire;
    use atm_core::host;
    pub(super) const WIRE: Wire = Wire::Postcard;
    pub(super) const IN: usize = host::POSTCARD_IN;
    pub(super) const OUT: usize = host::POSTCARD_OUT;
    pub(super) const TERMINAL_OUT: usize = if cfg!(feature = "seal") { 144 } else { 104 };
}

#[cfg(feature = "json")]
mod wire {
    use super::Wire;
    use atm_core::{host, terminal};
    pub(super) const WIRE: Wire = Wire::Json;
    pub(super) const IN: usize = host::IN;
    pub(super) const OUT: usize = host::OUT;
    pub(super) const TERMINAL_OUT: usize = terminal::OUT;
}
