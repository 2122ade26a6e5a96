//! The EEPROM: a 24LC512 (Microchip DS20001754) on I2C0 (chapter 15).
//!
//! Written here, because what there is for it on crates.io waits 5 ms after every page, indexes slices (which is a panic to
//! the linker), and starts anew for a read without a stop, which QEMU's controller does not do.
use super::{CLOCK, register::Register};
use atm_core::store::SLOT;
use embedded_storage::{ReadStorage, Storage};

const MSA: Register = Register::at(0x4002_0000);
const MCS: Register = Register::at(0x4002_0004);
const MDR: Register = Register::at(0x4002_0008);
const MTPR: Register = Register::at(0x4002_000c);
const MCR: Register = Register::at(0x4002_0020);

/// What MCS is told (table 15-3): a byte is to be moved, after a start, before a stop, and is to be acknowledged.
const RUN: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 4;
const ACK: u32 = 8;
/// What it tells: it is still at it; it failed.
const BUSY: u32 = 1;
const ERROR: u32 = 2;

/// The chip's address on the bus, with its three address pins low.
const ADDRESS: u32 = 0x50;
const READ: u32 = 1;

/// Bytes of it that are used: with them the longest look for a terminal takes a quarter of a second.
const SIZE: usize = crate::sizes::EEPROM;

/// Bytes of a page. A write does not cross the end of one (page 9).
const PAGE: usize = 128;
const _: () = assert!(PAGE.is_multiple_of(SLOT), "a slot is written as one");

/// How often to ask for the end of a byte: 29 µs, and ten times that.
const BYTE_POLLS: u32 = 1_000;
/// How often to ask for the end of a write cycle: 5 ms at the most (page 4, parameter 17), and ten times that.
const WRITE_CYCLE_POLLS: u32 = 1_500;

/// What the chip or the bus failed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EepromError {
    /// Nobody has acknowledged a byte.
    NoAcknowledge,
    /// The bus does not come to an end.
    Timeout,
    /// There is no such place.
    OutOfBounds,
}

/// The EEPROM. (A copy is another handle to the same.)
#[derive(Clone, Copy)]
pub struct Eeprom(());

impl Eeprom {
    /// Starts the bus; once.
    pub fn start() -> Self {
        MCR.write(0x10); // master
        // 312 kHz of 400: a bit takes 2 × (1 + 1) × 10 clocks (chapter 15.2.1).
        const _: () = assert!(CLOCK / 40 <= 400_000);
        MTPR.write(1);
        Self(())
    }

    /// Was its first page never written?
    pub fn is_blank(&mut self) -> bool {
        let mut page = [0; SLOT];
        self.read(0, &mut page).is_ok() && [0, 0xff].iter().any(|blank| page.iter().all(|byte| byte == blank))
    }

    /// Addresses a place, and waits for the chip if it is still at work on the last page (page 8, "Acknowledge Polling").
    fn address(&mut self, offset: u32) -> Result<(), EepromError> {
        let [_, _, high, low] = offset.to_be_bytes();
        let mut polls = 0;
        while let Err(error) = self.send(high, START) {
            polls += 1;
            if polls > WRITE_CYCLE_POLLS {
                return Err(error);
            }
        }
        self.send(low, 0)
    }

    fn send(&mut self, byte: u8, flags: u32) -> Result<(), EepromError> {
        MSA.write(ADDRESS << 1);
        MDR.write(u32::from(byte));
        transfer(RUN | flags)
    }
}

/// Does one step on the bus; where it fails, the bus is let go of.
fn transfer(command: u32) -> Result<(), EepromError> {
    MCS.write(command);
    let mut polls = 0;
    loop {
        let state = MCS.read();
        if state & BUSY == 0 {
            if state & ERROR == 0 {
                return Ok(());
            }
            MCS.write(STOP);
            return Err(EepromError::NoAcknowledge);
        }
        polls += 1;
        if polls > BYTE_POLLS {
            return Err(EepromError::Timeout);
        }
    }
}

fn check(offset: u32, length: usize) -> Result<(), EepromError> {
    let end = usize::try_from(offset).unwrap_or(SIZE).saturating_add(length);
    if end > SIZE { Err(EepromError::OutOfBounds) } else { Ok(()) }
}

impl ReadStorage for Eeprom {
    type Error = EepromError;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), EepromError> {
        check(offset, bytes.len())?;
        let Some((last, before)) = bytes.split_last_mut() else { return Ok(()) };
        self.address(offset)?;
        transfer(STOP)?;
        MSA.write(ADDRESS << 1 | READ);
        let mut start = START;
        for place in before {
            transfer(RUN | ACK | start)?;
            [*place, ..] = MDR.read().to_le_bytes();
            start = 0;
        }
        // The last one is not acknowledged: it ends the read (page 10).
        transfer(RUN | STOP | start)?;
        [*last, ..] = MDR.read().to_le_bytes();
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl Storage for Eeprom {
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), EepromError> {
        check(offset, bytes.len())?;
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = PAGE - at as usize % PAGE;
            let (page, more) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.address(at)?;
            for byte in page {
                self.send(*byte, 0)?;
            }
            transfer(STOP)?;
            at = at.saturating_add(page.len() as u32);
            rest = more;
        }
        Ok(())
    }
}
