//! A sync of the WAL that fails: what a program sees afterwards, and what is on the disk.
use crate::{Store, connect, error_code, found};
use atm_faulty_vfs::{Cut, Disk, Fault, Operation, When};
use rusqlite::ErrorCode;

/// One commit is acknowledged; the sync of the second one fails.
fn failed(fault: Fault) -> (Disk, Store) {
    let disk = Disk::new();
    let store = Store::wal(&disk);
    store.commit(1).unwrap();
    disk.inject(When::Next(Operation::Sync, "-wal", 0), fault);
    assert_eq!(error_code(store.commit(2)), Some(ErrorCode::SystemIoFailure));
    (disk, store)
}

/// A look is no answer: a new connection beside the old one sees head 1, and after `kill -9` or a power loss
/// it is 2.
#[test]
fn a_commit_whose_sync_failed_is_not_seen_and_comes_back_after_a_restart() {
    let (disk, store) = failed(Fault::FailedSync(Cut::Kept));
    let reopened = connect(&store.vfs).unwrap();
    let head = || reopened.query_row("SELECT number FROM head", (), |row| row.get(0));
    assert_eq!(head(), Ok(1));
    drop(store.sql);
    assert_eq!(head(), Ok(1));
    assert_eq!(found(&disk.kill()), Ok(2));
    assert_eq!(found(&disk.power_cut(Cut::Lost)), Ok(2));
}

#[test]
fn a_commit_whose_sync_failed_is_gone_if_the_last_connection_closes_in_order() {
    let (disk, store) = failed(Fault::FailedSync(Cut::Kept));
    drop(store);
    assert_eq!(found(&disk), Ok(1));
}

/// A commit that writes over the frames of the failed one settles it: whatever the failed sync left, a power
/// loss brings nothing back.
#[test]
fn a_write_settles_a_commit_whose_sync_failed() {
    let cuts = (0..40).map(Cut::Random).chain([Cut::Lost, Cut::Kept]);
    for cut in cuts {
        let (disk, store) = failed(Fault::FailedSync(cut));
        let reopened = connect(&store.vfs).unwrap();
        drop(store.sql);
        reopened.execute_batch("CREATE TABLE settled(n)").unwrap();
        disk.stop();
        for later in [Cut::Lost, Cut::Kept] {
            let disk = disk.power_cut(later);
            assert_eq!(found(&disk), Ok(1), "{cut:?}, then {later:?}");
            let settled = Store::open(&disk).unwrap().sql.execute("INSERT INTO settled VALUES (1)", ());
            assert_eq!(settled, Ok(1), "{cut:?}, then {later:?}");
        }
    }
}

/// A restarted program that finds frames in the page cache which are on no disk, and commits behind them.
fn restarted_after_lost_frames(evict: bool) -> (Result<i64, String>, Result<i64, String>) {
    let (disk, store) = failed(Fault::FailedSync(Cut::Lost));
    let disk = disk.kill();
    drop(store);
    if evict {
        disk.evict("ledger.db-wal");
    }
    let store = Store::open(&disk).unwrap();
    let seen = store.head().unwrap();
    store.commit(seen + 1).unwrap();
    disk.stop();
    (Ok(seen), found(&disk.power_cut(Cut::Kept)))
}

#[test]
fn frames_that_only_the_page_cache_has_lose_the_commits_behind_them() {
    // Head 2 is seen, 3 acknowledged, and 1 found.
    assert_eq!(restarted_after_lost_frames(false), (Ok(2), Ok(1)));
}

#[test]
fn a_page_cache_dropped_before_the_open_shows_what_is_on_the_disk() {
    assert_eq!(restarted_after_lost_frames(true), (Ok(1), Ok(2)));
}
