//! Ascon-XOF128 (NIST SP 800-232, section 5.2) over the parts of a message: the sponge around the permutation.
//!
//! The crate ascon-hash has it too, with buffers that take about 290 bytes more of a microcontroller's flash, and one permutation more an output.
//! The tests compare the two.
use ascon_core::State;
use zeroize::Zeroize;

/// Bits of a block.
const BLOCK: u32 = u64::BITS;

/// The state of the sponge, wiped when it is released.
pub(super) struct Xof {
    state: State,
    /// Bits of the block that were absorbed, or read.
    at: u32,
}

/// Absorbs `key`, `label` and then the parts, one after the other; the result gives the output.
// Not inlined on a microcontroller, which would have the permutation several times.
#[cfg_attr(target_os = "none", inline(never))]
pub(super) fn absorb(key: &[u8], label: u8, parts: &[&[u8]]) -> Xof {
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
    pub(super) fn squeeze(&mut self, out: &mut [u8]) {
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
