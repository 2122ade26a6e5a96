//! Bytes from an interrupt to the loop: a queue of one writer and one reader, without a lock and without unsafe code.
use core::sync::atomic::{AtomicU8, Ordering};

/// Bytes that it holds: what comes at 115,200 baud in 11 ms, more than any message. A terminal waits for its reply, so what comes
/// while the ledger is at work is a repeat at the most. A power of two, at most 128.
pub(super) const CAPACITY: usize = 128;

const _: () = assert!(CAPACITY.is_power_of_two() && CAPACITY <= 128);

pub(super) struct Ring {
    bytes: [AtomicU8; CAPACITY],
    /// Bytes that were ever written and read, modulo 256: what lies between them is in the queue.
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

    /// Puts a byte in, of the interrupt alone; it has asked whether there is room.
    pub(super) fn push(&self, byte: u8) {
        let written = self.written.load(Ordering::Relaxed);
        if let Some(place) = self.bytes.get(usize::from(written) % CAPACITY) {
            place.store(byte, Ordering::Relaxed);
        }
        self.written.store(written.wrapping_add(1), Ordering::Release);
    }

    /// Takes a byte out, of the loop alone.
    pub(super) fn pop(&self) -> Option<u8> {
        if self.len() == 0 {
            return None;
        }
        let read = self.read.load(Ordering::Relaxed);
        let byte = self.bytes.get(usize::from(read) % CAPACITY)?.load(Ordering::Relaxed);
        self.read.store(read.wrapping_add(1), Ordering::Release);
        Some(byte)
    }
}
