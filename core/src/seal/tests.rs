//! Known answers of the primitive, and what a body that was changed gets.
use super::*;
use crate::{codec::BufferTooSmall, ledger::Name};
use ascon_hash::{AsconXof128, ExtendableOutput, Update, XofReader};
use std::{format, string::String, vec, vec::Vec};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Length of the message 00 01 02 …, and the first 32 bytes of output: from the known answers of Ascon's authors
/// (LWC_XOF_KAT, ascon-c), which are those of SP 800-232.
const KNOWN: &[(usize, &str)] = &[
    (0, "473d5e6164f58b39dfd84aacdb8ae42ec2d91fed33388ee0d960d9b3993295c6"),
    (1, "51430e0438ecdf642b393630d977625f5f337656ba58ab1e960784ac32a16e0d"),
    (7, "7ae562db37212a9acd2673ecfd5b4f1c5cb2e6f64ebf00aa7f6ef8dc82c448d5"),
    (8, "8d1886f5d3ec4af8d15b44bc62b74da6ea91bc28fb82f9c34079b5ed6e38b6c9"),
    (9, "db3013bfbbd132dc1d3152fd955ed48f7cbb675e9ad2a2fecf92b74c957592e0"),
    (16, "10bfedc5f6442d3e1d8c324878ce1ddf73b01cafc365589283ac4cbb98e48de3"),
    (17, "233af64f97ca9bd97bae06270571e57215c5cb5ba4038536c5c128da1d3a379a"),
    (31, "0517ba0498a2bcb8198492cd6022b91283dbdb4464ee3b2859aac793c948bed6"),
    (32, "2e5f3403f4171471cc7934b51982cece8d6628435db70e89880f3be4e0b7b052"),
    (33, "fef74b7ebd183ba1d87bf414000b29258d6a2233a2a03ed519c646b351bc0084"),
    (64, "0865c2fa92c71058e79e5c4214f3a1505540411586920536ccee85fbf2940b9f"),
    (127, "5a1164f907bcd43176e9e879c51452118074d78a0c7137b96a86516d2d0feac2"),
];

