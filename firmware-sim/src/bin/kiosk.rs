//! The ATM as a kiosk's microcontroller runs it: `cargo fw` builds it for a Cortex-M3.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(lm3s6965)]
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
        board::{Board, eeprom::Eeprom, halt, random, sleep_unless},
        sizes::{IN, OUT, WIRE},
    };

    // With postcard alone there is no panic in the image: the linker would say so.
    #[cfg(not(feature = "json"))]
    use panic_never as _;

    /// The reader of JSON has checks that the compiler does not see through. Nobody feeds the watchdog here: it resets.
    #[cfg(feature = "json")]
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        halt()
    }

    /// Bytes whose coming makes an identity, where a new ledger needs one: a hello has more.
    const BYTES: usize = 8;

    type Atm = Kiosk<StoredLedger<Eeprom>, IN, OUT>;

    /// Opens the ledger; without one the kiosk is out of service.
    // Not inlined: what it moves would have a place on the stack for good.
    #[inline(never)]
    fn open(eeprom: Eeprom, now: Instant) -> Atm {
        let ledger = StoredLedger::open(eeprom, || (LedgerId(random()), Amount::ZERO));
        Kiosk::new(Config::new(WIRE, Link::Serial), ledger.ok(), now)
    }

    #[entry]
    fn main() -> ! {
        let Board { mut watchdog, mut clock, mut link, mut eeprom } = Board::start();
        // A ledger that is to be made waits for the first bytes of the first terminal; one that is there is mended at once.
        let awaited = if eeprom.is_blank() { BYTES } else { 0 };
        while link.waiting() < awaited {
            watchdog.feed();
            sleep_unless(|| link.waiting() >= awaited);
        }
        let mut kiosk = open(eeprom, clock.now());
        // A host that has ended, as it does where a buffer is too small for a message, begins anew with the part.
        while !kiosk.is_finished() {
            watchdog.feed();
            // What the ledger could not do, it is asked again; the port does not fail.
            if !kiosk.turn(&mut link, clock.now()).unwrap_or(false) {
                sleep_unless(|| link.waiting() > 0);
            }
        }
        halt()
    }
}

#[cfg(not(lm3s6965))]
fn main() {
    eprintln!(
        "This is an image for a microcontroller: build it with `cargo fw`. On a desktop, run firmware-sim."
    );
}
