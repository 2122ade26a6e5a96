//! Slot encoding: one copy of an entry as bytes, with its format, length, number and checksum.
use super::SLOT;
use crate::{
    checksum::{self, checksum},
    number,
};
use serde::Serialize;

/// Bytes of the format and the length.
const HEADER: usize = 2;

/// The content of one copy of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SlotCopy<T> {
    /// All bytes 0 or all 0xff: never written, or the write was interrupted before the first byte.
    Blank,
    /// Not an entry: the checksum is wrong.
    Bad,
    /// An intact entry of another format.
    Other(u8),
    /// An intact entry: its number and its content.
    Good(u64, T),
}

/// Decodes one copy.
#[inline(never)]
pub(super) fn decode(page: &[u8; SLOT], format: u8) -> SlotCopy<&[u8]> {
    if [0, 0xff].iter().any(|blank| page.iter().all(|byte| byte == blank)) {
        return SlotCopy::Blank;
    }
    let [found, length, ..] = *page;
    let Some((content, rest)) = page.split_at_checked(HEADER.saturating_add(usize::from(length))) else {
        return SlotCopy::Bad;
    };
    if !rest.starts_with(&checksum(content)) {
        return SlotCopy::Bad;
    }
    if found != format {
        return SlotCopy::Other(found);
    }
    match content.get(HEADER..).map(postcard::take_from_bytes) {
        Some(Ok((number, rest))) => SlotCopy::Good(number, rest),
        _ => SlotCopy::Bad,
    }
}

/// The body of a slot.
#[derive(Serialize)]
struct Numbered<'a, T> {
    #[serde(serialize_with = "number::serialize")]
    number: u64,
    entry: &'a T,
}

/// Encodes one copy into `page`; returns the bytes used, or `None` if it does not fit.
pub(super) fn encode<'a, T: Serialize>(
    page: &'a mut [u8; SLOT],
    format: u8,
    number: u64,
    entry: &T,
) -> Option<&'a [u8]> {
    let (header, body) = page.split_first_chunk_mut::<HEADER>()?;
    let length = postcard::to_slice(&Numbered { number, entry }, body).ok()?.len();
    *header = [format, u8::try_from(length).ok()?];
    let end = HEADER.checked_add(length)?;
    let crc = checksum(page.get(..end)?);
    *page.get_mut(end..)?.first_chunk_mut()? = crc;
    page.get(..end.checked_add(checksum::LENGTH)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::Index};
    use std::vec::Vec;

    const FORMAT: u8 = 7;

    type TestEntry = (u64, Vec<u8>);

    fn encode<'a>(entry: &TestEntry, page: &'a mut [u8; SLOT]) -> Option<&'a [u8]> {
        super::encode(page, FORMAT, entry.0, &entry.1)
    }

    fn decode(page: &[u8; SLOT]) -> SlotCopy<Vec<u8>> {
        match super::decode(page, FORMAT) {
            SlotCopy::Good(number, rest) => SlotCopy::Good(number, postcard::from_bytes(rest).unwrap()),
            SlotCopy::Other(format) => SlotCopy::Other(format),
            SlotCopy::Bad => SlotCopy::Bad,
            SlotCopy::Blank => SlotCopy::Blank,
        }
    }

    fn good((number, content): TestEntry) -> SlotCopy<Vec<u8>> {
        SlotCopy::Good(number, content)
    }

    /// The longest entry that fits.
    fn longest() -> TestEntry {
        (1, (0..120).map(|at| at * 2).collect())
    }

    #[test]
    fn an_entry_of_one_byte_too_many_does_not_fit() {
        let mut page = [0; SLOT];
        assert_eq!(encode(&longest(), &mut page).unwrap().len(), SLOT);
        assert_eq!(decode(&page), good(longest()));
        assert_eq!(encode(&(1, [7; 121].to_vec()), &mut page), None);
    }

    #[test]
    fn an_entry_byte_by_byte() {
        let mut page = [0xff; SLOT];
        let bytes = encode(&(5, [6, 7].to_vec()), &mut page).unwrap();
        let content = [7, 4, 5, 2, 6, 7];
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&content);
        assert_eq!((&bytes[..6], &bytes[6..]), (&content[..], &crc.to_le_bytes()[..]));
    }

    #[test]
    fn a_page_of_only_zeros_or_ones_is_blank() {
        for blank in [0, 0xff] {
            let mut page = [blank; SLOT];
            assert_eq!(decode(&page), SlotCopy::Blank);
            page[100] ^= 1;
            assert_eq!(decode(&page), SlotCopy::Bad, "one bit differs");
        }
    }

    #[test]
    fn another_format_is_reported_only_with_a_valid_checksum() {
        let mut page = [0; SLOT];
        encode(&longest(), &mut page).unwrap();
        page[0] = 2;
        assert_eq!(decode(&page), SlotCopy::Bad);
        let end = SLOT - checksum::LENGTH;
        let crc = checksum(&page[..end]);
        page[end..].copy_from_slice(&crc);
        assert_eq!(decode(&page), SlotCopy::Other(2));
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_detected(at in 0..SLOT, change in 1u8..) {
            let mut page = [0; SLOT];
            encode(&longest(), &mut page).unwrap();
            page[at] ^= change;
            prop_assert_eq!(decode(&page), SlotCopy::Bad);
        }

        #[test]
        fn an_interrupted_write_decodes_as_the_old_entry_the_new_one_or_bad(
            before in prop::collection::vec(any::<u8>(), 0..=120), end in any::<Index>(),
        ) {
            let (mut old, mut new) = ([0; SLOT], [0; SLOT]);
            let first = (0, before);
            encode(&first, &mut old).unwrap();
            let written = encode(&longest(), &mut new).unwrap();
            let end = end.index(written.len() + 1);
            old[..end].copy_from_slice(&written[..end]);
            let read = decode(&old);
            prop_assert!(read == SlotCopy::Bad || read == good(first) || read == good(longest()), "{:?}", read);
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes in prop::collection::vec(any::<u8>(), SLOT)) {
            super::decode(bytes.as_slice().try_into().unwrap(), FORMAT);
        }
    }
}
