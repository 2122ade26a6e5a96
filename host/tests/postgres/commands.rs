//! Commands on a ledger in a shared database.
use super::{MemoryMark, admitted, create, deposit, hello, named, open};
use atm_cluster::Cluster;
use atm_core::ledger::Ledger;
use std::{
    process::{Command, Output},
    sync::{Arc, atomic::AtomicU64},
};

fn atm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atm")).args(arguments).output().unwrap()
}

/// What a command prints that succeeds.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = atm(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command says that fails.
pub(crate) fn refused(arguments: &[&str]) -> String {
    let output = atm(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
}

/// A ledger on which two hosts took turns.
pub(crate) fn used() -> (Cluster, String) {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    let url = cluster.url("ledger");
    let made = printed(&["ledger", "migrate", "--database", &url, "--balance", "250.50"]);
    assert!(made.contains("a new ledger"), "{made}");
    let mut hosts = ["host", "second"]
        .map(|name| open(&database, name, &MemoryMark::new(), &Arc::new(AtomicU64::new(1_000))).unwrap());
    let turns =
        [0, 1].map(|at| admitted(&hosts[at].apply(&named(&format!("kiosk-{at}"), 0, hello(1))).unwrap()));
    for id in 1..=5 {
        for at in [0, 1] {
            hosts[at].apply(&named(&format!("kiosk-{at}"), turns[at], deposit(id, 1))).unwrap();
        }
    }
    (cluster, url)
}

#[test]
fn a_ledger_of_two_hosts_is_verified_shown_exported_and_backed_up() {
    let (_cluster, url) = used();
    let again = printed(&["ledger", "migrate", "--database", &url]);
    assert!(again.contains("of this version"), "{again}");
    let verified = printed(&["ledger", "verify", "--database", &url]);
    assert!(verified.starts_with("ok\n") && verified.contains("balance    $260.50"), "{verified}");
    assert!(verified.contains("host") && verified.contains("second"), "{verified}");
    let shown = printed(&["ledger", "show", "--database", &url, "--terminal", "kiosk-1"]);
    assert!(shown.contains("deposit"), "{shown}");
    let lines = printed(&["ledger", "export", "--database", &url]);
    assert_eq!(lines.lines().filter(|line| line.contains(",deposit,")).count(), 10);
    let folder = tempfile::tempdir().unwrap();
    let [backup, data] = ["backup.db", "data"].map(|name| folder.path().join(name).display().to_string());
    printed(&["ledger", "backup", &backup, "--database", &url]);
    printed(&["ledger", "restore", &backup, "--data", &data]);
    let restored = printed(&["ledger", "verify", "--data", &data]);
    assert!(restored.contains("balance    $260.50"), "{restored}");
}

#[test]
fn an_operators_orders_are_entries_beside_two_hosts() {
    let (_cluster, url) = used();
    let folder = tempfile::tempdir().unwrap();
    let [secrets, key] =
        ["secrets", "kiosk-7.key"].map(|name| folder.path().join(name).display().to_string());
    printed(&["secrets", "new", &secrets]);
    let ordered = |arguments: &[&str]| printed(&[arguments, &["--database", &url]].concat());
    ordered(&["terminal", "add", "kiosk-7", "--out", &key, "--secrets", &secrets]);
    ordered(&["terminal", "add", "kiosk-8", "--tls"]);
    ordered(&["terminal", "revoke", "kiosk-8"]);
    let terminals = ordered(&["terminal", "list"]);
    assert!(terminals.contains("kiosk-7") && terminals.contains("revoked"), "{terminals}");
    for owner in ["Ada Lovelace", "Grace Hopper"] {
        ordered(&["account", "open", "--owner", owner, "--balance", "50"]);
    }
    ordered(&["account", "freeze", "1001"]);
    let accounts = ordered(&["account", "list"]);
    assert!(accounts.contains("1000  open") && accounts.contains("1001  frozen"), "{accounts}");
    let card = ordered(&["card", "issue", "--account", "1000", "--secrets", &secrets, "--json"]);
    assert!(card.contains(r#""card":1,"number":""#), "{card}");
    ordered(&["card", "block", "1"]);
    let other = folder.path().join("other").display().to_string();
    printed(&["secrets", "new", &other]);
    ordered(&["card", "unblock", "1"]);
    let reason = refused(&["card", "issue", "--account", "1000", "--secrets", &other, "--database", &url]);
    assert!(reason.contains("no key of the ledger's cards"), "{reason}");
    assert!(ordered(&["card", "list"]).contains("in use"));
    let verified = printed(&["ledger", "verify", "--database", &url]);
    assert!(verified.contains("journal operator 9 "), "{verified}");
}

#[test]
fn rows_that_were_changed_by_hand_are_found() {
    for (changed, word) in [
        ("UPDATE accounts SET balance = balance + 1", "account"),
        ("UPDATE entries SET amount = 1 WHERE journal = 3 AND number = 2", "entry"),
        ("DELETE FROM entries WHERE journal = 3 AND number = 5", "second"),
        ("UPDATE terminals SET last_id = 9 WHERE terminal = 'kiosk-1'", "kiosk-1"),
    ] {
        let (cluster, url) = used();
        cluster.sql("ledger", changed);
        let found = refused(&["ledger", "verify", "--database", &url]);
        assert!(found.contains(word) && found.contains("inconsistent"), "{changed}: {found}");
    }
}

#[test]
fn tables_that_are_out_of_step_are_refused() {
    let (cluster, url) = used();
    for (change, back) in [
        ("ALTER TABLE cards DROP COLUMN day", "ALTER TABLE cards ADD COLUMN day BIGINT"),
        (
            "ALTER TABLE accounts ALTER COLUMN balance TYPE numeric",
            "ALTER TABLE accounts ALTER COLUMN balance TYPE bigint",
        ),
        ("UPDATE ledger SET format = 99", "UPDATE ledger SET format = 5"),
        (
            "CREATE TABLE gone AS TABLE ledger; DELETE FROM ledger",
            "INSERT INTO ledger TABLE gone; DROP TABLE gone",
        ),
    ] {
        cluster.sql("ledger", change);
        for command in ["migrate", "verify"] {
            let reason = refused(&["ledger", command, "--database", &url]);
            assert!(
                ["not those of this version", "this one reads 5", "has 0 rows"]
                    .iter()
                    .any(|word| reason.contains(word)),
                "{change}: {reason}"
            );
        }
        cluster.sql("ledger", back);
    }
}

#[test]
fn an_address_with_a_password_is_refused() {
    let reason = refused(&["ledger", "migrate", "--database", "postgres://atm:secret@127.0.0.1/atm"]);
    assert!(reason.contains("PGPASSFILE") && !reason.contains("secret"), "{reason}");
}

#[test]
fn a_wrong_address_folder_or_name_is_refused_with_what_is_wrong() {
    let (cluster, url) = used();
    let missing = refused(&["ledger", "migrate", "--database", &cluster.url("missing")]);
    assert!(missing.contains("createdb") && !missing.contains("ledger migrate"), "{missing}");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log", "off"];
    for (options, exit, word) in [
        (&["--check-config", "--database", "nonsense", "--data", "x"][..], 2, "postgres://"),
        (&["--database", "nonsense", "--data", "x"], 2, "postgres://"),
        (&["--database", &url, "--data", "/proc/missing", "--host-name", "third"], 1, "/proc/missing: "),
        (&["--database", &url, "--data", "x", "--host-name", "a b"], 2, "a host's name"),
    ] {
        let output = atm(&[&serve, options].concat());
        let reason = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{options:?}: {reason}");
        assert!(reason.contains(word), "{options:?}: {reason}");
    }
}