#[test]
fn the_primitive_gives_the_published_answers() {
    let message: Vec<u8> = (0..=255).collect();
    for (length, answer) in KNOWN {
        let mut output = [0; 32];
        // In two parts, and in one with a label in front.
        let mut xof = AsconXof128::default();
        xof.update(&message[..length / 3]);
        xof.update(&message[length / 3..*length]);
        xof.finalize_xof().read(&mut output);
        assert_eq!(output[..], hex(answer), "{length}");
        if *length > 0 {
            let (label, rest) = message[..*length].split_last().unwrap();
            xof::absorb(rest, *label, &[]).read(&mut output);
            assert_eq!(output[..], hex(answer), "{length}");
        }
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn terminal_key() -> TerminalKey {
    TerminalKey::derive(&Key::from([7; 32]), 1u32.try_into().unwrap(), &name("kiosk-7"))
}

fn keys() -> SessionKeys {
    terminal_key().prove(b"\x04hello").session(Header::new(7, 512))
}

fn sealed(key: &Key, index: u8, header: &[u8], content: &[u8]) -> Vec<u8> {
    // An encoder may leave bytes behind what it writes.
    let mut out = [0xee; 128];
    out[content_at(header.len())..][..content.len()].copy_from_slice(content);
    let length = seal(key, index, header, &mut out, content.len()).unwrap();
    out[..length].to_vec()
}

#[test]
fn a_body_opens_to_its_content_and_has_one_length() {
    let keys = keys();
    for length in 0..BUCKET {
        let content = vec![0x80; length];
        for (index, header) in [(SEALED, &[][..]), (WELCOME, keys.header.bytes()), (EARLY, &[])] {
            let mut body = sealed(&keys.down, index, header, &content);
            assert_eq!(body.len(), 1 + header.len() + TAG + BUCKET);
            assert_eq!(body, sealed(&keys.down, index, header, &content), "the same again");
            let start = 1 + header.len() + TAG;
            let opened = open(&keys.down, header.len(), &mut body);
            assert_eq!(opened, Some(start..start + length));
            assert_eq!(body[opened.unwrap()], content);
        }
    }
}

#[test]
fn content_that_fills_the_bucket_is_not_sealed() {
    let mut out = [0; 97];
    assert_eq!(seal(&keys().up, SEALED, &[], &mut out, BUCKET), Err(BufferTooSmall));
    assert_eq!(seal(&keys().up, SEALED, &[], &mut out[..96], 0), Err(BufferTooSmall));
    assert_eq!(seal(&keys().up, SEALED, &[], &mut out, BUCKET - 1), Ok(97));
}

#[test]
fn every_flipped_bit_is_refused_and_wiped() {
    let keys = keys();
    for (index, header) in [(SEALED, &[][..]), (WELCOME, keys.header.bytes()), (EARLY, &[])] {
        let whole = sealed(&keys.down, index, header, b"\x01\x01\x81\x04\x0240");
        for bit in 0..whole.len() * 8 {
            let mut body = whole.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&keys.down, header.len(), &mut body), None, "bit {bit}");
            assert!(body.iter().all(|byte| *byte == 0), "bit {bit}");
        }
    }
    let hello = terminal_key().prove(b"\x04hello");
    let whole = [&b"\x04hello"[..], hello.tag()].concat();
    assert_eq!(terminal_key().verify(&whole), Some(hello));
    for bit in 0..whole.len() * 8 {
        let mut body = whole.clone();
        body[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(terminal_key().verify(&body), None, "bit {bit}");
    }
}

#[test]
fn a_body_of_another_length_key_or_header_is_refused() {
    let keys = keys();
    let whole = sealed(&keys.down, WELCOME, keys.header.bytes(), b"\x02");
    for length in 0..whole.len() {
        assert_eq!(open(&keys.down, Header::LENGTH, &mut whole[..length].to_vec()), None);
        assert_eq!(terminal_key().verify(&whole[..length]), None);
    }
    assert_eq!(open(&keys.down, Header::LENGTH, &mut [&whole[..], &[0]].concat()), None);
    assert_eq!(open(&keys.up, Header::LENGTH, &mut whole.clone()), None, "reflected");
    assert_eq!(open(&keys.down, 0, &mut whole.clone()), None, "as a body without a header");
    for other in [Header::new(7, 513), Header::new(8, 512)] {
        let keys = terminal_key().prove(b"\x04hello").session(other);
        assert_eq!(open(&keys.down, Header::LENGTH, &mut whole.clone()), None);
    }
}

/// Padding is looked at after the tag: only the peer can get it wrong.
#[test]
fn an_authentic_body_without_padding_is_refused() {
    let keys = keys();
    for content in [[0; BUCKET], [1; BUCKET]] {
        let mut body = vec![SEALED];
        let mut tag = [0; TAG];
        xof::absorb(keys.up.bytes(), 5, &[&[SEALED], &content]).read(&mut tag);
        let mut stream = [0; BUCKET];
        xof::absorb(keys.up.bytes(), 6, &[&tag]).read(&mut stream);
        body.extend(tag);
        body.extend(stream.iter().zip(content).map(|(mask, byte)| mask ^ byte));
        assert_eq!(open(&keys.up, 0, &mut body), None);
    }
}

#[test]
fn a_key_differs_by_master_series_name_and_step() {
    let key = |master: u8, series: u32, text: &str| {
        TerminalKey::derive(&Key::from([master; 32]), series.try_into().unwrap(), &name(text))
    };
    let first = key(7, 1, "kiosk-7");
    let mut all = vec![first.clone(), key(8, 1, "kiosk-7"), key(7, 2, "kiosk-7"), key(7, 1, "kiosk-70")];
    all.push(first.next().unwrap());
    for (index, one) in all.iter().enumerate() {
        assert!(all[..index].iter().all(|other| one.key() != other.key()));
    }
    let third = first.next().unwrap().next().unwrap();
    assert_eq!((third.series(), third.step()), (first.series(), 2));
    assert_eq!(first.forward(2, 2), Some(third.clone()));
    assert_eq!(first.forward(2, 1), None, "too far ahead");
    assert_eq!(third.forward(1, 9), None, "a key is not computed back");
    assert_eq!(third.forward(2, 0), Some(third.clone()));
    assert_eq!(TerminalKey::new(third.key().clone(), third.series(), u32::MAX).next(), None);
}

#[test]
fn debug_shows_no_secret() {
    let secrets = [
        format!("{:?}", Key::from([0xab; 32])),
        format!("{:?}", TerminalKey::new(Key::from([0xab; 32]), 3u32.try_into().unwrap(), 2)),
        format!("{:?}", keys()),
        format!("{:?}", terminal_key().prove(b"")),
    ];
    let shown: String = secrets.concat();
    assert!(shown.contains("series: 3, step: 2") && !shown.contains("171"), "{shown}");
    assert!(!shown.contains(&format!("{}, {}", keys().up.bytes()[0], keys().up.bytes()[1])), "{shown}");
}
