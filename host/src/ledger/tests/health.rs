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

fn unnamed(session: u64, operation: Operation) -> Request {
    let command = Command::Operate { id: 1, operation };
    Request { origin: Origin::Session(SessionId::new(session)), ..named("a", 0, command) }
}

/// The responses by the sessions of their requests; 0 is a named terminal.
fn outcomes<S: Store>(ledger: &mut GroupCommitter<S>) -> BTreeMap<u64, Outcome> {
    let responses = ledger.responses().unwrap().into_iter();
    let settled = responses.filter_map(|(request, response)| match (request.origin, response) {
        (Origin::Session(session), Response::Settled { outcome, .. }) => Some((session.number, outcome)),
        (Origin::Terminal(_), Response::Settled { outcome, .. }) => Some((0, outcome)),
        _ => None,
    });
    settled.collect()
}

#[test]
fn an_unnamed_operation_is_unknown_at_once_while_the_database_is_gone_and_is_not_done_later() {
    let folder = TempDir::new().unwrap();
    let (_lock, mut ledger, is_gone) = absent(&folder);
    let Response::Admitted(admission) = ledger.apply(&named("a", 0, hello(1))).unwrap() else { panic!() };
    is_gone.store(true, Ordering::Relaxed);
    let deposits = |session| unnamed(session, Operation::Deposit(units(10)));
    for request in [deposits(1), named("a", admission.turn, deposit(1)), unnamed(2, Operation::Inquiry)] {
        ledger.submit(request).unwrap();
    }
    ledger.commit();
    assert_eq!(outcomes(&mut ledger), [(1, Outcome::Unknown)].into());
    // Also one that comes meanwhile.
    ledger.submit(deposits(3)).unwrap();
    assert_eq!(outcomes(&mut ledger), [(3, Outcome::Unknown)].into());
    is_gone.store(false, Ordering::Relaxed);
    ledger.commit();
    let settled = outcomes(&mut ledger);
    assert!(
        settled.len() == 2 && settled.values().all(|outcome| matches!(outcome, Outcome::Done(_))),
        "{settled:?}"
    );
    let Outcome::Done(Receipt::Balance { balance }) = settled[&2] else { panic!("{settled:?}") };
    assert_eq!(balance, units(101), "only the named one was done");
}

#[test]
fn an_unnamed_operation_that_has_waited_for_long_is_unknown_and_is_not_done() {
    let folder = TempDir::new().unwrap();
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut ledger = committer(sqlite);
    for (seconds, session) in [(6, 1), (4, 2)] {
        let since = std::time::Instant::now().checked_sub(std::time::Duration::from_secs(seconds)).unwrap();
        ledger.submit_since(unnamed(session, Operation::Deposit(units(10))), since).unwrap();
        ledger.commit();
    }
    let settled = outcomes(&mut ledger);
    assert_eq!(settled[&1], Outcome::Unknown);
    assert!(
        matches!(settled[&2], Outcome::Done(Receipt::Deposited { balance, .. }) if balance == units(110)),
        "{settled:?}"
    );
}

#[test]
fn an_unnamed_operation_whose_rows_are_locked_late_is_unknown_and_is_not_done() {
    let folder = TempDir::new().unwrap();
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut ledger = committer(Late(sqlite));
    let Response::Admitted(admission) = ledger.apply(&named("a", 0, hello(1))).unwrap() else { panic!() };
    let since = std::time::Instant::now().checked_sub(std::time::Duration::from_millis(4_500)).unwrap();
    for request in [unnamed(1, Operation::Deposit(units(10))), named("a", admission.turn, deposit(1))] {
        ledger.submit_since(request, since).unwrap();
    }
    ledger.commit();
    let settled = outcomes(&mut ledger);
    assert_eq!(settled[&1], Outcome::Unknown);
    assert!(
        matches!(settled[&0], Outcome::Done(Receipt::Deposited { balance, .. }) if balance == units(101)),
        "{settled:?}"
    );
}

/// A store that waits for a while for the locks of two requests.
struct Late(Sqlite);

impl Store for Late {
    fn load(&mut self, requests: &mut dyn Iterator<Item = &Request>) -> Result<Batch, StoreFault> {
        let requests: Vec<_> = requests.collect();
        if requests.len() > 1 {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        self.0.load(&mut requests.into_iter())
    }
    fn save(&mut self, batch: &Batch) -> Result<(), StoreFault> {
        self.0.save(batch)
    }
    fn abandon(&mut self) {
        self.0.abandon();
    }
    fn reopen(&mut self) -> Result<(), StoreFault> {
        self.0.reopen()
    }
    fn enrolment(&mut self, name: &Name) -> Result<Option<Enrolment>, StoreFault> {
        self.0.enrolment(name)
    }
    fn close(&mut self) -> Result<(), StoreFault> {
        self.0.close()
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

#[test]
fn a_transaction_that_stays_open_is_a_fault_after_three_seconds_and_until_it_ends() {
    let folder = TempDir::new().unwrap();
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let metrics = Arc::<crate::metrics::Metrics>::default();
    let clock = Box::new(|| UnixTime::from_millis(1_000));
    let mut ledger = GroupCommitter::open(sqlite, 5, clock, metrics.clone()).unwrap();
    let is_open = || metrics.to_string().contains("\natm_ledger_open 1\n");
    let other = rusqlite::Connection::open(folder.path().join(super::super::sqlite::FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = std::time::Instant::now();
    ledger.submit(unnamed(1, Operation::Deposit(units(10)))).unwrap();
    while is_open() {
        if ledger.has_work() {
            ledger.commit();
        }
        assert!(began.elapsed().as_secs() < 20);
    }
    assert!(began.elapsed().as_secs() >= 3);
    // Nothing waits any more, and the end of the transaction is looked for.
    while outcomes(&mut ledger).is_empty() {
        ledger.commit();
        assert!(began.elapsed().as_secs() < 20);
    }
    other.execute_batch("COMMIT").unwrap();
    while !is_open() {
        if ledger.has_work() {
            ledger.commit();
        }
        assert!(began.elapsed().as_secs() < 20);
    }
    assert!(!ledger.has_work() && ledger.deadline().is_none(), "it is at rest");
}
