//! Sealed bodies: what one that was changed gets.
use super::*;
use crate::{codec::BufferTooSmall, ledger::Name, xof};
use std::{format, string::String, vec, vec::Vec};

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
    // An encoder may leave bytes after what it writes.
    let mut out = [0xee; 128];
    out[content_at(header.len())..][..content.len()].copy_from_slice(content);
    let length = seal(key, index, header, &mut out, content.len()).unwrap();
    out[..length].to_vec()
}

/// Miri, which takes a second for a body, tries few of the lengths and bits.
const STRIDE: usize = if cfg!(miri) { 700 } else { 1 };

#[test]
fn a_body_opens_to_its_content_and_has_one_length() {
    let keys = keys();
    for length in (0..BUCKET).step_by(STRIDE.min(79)) {
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
        for bit in (0..whole.len() * 8).step_by(STRIDE) {
            let mut body = whole.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&keys.down, header.len(), &mut body), None, "bit {bit}");
            assert!(body.iter().all(|byte| *byte == 0), "bit {bit}");
        }
    }
    let hello = terminal_key().prove(b"\x04hello");
    let whole = [&b"\x04hello"[..], hello.tag()].concat();
    assert_eq!(terminal_key().verify(&whole), Some(hello));
    for bit in (0..whole.len() * 8).step_by(STRIDE) {
        let mut body = whole.clone();
        body[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(terminal_key().verify(&body), None, "bit {bit}");
    }
}

#[test]
fn a_body_of_another_length_key_or_header_is_refused() {
    let keys = keys();
    let whole = sealed(&keys.down, WELCOME, keys.header.bytes(), b"\x02");
    for length in (0..whole.len()).step_by(STRIDE.min(79)) {
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
        xof::absorb(keys.up.bytes(), 5, &[&[SEALED], &content]).squeeze(&mut tag);
        let mut stream = [0; BUCKET];
        xof::absorb(keys.up.bytes(), 6, &[&tag]).squeeze(&mut stream);
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
