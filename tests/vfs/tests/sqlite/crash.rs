//! Power losses at every call of a scripted series of commits that changes the disk.
use crate::{Store, connect, found};
use atm_faulty_vfs::{Cut, Disk, Fault, When};
use std::ops::RangeInclusive;

const COMMITS: i64 = 8;

/// A series of commits, checkpoints and readers, until it is done or an error comes. Returns the last number
/// that was acknowledged.
fn run(disk: &Disk, journal: &str, synchronous: &str) -> i64 {
    let mut acknowledged = 0;
    let mut script = || -> rusqlite::Result<()> {
        let store = Store::open(disk)?;
        store.create(journal, synchronous)?;
        let reader = connect(&store.vfs)?;
        for number in 1..=COMMITS {
            // A reader in the way of two checkpoints, where a writer need not wait for it.
            match number {
                3 if journal == "WAL" => reader.execute_batch("BEGIN; SELECT * FROM head")?,
                6 if journal == "WAL" => reader.execute_batch("COMMIT")?,
                _ => {}
            }
            store.commit(number)?;
            acknowledged = number;
            if number % 2 == 0 {
                store.checkpoint_truncate()?;
            } else if number % 3 == 0 {
                store.sql.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))?;
            }
        }
        Ok(())
    };
    // The crash.
    let _ = script();
    acknowledged
}

/// Crashes at each change that the script makes, with several cuts each. What is found beyond what was
/// acknowledged must be in the promised range; returns the least and the most of it.
fn sweep(
    new: fn() -> Disk,
    journal: &str,
    synchronous: &str,
    promised: RangeInclusive<i64>,
) -> RangeInclusive<i64> {
    let disk = new();
    assert_eq!(run(&disk, journal, synchronous), COMMITS);
    let changes: Vec<_> = (0..).zip(disk.take_log()).filter(|(_, call)| call.is_change()).collect();
    assert!(changes.len() > 60, "{}", changes.len());
    let (mut least, mut most) = (0, 0);
    for (call, what) in changes {
        let disk = new();
        disk.inject(When::Call(call), Fault::Stop);
        let acknowledged = run(&disk, journal, synchronous);
        let random = (0..6).map(|seed| Cut::Random(call * 6 + seed));
        for cut in [Cut::Lost, Cut::Kept].into_iter().chain(random) {
            let more = found(&disk.power_cut(cut)).map(|head| head - acknowledged);
            let kept = more.as_ref().is_ok_and(|more| promised.contains(more));
            assert!(kept, "call {call} {what:?}, {cut:?}: {acknowledged} acknowledged, {more:?} more found");
            (least, most) = (least.min(more.clone().unwrap()), most.max(more.unwrap()));
        }
    }
    least..=most
}

#[test]
fn a_wal_with_full_syncs_keeps_what_was_acknowledged() {
    assert_eq!(sweep(Disk::new, "WAL", "FULL", 0..=1), 0..=1);
}

#[test]
fn a_wal_keeps_it_on_a_disk_that_damages_neighbouring_bytes() {
    sweep(|| Disk::claiming_nothing(512), "WAL", "FULL", 0..=1);
    sweep(|| Disk::claiming_nothing(4096), "WAL", "FULL", 0..=1);
}

/// That the disk forgets: SQLite promises no durability here.
#[test]
fn a_wal_with_fewer_syncs_loses_commits() {
    let found = sweep(Disk::new, "WAL", "NORMAL", -COMMITS..=1);
    assert!(*found.start() < 0, "{found:?}");
}

/// <https://sqlite.org/pragma.html#pragma_synchronous>: a deleted journal may be back after a power loss
/// unless the directory is synced too, which EXTRA does.
#[test]
fn a_rollback_journal_keeps_what_was_acknowledged_only_with_extra_syncs() {
    assert_eq!(sweep(Disk::new, "DELETE", "EXTRA", 0..=1), 0..=1);
    sweep(|| Disk::claiming_nothing(512), "DELETE", "EXTRA", 0..=1);
    assert_eq!(sweep(Disk::new, "DELETE", "FULL", -1..=1), -1..=0);
}

#[test]
fn without_syncs_commits_are_lost() {
    for journal in ["WAL", "DELETE"] {
        let disk = Disk::new();
        disk.inject(When::Call(u64::MAX), Fault::Stop);
        let acknowledged = run(&disk, journal, "OFF");
        disk.stop();
        let cuts = (0..20).map(|seed| found(&disk.power_cut(Cut::Random(seed))));
        let lost = cuts.filter(|found| !matches!(found, Ok(head) if *head == acknowledged)).count();
        assert!(lost > 0, "{journal}: every cut kept {acknowledged} commits");
    }
}
