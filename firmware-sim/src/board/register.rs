//! Memory-mapped register: all access to the hardware goes through here.
#![allow(unsafe_code)]

/// A 32-bit memory-mapped register.
#[derive(Clone, Copy)]
pub(super) struct Register(usize);

impl Register {
    /// The register at `address`, which must be one of the datasheet's.
    pub(super) const fn at(address: usize) -> Self {
        Self(address)
    }

    pub(super) fn read(self) -> u32 {
        let register = self.0 as *const u32;
        // SAFETY: only `board` and its modules make registers, from the datasheet's addresses: those are
        // aligned, always mapped, and outside of all memory that Rust uses.
        unsafe { register.read_volatile() }
    }

    pub(super) fn write(self, value: u32) {
        let register = self.0 as *mut u32;
        // SAFETY: as in `read`.
        unsafe { register.write_volatile(value) }
    }

    /// Sets `bits` and leaves the others.
    pub(super) fn set(self, bits: u32) {
        self.write(self.read() | bits);
    }
}
