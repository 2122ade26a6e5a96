//! Row locks: what two hosts do with one row while both wait for it, and what a lock that is kept by another holds up.
//!
//! A person's transaction in psql holds the row until both hosts wait for it, so that each has begun before the other has committed.
use super::{
    Host, MemoryMark,
    bank::{self, Session, bank, outcome},
    create, deposit,
    hosts::{at_once, two_hosts},
    migrate, named, open, turn, units,
};
use atm_cluster::{Cluster, Psql};
use atm_core::ledger::{AccountNumber, Ledger, Operation, Outcome, Refusal, Request, Response};
use atm_host::ledger::{
    postgres::Postgres,
    store::{Store, StoreFault},
};
use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < until, "it does not come");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A person's session, with a transaction that has locked something.
fn person(cluster: &Cluster, lock: &str) -> Psql {
    let mut person = Psql::start(cluster, "ledger");
    assert!(!person.rows(&format!("BEGIN; {lock} FOR UPDATE")).unwrap().is_empty());
    person
}

/// The beginnings of the hosts' transactions that wait for a lock.
fn waiting(watcher: &mut Psql) -> BTreeSet<String> {
    let select =
        "SELECT xact_start FROM pg_stat_activity WHERE application_name = 'atm' AND wait_event_type = 'Lock'";
    watcher.rows(select).unwrap().into_iter().flatten().flatten().collect()
}

