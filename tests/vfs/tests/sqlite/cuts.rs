//! What a loss of power leaves of a file, without SQLite.
use atm_faulty_vfs::{Cut, Disk};
use rusqlite::ffi::{SQLITE_CANTOPEN, SQLITE_OPEN_CREATE};
use std::collections::BTreeSet;

/// Old bytes, 1, and an unsynced write of new ones, 2, which begins and ends within a sector of 512 bytes.
/// Returns, for many cuts, what is found of each part: `None` where it is neither old nor new.
fn torn(disk: &Disk) -> BTreeSet<Vec<Option<u8>>> {
    let file = disk.open("file", SQLITE_OPEN_CREATE).unwrap();
    file.write(0, &[1; 2048]).unwrap();
    file.sync().unwrap();
    disk.sync_directory("file").unwrap();
    file.write(256, &[2; 1536]).unwrap();
    let found = |seed| {
        let bytes = disk.power_cut(Cut::Random(seed)).contents("file").unwrap();
        let parts = [0..256, 256..512, 512..1024, 1024..1536, 1536..1792, 1792..2048];
        parts
            .map(|part| [1, 2].into_iter().find(|byte| bytes[part.clone()].iter().all(|found| found == byte)))
    };
    (0..1000).map(|seed| found(seed).to_vec()).collect()
}

#[test]
fn an_unsynced_write_is_kept_lost_or_torn_between_sectors() {
    let found = torn(&Disk::new());
    let parts = found.iter().map(|parts| (parts[0], parts[5], parts.contains(&None)));
    assert_eq!(parts.collect::<BTreeSet<_>>(), BTreeSet::from([(Some(1), Some(1), false)]));
    // Each subset of four parts.
    assert_eq!(found.len(), 16);
}

#[test]
fn a_disk_that_claims_nothing_damages_the_rest_of_a_torn_sector() {
    let found = torn(&Disk::claiming_nothing(512));
    assert!(found.iter().any(|parts| parts[0].is_none() && parts[5].is_none()));
    assert!(found.iter().all(|parts| !parts[1..5].contains(&None)));
}

#[test]
fn a_file_that_was_not_synced_may_be_missing_empty_or_full_of_anything() {
    let disk = Disk::new();
    disk.open("file", SQLITE_OPEN_CREATE).unwrap().write(0, &[2; 512]).unwrap();
    let found = (0..200).map(|seed| disk.power_cut(Cut::Random(seed)).contents("file"));
    let kinds =
        found.map(|bytes| bytes.map(|bytes| [0, 2].map(|byte| bytes.iter().all(|found| *found == byte))));
    let (old, new) = ([true, false], [false, true]);
    assert_eq!(
        kinds.collect::<BTreeSet<_>>(),
        BTreeSet::from([None, Some([true; 2]), Some([false; 2]), Some(old), Some(new)])
    );
    assert_eq!(disk.power_cut(Cut::Lost).open("file", 0).err(), Some(SQLITE_CANTOPEN));
}
