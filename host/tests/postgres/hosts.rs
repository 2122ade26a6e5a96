//! Several hosts on one ledger: the database arbitrates, by row locks, turns and the epochs of journals.
use super::{Host, MemoryMark, admitted, create, deposit, hello, migrate, named, open, units};
use atm_cluster::Cluster;
use atm_core::ledger::{Admission, BLOCK, Command, InDoubt, Ledger, Operation, Outcome, Request, Response};
use atm_host::ledger::postgres::Database;
use std::{
    sync::{Arc, Barrier, atomic::AtomicU64},
    thread,
};

fn clock() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(1_000))
}

#[test]
fn every_deposit_of_two_hosts_into_one_account_counts_once() {
    const EACH: u64 = 100;
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        for name in ["host", "second"] {
            let (database, barrier) = (&database, &barrier);
            scope.spawn(move || {
                let mut host = open(database, name, &MemoryMark::new(), &clock()).unwrap();
                let turn = admitted(&host.apply(&named(name, 0, hello(1))).unwrap());
                barrier.wait();
                for id in 1..=EACH {
                    let response = host.apply(&named(name, turn, deposit(id, 1))).unwrap();
                    assert!(
                        matches!(response, Response::Settled { outcome: Outcome::Done(_), .. }),
                        "{response:?}"
                    );
                }
            });
        }
    });
    let sql = |sql| cluster.sql("ledger", sql);
    assert_eq!(sql("SELECT balance, version FROM accounts WHERE account = 1"), "30000|201");
    // The order of the entries is that of the account's versions.
    let ordered = "SELECT count(*) FROM (SELECT version, row_number() OVER (ORDER BY position) AS place FROM entries) AS entries
                   WHERE version = place";
    assert_eq!(sql(ordered), "201");
    assert_eq!(sql("SELECT coalesce(sum(amount), 0) FROM movements"), "0");
}

/// The first number that a hello gets.
fn first(admission: &Admission) -> u64 {
    admission.numbers.end() - u64::from(BLOCK)
}

/// Applies a request at each of two hosts, at the same instant.
pub(crate) fn at_once(hosts: &mut [Host; 2], requests: [Request; 2]) -> [Response; 2] {
    let barrier = Barrier::new(2);
    let responses = thread::scope(|scope| {
        let both = hosts.iter_mut().zip(&requests).map(|(host, request)| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                host.apply(request).unwrap()
            })
        });
        both.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    responses.try_into().unwrap()
}

pub(crate) fn two_hosts(database: &Database) -> [Host; 2] {
    ["host", "second"].map(|name| open(database, name, &MemoryMark::new(), &clock()).unwrap())
}

#[test]
fn a_new_name_at_two_hosts_at_once_gets_no_number_twice_and_is_served_by_the_later() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mut hosts = two_hosts(&database);
    for number in 1..=20 {
        let name = &format!("kiosk-{number}");
        let responses = at_once(&mut hosts, [1, 2].map(|start| named(name, 0, hello(start))));
        let admissions = responses.map(|response| match response {
            Response::Admitted(admission) => admission,
            other => panic!("{other:?}"),
        });
        let mut numbers = admissions.map(|admission| (first(&admission), admission.numbers.end()));
        numbers.sort();
        assert!(numbers[0].1 <= numbers[1].0, "{numbers:?}");
        let later = usize::from(admissions[1].turn > admissions[0].turn);
        let id = first(&admissions[later]);
        let requests = [0, 1].map(|host| named(name, admissions[host].turn, deposit(id, 1)));
        let responses = at_once(&mut hosts, requests);
        assert_eq!(responses[1 - later], Response::Fenced);
        assert!(
            matches!(responses[later], Response::Settled { outcome: Outcome::Done(_), .. }),
            "{responses:?}"
        );
    }
    assert_eq!(cluster.sql("ledger", "SELECT balance FROM accounts"), "12000");
}

#[test]
fn one_operation_at_two_hosts_at_once_is_done_once() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mut hosts = two_hosts(&database);
    let turn = admitted(&hosts[0].apply(&named("kiosk", 0, hello(1))).unwrap());
    for id in 1..=20 {
        let withdraw = Command::Operate { id, operation: Operation::Withdraw(units(1)) };
        // One of them asks for the outcome, which voids it if it is first.
        let other = if id % 2 == 0 { withdraw } else { Command::Settle { id } };
        let [one, two] = at_once(&mut hosts, [named("kiosk", turn, withdraw), named("kiosk", turn, other)]);
        assert_eq!(one, two);
    }
    let (balance, done) = (
        cluster.sql("ledger", "SELECT 10000 - balance FROM accounts"),
        cluster.sql("ledger", "SELECT 100 * count(*) FROM entries WHERE kind = 'done'"),
    );
    assert_eq!(balance, done);
}

#[test]
fn a_second_process_under_a_hosts_name_fences_the_first() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mark = MemoryMark::new();
    let mut first = open(&database, "host", &mark, &clock()).unwrap();
    let turn = admitted(&first.apply(&named("kiosk", 0, hello(1))).unwrap());
    let mut second = open(&database, "host", &mark, &clock()).unwrap();
    assert_eq!(first.apply(&named("kiosk", turn, deposit(1, 1))), Err(InDoubt));
    assert!(first.0.has_failed());
    assert!(second.apply(&named("kiosk", turn, deposit(1, 1))).is_ok());
    assert_eq!(cluster.sql("ledger", "SELECT balance FROM accounts"), "10100");
}
