//! Time, by SysTick: it counts 24 bits down by the system clock, and interrupts (which also ends a sleep) every 1.34 s.
use super::CLOCK;
use atm_core::time::Instant;
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;

/// How often the counter has come around.
static WRAPS: AtomicU32 = AtomicU32::new(0);

const RELOAD: u32 = 0x00ff_ffff;

#[exception]
fn SysTick() {
    WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
}

/// Ticks of the system clock, modulo 2^32 (343 s). Where the interrupt is held back, or a few clocks late, they are of the
/// round before.
pub fn ticks() -> u32 {
    loop {
        let wraps = WRAPS.load(Ordering::Acquire);
        // It comes around, and interrupts, as it gets to zero; from there it goes on at RELOAD (ARMv7-M manual, B3.3.1).
        let count = SYST::get_current().wrapping_neg() & RELOAD;
        // Had it come around in between, the two would not belong together.
        if WRAPS.load(Ordering::Acquire) == wraps {
            return wraps.wrapping_shl(24) | count;
        }
    }
}

/// A clock that is read at least every 171 s; SysTick ends every sleep long before.
pub struct Clock {
    last: u32,
    /// Ticks that are no whole millisecond yet. Kept, because this part divides 32 bits in hardware and 64 not at all.
    remainder: u32,
    millis: u64,
}

impl Clock {
    /// Starts it.
    pub fn start(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        timer.enable_interrupt();
        Self { last: ticks(), remainder: 0, millis: 0 }
    }

    /// The time since it was started.
    pub fn now(&mut self) -> Instant {
        const TICKS: u32 = CLOCK / 1000;
        let ticks = ticks();
        let elapsed = ticks.wrapping_sub(self.last);
        // More than half of all that there is: it is of the round before, and no time has passed yet.
        if elapsed < 1 << 31 {
            self.remainder = self.remainder.saturating_add(elapsed);
            self.last = ticks;
        }
        self.millis = self.millis.wrapping_add(u64::from(self.remainder / TICKS));
        self.remainder %= TICKS;
        Instant::from_millis(self.millis)
    }
}
