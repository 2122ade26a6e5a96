//! A register of the part. All access to the hardware goes through here.
#![allow(unsafe_code)]

/// A 32-bit register.
#[derive(Clone, Copy)]
pub(super) struct Register(usize);

impl Register {
    /// The register at an address, which must be one of the datasheet's.
    pub(super) const fn at(address: usize) -> Self {
        Self(address)
    }

    pub(super) fn read(self) -> u32 {
        let register = self.0 as *const u32;
        // SAFETY: only this folder makes registers, from the datasheet's addresses: aligned, always there, and no memory that
        // Rust knows of.
        unsafe { register.read_volatile() }
    }

    pub(super) fn write(self, value: u32) {
        let register = self.0 as *mut u32;
        // SAFETY: as in `read`.
        unsafe { register.write_volatile(value) }
    }

    /// Sets these bits.
    pub(super) fn set(self, bits: u32) {
        self.write(self.read() | bits);
    }
}