/// Applies a request at each of two hosts; both wait for the row, the first for longer.
fn while_locked(
    cluster: &Cluster,
    lock: &str,
    hosts: &mut [Host; 2],
    requests: [Request; 2],
) -> [Response; 2] {
    let (mut person, mut watcher) = (person(cluster, lock), Psql::start(cluster, "ledger"));
    let responses = thread::scope(|scope| {
        let both = (1..).zip(hosts.iter_mut().zip(&requests));
        let threads: Vec<_> = both
            .map(|(count, (host, request))| {
                let thread = scope.spawn(move || host.apply(request).unwrap());
                wait_until(|| waiting(&mut watcher).len() == count);
                thread
            })
            .collect();
        person.rows("COMMIT").unwrap();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    responses.try_into().unwrap()
}

const CARD: &str = "SELECT card FROM cards WHERE card = 1";

#[test]
fn two_hosts_that_wait_for_one_account_do_not_both_take_its_last_money() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mut hosts = two_hosts(&database);
    let turns = [0, 1].map(|at| turn(&mut hosts[at], &format!("kiosk-{at}")));
    let withdraw = |id| {
        let operation = Operation::Withdraw(units(80));
        [0, 1].map(|at| {
            let command = atm_core::ledger::Command::Operate { id, operation };
            named(&format!("kiosk-{at}"), turns[at], command)
        })
    };
    let lock = "SELECT account FROM accounts WHERE account = 1";
    let responses = while_locked(&cluster, lock, &mut hosts, withdraw(1)).map(outcome);
    assert!(matches!(responses[0], Outcome::Done(_)), "{responses:?}");
    assert_eq!(responses[1], Outcome::Refused(Refusal::Insufficient { balance: units(20) }));
    for id in 2..=20 {
        cluster.sql("ledger", "UPDATE accounts SET balance = 10000");
        let responses = at_once(&mut hosts, withdraw(id)).map(outcome);
        let done = responses.iter().filter(|outcome| matches!(outcome, Outcome::Done(_))).count();
        assert_eq!(done, 1, "{responses:?}");
    }
}

#[test]
fn two_hosts_that_wait_for_one_card_keep_the_limit_of_its_day() {
    let (cluster, database) = bank();
    let now = Arc::new(AtomicU64::new(bank::NOON));
    let mut hosts = bank::two_hosts(&database, &now);
    let mut sessions = [0, 1].map(|at| Session::begin(&mut hosts[at], &format!("kiosk-{at}"), 0));
    for day in 0..20 {
        let requests = sessions.each_mut().map(|session| session.operation(Operation::Withdraw(units(80))));
        let responses = if day < 3 {
            while_locked(&cluster, CARD, &mut hosts, requests)
        } else {
            at_once(&mut hosts, requests)
        };
        let mut outcomes = responses.map(outcome);
        outcomes.sort_by_key(|outcome| matches!(outcome, Outcome::Done(_)));
        let [refused, done] = outcomes;
        assert_eq!(refused, Outcome::Refused(Refusal::DayLimit { left: units(20) }), "{done:?}");
        assert!(matches!(done, Outcome::Done(_)));
        now.fetch_add(86_400_000, Ordering::Relaxed);
        cluster.sql("ledger", "UPDATE accounts SET balance = 100000 WHERE account = 7");
    }
}

#[test]
fn a_card_that_is_blocked_at_one_host_while_another_waits_for_it_gives_no_money() {
    for is_blocked_first in [true, false] {
        let (cluster, database) = bank();
        let mut hosts = bank::two_hosts(&database, &Arc::new(AtomicU64::new(bank::NOON)));
        let mut customer = Session::begin(&mut hosts[1], "kiosk", 0);
        let mut guess = |name: &str| Session::hello(&mut hosts[0], name, 0);
        let [mut first, mut second, mut third] = ["thief-1", "thief-2", "thief-3"].map(&mut guess);
        for thief in [&mut first, &mut second] {
            let judged = outcome(hosts[0].apply(&thief.verification("1379")).unwrap());
            assert_eq!(judged, Outcome::Refused(Refusal::NotVerified));
        }
        let withdrawal = customer.operation(Operation::Withdraw(units(80)));
        let blocking = third.verification("1379");
        let [judged, moved] = if is_blocked_first {
            while_locked(&cluster, CARD, &mut hosts, [blocking, withdrawal])
        } else {
            hosts.reverse();
            let [moved, judged] = while_locked(&cluster, CARD, &mut hosts, [withdrawal, blocking]);
            [judged, moved]
        };
        assert_eq!(outcome(judged), Outcome::Refused(Refusal::NotVerified));
        let moved = outcome(moved);
        match is_blocked_first {
            true => assert_eq!(moved, Outcome::Refused(Refusal::NoAccess)),
            false => assert!(matches!(moved, Outcome::Done(_)), "{moved:?}"),
        }
        assert_eq!(cluster.sql("ledger", "SELECT tries, blocked FROM cards WHERE card = 1"), "3|1");
    }
}

#[test]
fn wrong_pins_at_two_hosts_at_the_same_instant_are_all_counted() {
    let (cluster, database) = bank();
    let mut hosts = bank::two_hosts(&database, &Arc::new(AtomicU64::new(bank::NOON)));
    let mut tries = |round: usize| {
        [0, 1].map(|at| {
            let mut session = Session::hello(&mut hosts[at], &format!("kiosk-{round}-{at}"), 0);
            session.verification("1379")
        })
    };
    let [first, second, third] = [0, 1, 2].map(&mut tries);
    let row = || cluster.sql("ledger", "SELECT tries, refusals, blocked FROM cards WHERE card = 1");
    for (requests, expected) in [(first, "2|2|0"), (second, "3|4|1"), (third, "3|6|1")] {
        let responses = while_locked(&cluster, CARD, &mut hosts, requests).map(outcome);
        assert_eq!(responses, [Outcome::Refused(Refusal::NotVerified); 2]);
        assert_eq!(row(), expected);
    }
    // Of a card with another number the decoy's row counts, for two new rounds.
    for round in 3..13 {
        cluster.sql("ledger", "UPDATE cards SET tries = 0, refusals = 0, blocked = 0 WHERE card = 1");
        let requests = [0, 1].map(|at| {
            let mut session = Session::hello(&mut hosts[at], &format!("kiosk-{round}-{at}"), 0);
            session.verification("1379")
        });
        at_once(&mut hosts, requests);
        assert_eq!(row(), "2|2|0");
    }
}

#[test]
fn transfers_in_both_directions_at_two_hosts_at_once_wait_for_each_other_in_one_order() {
    let (cluster, database) = bank();
    let mut hosts = bank::two_hosts(&database, &Arc::new(AtomicU64::new(bank::NOON)));
    let mut sessions = [0, 1].map(|at| Session::begin(&mut hosts[at], &format!("kiosk-{at}"), at));
    for _ in 0..60 {
        let [one, other] = sessions.each_mut();
        let transfer =
            |payee, amount| Operation::Transfer { payee: AccountNumber(payee), amount: units(amount) };
        let requests = [one.operation(transfer(8, 2)), other.operation(transfer(7, 1))];
        let responses = at_once(&mut hosts, requests).map(outcome);
        assert!(responses.iter().all(|outcome| matches!(outcome, Outcome::Done(_))), "{responses:?}");
    }
    let balances = "SELECT string_agg(balance::text, ' ' ORDER BY account) FROM accounts WHERE account > 1";
    assert_eq!(cluster.sql("ledger", balances), "94000 106000");
    let log = fs::read_to_string(cluster.folder().join("log")).unwrap();
    assert!(!log.contains("deadlock"), "{log}");
}

#[test]
fn a_persons_open_transaction_holds_an_operation_up_which_is_done_once_after_it() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger").with_deadline(Duration::from_secs(1));
    migrate(&database);
    let mut host = open(&database, "host", &MemoryMark::new(), &Arc::default()).unwrap();
    let turn = turn(&mut host, "kiosk");
    let mut person = person(&cluster, "SELECT account FROM accounts WHERE account = 1");
    let mut watcher = Psql::start(&cluster, "ledger");
    let response = thread::scope(|scope| {
        let host = scope.spawn(|| host.apply(&named("kiosk", turn, deposit(1, 1))).unwrap());
        // It gives up its locks and begins anew, three times at least.
        let mut begun = BTreeSet::new();
        wait_until(|| {
            begun.extend(waiting(&mut watcher));
            begun.len() > 3
        });
        person.rows("COMMIT").unwrap();
        host.join().unwrap()
    });
    assert!(matches!(outcome(response), Outcome::Done(_)), "{response:?}");
    let done = "SELECT balance, (SELECT count(*) FROM entries WHERE kind = 'done') FROM accounts";
    assert_eq!(cluster.sql("ledger", done), "10100|1");
    // It was not in doubt: the epoch is that of the start.
    assert_eq!(cluster.sql("ledger", "SELECT epoch FROM journals WHERE name = 'host'"), "1");
}

