//! What a folder holds: a new ledger, a whole one, an older copy, files of two moments.
use super::*;
use crate::ledger::mark;

#[test]
fn a_creation_that_was_interrupted_is_finished() {
    for files in [&["ledger.lock"][..], &["ledger.mark.new"], &["ledger.mark"], &["ledger.mark", "ledger.db"]]
    {
        let folder = TempDir::new().unwrap();
        for name in files {
            if *name == "ledger.mark" {
                mark::create(folder.path(), Some(&Head::default())).unwrap();
            } else {
                std::fs::write(folder.path().join(name), "").unwrap();
            }
        }
        let (_lock, sqlite) = store(folder.path()).unwrap();
        assert!(committer(sqlite).apply(&named("a", 0, hello(1))).is_ok(), "{files:?}");
    }
}

#[test]
fn an_older_copy_and_one_without_its_log_are_refused() {
    let folder = TempDir::new().unwrap();
    let copy = |names: &[&str], from: &Path| {
        let to = TempDir::new().unwrap();
        for name in names {
            let _ = std::fs::copy(from.join(name), to.path().join(name));
        }
        to
    };
    let all = ["ledger.db", "ledger.db-wal", "ledger.mark"];
    let (lock, sqlite) = store(folder.path()).unwrap();
    let mut ledger = committer(sqlite);
    ledger.apply(&named("a", 0, hello(1))).unwrap();
    let older = copy(&["ledger.db", "ledger.db-wal"], folder.path());
    ledger.apply(&named("a", 1, deposit(1))).unwrap();
    let whole = copy(&all, folder.path());
    let without_log = copy(&["ledger.db", "ledger.mark"], folder.path());
    let without_mark = copy(&["ledger.db", "ledger.db-wal"], folder.path());
    std::fs::copy(folder.path().join("ledger.mark"), older.path().join("ledger.mark")).unwrap();
    let without_database = copy(&["ledger.mark", "ledger.db-wal"], folder.path());
    let log_alone = copy(&["ledger.db-wal"], folder.path());
    drop((ledger, lock));
    assert!(store(whole.path()).is_ok());
    assert!(store(log_alone.path()).unwrap_err().to_string().contains("ledger.db is missing or empty"));
    assert!(
        store(without_database.path()).unwrap_err().to_string().contains("ledger.db is missing or empty")
    );
    for folder in [older, without_log, without_mark] {
        let fault = store(folder.path()).unwrap_err();
        assert!(matches!(fault, StoreFault::Damaged(_)), "{fault:?}");
        // As another ledger it goes on.
        let lock = Folder::lock(folder.path()).unwrap();
        let new = Beginning { identity: LedgerId(8), ..beginning() };
        let Ok(sqlite) = lock.open(new, true) else { continue };
        let admitted = committer(sqlite).apply(&named("a", 0, hello(2))).unwrap();
        assert!(matches!(admitted, Response::Admitted(admission) if admission.ledger == LedgerId(8)));
    }
}

#[test]
fn a_loss_is_not_accepted_where_pages_are_of_two_moments() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let moment = |start: u64| {
        let (lock, sqlite) = store(folder.path()).unwrap();
        let mut ledger = committer(sqlite);
        let admitted = ledger.apply(&named("a", 0, hello(start))).unwrap();
        let Response::Admitted(admission) = admitted else { panic!("{admitted:?}") };
        let mut numbers = admission.numbers;
        for _ in 0..50 {
            ledger.apply(&named("a", admission.turn, deposit(numbers.take().unwrap()))).unwrap();
        }
        assert!(ledger.close());
        drop(lock);
        std::fs::read(&path).unwrap()
    };
    let (older, newer) = (moment(1), moment(2));
    let mut refused = 0;
    for page in 1..newer.len() / 4096 {
        let mut mixed = newer.clone();
        let end = older.len().max(page * 4096);
        mixed[page * 4096..end].copy_from_slice(&older[(page * 4096).min(older.len())..]);
        std::fs::write(&path, mixed).unwrap();
        let _ = std::fs::remove_file(folder.path().join("ledger.db-wal"));
        let lock = Folder::lock(folder.path()).unwrap();
        // The second start finds what the first one has left.
        for _ in 0..2 {
            let Err(fault) = lock.open(Beginning { identity: LedgerId(8), ..beginning() }, true) else {
                continue;
            };
            assert!(fault.is_final(), "{page}: {fault}");
            refused += 1;
        }
    }
    assert!(refused > 4, "{refused}");
}
