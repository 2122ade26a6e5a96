//! Commits in doubt: a settling write says whether a batch stands, whatever the connection, the server or an error has left of it.
use super::{
    Host, MemoryMark, bank::outcome, create, database, deposit, locks::wait_until, migrate, named, open, turn,
};
use atm_cluster::{Cluster, Fault, Proxy, Psql, When, held};
use atm_core::ledger::{Ledger, Outcome, Response};
use atm_host::ledger::postgres::Database;
use std::{
    process::Stdio,
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::{Duration, Instant},
};

/// How long an exchange may take here.
const DEADLINE: Duration = Duration::from_secs(1);

/// A new ledger, a proxy before its server, and a host of it with a terminal's turn.
fn proxied(cluster: &Cluster) -> (Proxy, Host, u32) {
    migrate(&create(cluster, "ledger"));
    let proxy = Proxy::start(cluster, 6_000);
    let database = Database::new(&proxy.url("ledger"), None, false).unwrap().with_deadline(DEADLINE);
    let mut host = open(&database, "host", &MemoryMark::new(), &Arc::new(AtomicU64::new(1_000))).unwrap();
    let turn = turn(&mut host, "kiosk");
    (proxy, host, turn)
}

fn deposited(host: &mut Host, turn: u32, id: u64) -> Outcome {
    outcome(host.apply(&named("kiosk", turn, deposit(id, 1))).unwrap())
}

/// The balance, deposits that were done, voids, and the epoch of the host.
fn state(cluster: &Cluster) -> String {
    let count = |kind| format!("(SELECT count(*) FROM entries WHERE kind = '{kind}')");
    let epoch = "(SELECT epoch FROM journals WHERE name = 'host')";
    cluster.sql(
        "ledger",
        &format!("SELECT balance, {}, {}, {epoch} FROM accounts", count("done"), count("void")),
    )
}

#[test]
fn a_commit_without_an_answer_is_done_or_voided_by_the_settling_write() {
    let cluster = Cluster::start();
    let (proxy, mut host, turn) = proxied(&cluster);
    for (id, fault, is_done, expected) in [
        (1, Fault::CutBefore, false, "10000|0|1|2"),
        (2, Fault::CutAfter, true, "10100|1|1|3"),
        (3, Fault::SilentBefore, false, "10100|1|2|4"),
        (4, Fault::SilentAfter, true, "10200|2|2|5"),
    ] {
        proxy.inject(When::Commit, fault);
        let began = Instant::now();
        let outcome = deposited(&mut host, turn, id);
        assert!(proxy.cancel() && began.elapsed() < 9 * DEADLINE, "{:?}", began.elapsed());
        assert_eq!(matches!(outcome, Outcome::Done(_)), is_done, "{outcome:?}");
        assert!(is_done || outcome == Outcome::NotDone, "{outcome:?}");
        assert_eq!(state(&cluster), expected);
    }
    assert_eq!(proxy.cancel_requests(), 0);
}

#[test]
fn a_host_waits_once_for_a_server_that_falls_silent() {
    let cluster = Cluster::start();
    migrate(&create(&cluster, "ledger"));
    let proxy = Proxy::start(&cluster, 6_000);
    let deadline = 3 * DEADLINE;
    let database = Database::new(&proxy.url("ledger"), None, false).unwrap().with_deadline(deadline);
    let mut host = open(&database, "host", &MemoryMark::new(), &Arc::new(AtomicU64::new(1_000))).unwrap();
    let turn = turn(&mut host, "kiosk");
    // In the load: nothing was to be committed yet, and the batch is decided again.
    proxy.inject(When::Request(0), Fault::SilentBefore);
    let began = Instant::now();
    assert!(matches!(deposited(&mut host, turn, 1), Outcome::Done(_)));
    let took = began.elapsed();
    assert!((deadline..2 * deadline).contains(&took), "{took:?}");
    assert_eq!(state(&cluster), "10100|1|0|2");
}

