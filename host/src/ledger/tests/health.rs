//! A database that is gone for a while: it is asked while no request comes, and used again when it is back.
use super::*;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A store that answers nothing while it is gone.
struct Absent {
    store: Sqlite,
    is_gone: Arc<AtomicBool>,
}

impl Absent {
    fn check(&self) -> Result<(), StoreFault> {
        let is_gone = self.is_gone.load(Ordering::Relaxed);
        if is_gone { Err(StoreFault::Failed("as the test says".into())) } else { Ok(()) }
    }
}

impl Store for Absent {
    fn load(&mut self, requests: &mut dyn Iterator<Item = &Request>) -> Result<Batch, StoreFault> {
        self.check()?;
        self.store.load(requests)
    }
    fn save(&mut self, batch: &Batch) -> Result<(), StoreFault> {
        self.store.save(batch)
    }
    fn abandon(&mut self) {
        self.store.abandon();
    }
    fn reopen(&mut self) -> Result<(), StoreFault> {
        self.check()?;
        self.store.reopen()
    }
    fn enrolment(&mut self, name: &Name) -> Result<Option<Enrolment>, StoreFault> {
        self.check()?;
        self.store.enrolment(name)
    }
    fn close(&mut self) -> Result<(), StoreFault> {
        self.store.close()
    }
}

/// A ledger on such a store, and the switch.
fn absent(folder: &TempDir) -> (Folder, GroupCommitter<Absent>, Arc<AtomicBool>) {
    let (lock, store) = store(folder.path()).unwrap();
    let is_gone = Arc::<AtomicBool>::default();
    (lock, committer(Absent { store, is_gone: is_gone.clone() }), is_gone)
}

#[test]
fn a_fault_that_a_probe_or_a_look_at_a_terminal_meets_is_settled_when_the_database_is_back() {
    type Look = fn(&mut GroupCommitter<Absent>);
    let probe: Look = |ledger| ledger.probe();
    let enrolment: Look = |ledger| assert!(ledger.enrolment(&"a".parse().unwrap()).is_err());
    for look in [probe, enrolment] {
        let folder = TempDir::new().unwrap();
        let (_lock, mut ledger, is_gone) = absent(&folder);
        ledger.probe();
        assert!(ledger.deadline().is_none() && ledger.enrolment(&"a".parse().unwrap()).is_ok());
        is_gone.store(true, Ordering::Relaxed);
        look(&mut ledger);
        for _ in 0..3 {
            assert!(ledger.deadline().is_some(), "it is opened anew");
            ledger.commit();
        }
        is_gone.store(false, Ordering::Relaxed);
        ledger.commit();
        assert!(ledger.deadline().is_none() && ledger.enrolment(&"a".parse().unwrap()).is_ok());
    }
}

#[test]
fn a_probe_finds_that_another_process_has_taken_the_journal_over() {
    let folder = TempDir::new().unwrap();
    let (lock, sqlite) = store(folder.path()).unwrap();
    let mut first = committer(sqlite);
    drop(lock);
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut second = committer(sqlite);
    first.probe();
    let reason = first.failure().unwrap();
    assert!(reason.contains("epoch was 1 at 1970-01-01T00:00:01.000Z, and is 2 at"), "{reason}");
    second.probe();
    assert_eq!(second.failure(), None);
}
