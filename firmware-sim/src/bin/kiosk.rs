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
        board::{self, clock::Clock, eeprom::Eeprom, uart::Uart, watchdog::Watchdog},
        sizes::{IN, OUT, WIRE},
    };

    #[cfg(not(feature = "json"))]
    use panic_never as _;

    /// Frames of noise that make an identity: a hello has more bytes than this.
    const BYTES: usize = 8;

    #[entry]
    fn main() -> ! {
        board::start();
        let mut watchdog = Watchdog::start();
        let mut port = Uart::start();
        let mut clock = match cortex_m::Peripherals::take() {
            Some(peripherals) => Clock::start(peripherals.SYST),
            // Never: they are taken once. The watchdog resets.
            None => loop {},
        };
        let config = Config::new(WIRE, Link::Serial);
        let ledger = StoredLedger::open(Eeprom::start(), || {
            // The part has no source of random numbers. When a person's terminal sends its first bytes, nobody can tell to a
            // twelfth of a microsecond.
            while port.waiting() < BYTES {
                watchdog.feed();
                board::sleep_unless(|| port.waiting() >= BYTES);
            }
            (LedgerId(u64::from(Uart::noise()) << 32 | u64::from(board::clock::ticks())), Amount::ZERO)
        });
        let mut kiosk = match ledger {
            Ok(ledger) => Kiosk::<_, IN, OUT>::new(config, ledger, clock.now()),
            Err(_) => Kiosk::out_of_service(config, clock.now()),
        };
        loop {
            watchdog.feed();
            // What the ledger could not do, it is asked again; the port does not fail.
            if !kiosk.turn(&mut port, clock.now()).unwrap_or(false) {
                board::sleep_unless(|| port.is_ready());
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
