//! The core on another board: all that a kiosk's firmware has to say.
//!
//! A HAL brings the port (embedded-io) and the flash (embedded-storage). This one is a desktop: a loopback serial port, whose
//! path it prints, and flash in memory. `cargo run -p firmware-sim --example board`, then `atm client --serial PATH`.
use atm_core::{
    host::{Config, Link, POSTCARD_IN, POSTCARD_OUT},
    kiosk::Kiosk,
    ledger::{LedgerId, StoredLedger},
    money::Amount,
    time::Instant,
    wire::Wire,
};
use atm_host::{clock::Clock, serial::Port};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, RmwNorFlashStorage,
};

fn main() -> std::io::Result<()> {
    let (mut port, loopback) = Port::loopback()?;
    println!("{}", loopback.path);
    let clock = Clock::start();
    let now = || -> Instant { clock.now() };
    // What survives a loss of power: two halves of a block or more, for a slot of 128 bytes for each terminal.
    let (flash, mut block) = (Flash([0xff; 4 * BLOCK]), [0; BLOCK]);
    let storage = RmwNorFlashStorage::new(flash, &mut block);
    // An identity that no other ledger has, and the balance, for a flash that was never used.
    let identity = LedgerId(getrandom::u64().map_err(std::io::Error::other)?);
    let fresh = || (identity, Amount::ZERO);
    // What cannot be read any more makes no ledger, and a kiosk that says that it is out of service.
    let ledger = StoredLedger::open(storage, fresh).ok();
    let mut kiosk =
        Kiosk::<_, POSTCARD_IN, POSTCARD_OUT>::new(Config::new(Wire::Postcard, Link::Serial), ledger, now());
    loop {
        // Here the watchdog is fed.
        match kiosk.turn(&mut port, now()) {
            Ok(true) => {}
            // Nothing to do: sleep until something comes, or until the deadline.
            Ok(false) => drop(port.wait(kiosk.deadline().map_or(NAP, |deadline| clock.until(deadline)))?),
            // The port failed, or the flash did; the flash is asked again when half a second has passed.
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// The longest sleep.
const NAP: std::time::Duration = std::time::Duration::from_secs(60);

/// Bytes that are erased at once.
const BLOCK: usize = 4096;

/// Flash that forgets when the program ends: a board's HAL has a better one.
struct Flash([u8; 4 * BLOCK]);

#[derive(Debug)]
struct OutOfBounds;

impl std::fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no such place")
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
        // A bit goes from 1 to 0, and back only with its block.
        for (kept, byte) in place.ok_or(OutOfBounds)?.iter_mut().zip(bytes) {
            *kept &= byte;
        }
        Ok(())
    }
}
