//! The ledger in SQLite, over a folder: the contract, and batches in doubt.
use super::{
    Enrolment,
    batch::Batch,
    committer::GroupCommitter,
    folder::Folder,
    sqlite::{Beginning, Sqlite},
    store::{Head, Store, StoreFault, Turn},
};
use crate::names::NameQuota;
use atm_core::{
    ledger::{
        Account, AccountNumber, Command, Epoch, HelloClaim, InDoubt, Ledger, LedgerId, Name, Operation,
        Origin, Outcome, Receipt, Rejection, Request, Response, SessionId, Ticket, contract,
    },
    money::Amount,
    time::UnixTime,
};
use std::{collections::BTreeMap, path::Path};
use tempfile::TempDir;

mod audit;
mod bank;
mod card_orders;
mod cards;
mod folder;
mod health;
mod operator;
mod restore;

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn beginning() -> Beginning {
    Beginning { identity: LedgerId(7), balance: units(100), time: UnixTime::from_millis(1) }
}

fn store(folder: &Path) -> Result<(Folder, Sqlite), StoreFault> {
    let folder = Folder::lock(folder)?;
    let store = folder.open(beginning(), false)?;
    Ok((folder, store))
}

fn committer<S: Store>(store: S) -> GroupCommitter<S> {
    let clock = Box::new(|| UnixTime::from_millis(1_000));
    GroupCommitter::open(store, 5, clock, Default::default()).unwrap()
}

/// One request at a time. A test that meets another process's transaction submits and commits by itself.
impl<S: Store> Ledger for GroupCommitter<S> {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        self.submit(request.clone())?;
        self.commit();
        self.responses()?.pop().map(|(_, response)| response).ok_or(InDoubt)
    }
}

fn named(name: &str, turn: u32, command: Command) -> Request {
    let origin = Origin::Terminal(name.parse().unwrap());
    Request { ticket: Ticket::default(), origin, turn, command }
}

fn hello(start: u64) -> Command {
    let epoch = Epoch::clear(start, 1);
    Command::Hello(HelloClaim { epoch, admit_equal: false, ledger: Some(LedgerId(7)), seen: 0 })
}

fn deposit(id: u64) -> Command {
    Command::Operate { id, operation: Operation::Deposit(units(1)) }
}

/// Folders that are gone with the test; no clock, like the suite's reference.
#[derive(Default)]
struct Folders(Vec<TempDir>);

struct Locked {
    committer: GroupCommitter<Sqlite>,
    _folder: Folder,
}

impl Ledger for Locked {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        self.committer.apply(request)
    }
}

impl contract::Store for Folders {
    type Ledger = Locked;

    fn create(&mut self, balance: Amount) -> Locked {
        assert_eq!(balance, units(100));
        self.0.push(TempDir::new().unwrap());
        let (folder, store) = store(self.0.last().unwrap().path()).unwrap();
        Locked { committer: committer(store), _folder: folder }
    }

    fn reopen(&mut self, old: Locked) -> Locked {
        drop(old);
        let (folder, store) = store(self.0.last().unwrap().path()).unwrap();
        Locked { committer: committer(store), _folder: folder }
    }
}

#[test]
fn it_keeps_the_contract() {
    assert_eq!(contract::check(&mut Folders::default()), Ok(()));
}

