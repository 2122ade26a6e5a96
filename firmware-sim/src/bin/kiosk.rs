//! The ATM as a kiosk's microcontroller runs it: `cargo fw` builds it for a Cortex-M3.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod image {
    use atm_core::{
        host::{Config, Link},
        ledger::{LedgerId, StoredLedger},
        money::Amount,
        time::Instant,
    };
    use cortex_m_rt::entry;
    use firmware_sim::{
        Kiosk,
        board::{Board, eeprom::Eeprom, random, sleep_unless, uart::Uart, watchdog::Watchdog},
        sizes::{IN, OUT, WIRE},
    };

    // With postcard alone there is no panic in the image: the linker would say so.
    #[cfg(not(feature = "json"))]
    use panic_never as _;

    /// The reader of JSON has checks that the compiler does not see through. Nobody feeds the watchdog here: it resets.
    #[cfg(feature = "json")]
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        firmware_sim::board::halt()
    }

    type Atm = Kiosk<StoredLedger<Eeprom>, IN, OUT>;

    /// Opens the ledger; without one the kiosk is out of service.
    // Not inlined: what it moves would have a place on the stack for good.
    #[inline(never)]
    fn open(eeprom: Eeprom, line: &Uart, watchdog: &mut Watchdog, now: Instant) -> Atm {
        let ledger = StoredLedger::open(eeprom, || (LedgerId(random(line, watchdog)), Amount::ZERO));
        Kiosk::new(Config::new(WIRE, Link::Serial), ledger.ok(), now)
    }

    #[entry]
    fn main() -> ! {
        let Board { mut watchdog, mut clock, mut line, eeprom } = Board::start();
        let mut kiosk = open(eeprom, &line, &mut watchdog, clock.now());
        loop {
            watchdog.feed();
            // What the ledger could not do, it is asked again; the port does not fail.
            if !kiosk.turn(&mut line, clock.now()).unwrap_or(false) {
                sleep_unless(|| line.waiting() > 0);
            }
        }
    }
}

#[cfg(not(all(target_os = "none", target_arch = "arm")))]
fn main() {
    eprintln!(
        "This is an image for a microcontroller: build it with `cargo fw`. On a desktop, run firmware-sim."
    );
}
