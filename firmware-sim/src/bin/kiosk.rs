//! The ATM as a kiosk's microcontroller runs it: `cargo fw` builds it for a Cortex-M3.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod image {
    use atm_core::{
        host::{Config, Link},
        ledger::{LedgerId, StoredLedger},
        money::Amount,
    };
    use cortex_m_rt::entry;
    use firmware_sim::{
        Kiosk,
        board::{Board, random, sleep_unless},
        sizes::{IN, OUT, WIRE},
    };

    #[cfg(not(feature = "json"))]
    use panic_never as _;

    #[entry]
    fn main() -> ! {
        let Board { mut watchdog, mut clock, mut line, eeprom } = Board::start();
        let config = Config::new(WIRE, Link::Serial);
        let ledger = StoredLedger::open(eeprom, || (LedgerId(random(&line, &mut watchdog)), Amount::ZERO));
        let mut kiosk = match ledger {
            Ok(ledger) => Kiosk::<_, IN, OUT>::new(config, ledger, clock.now()),
            Err(_) => Kiosk::out_of_service(config, clock.now()),
        };
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
