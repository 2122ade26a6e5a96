//! EEPROM driver: a 24LC512 (Microchip DS20001754) on I2C0 (chapter 15), as an `embedded-storage` medium.
//!
//! Pages without a chapter are those of the chip's datasheet. The drivers on crates.io do not fit: they wait
//! 5 ms after every page, index slices (which can panic, and the image must link without panics), and read
//! with a repeated start, which QEMU's I2C controller does not support.
use super::{CLOCK, register::Register};
#[cfg(feature = "seal")]
use atm_core::seal::KeyStore;
use atm_core::store::SLOT;
use embedded_storage::{ReadStorage, Storage};

const MSA: Register = Register::at(0x4002_0000);
const MCS: Register = Register::at(0x4002_0004);
const MDR: Register = Register::at(0x4002_0008);
const MTPR: Register = Register::at(0x4002_000c);
const MCR: Register = Register::at(0x4002_0020);

// Commands in MCS (table 15-3): transfer a byte, after a start, before a stop, acknowledge a byte received.
const RUN: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 4;
const ACK: u32 = 8;
// Status in MCS: the controller is busy; the last transfer failed.
const BUSY: u32 = 1;
const ERROR: u32 = 2;

/// The chip's address on the bus: its three address pins are low.
const ADDRESS: u32 = 0x50;
/// Bit 0 of MSA: the transfer is a read.
const READ: u32 = 1;

/// Bytes of the ledger. A search for a terminal through all of them takes a quarter of a second at most.
const SIZE: usize = crate::sizes::EEPROM;

#[cfg(feature = "seal")]
const _: () = assert!(KeyStore::<Eeprom>::AT as usize == SIZE, "the key is after the ledger");

/// Bytes of a page. A write must not cross the end of one (page 9).
const PAGE: usize = 128;
const _: () = assert!(PAGE.is_multiple_of(SLOT), "a slot must be written as one page");

/// Polls for the end of a byte before a timeout: ten times the 29 µs that it takes.
const BYTE_POLLS: u32 = 1_000;
/// Polls for the end of a write cycle before a timeout: ten times the 5 ms that it takes at most (page 4,
/// parameter 17).
const WRITE_CYCLE_POLLS: u32 = 1_500;

/// Why a read or a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EepromError {
    /// The chip did not acknowledge a byte.
    NoAcknowledge,
    /// The controller stayed busy.
    Timeout,
    /// The address is beyond the bytes that are used.
    OutOfBounds,
}

/// A part of the running EEPROM. A copy is another handle to the same chip.
#[derive(Clone, Copy)]
pub struct Eeprom {
    /// It is the part after the ledger, for a key.
    #[cfg(feature = "seal")]
    is_key: bool,
}

impl Eeprom {
    /// Starts the bus. To be called once.
    pub fn start() -> Self {
        MCR.write(0x10); // the controller is master
        // 312 kHz, of 400 kHz allowed: a bit takes 2 × (1 + 1) × 10 clocks (chapter 15.2.1).
        const _: () = assert!(CLOCK / 40 <= 400_000);
        MTPR.write(1);
        Self {
            #[cfg(feature = "seal")]
            is_key: false,
        }
    }

    /// The part for a key.
    #[cfg(feature = "seal")]
    pub fn key(self) -> Self {
        Self { is_key: true }
    }

    /// Checks that a range is in this part; returns where it is in the chip.
    fn locate(&self, offset: u32, length: usize) -> Result<u32, EepromError> {
        let end = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(length);
        if end > self.capacity() {
            return Err(EepromError::OutOfBounds);
        }
        #[cfg(feature = "seal")]
        if self.is_key {
            return Ok(offset.saturating_add(KeyStore::<Self>::AT));
        }
        Ok(offset)
    }

    /// Sends the address `offset`. While the chip is busy with a write cycle it does not acknowledge: the
    /// address is sent until it does (page 8, "Acknowledge Polling").
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

    /// Sends one byte, with a start before it if `flags` has [`START`].
    fn send(&mut self, byte: u8, flags: u32) -> Result<(), EepromError> {
        MSA.write(ADDRESS << 1);
        MDR.write(u32::from(byte));
        transfer(RUN | flags)
    }
}

/// Executes one command and waits for its end. If the chip does not acknowledge, a stop frees the bus.
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

impl ReadStorage for Eeprom {
    type Error = EepromError;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), EepromError> {
        let offset = self.locate(offset, bytes.len())?;
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
        // The last byte is not acknowledged, which ends the read (page 10).
        transfer(RUN | STOP | start)?;
        [*last, ..] = MDR.read().to_le_bytes();
        Ok(())
    }

    fn capacity(&self) -> usize {
        #[cfg(feature = "seal")]
        if self.is_key {
            return KeyStore::<Self>::SIZE;
        }
        SIZE
    }
}

impl Storage for Eeprom {
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), EepromError> {
        let mut at = self.locate(offset, bytes.len())?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = PAGE - at as usize % PAGE;
            let (page, more) = rest.split_at_checked(space).unwrap_or((rest, &[]));
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
