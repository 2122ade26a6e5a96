//! An auditor in Python, which has nothing of ours, derives the tables again from the entries, and finds rows that were changed by hand.
use super::{
    bank::{NOON, Session, bank, outcome, two_hosts},
    commands::{refused, used},
    units,
};
use atm_cluster::Cluster;
use atm_core::ledger::{AccountNumber, Ledger, Operation, Outcome, Refusal};
use std::{
    process::{Command, Output},
    sync::{Arc, atomic::AtomicU64},
};

fn audited(url: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/e2e/audit_tables.py");
    Command::new("python3").args([script, url]).output().unwrap()
}

fn agrees(url: &str, balances: &str) {
    let output = audited(url);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{balances}ok\n"));
}

/// Each change, made in a copy of the ledger, is found by the auditor, and by `atm ledger verify`.
fn finds(cluster: &Cluster, changes: &[&str]) {
    for (number, change) in changes.iter().enumerate() {
        let copy = format!("copy{number}");
        cluster.sql("postgres", &format!("CREATE DATABASE {copy} TEMPLATE ledger"));
        let changed = cluster
            .sql(&copy, &format!("WITH changed AS ({change} RETURNING 1) SELECT count(*) FROM changed"));
        assert_ne!(changed, "0", "{change}");
        let output = audited(&cluster.url(&copy));
        assert!(output.status.code() == Some(1) && output.stderr.is_empty(), "{change}: {output:?}");
        assert!(!output.stdout.ends_with(b"ok\n"), "{change}: {output:?}");
        refused(&["ledger", "verify", "--database", &cluster.url(&copy)]);
    }
}

#[test]
fn an_auditor_of_a_ledger_of_two_hosts_finds_each_change() {
    let (cluster, url) = used();
    agrees(&url, "account 1: $260.50\n");
    finds(
        &cluster,
        &[
            "UPDATE accounts SET balance = balance + 1",
            "UPDATE accounts SET version = version - 1",
            "UPDATE entries SET time = time + 1 WHERE journal = 3 AND number = 2",
            "DELETE FROM entries WHERE journal = 3 AND number = 5",
            "DELETE FROM entries WHERE journal = 1 AND number = 3",
            "UPDATE entries SET hash = reverse(hash) WHERE journal = 1 AND number = 2",
            "UPDATE journals SET number = number - 1 WHERE name = 'second'",
            "DELETE FROM journals WHERE name = 'second'",
            "UPDATE terminals SET last_id = last_id - 1 WHERE terminal = 'kiosk-1'",
            "UPDATE terminals SET last_balance = 1 WHERE terminal = 'kiosk-0'",
            "UPDATE terminals SET next_number = 5 WHERE terminal = 'kiosk-0'",
            "UPDATE terminals SET series = 1 WHERE terminal = 'kiosk-0'",
            "DELETE FROM terminals WHERE terminal = 'kiosk-1'",
            "UPDATE ledger SET identity = '0000000000000001'",
        ],
    );
    // A database that cannot be read is not in order.
    cluster.sql("ledger", "DROP VIEW movements");
    let output = audited(&url);
    assert!(!output.status.success() && !output.stdout.ends_with(b"ok\n"), "{output:?}");
}

#[test]
fn an_auditor_of_cards_at_two_hosts_finds_each_change() {
    let (cluster, database) = bank();
    let mut hosts = two_hosts(&database, &Arc::new(AtomicU64::new(NOON)));
    let mut sessions = [0, 1].map(|at| Session::begin(&mut hosts[at], &format!("kiosk-{at}"), at));
    let payee = AccountNumber(8);
    let operations = [
        Operation::Transfer { payee, amount: units(30) },
        Operation::Withdraw(units(20)),
        Operation::Deposit(units(5)),
    ];
    for (at, operation) in operations.into_iter().flat_map(|operation| [(0, operation), (1, operation)]) {
        let outcome = outcome(hosts[at].apply(&sessions[at].operation(operation)).unwrap());
        let is_to_itself = at == 1 && matches!(operation, Operation::Transfer { .. });
        assert!(is_to_itself || matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    let mut guesser = Session::hello(&mut hosts[0], "kiosk-2", 1);
    let refusal = outcome(hosts[0].apply(&guesser.verification("1379")).unwrap());
    assert_eq!(refusal, Outcome::Refused(Refusal::NotVerified));
    drop(hosts);
    agrees(&cluster.url("ledger"), "account 1: $100\naccount 7: $955\naccount 8: $1015\n");
    finds(
        &cluster,
        &[
            "UPDATE accounts SET balance = balance + 1 WHERE account = 8",
            "UPDATE accounts SET owner = 'Eve' WHERE account = 7",
            "UPDATE accounts SET state = 'frozen' WHERE account = 7",
            "UPDATE cards SET tries = 0 WHERE card = 2",
            "UPDATE cards SET refusals = refusals - 1 WHERE card = 2",
            "UPDATE cards SET blocked = 1 WHERE card = 1",
            "UPDATE cards SET version = version + 1 WHERE card = 1",
            "UPDATE cards SET withdrawn = 0 WHERE card = 1",
            "UPDATE cards SET day = day - 1 WHERE card = 1",
            "UPDATE cards SET accounts = '7 8' WHERE card = 1",
            "UPDATE cards SET token = reverse(token) WHERE card = 1",
            "UPDATE cards SET verifier = (SELECT verifier FROM cards WHERE card = 1) WHERE card = 2",
            "DELETE FROM cards WHERE card = 2",
            "UPDATE entries SET payee = 9 WHERE payee_version IS NOT NULL",
            "UPDATE entries SET card = 1 WHERE reason = 'not-verified'",
            "UPDATE terminals SET last_payee = 8 WHERE terminal = 'kiosk-1'",
        ],
    );
}
