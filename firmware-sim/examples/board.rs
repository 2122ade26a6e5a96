//! Example: the kiosk on a board of your own. Copy `main` and replace the four things that a board brings.
//!
//! 1. A serial port: any `embedded-io` port with `Read`, `Write`, `ReadReady` and `WriteReady`.
//! 2. A medium that survives a loss of power: an `embedded-storage` `Storage`, or a `NorFlash` as here.
//! 3. A monotonic clock, in milliseconds.
//! 4. A random number, once, for the identity of a new ledger.
//!
//! Here the port is a loopback serial port of the desktop and the flash is an array in memory, so that the
//! example runs anywhere:
//!
//! ```sh
//! cargo run -p firmware-sim --example board          # prints the port's path
//! cargo run -- client --serial PATH --terminal kiosk-7
//! ```
//!
//! `src/board.rs` and `src/bin/kiosk.rs` are the same loop on a Cortex-M3 with interrupts;
//! firmware-sim/README.md says what a board must promise.
use atm_core::{
    host::{Config, POSTCARD_IN, POSTCARD_OUT},
    kiosk::Kiosk,
    ledger::{LedgerId, StoredLedger},
    money::Amount,
    wire::Wire,
};
use atm_host::{clock::Clock, serial::Port};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, RmwNorFlashStorage,
};

fn main() -> std::io::Result<()> {
    // 1. The port. A HAL's serial port takes this place.
    let (mut port, loopback) = Port::loopback()?;
    println!("{}", loopback.path);

    // 2. The medium. `RmwNorFlashStorage` makes a `NorFlash` rewritable, with a buffer of one erase block.
    //    The ledger keeps two copies, one in each half of the medium, so the halves must not share an erase
    //    block. Each terminal takes a slot of 128 bytes in both.
    let (flash, mut block) = (Flash([0xff; 4 * BLOCK]), [0; BLOCK]);
    let storage = RmwNorFlashStorage::new(flash, &mut block);

    // 3. The clock. The core never reads one: the time is an argument of every call that needs it.
    let clock = Clock::start();
    let now = || clock.now();

    // 4. The identity and the balance of a new ledger; used only if the medium was never written. The
    //    identity must be random, because terminals notice by it that they talk to another ledger than
    //    before.
    let identity = LedgerId(getrandom::u64().map_err(std::io::Error::other)?);
    let fresh = || (identity, Amount::ZERO);

    // Opening the ledger repairs a copy that a power cut has left behind. If records cannot be read from
    // either copy there is no ledger, and the kiosk answers every terminal that it is out of service.
    let ledger = StoredLedger::open(storage, fresh).ok();

    // `IN` and `OUT` are the sizes of the kiosk's two buffers in bytes: these hold the longest message of the
    // postcard wire.
    let mut kiosk = Kiosk::<_, POSTCARD_IN, POSTCARD_OUT>::new(
        Config::for_serial(Wire::Postcard, 115_200),
        ledger,
        now(),
    );

    // The run loop. A turn never waits for the port: it reads available input, applies at most one ledger
    // request per step, writes what the port accepts, and handles expired deadlines. Its work is bounded (16
    // steps), so a watchdog is fed once a turn.
    loop {
        // watchdog.feed();
        match kiosk.turn(&mut port, now()) {
            // It did something: there may be more.
            Ok(true) => {}
            // It has nothing to do: sleep until input comes, or until its deadline. On a microcontroller this
            // is `wfi`, woken by the port's interrupt and by a timer; to wake up earlier is harmless.
            Ok(false) => {
                let sleep = kiosk.deadline().map_or(MAX_SLEEP, |deadline| clock.until(deadline));
                port.wait(sleep)?;
            }
            // The port or the ledger failed. Go on: nothing was acknowledged that is not stored, and the
            // kiosk sends the request to the ledger again after half a second. A port that can fail for good
            // needs a restart here.
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// The longest sleep, where the kiosk has no deadline.
const MAX_SLEEP: std::time::Duration = std::time::Duration::from_secs(60);

/// Bytes of an erase block.
const BLOCK: usize = 4096;

/// NOR flash in memory, lost when the program ends. A HAL's flash driver takes its place.
struct Flash([u8; 4 * BLOCK]);

#[derive(Debug)]
struct OutOfBounds;

impl std::fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the address is out of bounds")
    }
}

impl NorFlashError for OutOfBounds {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for Flash {
    type Error = OutOfBounds;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.0.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(OutOfBounds)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = BLOCK;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), OutOfBounds> {
        self.0.get_mut(from as usize..to as usize).ok_or(OutOfBounds)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let place = self.0.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
        // As in NOR flash, writing only clears bits; erasing a block sets them.
        for (stored, byte) in place.ok_or(OutOfBounds)?.iter_mut().zip(bytes) {
            *stored &= byte;
        }
        Ok(())
    }
}
