//! The watchdog (chapter 11): resets the part unless it is fed.
use super::{CLOCK, register::Register};

const LOAD: Register = Register::at(0x4000_0000);
const CTL: Register = Register::at(0x4000_0008);
const ICR: Register = Register::at(0x4000_000c);
const LOCK: Register = Register::at(0x4000_0c00);

/// What LOCK has to be told before the others may be written.
const UNLOCK: u32 = 0x1acc_e551;

/// It resets when it has counted down twice, so after 8 s; the loop comes by every 1.34 s at the least.
const TICKS: u32 = 4 * CLOCK;

/// A running watchdog; nothing stops it.
pub struct Watchdog(());

impl Watchdog {
    /// Starts it.
    pub fn start() -> Self {
        LOCK.write(UNLOCK);
        LOAD.write(TICKS);
        // Count, and reset at the second time.
        CTL.write(0x3);
        LOCK.write(0);
        Self(())
    }

    /// Starts the count anew.
    pub fn feed(&mut self) {
        // Any value clears the interrupt and loads the count again (register 4).
        LOCK.write(UNLOCK);
        ICR.write(0);
        LOCK.write(0);
    }
}