/// A store whose saves return an error as the list says: after the commit, or in its place.
struct Doubtful {
    store: Sqlite,
    fails: Vec<Fails>,
    reopened: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fails {
    Not,
    Before,
    After,
}

impl Store for Doubtful {
    fn load(&mut self, requests: &mut dyn Iterator<Item = &Request>) -> Result<Batch, StoreFault> {
        self.store.load(requests)
    }
    fn save(&mut self, batch: &Batch) -> Result<(), StoreFault> {
        let failed = || Err(StoreFault::Failed("as the test says".into()));
        match self.fails.pop().unwrap_or(Fails::Not) {
            Fails::Not => self.store.save(batch),
            Fails::After => self.store.save(batch).and_then(|()| failed()),
            Fails::Before => {
                self.store.abandon();
                failed()
            }
        }
    }
    fn abandon(&mut self) {
        self.store.abandon();
    }
    fn reopen(&mut self) -> Result<(), StoreFault> {
        self.reopened += 1;
        self.store.reopen()
    }
    fn enrolment(&mut self, name: &Name) -> Result<Option<Enrolment>, StoreFault> {
        self.store.enrolment(name)
    }
    fn close(&mut self) -> Result<(), StoreFault> {
        self.store.close()
    }
}

#[test]
fn a_batch_in_doubt_is_settled_by_a_write_whatever_of_it_stands() {
    use Fails::{After, Before, Not};
    for (batch, settles) in [
        (Before, vec![]),
        (After, vec![]),
        (Before, vec![Before]),
        (Before, vec![After]),
        (After, vec![Before, After]),
        (Before, vec![After, Before, After]),
        (Before, vec![Before, After, After, Before]),
    ] {
        let folder = TempDir::new().unwrap();
        let (_lock, sqlite) = store(folder.path()).unwrap();
        // The list is taken from its end: the opening, the hello, the batch, and the settling writes.
        let mut fails: Vec<Fails> = [Not, Not, batch].into_iter().chain(settles.clone()).collect();
        fails.reverse();
        let mut ledger = committer(Doubtful { store: sqlite, fails, reopened: 0 });
        let admitted = ledger.apply(&named("a", 0, hello(1))).unwrap();
        let Response::Admitted(admission) = admitted else { panic!("{admitted:?}") };
        let session = Request { origin: Origin::Session(SessionId::new(9)), ..named("a", 0, deposit(1)) };
        for request in [
            named("a", admission.turn, deposit(1)),
            session,
            named("b", 0, hello(1)),
            named("a", admission.turn, Command::Settle { id: 1 }),
        ] {
            ledger.submit(request).unwrap();
        }
        let mut responses = vec![];
        for _ in 0..20 {
            ledger.commit();
            responses.extend(ledger.responses().unwrap());
        }
        let outcome = |request: &Request| {
            let found = responses.iter().find(|(answered, _)| answered == request);
            match found.map(|(_, response)| *response) {
                Some(Response::Settled { outcome, .. }) => outcome,
                other => panic!("{request:?} {other:?}"),
            }
        };
        assert_eq!(responses.len(), 4, "{batch:?} {settles:?}");
        let operation = outcome(&named("a", admission.turn, deposit(1)));
        assert_eq!(
            outcome(&named("a", admission.turn, Command::Settle { id: 1 })),
            operation,
            "{batch:?} {settles:?}"
        );
        let stands = batch == After;
        assert_eq!(matches!(operation, Outcome::Done(_)), stands, "{batch:?} {settles:?}");
        if !stands {
            assert_eq!(operation, Outcome::NotDone);
        }
        let unnamed = Request { origin: Origin::Session(SessionId::new(9)), ..named("a", 0, deposit(1)) };
        assert_eq!(outcome(&unnamed) == Outcome::Unknown, !stands);
        // The other terminal is admitted in its first turn: no hello was done twice.
        let inquiry = Command::Operate { id: 2, operation: Operation::Inquiry };
        assert!(matches!(ledger.apply(&named("b", 1, inquiry)), Ok(Response::Settled { .. })));
        let late = ledger.apply(&named("a", admission.turn, deposit(1))).unwrap();
        assert_eq!(late, Response::Settled { id: 1, outcome: operation }, "the outcome is final");
    }
}

#[test]
fn new_names_of_a_batch_in_doubt_are_taken_from_the_quota_if_it_stands() {
    for batch in [Fails::Before, Fails::After] {
        let folder = TempDir::new().unwrap();
        let (_lock, sqlite) = store(folder.path()).unwrap();
        // From its end: the opening, the batch.
        let fails = vec![batch, Fails::Not];
        let mut ledger = committer(Doubtful { store: sqlite, fails, reopened: 0 });
        // No name is refilled within the test.
        ledger.set_name_quota(NameQuota::new(9, 1, std::time::Instant::now()));
        ledger.submit(named("a", 0, hello(1))).unwrap();
        for _ in 0..3 {
            ledger.commit();
        }
        let [(_, Response::Admitted(_))] = ledger.responses().unwrap()[..] else { panic!("{batch:?}") };
        let second = ledger.apply(&named("b", 0, hello(1))).unwrap();
        assert_eq!(second, Response::Rejected(Rejection::Full), "{batch:?}");
    }
}

/// A store that is at the position of any save so far, as `shows` says for each load; no save but the first and the last
/// returns.
struct Shifting {
    saved: Vec<(Head, Turn)>,
    shows: Vec<usize>,
}

impl Store for Shifting {
    fn load(&mut self, _: &mut dyn Iterator<Item = &Request>) -> Result<Batch, StoreFault> {
        let (head, turn) = self.saved[self.shows.remove(0)];
        let account = Account { number: AccountNumber::OPEN, balance: units(100), version: 1 };
        Ok(Batch {
            ledger: LedgerId(7),
            journal: 1,
            head,
            turn,
            account: (account, false),
            cards: Default::default(),
            limits: None,
            terminals: BTreeMap::new(),
            names: 0,
            max_names: 7,
            closed: Default::default(),
            entries: Vec::new(),
            duplicates: 0,
        })
    }
    fn save(&mut self, batch: &Batch) -> Result<(), StoreFault> {
        self.saved.push((batch.head, batch.turn));
        let returns = self.saved.len() == 2 || self.shows.is_empty();
        if returns { Ok(()) } else { Err(StoreFault::Failed("as the test says".into())) }
    }
    fn abandon(&mut self) {}
    fn reopen(&mut self) -> Result<(), StoreFault> {
        Ok(())
    }
    fn enrolment(&mut self, _: &Name) -> Result<Option<Enrolment>, StoreFault> {
        Ok(None)
    }
    fn close(&mut self) -> Result<(), StoreFault> {
        Ok(())
    }
}

#[test]
fn a_settling_write_that_fails_may_take_the_batch_with_it_or_bring_it_back() {
    // Position 1 is that before the batch, 2 that behind it; behind these are the settling writes.
    for (shows, stands) in [
        (vec![2, 1], false),
        (vec![1, 2], true),
        (vec![2, 3, 1], false),
        (vec![1, 3], false),
        (vec![1, 3, 2], true),
    ] {
        let script = [vec![0, 1], shows.clone()].concat();
        let mut ledger = committer(Shifting { saved: vec![Default::default()], shows: script });
        let origin = Origin::Session(SessionId::new(9));
        ledger.submit(Request { origin, ..named("a", 0, deposit(1)) }).unwrap();
        for _ in 0..=shows.len() {
            ledger.commit();
        }
        let responses = ledger.responses().unwrap();
        let [(_, Response::Settled { outcome, .. })] = responses[..] else { panic!("{responses:?}") };
        assert_eq!(matches!(outcome, Outcome::Done(_)), stands, "{shows:?}: {outcome:?}");
        assert_eq!(outcome == Outcome::Unknown, !stands);
    }
}

#[test]
fn a_second_process_fences_the_first() {
    let folder = TempDir::new().unwrap();
    let (lock, sqlite) = store(folder.path()).unwrap();
    let mut first = committer(sqlite);
    // The lock is for the message: without it the epoch of the journal decides.
    let error = store(folder.path()).unwrap_err().to_string();
    let reason = format!("another process has the ledger open (process {})", std::process::id());
    assert!(error.ends_with(&reason), "{error}");
    drop(lock);
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut second = committer(sqlite);
    assert!(first.apply(&named("a", 0, hello(1))).is_err());
    assert!(first.submit(named("a", 0, hello(1))).is_err(), "it has failed for good");
    assert!(second.apply(&named("a", 0, hello(1))).is_ok());
}

#[test]
fn a_transaction_of_another_process_delays_a_batch_and_does_not_block_the_loop() {
    let folder = TempDir::new().unwrap();
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut ledger = committer(sqlite);
    let other = rusqlite::Connection::open(folder.path().join(super::sqlite::FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    ledger.submit(named("a", 0, hello(1))).unwrap();
    ledger.commit();
    assert!(ledger.responses().unwrap().is_empty() && !ledger.has_work() && ledger.deadline().is_some());
    other.execute_batch("COMMIT").unwrap();
    ledger.commit();
    assert!(matches!(ledger.responses().unwrap()[..], [(_, Response::Admitted(_))]));
}
