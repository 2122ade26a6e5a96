//! Monotonic clock, by SysTick: a 24-bit counter that counts the system clock down. It wraps around and
//! interrupts every 1.34 s, which also ends a sleep.
use super::CLOCK;
use atm_core::time::Instant;
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;

/// How often the counter has wrapped around.
static WRAPS: AtomicU32 = AtomicU32::new(0);

const RELOAD: u32 = 0x00ff_ffff;

#[exception]
fn SysTick() {
    WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
}

/// Ticks of the system clock (80 ns), modulo 2^32 (343 s). While the interrupt is masked, or a few clocks
/// late, the result is one wrap (1.34 s) behind.
pub fn ticks() -> u32 {
    loop {
        let wraps = WRAPS.load(Ordering::Acquire);
        // It wraps and interrupts as it reaches zero, then reloads (ARMv7-M Architecture Reference Manual,
        // DDI 0403, B3.3.1).
        let count = SYST::get_current().wrapping_neg() & RELOAD;
        // If it has wrapped in between, the two values do not belong together: read again.
        if WRAPS.load(Ordering::Acquire) == wraps {
            return wraps.wrapping_shl(24) | count;
        }
    }
}

/// A monotonic clock. It must be read at least every 171 s (half of what [`ticks`] counts); SysTick ends
/// every sleep long before.
pub struct Clock {
    last: u32,
    /// Ticks since the last whole millisecond. Keeping them avoids a 64-bit division, for which a Cortex-M3
    /// has no instruction.
    remainder: u32,
    millis: u64,
}

impl Clock {
    /// Starts the timer and its interrupt.
    pub fn start(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        timer.enable_interrupt();
        Self { last: ticks(), remainder: 0, millis: 0 }
    }

    /// The time since the start.
    pub fn now(&mut self) -> Instant {
        const TICKS: u32 = CLOCK / 1000;
        let ticks = ticks();
        let elapsed = ticks.wrapping_sub(self.last);
        // More than half of the range: `ticks` is one wrap behind, so no time has passed.
        if elapsed < 1 << 31 {
            self.remainder = self.remainder.saturating_add(elapsed);
            self.last = ticks;
        }
        self.millis = self.millis.wrapping_add(u64::from(self.remainder / TICKS));
        self.remainder %= TICKS;
        Instant::from_millis(self.millis)
    }
}
