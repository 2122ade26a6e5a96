//! Watchdog (chapter 11): resets the part unless it is fed in time.
use super::{CLOCK, register::Register};

const LOAD: Register = Register::at(0x4000_0000);
const CTL: Register = Register::at(0x4000_0008);
const ICR: Register = Register::at(0x4000_000c);
const LOCK: Register = Register::at(0x4000_0c00);

/// The value of LOCK that makes the other registers writable; any other value locks them.
const UNLOCK: u32 = 0x1acc_e551;

/// The part resets when the count has ended twice: after 8 s. The loop feeds at least every 1.34 s (SysTick).
const TICKS: u32 = 4 * CLOCK;

/// A running watchdog. It cannot be stopped.
pub struct Watchdog(());

impl Watchdog {
    /// Starts the watchdog. To be called once.
    pub fn start() -> Self {
        LOCK.write(UNLOCK);
        LOAD.write(TICKS);
        // Enable the count (INTEN) and the reset when it ends for the second time (RESEN).
        CTL.write(0x3);
        LOCK.write(0);
        Self(())
    }

    /// Starts the count again.
    pub fn feed(&mut self) {
        // Any value clears the interrupt and reloads the count (register 4).
        LOCK.write(UNLOCK);
        ICR.write(0);
        LOCK.write(0);
    }
}