#[test]
fn a_host_that_waits_for_its_journal_has_locked_nothing_that_another_needs() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mut hosts = two_hosts(&database);
    let turn = turn(&mut hosts[1], "kiosk");
    let mut person = person(&cluster, "SELECT journal FROM journals WHERE name = 'host'");
    let mut watcher = Psql::start(&cluster, "ledger");
    let [first, second] = &mut hosts;
    thread::scope(|scope| {
        let held = scope.spawn(|| first.apply(&named("kiosk", turn, deposit(1, 1))).unwrap());
        wait_until(|| waiting(&mut watcher).len() == 1);
        // The same terminal, operation and account.
        let done = second.apply(&named("kiosk", turn, deposit(1, 1))).unwrap();
        assert!(!held.is_finished());
        person.rows("COMMIT").unwrap();
        assert_eq!(held.join().unwrap(), done);
    });
    assert_eq!(cluster.sql("ledger", "SELECT balance FROM accounts"), "10100");
}

#[test]
fn a_transaction_that_a_host_leaves_open_is_ended_by_the_server_and_commits_nothing() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger").with_deadline(Duration::from_secs(1));
    migrate(&database);
    let mut host = open(&super::database(&cluster, "ledger"), "second", &MemoryMark::new(), &Arc::default());
    let host = host.as_mut().unwrap();
    let turn = turn(host, "kiosk");
    let request = named("kiosk", turn, deposit(1, 1));
    let mut stopped = Postgres::open(database, "host", MemoryMark::new().open()).unwrap();
    let mut batch = stopped.load(&mut [request.clone()].iter()).unwrap();
    // The process has stopped, with the account locked.
    let done = host.apply(&request).unwrap();
    assert!(matches!(outcome(done), Outcome::Done(_)), "{done:?}");
    batch.decide(&request, atm_core::time::UnixTime::from_millis(1));
    batch.head.batches += 1;
    assert!(matches!(stopped.save(&batch), Err(StoreFault::Failed(_))));
    assert_eq!(cluster.sql("ledger", "SELECT balance FROM accounts"), "10100");
}
