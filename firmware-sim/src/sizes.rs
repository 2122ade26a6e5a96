//! Buffers as small as the wire of an image allows, in bytes.
use atm_core::wire::Wire;

/// Of the EEPROM (a 24LC512 has 64 KiB): room for 30 terminals.
pub const EEPROM: usize = 8192;
/// What the images speak.
pub const WIRE: Wire = wire::WIRE;
/// The longest body of a frame that comes in to the host: a hello with every field.
pub const IN: usize = wire::IN;
/// The longest that goes out from the host: a notice with a reply behind it.
pub const OUT: usize = wire::OUT;
/// The longest body of a frame that comes in to a terminal.
pub const TERMINAL_IN: usize = OUT;
/// The longest that goes out from a terminal: a hello with every field.
pub const TERMINAL_OUT: usize = wire::TERMINAL_OUT;

#[cfg(not(feature = "json"))]
mod wire {
    use super::Wire;
    use atm_core::host;
    pub(super) const WIRE: Wire = Wire::Postcard;
    pub(super) const IN: usize = host::POSTCARD_IN;
    pub(super) const OUT: usize = host::POSTCARD_OUT;
    pub(super) const TERMINAL_OUT: usize = 104;
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
