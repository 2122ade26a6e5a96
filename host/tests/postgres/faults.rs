//! Faults of the database: what was acknowledged stands, and what is in doubt is settled by a write.
use super::{Host, MemoryMark, admitted, bank, create, deposit, hello, migrate, named, open, units};
use atm_cluster::Cluster;
use atm_core::{
    ledger::{Command, InDoubt, Ledger, Outcome, Response, card::Limits},
    time::UnixTime,
};
use atm_host::ledger::{
    postgres::{Database, Postgres, in_database},
    store::{Store, StoreFault},
};
use std::sync::{Arc, atomic::AtomicU64};

fn host(database: &Database, mark: &MemoryMark) -> Result<Host, StoreFault> {
    open(database, "host", mark, &Arc::new(AtomicU64::new(1_000)))
}

#[test]
fn a_session_that_the_server_ends_leaves_an_operation_done_or_voided() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mut host = host(&database, &MemoryMark::new()).unwrap();
    let turn = admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
    let (mut done, mut voided) = (0, 0);
    for id in 1..=20 {
        // Ends the session before the request, or in its transaction: the row is locked by another until then.
        let lock = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atm'";
        if id % 2 == 0 {
            cluster.sql("ledger", lock);
        }
        match host.apply(&named("kiosk", turn, deposit(id, 1))).unwrap() {
            Response::Settled { outcome: Outcome::Done(_), .. } => done += 1,
            Response::Settled { outcome: Outcome::NotDone, .. } => voided += 1,
            other => panic!("{other:?}"),
        }
        let again = host.apply(&named("kiosk", turn, Command::Settle { id })).unwrap();
        assert!(
            matches!(again, Response::Settled { outcome: Outcome::Done(_) | Outcome::NotDone, .. }),
            "{again:?}"
        );
    }
    assert_eq!(cluster.sql("ledger", "SELECT balance FROM accounts"), (10_000 + 100 * done).to_string());
    assert_eq!(cluster.sql("ledger", "SELECT count(*) FROM entries WHERE kind = 'void'"), voided.to_string());
}

#[test]
fn a_journal_that_was_changed_by_hand_while_its_host_serves_closes_the_ledger() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mut host = host(&database, &MemoryMark::new()).unwrap();
    let turn = admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
    assert!(host.apply(&named("kiosk", turn, deposit(1, 1))).is_ok());
    let journal = "SELECT number FROM journals WHERE name = 'host'";
    let entries = "SELECT count(*) FROM entries";
    let (number, count) = (cluster.sql("ledger", journal), cluster.sql("ledger", entries));
    cluster.sql("ledger", "UPDATE journals SET number = number + 1 WHERE name = 'host'");
    for id in 2..4 {
        assert_eq!(host.apply(&named("kiosk", turn, deposit(id, 1))), Err(InDoubt));
    }
    assert_eq!(cluster.sql("ledger", entries), count);
    assert_ne!(cluster.sql("ledger", journal), number);
}

#[test]
fn a_database_behind_the_mark_is_refused() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mark = MemoryMark::new();
    let mut first = host(&database, &mark).unwrap();
    let turn = admitted(&first.apply(&named("kiosk", 0, hello(1))).unwrap());
    drop(first);
    cluster.sql("postgres", "CREATE DATABASE copy TEMPLATE ledger");
    let mut first = host(&database, &mark).unwrap();
    assert!(first.apply(&named("kiosk", turn, deposit(1, 1))).is_ok());
    drop(first);
    let copy = super::database(&cluster, "copy");
    let refused = in_database(host(&copy, &mark).err().unwrap());
    assert!(matches!(refused, StoreFault::DamagedDatabase(_)), "{refused}");
    // The ways out of a damaged folder are none here.
    let refused = refused.to_string();
    assert!(refused.contains("--host-name") && !refused.contains("--accept-loss"), "{refused}");
    assert!(host(&database, &mark).is_ok());
    // Without the mark it is not known what was acknowledged.
    assert!(matches!(host(&copy, &MemoryMark::new()), Err(StoreFault::Unusable(_))));
    let other = Postgres::open(copy, "operator", MemoryMark::new().open());
    assert!(matches!(other, Err(StoreFault::Unusable(_))));
}

#[test]
fn a_database_without_tables_is_refused() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    let refused = host(&database, &MemoryMark::new()).err().unwrap().to_string();
    assert!(refused.contains("atm ledger migrate"), "{refused}");
}

#[test]
fn a_row_that_the_database_does_not_accept_is_not_in_the_message() {
    let (cluster, database) = bank::bank();
    let [mut host, _] = bank::two_hosts(&database, &Arc::new(AtomicU64::new(bank::NOON)));
    let mut session = bank::Session::hello(&mut host, "kiosk", 0);
    drop(host);
    let mut store = Postgres::open(database, "third", MemoryMark::new().open()).unwrap();
    cluster.sql("ledger", "ALTER TABLE cards ADD CONSTRAINT rule CHECK (tries = 0)");
    let request = session.verification("1111");
    let mut batch = store.load(&mut [&request].into_iter()).unwrap();
    batch.limits = Some(Limits { withdrawal: units(100), day: units(100) });
    batch.decide(&request, UnixTime::from_millis(bank::NOON));
    let refused = store.save(&batch);
    let Err(StoreFault::Rejected(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("\"rule\""), "{reason}");
    for cell in cluster.sql("ledger", "SELECT token, verifier FROM cards WHERE card = 1").split('|') {
        assert!(cell.len() > 30 && !reason.contains(cell), "{reason}");
    }
}
