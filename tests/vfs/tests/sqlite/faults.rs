//! Errors, a full disk, a reader in the way, a call that hangs.
use crate::{Store, connect, error_code, found};
use atm_faulty_vfs::{Cut, Disk, Fault, Gate, Operation, When};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::{thread, time::Duration};

/// An error at each call of a commit that can fail: the commit returns an error or is done, and the next one
/// is done.
#[test]
fn after_an_error_at_any_call_the_store_goes_on() {
    let commit = |store: &Store| store.commit(2);
    let disk = Disk::new();
    let store = Store::wal(&disk);
    store.commit(1).unwrap();
    let first = disk.calls();
    commit(&store).unwrap();
    let calls = disk.take_log();
    let mut failed = 0;
    for (call, what) in (0..).zip(&calls).skip(first as usize) {
        for fault in [Fault::Error(ffi::SQLITE_IOERR), Fault::Half(ffi::SQLITE_IOERR)] {
            let disk = Disk::new();
            let store = Store::wal(&disk);
            store.commit(1).unwrap();
            assert_eq!(disk.calls(), first);
            disk.inject(When::Call(call), fault);
            let done = commit(&store);
            failed += i32::from(done.is_err());
            let head = store.head().unwrap();
            assert_eq!(head, if done.is_ok() { 2 } else { 1 }, "{what:?}: {done:?}");
            store.commit(head + 1).unwrap();
            disk.stop();
            assert_eq!(found(&disk.power_cut(Cut::Lost)), Ok(head + 1), "{what:?}");
        }
    }
    assert!(failed > 8, "{failed} errors of {} calls", calls.len() as u64 - first);
}

#[test]
fn a_full_disk_refuses_a_commit_until_there_is_room() {
    let disk = Disk::new();
    let store = Store::wal(&disk);
    let used: usize = disk.names().iter().map(|name| disk.contents(name).unwrap().len()).sum();
    disk.set_capacity(Some(used + 30_000));
    let commits = (1..20).take_while(|number| match store.commit(*number) {
        Ok(()) => true,
        error => {
            assert_eq!(error_code(error), Some(ErrorCode::DiskFull));
            false
        }
    });
    let last = commits.last().unwrap();
    assert!(last < 19, "the disk is never full");
    assert_eq!(store.head(), Ok(last));
    disk.set_capacity(None);
    store.commit(last + 1).unwrap();
    disk.stop();
    assert_eq!(found(&disk.power_cut(Cut::Lost)), Ok(last + 1));
}

#[test]
fn a_checkpoint_with_a_reader_inside_says_that_it_is_busy() {
    let disk = Disk::new();
    let store = Store::wal(&disk);
    store.commit(1).unwrap();
    let reader = connect(&store.vfs).unwrap();
    let head = || reader.query_row("SELECT number FROM head", (), |row| row.get::<_, i64>(0)).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(head(), 1);
    store.commit(2).unwrap();
    assert_eq!(head(), 1, "the reader has its snapshot");
    assert_eq!(store.checkpoint_truncate(), Ok(1));
    assert_ne!(disk.contents("ledger.db-wal").unwrap().len(), 0);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(head(), 2);
    assert_eq!(store.checkpoint_truncate(), Ok(0));
    assert_eq!(disk.contents("ledger.db-wal").unwrap().len(), 0);
}

#[test]
fn connections_lock_each_other_out() {
    for journal in ["WAL", "DELETE"] {
        let disk = Disk::new();
        let store = Store::open(&disk).unwrap();
        store.create(journal, "FULL").unwrap();
        let other = connect(&store.vfs).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let begin = store.sql.execute_batch("BEGIN IMMEDIATE");
        assert_eq!(error_code(begin), Some(ErrorCode::DatabaseBusy), "{journal}");
        other.execute_batch("COMMIT").unwrap();
        store.commit(1).unwrap();
        // A reader: beside a WAL it is in nobody's way.
        other.execute_batch("BEGIN; SELECT * FROM head").unwrap();
        let busy = (journal == "DELETE").then_some(ErrorCode::DatabaseBusy);
        assert_eq!(error_code(store.commit(2)), busy, "{journal}");
        other.execute_batch("COMMIT").unwrap();
        store.commit(3 - i64::from(busy.is_some())).unwrap();
    }
}

#[test]
fn a_reader_reads_while_a_sync_hangs() {
    let disk = Disk::new();
    let store = Store::wal(&disk);
    store.commit(1).unwrap();
    let writer = connect(&store.vfs).unwrap();
    let gate = Gate::new(Duration::from_secs(20));
    disk.inject(When::Next(Operation::Sync, "-wal", 0), Fault::Hang(gate.clone()));
    thread::scope(|scope| {
        let commit = scope.spawn(move || writer.execute("UPDATE head SET number = 2", ()));
        assert!(gate.wait_for_call(), "no sync");
        assert_eq!(store.head(), Ok(1));
        assert!(!commit.is_finished());
        gate.release();
        assert_eq!(commit.join().unwrap(), Ok(1));
    });
    assert_eq!(store.head(), Ok(2));
}

#[test]
fn a_connection_outlives_its_vfs_but_opens_no_more_files() {
    let disk = Disk::new();
    let Store { sql, vfs } = Store::wal(&disk);
    let name = vfs.name();
    thread::spawn(move || drop(vfs)).join().unwrap();
    assert_eq!(sql.execute("UPDATE head SET number = 1", ()), Ok(1));
    sql.close().unwrap();
    let again = Connection::open_with_flags_and_vfs("ledger.db", OpenFlags::default(), name);
    assert!(again.is_err());
    assert_eq!(Store::open(&disk).unwrap().head(), Ok(1));
}

#[test]
fn a_call_that_is_never_released_fails_at_its_deadline() {
    let disk = Disk::new();
    let store = Store::wal(&disk);
    disk.inject(When::Next(Operation::Sync, "-wal", 0), Fault::Hang(Gate::new(Duration::ZERO)));
    assert_eq!(error_code(store.commit(1)), Some(ErrorCode::SystemIoFailure));
}
