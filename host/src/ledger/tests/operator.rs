//! The operator's journal: orders beside a committer, and what verification says of them.
use super::*;
use crate::access::Status;
use crate::ledger::{
    backup::restore,
    enrol::{Order, Refused},
    operator::{Operator, OrderFault},
    reader::Reader,
};

const TIME: UnixTime = UnixTime::from_millis(2_000);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn order(folder: &Path, terminal: &str, order: Order) -> Result<Enrolment, OrderFault> {
    Operator::open(folder, 7).unwrap().order(&name(terminal), order, None, TIME)
}

fn sealed(series: u32, start: u64) -> Epoch {
    Epoch { series, step: 0, start, attempt: 1 }
}

fn hello_of(epoch: Epoch, ledger: Option<LedgerId>, seen: u64) -> Command {
    Command::Hello(HelloClaim { epoch, ledger, seen, admit_equal: false })
}

#[track_caller]
fn verify(folder: &Path) {
    assert_eq!(Reader::open(folder).unwrap().verify(&mut |_| ()).unwrap().faults, [""; 0]);
}

#[test]
fn orders_beside_a_server_are_entries_and_fence_no_host() {
    let folder = TempDir::new().unwrap();
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut ledger = committer(sqlite);
    assert_eq!(ledger.enrolment(&name("a")).unwrap(), None);
    let Response::Admitted(clear) = ledger.apply(&named("a", 0, hello(9))).unwrap() else { panic!() };
    ledger.apply(&named("a", clear.turn, deposit(1))).unwrap();

    let enrolled = order(folder.path(), "a", Order::AddKey).unwrap();
    assert_eq!(ledger.enrolment(&name("a")).unwrap(), Some(enrolled));
    assert!(enrolled.may_use(1));
    // The conversation in clear is over, and so is every hello in clear.
    let revoked = Response::Rejected(Rejection::Revoked);
    assert_eq!(ledger.apply(&named("a", clear.turn, deposit(2))).unwrap(), revoked);
    let refused = Response::Rejected(Rejection::InUse);
    assert_eq!(ledger.apply(&named("a", 0, hello(u64::MAX))).unwrap(), refused);
    let Response::Admitted(admitted) = ledger.apply(&named("a", 0, hello_of(sealed(1, 1), None, 0))).unwrap()
    else {
        panic!()
    };
    ledger.apply(&named("a", admitted.turn, deposit(admitted.numbers.end() - 1))).unwrap();

    // The former series is valid until the first hello of the next.
    assert!(order(folder.path(), "a", Order::Rotate).unwrap().may_use(1));
    ledger.apply(&named("a", 0, hello_of(sealed(2, 1), None, 0))).unwrap();
    let rotated = ledger.enrolment(&name("a")).unwrap().unwrap();
    assert!(!rotated.may_use(1) && rotated.may_use(2));
    assert_eq!(ledger.apply(&named("a", 0, hello_of(sealed(1, 2), None, 0))).unwrap(), refused);

    let Response::Admitted(live) = ledger.apply(&named("a", 0, hello_of(sealed(2, 2), None, 0))).unwrap()
    else {
        panic!()
    };
    order(folder.path(), "a", Order::Revoke).unwrap();
    let next = deposit(live.numbers.end() - 1);
    assert_eq!(ledger.apply(&named("a", live.turn, next)).unwrap(), revoked);
    assert_eq!(ledger.apply(&named("a", 0, hello_of(sealed(2, 3), None, 0))).unwrap(), refused);
    verify(folder.path());
    assert!(ledger.close());
    verify(folder.path());
    let overview = Reader::open(folder.path()).unwrap().overview().unwrap();
    assert_eq!(overview.journals.iter().map(|journal| journal.head.number).collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn a_revocation_between_the_look_at_a_row_and_the_commit_of_its_hello_refuses_the_hello() {
    let folder = TempDir::new().unwrap();
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut ledger = committer(sqlite);
    order(folder.path(), "a", Order::AddCertificate).unwrap();
    let Response::Admitted(live) = ledger.apply(&named("a", 0, hello(1))).unwrap() else { panic!() };
    assert!(ledger.enrolment(&name("a")).unwrap().unwrap().tls);
    order(folder.path(), "a", Order::Revoke).unwrap();
    let refused = Response::Rejected(Rejection::InUse);
    assert_eq!(ledger.apply(&named("a", 0, hello(2))).unwrap(), refused);
    let next = deposit(live.numbers.end() - 1);
    // Enrolled again, the name has another conversation.
    for enrols_again in [false, true] {
        if enrols_again {
            order(folder.path(), "a", Order::AddCertificate).unwrap();
        }
        let response = ledger.apply(&named("a", live.turn, next)).unwrap();
        assert_eq!(response, Response::Rejected(Rejection::Revoked));
    }
    assert!(matches!(ledger.apply(&named("a", 0, hello(2))).unwrap(), Response::Admitted(_)));
    assert_eq!(ledger.apply(&named("a", live.turn, next)).unwrap(), Response::Fenced);
    verify(folder.path());
}

#[test]
fn a_refused_order_leaves_no_entry() {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()).unwrap());
    let fault = order(folder.path(), "a", Order::Rotate).unwrap_err();
    assert!(matches!(fault, OrderFault::Refused(_, Refused::NotEnrolled)), "{fault:?}");
    let mut operator = Operator::open(folder.path(), 7).unwrap();
    let fault = operator.order(&name("a"), Order::AddKey, Some(2), TIME).unwrap_err();
    assert!(matches!(fault, OrderFault::Changed(_)), "{fault:?}");
    assert_eq!(operator.confirm_all(TIME).unwrap(), 0);
    drop(operator);
    let reader = Reader::open(folder.path()).unwrap();
    let overview = reader.overview().unwrap();
    assert_eq!((overview.entries, overview.terminals), (1, 0));
    assert!(Operator::open(TempDir::new().unwrap().path(), 7).is_err());
}

