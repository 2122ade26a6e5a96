//! A key survives a write that is cut off anywhere, and is never lost in silence.
use super::*;
use core::convert::Infallible;
use embedded_storage::ReadStorage;
use std::{vec, vec::Vec};

const SIZE: usize = KeyStore::<Medium>::SIZE;

/// A medium in memory that writes so many more bytes, and loses the rest.
#[derive(Clone)]
struct Medium {
    bytes: Vec<u8>,
    left: usize,
}

impl ReadStorage for Medium {
    type Error = Infallible;

    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.bytes[at as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl Storage for Medium {
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Infallible> {
        let count = bytes.len().min(self.left);
        self.left -= count;
        self.bytes[at as usize..][..count].copy_from_slice(&bytes[..count]);
        Ok(())
    }
}

fn opened(bytes: Vec<u8>) -> KeyStore<Medium> {
    KeyStore::new(Medium { bytes, left: usize::MAX }).unwrap()
}

fn key(step: u32) -> TerminalKey {
    TerminalKey::derive(&Key::from([7; 32]), 3u32.try_into().unwrap(), &name()).forward(step, 99).unwrap()
}

fn name() -> Name {
    "a-name-of-the-greatest-length-01".parse().unwrap()
}

fn with_key(step: u32) -> Vec<u8> {
    let mut store = opened(vec![0xff; SIZE]);
    assert_eq!(store.load(), Ok(None));
    store.save(&name(), &key(step)).unwrap();
    store.medium().bytes.clone()
}

#[test]
fn the_key_that_was_replaced_is_in_no_copy() {
    let before = with_key(0);
    let has = |bytes: &[u8], key: &TerminalKey| {
        bytes.windows(Key::LENGTH).filter(|window| window == key.key().bytes()).count()
    };
    assert_eq!(has(&before, &key(0)), 2);
    let mut store = opened(before);
    assert_eq!(store.load(), Ok(Some((name(), key(0)))));
    store.save(&name(), &key(1)).unwrap();
    let after = &store.medium().bytes;
    assert_eq!((has(after, &key(0)), has(after, &key(1))), (0, 2));
    assert_eq!(opened(after.clone()).load(), Ok(Some((name(), key(1)))));
}

#[test]
fn a_write_that_is_cut_off_anywhere_leaves_the_old_key_or_the_new_one() {
    let before = with_key(0);
    let mut found = [0; 2];
    for left in 0..256 {
        let mut store = KeyStore::new(Medium { bytes: before.clone(), left: usize::MAX }).unwrap();
        store.load().unwrap();
        store.store.medium_mut().left = left;
        let saved = store.save(&name(), &key(1));
        let (_, stored) = opened(store.medium().bytes.clone()).load().unwrap().unwrap();
        found[stored.step() as usize] += 1;
        assert!(stored == key(stored.step()) && (saved.is_err() || stored.step() == 1), "{left}");
    }
    assert!(found[0] > 50 && found[1] > 50, "{found:?}");
}

#[test]
fn a_damaged_copy_is_repaired_and_two_are_never_taken_for_a_new_medium() {
    let whole = with_key(2);
    let (first, second) = (0, SIZE / 2);
    for damage in [0, 0x55, 0xff] {
        for copy in [first, second] {
            let mut bytes = whole.clone();
            bytes[copy..][..SLOT].fill(damage);
            let mut store = opened(bytes);
            assert_eq!(store.load(), Ok(Some((name(), key(2)))));
            assert_eq!(store.medium().bytes[..80], store.medium().bytes[second..][..80], "repaired");
        }
        let mut bytes = whole.clone();
        bytes[first..][..SLOT].fill(damage);
        bytes[second..][..SLOT].fill(damage);
        assert_eq!(opened(bytes.clone()).load(), Err(StoreError::Damaged), "the mark is left");
        // A key is written over it.
        let mut store = opened(bytes);
        store.save(&name(), &key(0)).unwrap();
        assert_eq!(opened(store.medium().bytes.clone()).load(), Ok(Some((name(), key(0)))));
    }
}