#[test]
fn a_commit_that_arrives_late_finds_its_locks_kept_or_its_transaction_ended() {
    let cluster = Cluster::start();
    let (proxy, mut host, turn) = proxied(&cluster);
    let mut watcher = Psql::start(&cluster, "ledger");
    let waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'atm' AND wait_event_type = 'Lock'";
    // While the settling write waits for the journal, which the first transaction has locked.
    for id in [1, 2] {
        let (release, fault) = held(Fault::Held);
        proxy.inject(When::Commit, fault);
        let outcome = thread::scope(|scope| {
            let host = scope.spawn(|| deposited(&mut host, turn, id));
            wait_until(|| !watcher.rows(waits).unwrap().is_empty());
            assert!(!host.is_finished());
            release.send(true).unwrap();
            host.join().unwrap()
        });
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    assert_eq!(state(&cluster), "10200|2|0|3");
    // After the server has ended the first transaction, and the settling write has voided it.
    for (id, fault) in [(3, Fault::Held as fn(_) -> _), (4, Fault::SilentHeld as fn(_) -> _)] {
        let (release, fault) = held(fault);
        proxy.inject(When::Commit, fault);
        assert_eq!(deposited(&mut host, turn, id), Outcome::NotDone);
        release.send(true).unwrap();
        assert_eq!(deposited(&mut host, turn, id), Outcome::NotDone);
    }
    assert_eq!(state(&cluster), "10200|2|2|5");
}

#[test]
fn a_settling_write_in_doubt_is_done_again() {
    let cluster = Cluster::start();
    let (proxy, mut host, turn) = proxied(&cluster);
    // What happens to the commit, and to two settling ones; the second finds what the first has left.
    for (id, first, then) in [
        (1, Fault::CutBefore, [Fault::CutAfter, Fault::CutBefore]),
        (2, Fault::CutAfter, [Fault::CutAfter, Fault::CutAfter]),
        (3, Fault::CutBefore, [Fault::CutAfter, Fault::CutAfter]),
    ] {
        let is_done = matches!(first, Fault::CutAfter);
        proxy.inject(When::Commit, first);
        let outcome = thread::scope(|scope| {
            let host = scope.spawn(|| deposited(&mut host, turn, id));
            for fault in then {
                proxy.wait();
                proxy.inject(When::Commit, fault);
            }
            proxy.wait();
            host.join().unwrap()
        });
        assert_eq!(matches!(outcome, Outcome::Done(_)), is_done, "{outcome:?}");
    }
    // Settling writes that stood have raised the epoch too.
    assert_eq!(state(&cluster), "10100|1|2|9");
}

#[test]
fn a_commit_whose_wait_for_a_standby_is_cancelled_is_not_acknowledged() {
    // A server's words depend on its language.
    for (language, word) in [("", "ERROR"), ("de", "FEHLER")] {
        let cluster = Cluster::start_in(language);
        let raised = cluster.client("postgres").args(["-c", "SELECT 1 / 0"]).output().unwrap();
        assert!(String::from_utf8_lossy(&raised.stderr).starts_with(word), "{raised:?}");
        a_cancelled_commit_is_not_acknowledged(&cluster);
    }
}

fn a_cancelled_commit_is_not_acknowledged(cluster: &Cluster) {
    let ledger = create(cluster, "ledger");
    migrate(&ledger);
    let mut host = open(&ledger, "host", &MemoryMark::new(), &Arc::new(AtomicU64::new(1_000))).unwrap();
    let turn = turn(&mut host, "kiosk");
    let mut watcher = Psql::start(cluster, "ledger");
    let standby = |watcher: &mut Psql, name: &str| {
        watcher.rows(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).unwrap();
        watcher.rows("SELECT pg_reload_conf()").unwrap();
        wait_until(|| watcher.rows("SHOW synchronous_standby_names").unwrap() == [[Some(name.to_owned())]]);
    };
    standby(&mut watcher, "missing");
    // The checkpointer's process has to read the setting too, before any commit waits.
    let commit = || {
        let mut psql = cluster.client("ledger");
        psql.args(["-c", "SELECT pg_logical_emit_message(true, '', '')"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut other = commit();
    wait_until(|| {
        if other.try_wait().unwrap().is_some() {
            other = commit();
        }
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        !watcher.rows(waiting).unwrap().is_empty()
    });
    let waits = "SELECT pid FROM pg_stat_activity WHERE application_name = 'atm' AND wait_event = 'SyncRep'";
    let outcome = thread::scope(|scope| {
        let host = scope.spawn(|| deposited(&mut host, turn, 1));
        let mut cancelled = None;
        // The server answers COMMIT with a warning. It is not acknowledged: the settling write waits for the standby too.
        for _ in 0..2 {
            let mut rows = Vec::new();
            wait_until(|| {
                rows = watcher.rows(waits).unwrap();
                rows.first().is_some_and(|row| Some(row) != cancelled.as_ref())
            });
            assert!(!host.is_finished());
            let pid = rows[0][0].clone().unwrap();
            watcher.rows(&format!("SELECT pg_cancel_backend({pid})")).unwrap();
            cancelled = rows.pop();
        }
        assert!(!host.is_finished());
        standby(&mut watcher, "");
        host.join().unwrap()
    });
    assert!(other.wait().unwrap().success());
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert!(state(cluster).starts_with("10100|1|0|"), "{}", state(cluster));
}

/// Has the next commit with an entry fail with this code, when its constraints are checked or its row is inserted.
fn fails_once(cluster: &Cluster, code: &str, at_commit: bool) {
    let trigger = if at_commit {
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED"
    } else {
        "CREATE TRIGGER fail BEFORE INSERT ON entries"
    };
    cluster.sql(
        "ledger",
        &format!(
            "DROP TRIGGER IF EXISTS fail ON entries; DROP SEQUENCE IF EXISTS failures; CREATE SEQUENCE failures;
             CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('failures') = 1 THEN RAISE EXCEPTION USING ERRCODE = '{code}'; END IF;
                 RETURN NEW; END $$;
             {trigger} FOR EACH ROW EXECUTE FUNCTION fail()"
        ),
    );
}

#[test]
fn only_what_the_server_has_certainly_not_done_is_done_again() {
    let cluster = Cluster::start();
    let (_proxy, mut host, turn) = proxied(&cluster);
    let mut epoch = 1;
    let codes = [
        // A conflict of transactions: the batch is decided again.
        ("40001", true),
        ("40P01", true),
        ("55P03", true),
        // In doubt, and voided.
        ("40003", false),
        ("08006", false),
        ("08007", false),
        ("57P01", false),
        ("57P03", false),
        ("53100", false),
        ("XX000", false),
    ];
    let cases = codes.iter().flat_map(|case| [(case, false), (case, true)]);
    for (id, ((code, is_again), at_commit)) in (1..).zip(cases) {
        fails_once(&cluster, code, at_commit);
        let outcome = deposited(&mut host, turn, id);
        assert_eq!(matches!(outcome, Outcome::Done(_)), *is_again, "{code}: {outcome:?}");
        assert!(*is_again || outcome == Outcome::NotDone, "{code}: {outcome:?}");
        epoch += u64::from(!is_again);
        let found = cluster.sql("ledger", "SELECT epoch FROM journals WHERE name = 'host'");
        assert_eq!(found, epoch.to_string(), "{code}");
    }
    assert!(state(&cluster).starts_with("10600|6|14|"), "{}", state(&cluster));
}

#[test]
fn a_batch_with_a_row_that_is_not_accepted_is_committed_one_by_one() {
    let cluster = Cluster::start();
    let (_proxy, mut host, _) = proxied(&cluster);
    let names = ["a", "b", "c", "d"];
    let turns = names.map(|name| turn(&mut host, name));
    // A violated constraint, and a text that the database cannot store.
    for (id, code) in [(1, "23514"), (2, "22021")] {
        cluster.sql(
            "ledger",
            &format!(
                "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     IF NEW.terminal = 'b' THEN RAISE EXCEPTION USING ERRCODE = '{code}'; END IF;
                     RETURN NEW; END $$;
                 CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION fail()"
            ),
        );
        for (name, turn) in names.iter().zip(turns) {
            host.0.submit(named(name, turn, deposit(id, 1))).unwrap();
        }
        host.0.commit();
        let outcomes: Vec<_> =
            host.0.responses().unwrap().into_iter().map(|(_, response)| outcome(response)).collect();
        assert_eq!(outcomes.len(), 4);
        for (name, outcome) in names.iter().zip(&outcomes) {
            assert_eq!(*outcome == Outcome::Unknown, *name == "b", "{outcomes:?}");
            assert_eq!(matches!(outcome, Outcome::Done(_)), *name != "b", "{outcomes:?}");
        }
    }
    // None of it was in doubt.
    assert_eq!(state(&cluster), "10600|6|0|1");
}

#[test]
fn a_save_fails_by_itself_where_the_journal_is_not_as_it_was_loaded() {
    for changed in ["epoch = epoch + 1", "owner = reverse(owner)", "batches = batches + 1"] {
        let cluster = Cluster::start();
        let (_proxy, mut host, _) = proxied(&cluster);
        // The locks of the load were of no use: the journal changes after it was read.
        cluster.sql(
            "ledger",
            &format!(
                "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     UPDATE journals SET {changed} WHERE name = 'host'; RETURN NEW; END $$;
                 CREATE TRIGGER take BEFORE INSERT ON terminals FOR EACH ROW EXECUTE FUNCTION take()"
            ),
        );
        let before = cluster.sql("ledger", "SELECT * FROM journals WHERE name = 'host'");
        let refused = host.apply(&named("another", 0, super::hello(1)));
        assert!(refused.is_err() && host.0.has_failed(), "{changed}: {refused:?}");
        // Nothing of the batch was committed.
        assert_eq!(cluster.sql("ledger", "SELECT count(*) FROM terminals WHERE terminal = 'another'"), "0");
        assert_eq!(cluster.sql("ledger", "SELECT * FROM journals WHERE name = 'host'"), before);
    }
}

#[test]
fn a_host_whose_database_is_replaced_by_an_older_one_stops() {
    let cluster = Cluster::start();
    let ledger = create(&cluster, "ledger");
    migrate(&ledger);
    let mut host = open(&ledger, "host", &MemoryMark::new(), &Arc::new(AtomicU64::new(1_000))).unwrap();
    let turn = turn(&mut host, "kiosk");
    let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'atm'";
    // As another server has it that takes over without the last commits.
    cluster.sql("ledger", end);
    cluster.sql("postgres", "CREATE DATABASE older TEMPLATE ledger");
    let first = host.apply(&named("kiosk", turn, deposit(1, 1)));
    assert!(matches!(first, Ok(Response::Settled { .. })), "{first:?}");
    assert!(matches!(deposited(&mut host, turn, 2), Outcome::Done(_)));
    cluster.sql("postgres", end);
    cluster.sql("postgres", "ALTER DATABASE ledger RENAME TO lost");
    cluster.sql("postgres", "ALTER DATABASE older RENAME TO ledger");
    let refused = host.apply(&named("kiosk", turn, deposit(3, 1)));
    assert!(refused.is_err() && host.0.has_failed(), "{refused:?}");
    assert_eq!(cluster.sql("ledger", "SELECT balance FROM accounts"), "10000");
    assert!(open(&database(&cluster, "ledger"), "third", &MemoryMark::new(), &Arc::default()).is_ok());
}
