//! Known answers of the primitive, for tests on a desktop and on a part.
use crate::xof::absorb;

/// Length of the message 00 01 02 …, and the first 32 bytes of output: from the known answers of Ascon's authors
/// (LWC_XOF_KAT, ascon-c), which are those of SP 800-232.
const KNOWN: [(u8, &[u8; 64]); 12] = [
    (0, b"473d5e6164f58b39dfd84aacdb8ae42ec2d91fed33388ee0d960d9b3993295c6"),
    (1, b"51430e0438ecdf642b393630d977625f5f337656ba58ab1e960784ac32a16e0d"),
    (7, b"7ae562db37212a9acd2673ecfd5b4f1c5cb2e6f64ebf00aa7f6ef8dc82c448d5"),
    (8, b"8d1886f5d3ec4af8d15b44bc62b74da6ea91bc28fb82f9c34079b5ed6e38b6c9"),
    (9, b"db3013bfbbd132dc1d3152fd955ed48f7cbb675e9ad2a2fecf92b74c957592e0"),
    (16, b"10bfedc5f6442d3e1d8c324878ce1ddf73b01cafc365589283ac4cbb98e48de3"),
    (17, b"233af64f97ca9bd97bae06270571e57215c5cb5ba4038536c5c128da1d3a379a"),
    (31, b"0517ba0498a2bcb8198492cd6022b91283dbdb4464ee3b2859aac793c948bed6"),
    (32, b"2e5f3403f4171471cc7934b51982cece8d6628435db70e89880f3be4e0b7b052"),
    (33, b"fef74b7ebd183ba1d87bf414000b29258d6a2233a2a03ed519c646b351bc0084"),
    (64, b"0865c2fa92c71058e79e5c4214f3a1505540411586920536ccee85fbf2940b9f"),
    (127, b"5a1164f907bcd43176e9e879c51452118074d78a0c7137b96a86516d2d0feac2"),
];

/// Whether this build of Ascon-XOF128 gives the published answers; if not, the compiler or the processor is at fault, and no
/// link may be sealed. The message without a byte is left out: every use has a label.
pub fn gives_known_answers() -> bool {
    let mut message = [0; 127];
    message.iter_mut().zip(0..).for_each(|(place, byte)| *place = byte);
    KNOWN.iter().skip(1).all(|(length, answer)| {
        let Some((label, rest)) = message.get(..usize::from(*length)).and_then(<[u8]>::split_last) else {
            return false;
        };
        let mut output = [0; 32];
        absorb(rest, *label, &[]).squeeze(&mut output);
        let digit = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied();
        let digits = output.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        digits.eq(answer.iter().copied().map(Some))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ascon_hash::{AsconXof128, ExtendableOutput, Update, XofReader};
    use std::{format, string::String, vec, vec::Vec};

    #[test]
    fn the_primitive_and_the_reference_give_the_published_answers() {
        assert!(gives_known_answers());
        let message: Vec<u8> = (0..=255).collect();
        for (length, answer) in KNOWN {
            let (mut reference, mut output) = (AsconXof128::default(), [0; 32]);
            reference.update(&message[..length.into()]);
            reference.finalize_xof().read(&mut output);
            let digits: String = output.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digits.as_bytes(), answer, "{length}");
        }
    }

    #[test]
    fn messages_and_outputs_in_any_parts_are_those_of_the_reference() {
        let message: Vec<u8> = (0..=255).collect();
        let lengths = (0..200).step_by(if cfg!(miri) { 67 } else { 1 });
        for (length, first, label, read) in lengths.map(|i| (i, i * 7 % (i + 1), i as u8, i * 5 % 60)) {
            let (key, rest) = message[..length].split_at(first);
            let mut reference = AsconXof128::default();
            reference.update(key);
            reference.update(&[label]);
            reference.update(rest);
            let mut reference = reference.finalize_xof();
            let (begin, end) = rest.split_at(rest.len() / 3);
            let mut output = absorb(key, label, &[begin, &[], end]);
            for count in [read, 0, 1, 70] {
                let (mut ours, mut theirs) = (vec![0; count], vec![0; count]);
                output.squeeze(&mut ours);
                reference.read(&mut theirs);
                assert_eq!(ours, theirs, "{length} {first} {count}");
            }
        }
    }
}
