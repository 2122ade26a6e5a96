//! What is read of a journal, and what is not.
use super::*;
use crate::ledger::{books::Head, entry::Hash};
use proptest::prelude::*;
use redb::backends::InMemoryBackend;
use std::sync::Arc;

const SIZE: u64 = 4096;

/// Bytes that can be looked at.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<InMemoryBackend>);

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

impl Shared {
    fn all(&self) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.len().unwrap()).unwrap()];
        self.read(0, &mut all).unwrap();
        all
    }

    fn journal(&self, last: u64) -> Journal {
        Journal::open(Backend::new(self.clone(), Arc::default()), SIZE, last).unwrap().0
    }
}

/// Entries from `first` on, with lines of these lengths.
fn some(first: u64, lines: &[usize]) -> Vec<Row> {
    let row = |(number, len): (u64, &usize)| Row {
        head: Head { number, hash: Hash([u8::try_from(number % 251).unwrap(); 32]) },
        line: "é1,".chars().cycle().take(*len).collect(),
    };
    (first..).zip(lines).map(row).collect()
}

fn damaged<T: std::fmt::Debug>(read: Result<T, Fault>) -> String {
    match read {
        Err(Fault::Damaged(what)) => what,
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Batches, some of which the store has, come back; where any one byte of the last one is another, the last one does not,
    /// and where one of an earlier one is, that is an error.
    #[test]
    fn what_was_appended_is_read(
        old in prop::collection::vec(prop::collection::vec(0..90usize, 1..5), 0..6),
        new in prop::collection::vec(prop::collection::vec(0..90usize, 1..5), 1..6),
        spoilt in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let shared = Shared::default();
        let mut journal = shared.journal(0);
        let mut number = 1;
        for lines in &old {
            journal.append(&some(number, lines)).unwrap();
            number += lines.len() as u64;
        }
        // The store has them.
        journal.clear();
        let last = number - 1;
        let (mut all, mut ends) = (Vec::new(), vec![(0, last)]);
        for lines in &new {
            let batch = some(number, lines);
            journal.append(&batch).unwrap();
            all.extend(batch);
            number += lines.len() as u64;
            ends.push((usize::try_from(journal.end).unwrap(), number - 1));
        }
        let bytes = shared.all();
        prop_assert_eq!(rows(&bytes, last).unwrap(), all.clone());
        // Some of them came into the store before power went.
        for known in last..number {
            prop_assert_eq!(rows(&bytes, known).unwrap().len() as u64, number - 1 - known);
        }
        let at = spoilt.index(ends.last().unwrap().0);
        let mut other = bytes.clone();
        other[at] ^= 1 << bit;
        let whole = ends.iter().rfind(|(end, _)| *end <= at).unwrap().1;
        match rows(&other, last) {
            // A byte between two batches.
            Ok(read) if read == all => {}
            Ok(read) => {
                prop_assert_eq!(whole, ends[ends.len() - 2].1, "only the last one may be torn");
                prop_assert_eq!(read.as_slice(), &all[..usize::try_from(whole - last).unwrap()]);
            }
            Err(Fault::Damaged(_)) => prop_assert!(whole < ends[ends.len() - 2].1),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn anything_is_read(bytes in prop::collection::vec(any::<u8>(), 0..600), last in any::<u64>()) {
        let _ = rows(&bytes, last);
    }
}

#[test]
fn a_journal_that_is_ahead_of_its_store_is_found() {
    let shared = Shared::default();
    let mut journal = shared.journal(0);
    journal.append(&some(8, &[20, 30])).unwrap();
    assert_eq!(rows(&shared.all(), 7).unwrap().len(), 2);
    assert_eq!(rows(&shared.all(), 9).unwrap(), []);
    assert!(damaged(rows(&shared.all(), 6)).contains("entry 7 is missing"));
}

#[test]
fn it_has_its_length_at_once_and_more_where_a_batch_needs_it() {
    let shared = Shared::default();
    let mut journal = shared.journal(0);
    assert_eq!(shared.len().unwrap(), 0, "whoever reads makes nothing");
    journal.append(&some(1, &[20])).unwrap();
    assert_eq!((shared.len().unwrap(), journal.is_full()), (SIZE, false));
    let large = vec![60; 500];
    journal.append(&some(2, &large)).unwrap();
    assert!(shared.len().unwrap() > SIZE && journal.is_full());
    assert_eq!(rows(&shared.all(), 0).unwrap().len(), 501);
    journal.clear();
    assert!(!journal.is_full());
}
