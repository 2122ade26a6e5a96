//! One slot of the medium, as bytes.
use super::SLOT;
use crate::{
    ledger::{LedgerId, Name, Record},
    money::Amount,
    number,
};
use serde::{Deserialize, Serialize};

/// The format that is written here.
pub(super) const VERSION: u8 = 1;

/// Version and length.
const HEADER: usize = 2;

/// Bytes of the CRC.
const TRAILER: usize = 4;

const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);

/// What every commit says of the whole ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The number of the commit.
    #[serde(serialize_with = "number::serialize")]
    pub(super) commit: u64,
    pub(super) identity: LedgerId,
    pub(super) balance: Amount,
    /// The first number that is not reserved.
    #[serde(serialize_with = "number::serialize")]
    pub(super) free: u64,
    /// Terminals that have a slot.
    pub(super) terminals: u8,
}

/// A terminal and its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) name: Name,
    pub(super) record: Record,
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) head: Head,
    pub(super) owner: Option<Owner>,
}

/// What stands in one copy of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// Nothing: no power was ever there to write it, or it was cut before the first byte.
    Blank,
    /// Something that is no entry.
    Bad,
    /// A whole entry of a format that is not known here.
    Other(u8),
    Good(Entry),
}

/// Reads one copy.
pub(super) fn decode(page: &[u8; SLOT]) -> Copy {
    if [0, 0xff].iter().any(|blank| page.iter().all(|byte| byte == blank)) {
        return Copy::Blank;
    }
    let [version, length, ..] = *page;
    let Some((content, rest)) = page.split_at_checked(HEADER.saturating_add(usize::from(length))) else {
        return Copy::Bad;
    };
    if !rest.starts_with(&CRC.checksum(content).to_le_bytes()) {
        return Copy::Bad;
    }
    if version != VERSION {
        return Copy::Other(version);
    }
    match content.get(HEADER..).map(postcard::take_from_bytes) {
        Some(Ok((entry, []))) => Copy::Good(entry),
        _ => Copy::Bad,
    }
}

/// Writes one copy into `page`; gives out what there is of it. `None` where it does not fit, which none does.
pub(super) fn encode<'a>(entry: &Entry, page: &'a mut [u8; SLOT]) -> Option<&'a [u8]> {
    let (header, body) = page.split_first_chunk_mut::<HEADER>()?;
    let length = postcard::to_slice(entry, body).ok()?.len();
    *header = [VERSION, u8::try_from(length).ok()?];
    let end = HEADER.checked_add(length)?;
    let sum = CRC.checksum(page.get(..end)?).to_le_bytes();
    let whole = end.checked_add(TRAILER)?;
    page.get_mut(end..whole)?.copy_from_slice(&sum);
    page.get(..whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Numbers, Operation, Outcome, Receipt};
    use proptest::{prelude::*, sample::Index};

    /// The longest entry that there can be.
    pub(super) fn longest() -> Entry {
        let most = Amount::MAX;
        let (commit, free) = (u64::MAX, Numbers::MAX);
        let head = Head { commit, identity: LedgerId(u64::MAX), balance: most, free, terminals: u8::MAX };
        let outcome = Outcome::Done(Receipt::Withdrawn { amount: most, balance: most });
        let record = Record { id: Numbers::MAX, operation: Some(Operation::Withdraw(most)), outcome };
        Entry { head, owner: Some(Owner { name: "x".repeat(32).parse().unwrap(), record }) }
    }

    #[test]
    fn the_longest_entry_fits() {
        let mut page = [0; SLOT];
        let length = encode(&longest(), &mut page).unwrap().len();
        assert_eq!((length, decode(&page)), (113, Copy::Good(longest())));
    }

    #[test]
    fn an_entry_byte_by_byte() {
        let head = Head { commit: 2, identity: LedgerId(7), balance: Amount::ZERO, free: 300, terminals: 1 };
        let record = Record { id: 5, operation: None, outcome: Outcome::NotDone };
        let entry = Entry { head, owner: Some(Owner { name: "k7".parse().unwrap(), record }) };
        let mut page = [0xff; SLOT];
        let bytes = encode(&entry, &mut page).unwrap();
        let content = [1, 13, 2, 7, 0, 0xac, 2, 1, 1, 2, b'k', b'7', 5, 0, 2];
        assert_eq!(bytes[..content.len()], content);
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&content);
        assert_eq!(bytes[content.len()..], sum.to_le_bytes());
    }

    #[test]
    fn what_was_never_written_is_blank() {
        assert_eq!((decode(&[0; SLOT]), decode(&[0xff; SLOT])), (Copy::Blank, Copy::Blank));
        let mut page = [0; SLOT];
        page[100] = 1;
        assert_eq!(decode(&page), Copy::Bad, "one byte is there");
    }

    #[test]
    fn another_format_is_known_by_its_version() {
        let mut page = [0; SLOT];
        let length = encode(&longest(), &mut page).unwrap().len();
        page[0] = 2;
        assert_eq!(decode(&page), Copy::Bad);
        let end = length - TRAILER;
        let sum = CRC.checksum(&page[..end]).to_le_bytes();
        page[end..length].copy_from_slice(&sum);
        assert_eq!(decode(&page), Copy::Other(2));
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed(at in 0..113usize, change in 1u8..) {
            let mut page = [0; SLOT];
            encode(&longest(), &mut page).unwrap();
            page[at] ^= change;
            prop_assert_eq!(decode(&page), Copy::Bad);
        }

        #[test]
        fn a_write_that_was_cut_off_is_noticed(before in any::<[u8; 8]>(), end in any::<Index>()) {
            let (mut old, mut new) = ([0; SLOT], [0; SLOT]);
            let mut first = longest();
            first.head.commit = u64::from_le_bytes(before);
            encode(&first, &mut old).unwrap();
            let written = encode(&longest(), &mut new).unwrap();
            let end = end.index(written.len());
            old[..end].copy_from_slice(&written[..end]);
            let read = decode(&old);
            prop_assert!(read == Copy::Bad || read == Copy::Good(first) || read == Copy::Good(longest()), "{:?}", read);
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), SLOT)) {
            decode(bytes.as_slice().try_into().unwrap());
        }
    }
}
