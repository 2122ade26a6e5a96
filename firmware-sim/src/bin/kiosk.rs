//! Firmware image of a kiosk (`cargo fw`, for a Cortex-M3): the ATM on UART0, its ledger in EEPROM.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(lm3s6965)]
mod image {
    #[cfg(feature = "seal")]
    use atm_core::seal::KeyStore;
    use atm_core::{
        host::Config,
        ledger::{LedgerId, StoredLedger},
        money::Amount,
    };
    use cortex_m_rt::entry;
    use firmware_sim::{
        Kiosk,
        board::{
            Board,
            clock::Clock,
            eeprom::Eeprom,
            halt, random, sleep_unless,
            uart::{self, Uart},
            watchdog::Watchdog,
        },
        sizes::{IN, OUT, WIRE},
    };

    // The postcard image has no panic: with one, linking `panic_never` fails.
    #[cfg(not(feature = "json"))]
    use panic_never as _;

    /// The JSON reader has bounds checks that the compiler keeps. After a panic the watchdog resets the part.
    #[cfg(feature = "json")]
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        halt()
    }

    /// Bytes to wait for before a new ledger's identity is drawn from their arrival times. A hello has more.
    const ENTROPY_BYTES: usize = 8;

    type Atm = Kiosk<StoredLedger<Eeprom>, IN, OUT>;

    /// Makes the kiosk; if the ledger cannot be opened, one that is out of service. A new ledger waits for the first
    /// bytes of a terminal.
    // Not inlined: the values that it moves would take stack for the whole run.
    #[inline(never)]
    fn open(eeprom: Eeprom, link: &Uart, watchdog: &mut Watchdog, clock: &mut Clock) -> Atm {
        let ledger = StoredLedger::open(eeprom, || {
            while link.waiting() < ENTROPY_BYTES {
                watchdog.feed();
                sleep_unless(|| link.waiting() >= ENTROPY_BYTES);
            }
            (LedgerId(random()), Amount::ZERO)
        });
        Kiosk::new(config(), ledger.ok(), clock.now())
    }

    #[cfg(not(feature = "seal"))]
    fn config() -> Config {
        Config::for_serial(WIRE, uart::BAUD)
    }

    #[cfg(feature = "seal")]
    fn config() -> Config {
        Config { sealed_only: true, ..Config::for_serial(WIRE, uart::BAUD) }
    }

    /// The terminal's key in EEPROM. Without one, or if it cannot be read, the kiosk serves no terminal: every message meets with
    /// silence.
    #[cfg(feature = "seal")]
    #[inline(never)]
    fn open_keys(eeprom: Eeprom, kiosk: &mut Atm) -> Option<KeyStore<Eeprom>> {
        let mut keys = KeyStore::new(eeprom.key()).ok()?;
        let (terminal, key) = keys.load().ok()??;
        kiosk.set_key(terminal, key);
        Some(keys)
    }

    /// Stores the key that a hello has stepped. Until then nothing is sent.
    #[cfg(feature = "seal")]
    #[inline(never)]
    fn store_key(keys: &mut Option<KeyStore<Eeprom>>, kiosk: &mut Atm) {
        if let (Some(keys), Some((terminal, key))) = (keys, kiosk.key_to_store())
            && keys.save(terminal, key).is_ok()
        {
            kiosk.key_stored();
        }
    }

    #[entry]
    fn main() -> ! {
        let Board { mut watchdog, mut clock, mut link, eeprom } = Board::start();
        let mut kiosk = open(eeprom, &link, &mut watchdog, &mut clock);
        #[cfg(feature = "seal")]
        let mut keys = open_keys(eeprom, &mut kiosk);
        // The host ends only if a buffer is too small for a message. Then the watchdog restarts the part.
        while !kiosk.is_finished() {
            watchdog.feed();
            // An error is the ledger's (this port has none): the kiosk retries its request later.
            let moved = kiosk.turn(&mut link, clock.now()).unwrap_or(false);
            #[cfg(feature = "seal")]
            store_key(&mut keys, &mut kiosk);
            if !moved {
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
