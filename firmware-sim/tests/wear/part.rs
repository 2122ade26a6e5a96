//! A part in memory: an EEPROM that counts the write cycles of its pages, and a serial port.
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use embedded_storage::{ReadStorage, Storage};
use std::convert::Infallible;

/// Bytes of a page (Microchip DS20001754).
pub(crate) const PAGE: usize = 128;

/// An EEPROM that counts the write cycles of its pages.
#[derive(Debug)]
pub(crate) struct WornEeprom {
    pub(crate) bytes: Vec<u8>,
    pub(crate) cycles: Vec<u32>,
}

impl WornEeprom {
    pub(crate) fn new(size: usize) -> Self {
        Self { bytes: vec![0xff; size], cycles: vec![0; size / PAGE] }
    }

    /// The write cycles of the page that has the most.
    pub(crate) fn most(&self) -> u32 {
        self.cycles.iter().copied().max().unwrap()
    }
}

impl ReadStorage for WornEeprom {
    type Error = Infallible;

    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.bytes[at as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl Storage for WornEeprom {
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Infallible> {
        self.bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
        self.cycles[at as usize / PAGE] += 1;
        Ok(())
    }
}

/// A serial port in memory.
#[derive(Default)]
pub(crate) struct Port {
    pub(crate) incoming: Vec<u8>,
    pub(crate) sent: Vec<u8>,
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.incoming.is_empty())
    }
}

impl Read for Port {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let count = bytes.len().min(self.incoming.len());
        bytes[..count].copy_from_slice(&self.incoming[..count]);
        self.incoming.drain(..count);
        Ok(count)
    }
}

impl WriteReady for Port {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(true)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.sent.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
