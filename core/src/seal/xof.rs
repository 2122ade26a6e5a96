//! Ascon-XOF128 (NIST SP 800-232, section 5.2) over the parts of a message.
use ascon_hash::{AsconXof128, AsconXof128Reader, ExtendableOutput, Update, XofReader};

/// Absorbs `key`, `label` and then the parts, one behind the other; the reader gives the output.
// Not inlined on a microcontroller, which would have the permutation several times.
#[cfg_attr(target_os = "none", inline(never))]
pub(super) fn absorb(key: &[u8], label: u8, parts: &[&[u8]]) -> AsconXof128Reader {
    let mut xof = AsconXof128::default();
    xof.update(key);
    xof.update(&[label]);
    for part in parts {
        xof.update(part);
    }
    xof.finalize_xof()
}

/// Fills `out` with the next bytes of the output.
#[cfg_attr(target_os = "none", inline(never))]
pub(super) fn squeeze(output: &mut AsconXof128Reader, out: &mut [u8]) {
    output.read(out);
}
