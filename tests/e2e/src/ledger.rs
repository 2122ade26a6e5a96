//! The ledger in a folder: a server that keeps it, and `atm ledger`.
use crate::{Output, Program, Server, atm};
use std::{path::Path, process::Command};

/// A server that keeps its ledger in a folder.
pub fn start_server(folder: &Path) -> Server {
    Server::start(&["--log", "warn", "--data", folder.to_str().unwrap()])
}

/// A command on the ledger in a folder.
pub fn ledger_command(words: &[&str], folder: &Path) -> Command {
    atm(&[&["ledger"], words, &["--data", folder.to_str().unwrap()]].concat())
}

/// Runs one.
pub fn run_ledger(words: &[&str], folder: &Path) -> Output {
    Program::run(ledger_command(words, folder), "")
}

/// Runs one that must succeed; returns what it wrote.
pub fn ledger_stdout(words: &[&str], folder: &Path) -> String {
    let done = run_ledger(words, folder);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{words:?}: {done:?}");
    done.stdout
}

/// Deposits one unit so often.
pub fn deposit_repeatedly(server: &Server, count: usize) {
    let mut client = server.client();
    for _ in 0..count {
        assert_eq!(client.ask("deposit 1")["outcome"], "done");
    }
}
