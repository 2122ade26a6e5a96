//! Ring buffer for bytes from an interrupt to the loop: single producer, single consumer, without a lock and
//! without unsafe code.
use core::sync::atomic::{AtomicU8, Ordering};

/// Bytes that it holds: those of 11 ms at 115,200 baud, more than any message. That is enough, because a
/// terminal waits for its reply: while the ledger works, at most a retransmission comes. A power of two, at
/// most 128, because the counters wrap at 256.
pub(super) const CAPACITY: usize = 128;

const _: () = assert!(CAPACITY.is_power_of_two() && CAPACITY <= 128);

pub(super) struct Ring {
    bytes: [AtomicU8; CAPACITY],
    /// Counts of all bytes ever written and read, modulo 256. The bytes between the two are in the buffer.
    written: AtomicU8,
    read: AtomicU8,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [const { AtomicU8::new(0) }; CAPACITY],
            written: AtomicU8::new(0),
            read: AtomicU8::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.written.load(Ordering::Acquire).wrapping_sub(self.read.load(Ordering::Acquire)))
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= CAPACITY
    }

    /// Puts a byte in. Only the interrupt calls it, and only if the buffer is not full.
    pub(super) fn push(&self, byte: u8) {
        let written = self.written.load(Ordering::Relaxed);
        if let Some(place) = self.bytes.get(usize::from(written) % CAPACITY) {
            place.store(byte, Ordering::Relaxed);
        }
        self.written.store(written.wrapping_add(1), Ordering::Release);
    }

    /// Takes a byte out. Only the loop calls it.
    pub(super) fn pop(&self) -> Option<u8> {
        if self.len() == 0 {
            return None;
        }
        let read = self.read.load(Ordering::Relaxed);
        let place = self.bytes.get(usize::from(read) % CAPACITY)?;
        let byte = place.load(Ordering::Relaxed);
        // It may be a digit of a PIN.
        #[cfg(feature = "cards")]
        place.store(0, Ordering::Relaxed);
        self.read.store(read.wrapping_add(1), Ordering::Release);
        Some(byte)
    }
}
