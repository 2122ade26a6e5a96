//! Bits flipped and files replaced between two runs: what SQLite notices, and what it does not.
use crate::{Store, found};
use atm_faulty_vfs::{Cut, Disk};

/// Three commits in the WAL, none checkpointed, as after `kill -9`.
fn three_commits() -> Disk {
    let disk = Disk::new();
    let store = Store::wal(&disk);
    store.checkpoint_truncate().unwrap();
    (1..=3).for_each(|number| store.commit(number).unwrap());
    disk.stop();
    disk.power_cut(Cut::Lost)
}

/// No error, and the integrity check says ok.
#[test]
fn a_flipped_bit_in_the_wal_silently_drops_the_commits_behind_it() {
    assert_eq!(found(&three_commits()), Ok(3));
    let disk = three_commits();
    let middle = disk.contents("ledger.db-wal").unwrap().len() / 2;
    assert!(disk.flip("ledger.db-wal", middle, 3));
    assert_eq!(found(&disk), Ok(1));
    assert!(!disk.flip("ledger.db-wal", usize::MAX, 3));
}

#[test]
fn a_copy_without_its_wal_is_silently_an_older_store() {
    let disk = three_commits();
    disk.replace("ledger.db-wal", None);
    assert_eq!(found(&disk), Ok(0));
}

#[test]
fn a_flipped_bit_in_the_header_of_the_file_is_an_error() {
    let disk = three_commits();
    Store::open(&disk).unwrap().checkpoint_truncate().unwrap();
    assert!(disk.flip("ledger.db", 3, 0));
    assert!(found(&disk).is_err());
}
