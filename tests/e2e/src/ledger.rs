//! The ledger of `atm serve --data`: starts a server that keeps it in a folder, runs `atm ledger` on that folder.
use crate::{Client, Output, Program, Server, atm, project_root, python};
use std::{path::Path, process::Command};

/// Starts a server that keeps its ledger in a folder.
pub fn start_server(folder: &Path) -> Server {
    Server::start(&["--log", "warn", "--data", folder.to_str().unwrap()])
}

/// `atm ledger` with a subcommand, on the ledger in a folder.
pub fn ledger_command(words: &[&str], folder: &Path) -> Command {
    atm(&[&["ledger"], words, &["--data", folder.to_str().unwrap()]].concat())
}

/// Runs `atm ledger`.
pub fn run_ledger(words: &[&str], folder: &Path) -> Output {
    Program::run(ledger_command(words, folder), "")
}

/// Runs `atm ledger`, which must succeed; returns its standard output.
pub fn ledger_stdout(words: &[&str], folder: &Path) -> String {
    let output = run_ledger(words, folder);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{words:?}: {output:?}");
    output.stdout
}

/// Audits the tables in a folder by `audit_tables.py`, which has nothing of ours. `None` on a machine without Python.
pub fn audit_tables(folder: &Path) -> Option<Output> {
    let script = project_root().join("tests/e2e/audit_tables.py");
    Some(Program::run(python(&script, &[folder.join("ledger.db").to_str().unwrap()])?, ""))
}

/// Deposits $1 `count` times, by several sessions at once: one sync of the disk is then for several of them.
pub fn deposit_repeatedly(server: &Server, count: usize) {
    let mut clients: Vec<Client> = (0..count.min(20)).map(|_| server.client()).collect();
    for first in (0..count).step_by(20) {
        let clients = &mut clients[..(count - first).min(20)];
        clients.iter_mut().for_each(|client| client.answer("deposit 1"));
        for client in clients {
            assert_eq!(client.read()["outcome"], "done");
        }
    }
}
