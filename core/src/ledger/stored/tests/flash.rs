//! A ledger on NOR flash, through `embedded_storage`'s adapter.
use super::*;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, RmwNorFlashStorage,
};

/// NOR flash: a write clears bits, and only erasing a whole block sets them.
struct Flash(Vec<u8>);

const BLOCK_SIZE: usize = 256;

#[derive(Debug)]
struct Never;

impl NorFlashError for Never {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Flash {
    type Error = Never;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Never> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = BLOCK_SIZE;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Never> {
        self.0[from as usize..to as usize].fill(0xff);
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Never> {
        for (kept, byte) in self.0[offset as usize..].iter_mut().zip(bytes) {
            *kept &= byte;
        }
        Ok(())
    }
}

#[test]
fn a_ledger_on_flash_does_each_operation_once() {
    let (mut flash, mut buffer) = (Flash(vec![0xff; 4 * BLOCK_SIZE]), [0; BLOCK_SIZE]);
    for run in 0..2 {
        let storage = RmwNorFlashStorage::new(&mut flash, &mut buffer);
        let mut ledger = StoredLedger::open(storage, || (LedgerId(7), units(100))).unwrap();
        for step in workload() {
            apply(&mut ledger, &step).unwrap();
        }
        // Each of them once, but for the unnamed session's.
        assert_eq!(ledger.balance(), units(7 + run));
    }
}
