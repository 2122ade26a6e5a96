//! A ledger's move from a folder to a shared database: nothing of it is lost, and it is served at one place alone.
use super::{
    commands::{printed, refused},
    serve::Server,
};
use atm_cluster::Cluster;
use std::{fs, path::Path, process::Command};

/// A folder with a ledger in which a terminal has deposited.
fn used(folder: &Path) -> String {
    let data = folder.join("host");
    let server = Server::start_local(&data);
    assert!(server.operate("kiosk-7", folder, &["deposit", "40"]).status.success());
    assert!(server.operate("kiosk-8", folder, &["withdraw", "500"]).status.code() == Some(3));
    data.display().to_string()
}

#[test]
fn a_ledger_that_is_moved_goes_on_in_the_database_and_not_in_its_folder() {
    let cluster = Cluster::start();
    cluster.create("ledger");
    let url = cluster.url("ledger");
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let data = used(folder);
    printed(&["account", "open", "--owner", "Ada", "--balance", "7", "--data", &data]);
    let before = printed(&["ledger", "export", "--data", &data]);
    let moved = printed(&["ledger", "move", "--data", &data, "--database", &url]);
    assert!(moved.contains(": moved\n") && moved.contains("$147 in all"), "{moved}");
    let again = printed(&["ledger", "move", "--data", &data, "--database", &url]);
    assert!(again.contains("it was moved before"), "{again}");
    assert_eq!(printed(&["ledger", "export", "--database", &url]), before);
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["ledger", "show"], &["account", "list"]] {
        let reason = refused(&[command, &["--data", &data]].concat());
        assert!(reason.contains("was moved to the database ledger"), "{reason}");
    }
    // The terminal's memory is of this ledger, and the folder's mark that of this host.
    let server = Server::start(&url, "host", folder);
    let known = server.operate("kiosk-7", folder, &["withdraw", "15"]);
    assert!(known.status.success(), "{}", String::from_utf8_lossy(&known.stderr));
    assert_eq!(server.balance(folder), 12_500);
    drop(server);
    printed(&["ledger", "verify", "--database", &url]);
    let again = printed(&["ledger", "move", "--data", &data, "--database", &url]);
    assert!(again.contains("it was moved before"), "{again}");
}

#[test]
fn a_move_to_another_ledger_changes_nothing_and_one_that_failed_goes_on() {
    let cluster = Cluster::start();
    cluster.create("other");
    cluster.create("ledger");
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let data = used(folder);
    let [other, url] = ["other", "ledger"].map(|name| cluster.url(name));
    let made = printed(&["ledger", "migrate", "--database", &other]);
    let reason = refused(&["ledger", "move", "--data", &data, "--database", &other]);
    assert!(reason.contains("another ledger"), "{reason}");
    drop(Server::start_local(Path::new(&data)));
    // As after a loss of power once it was noted.
    let place = made.replace("database other at", "database ledger at").replace(": a new ledger", "");
    fs::write(folder.join("host/ledger.moved"), place).unwrap();
    assert!(printed(&["ledger", "move", "--data", &data, "--database", &url]).contains(": moved"));
    // A second database with the ledger would spend its money a second time.
    cluster.create("second");
    let reason = refused(&["ledger", "move", "--data", &data, "--database", &cluster.url("second")]);
    assert!(
        reason.contains("moved to the database ledger at") && reason.contains("give that address"),
        "{reason}"
    );
    assert_eq!(cluster.sql("second", "SELECT to_regclass('ledger') IS NULL"), "t");
}

#[test]
fn a_ledger_that_is_served_is_not_moved() {
    let cluster = Cluster::start();
    cluster.create("ledger");
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path().join("host");
    let _server = Server::start_local(&data);
    let output = Command::new(env!("CARGO_BIN_EXE_atm"))
        .args(["ledger", "move", "--database", &cluster.url("ledger"), "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("another process has the ledger open"));
    assert!(!data.join("ledger.moved").exists());
}
