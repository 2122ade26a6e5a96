//! The tables alone are enough for an audit: a script in Python, with nothing of ours, derives them again from the entries,
//! and finds each change that `atm ledger verify` finds.
use atm_e2e::{
    NamedTerminal, Program, json,
    ledger::{audit_tables, run_ledger, start_server},
    python,
};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Changes of a person who can write the file, each of which contradicts the rest of it.
const CHANGES: [&str; 18] = [
    "UPDATE accounts SET balance = balance + 1",
    "UPDATE accounts SET version = version - 1",
    "INSERT INTO accounts (account, balance, version) VALUES (2, 0, 0)",
    "UPDATE terminals SET last_id = last_id - 1 WHERE terminal = 'kiosk-1'",
    "UPDATE terminals SET last_amount = 1 WHERE terminal = 'kiosk-2'",
    "UPDATE terminals SET (last_id, last_operation, last_outcome, last_amount, last_balance) = (NULL, NULL, NULL, NULL, NULL)",
    "UPDATE terminals SET next_number = 1",
    "UPDATE terminals SET gap_end = gap_end - 1 WHERE terminal = 'kiosk-2'",
    "DELETE FROM terminals WHERE terminal = 'kiosk-1'",
    "DELETE FROM entries WHERE number = 3",
    "DELETE FROM entries WHERE number = (SELECT max(number) FROM entries)",
    "UPDATE entries SET time = time + 1 WHERE number = 3",
    "UPDATE entries SET amount = amount + 1 WHERE number = 3",
    "UPDATE entries SET hash = lower(hex(zeroblob(32))) WHERE number = 3",
    "UPDATE journals SET number = number - 1 WHERE journal = 1",
    "UPDATE journals SET hash = lower(hex(zeroblob(32))) WHERE journal = 1",
    "DELETE FROM journals WHERE journal = 1",
    "UPDATE ledger SET identity = '0123456789abcdef'",
];

/// Entries of all kinds but `restored`.
fn run_sessions(folder: &Path) {
    let server = start_server(folder);
    let mut terminal = NamedTerminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    for (text, outcome) in [("deposit 40", "done"), ("withdraw 15", "done"), ("withdraw 900", "refused")] {
        assert!(terminal.answer(&mut client, text));
        let reply = client.read();
        terminal.show(&reply);
        assert_eq!(reply["outcome"], outcome, "{reply}");
    }
    // An answer that was never sent.
    terminal.pending = Some(terminal.shown);
    let (client, welcome) = terminal.hello(server.address, false);
    assert_eq!(welcome["outcome"], "not-done", "{welcome}");
    drop(client);
    let mut terminal = NamedTerminal::new("kiosk-2");
    let (client, welcome) = terminal.hello(server.address, false);
    drop(client);
    // It has seen numbers that were never reserved.
    terminal.shown = welcome["seq"].as_u64().unwrap() + 1000;
    terminal.restart();
    let (mut client, welcome) = terminal.hello(server.address, false);
    assert_eq!(welcome["outcome"], "unknown", "{welcome}");
    terminal.show(&welcome);
    assert!(terminal.answer(&mut client, "deposit 3"));
    assert_eq!(client.read()["outcome"], json!("done"));
    assert_eq!(server.client().ask("withdraw all")["outcome"], "done");
    assert_eq!(server.client().ask("deposit 6")["outcome"], "done");
    if let Some(done) = audit_tables(folder) {
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "beside a server: {done:?}");
    }
    server.program.wait_for_stderr("the ledger was set back");
    drop(client);
    server.stop();
}

#[test]
fn an_auditor_reads_the_tables_alone_and_finds_each_change() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    run_sessions(&data);
    let Some(done) = audit_tables(&data) else { return };
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "account 1: $6\nok\n"), "{done:?}");
    const WRITE: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
before = database.total_changes
database.execute(sys.argv[2])
database.commit()
print(database.total_changes - before)";
    for (number, change) in CHANGES.into_iter().enumerate() {
        let changed = folder.path().join(number.to_string());
        fs::create_dir(&changed).unwrap();
        for name in ["ledger.db", "ledger.mark"] {
            fs::copy(data.join(name), changed.join(name)).unwrap();
        }
        let path = changed.join("ledger.db");
        let done = Program::run(python("-c".as_ref(), &[WRITE, path.to_str().unwrap(), change]).unwrap(), "");
        assert!(done.code == Some(0) && done.stdout != "0\n", "{change}: {done:?}");
        let audited = audit_tables(&changed).unwrap();
        assert_eq!((audited.code, audited.stderr.as_str()), (Some(1), ""), "{change}: {audited:?}");
        let verified = run_ledger(&["verify"], &changed);
        assert_eq!(verified.code, Some(1), "{change}: {verified:?}");
    }
}