#[test]
fn an_enrolled_name_is_admitted_where_the_quota_has_no_room_for_another() {
    let folder = TempDir::new().unwrap();
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut ledger = committer(sqlite);
    ledger.set_name_quota(NameQuota::new(0, 1, std::time::Instant::now()));
    order(folder.path(), "a", Order::AddKey).unwrap();
    order(folder.path(), "b", Order::AddCertificate).unwrap();
    let full = Response::Rejected(Rejection::Full);
    assert_eq!(ledger.apply(&named("c", 0, hello(1))).unwrap(), full);
    for request in [named("a", 0, hello_of(sealed(1, 1), None, 0)), named("b", 0, hello(1))] {
        assert!(matches!(ledger.apply(&request).unwrap(), Response::Admitted(_)), "{request:?}");
    }
    verify(folder.path());
}

#[test]
fn a_set_back_that_an_authentic_hello_proves_closes_its_terminal_until_it_is_confirmed() {
    let folder = TempDir::new().unwrap();
    let (_lock, sqlite) = store(folder.path()).unwrap();
    let mut ledger = committer(sqlite);
    for terminal in ["a", "b"] {
        order(folder.path(), terminal, Order::AddKey).unwrap();
    }
    for (terminal, epoch) in [("a", sealed(1, 1)), ("clear", Epoch::clear(1, 1))] {
        let proof = hello_of(epoch, Some(LedgerId(7)), 5_000);
        let response = ledger.apply(&named(terminal, 0, proof)).unwrap();
        let is_closed = matches!(response, Response::Rejected(Rejection::SetBack(_)));
        let is_admitted = matches!(response, Response::Admitted(admission) if admission.set_back.is_some());
        assert_eq!((is_closed, is_admitted), (terminal == "a", terminal == "clear"), "{response:?}");
    }
    let mut closed = |terminal| ledger.enrolment(&name(terminal)).unwrap().unwrap().closed;
    assert_eq!(["a", "b", "clear"].map(&mut closed), [true, false, false]);
    verify(folder.path());
    assert!(!order(folder.path(), "a", Order::Confirm).unwrap().closed);
    assert!(!closed("a"));
    verify(folder.path());
}

#[test]
fn a_restored_ledger_closes_all_enrolled_terminals_until_they_are_confirmed() {
    let [folder, other] = [(); 2].map(|()| TempDir::new().unwrap());
    let (lock, sqlite) = store(folder.path()).unwrap();
    for (terminal, kind) in [("a", Order::AddKey), ("b", Order::AddCertificate), ("c", Order::AddKey)] {
        order(folder.path(), terminal, kind).unwrap();
    }
    order(folder.path(), "c", Order::Revoke).unwrap();
    drop((lock, sqlite));
    let backup = other.path().join("backup");
    Reader::open(folder.path()).unwrap().backup(&backup).unwrap();
    let restored = other.path().join("data");
    restore(&backup, &restored, Beginning { identity: LedgerId(8), ..beginning() }, &mut |_| ()).unwrap();
    verify(&restored);
    let rows = |folder| {
        let rows = Reader::open(folder).unwrap().enrolments().unwrap();
        rows.into_iter().map(|(_, _, row)| (row.status(), row.closed)).collect::<Vec<_>>()
    };
    let [key, certificate] = [Status::Key, Status::Certificate];
    assert_eq!(rows(&restored)[..2], [(key, true), (certificate, true)]);
    assert_eq!(rows(&restored)[2].0, Status::Revoked);
    assert_eq!(rows(folder.path())[..2], [(key, false), (certificate, false)]);
    order(&restored, "b", Order::Confirm).unwrap();
    assert_eq!(rows(&restored)[..2], [(key, true), (certificate, false)]);
    assert!(Operator::open(&restored, 7).unwrap().confirm_all(TIME).unwrap() > 0);
    assert_eq!(rows(&restored)[..2], [(key, false), (certificate, false)]);
    verify(&restored);
}

#[test]
fn a_row_that_no_order_gives_is_found() {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()).unwrap());
    order(folder.path(), "a", Order::AddKey).unwrap();
    order(folder.path(), "b", Order::AddKey).unwrap();
    order(folder.path(), "b", Order::Revoke).unwrap();
    for (change, undo) in [
        ("series = 2 WHERE terminal = 'a'", "series = 1 WHERE terminal = 'a'"),
        ("tls = 1 WHERE terminal = 'a'", "tls = 0 WHERE terminal = 'a'"),
        ("closed = 1 WHERE terminal = 'a'", "closed = 0 WHERE terminal = 'a'"),
        ("epoch_series = 0 WHERE terminal = 'a'", "epoch_series = 1 WHERE terminal = 'a'"),
        ("epoch_series = 1 WHERE terminal = 'b'", "epoch_series = 2 WHERE terminal = 'b'"),
    ] {
        let write = |change: &str| {
            let database = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
            assert_eq!(database.execute(&format!("UPDATE terminals SET {change}"), []).unwrap(), 1);
        };
        write(change);
        let report = Reader::open(folder.path()).unwrap().verify(&mut |_| ()).unwrap();
        assert!(!report.faults.is_empty(), "{change}");
        write(undo);
        verify(folder.path());
    }
}

#[test]
fn an_order_waits_for_the_transaction_of_another_process() {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()).unwrap());
    let other = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut operator = Operator::open(folder.path(), 7).unwrap();
    let waiting = std::thread::spawn(move || operator.order(&name("a"), Order::AddKey, None, TIME));
    other.execute_batch("COMMIT").unwrap();
    assert!(waiting.join().unwrap().is_ok());
}
