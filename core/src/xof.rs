//! Ascon-XOF128 (NIST SP 800-232, section 5.2) over the parts of a message: the sponge around the permutation, and its keys.
//!
//! The crate ascon-hash has it too, with buffers that take about 290 bytes more of a microcontroller's flash, and one permutation more an output.
//! The tests compare the two.
use ascon_core::State;
use core::fmt;
use zeroize::Zeroize;

/// Bits of a block.
const BLOCK: u32 = u64::BITS;

/// 32 secret bytes. `Debug` does not show them, and they are wiped when the value is released.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key([u8; Self::LENGTH]);

impl Key {
    /// Length in bytes.
    pub const LENGTH: usize = 32;

    /// The secret bytes, to be stored.
    pub fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The next 32 bytes of the output.
    pub(crate) fn read(output: &mut Xof) -> Self {
        let mut key = Self([0; Self::LENGTH]);
        key.replace(output);
        key
    }

    /// Replaces the key by the next 32 bytes of the output.
    #[inline(always)]
    pub(crate) fn replace(&mut self, output: &mut Xof) {
        output.squeeze(&mut self.0);
    }
}

impl From<[u8; Self::LENGTH]> for Key {
    fn from(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }
}

impl Drop for Key {
    // Not inlined on a microcontroller, which would have the loop at every end of a key's life.
    #[cfg_attr(target_os = "none", inline(never))]
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Key {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Key(..)");
    }
}

/// The state of the sponge, wiped when it is released.
pub(crate) struct Xof {
    state: State,
    /// Bits of the block that were absorbed, or read.
    at: u32,
}

/// Absorbs `key`, `label` and then the parts, one after the other; the result gives the output.
// Not inlined on a microcontroller, which would have the permutation several times.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn absorb(key: &[u8], label: u8, parts: &[&[u8]]) -> Xof {
    // The permuted initial value of Ascon-XOF128 (table 12).
    let state = State::new(
        0xda82_ce76_8d94_47eb,
        0xcc7c_e6c7_5f1e_f969,
        0xe750_8fd7_8008_5631,
        0x0ee0_ea53_416b_58cc,
        0xe054_7524_db6f_0bde,
    );
    let mut xof = Xof { state, at: 0 };
    xof.absorb(key);
    xof.absorb(&[label]);
    for part in parts {
        xof.absorb(part);
    }
    // The padding is a one after the message.
    xof.absorb_byte(1);
    xof.at = BLOCK;
    xof
}

impl Xof {
    #[cfg_attr(target_os = "none", inline(never))]
    fn absorb(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.absorb_byte(*byte);
            self.at += u8::BITS;
            self.permute_at_end();
        }
    }

    fn absorb_byte(&mut self, byte: u8) {
        self.state[0] ^= u64::from(byte) << self.at;
    }

    /// Fills `out` with the next bytes of the output.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn squeeze(&mut self, out: &mut [u8]) {
        for byte in out {
            self.permute_at_end();
            [*byte, ..] = (self.state[0] >> self.at).to_le_bytes();
            self.at += u8::BITS;
        }
    }

    fn permute_at_end(&mut self) {
        if self.at >= BLOCK {
            self.state.permute_n(12);
            self.at = 0;
        }
    }
}

impl Drop for Xof {
    #[cfg_attr(target_os = "none", inline(never))]
    fn drop(&mut self) {
        for word in 0..5 {
            self.state[word].zeroize();
        }
    }
}
