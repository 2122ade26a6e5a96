//! Transactions of `sqlite3`, the program, on the ledger of a running server: an open one delays commits and not the event
//! loop, a reader delays nothing, and the tables answer a person's questions.
use atm_e2e::{
    Client, NamedTerminal, Program, atm, json,
    ledger::{deposit_repeatedly, ledger_stdout, start_server},
};
use std::{path::Path, process::Command};
use tempfile::TempDir;

/// `sqlite3` on the database of a ledger. `None` on a machine without it, where the test is skipped with a message.
fn sqlite3(folder: &Path, arguments: &[&str]) -> Option<Command> {
    if !Command::new("sqlite3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no sqlite3 on this machine");
        return None;
    }
    let mut command = Command::new("sqlite3");
    command.args(arguments).arg(folder.join("ledger.db"));
    Some(command)
}

/// Runs statements, and waits until they are done.
fn run(sqlite3: &mut Program, statements: &str) {
    let done = sqlite3.stdout().matches("done\n").count() + 1;
    sqlite3.type_line(&format!("{statements}; SELECT 'done';"));
    sqlite3.wait_for_times("done\n", done);
}

#[test]
fn an_open_transaction_delays_operations_until_it_ends_and_not_the_event_loop() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    let Some(command) = sqlite3(folder.path(), &[]) else { return };
    let mut terminal = NamedTerminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    let [mut unnamed, mut asking] = [server.client(), server.client()];
    let mut person = Program::start(command);
    for (statement, balance) in [("COMMIT", 10_100), ("ROLLBACK", 10_300)] {
        run(&mut person, "BEGIN IMMEDIATE");
        terminal.answer(&mut client, "deposit 1");
        unnamed.answer("deposit 1");
        asking.answer("balance");
        for _ in 0..20 {
            // The event loop serves others, and this terminal too.
            Client::greeted(server.address);
            terminal.answer(&mut client, "deposit 1");
            let reply = client.read();
            assert_eq!((&reply["notice"], &reply["outcome"]), (&json!("working"), &json!(null)), "{reply}");
        }
        assert!(ledger_stdout(&["show"], folder.path()).contains(&format!("1: ${}\n", balance / 100 - 1)));
        run(&mut person, statement);
        let replies = [client.read(), unnamed.read()];
        let mut balances = replies.each_ref().map(|reply| reply["balance"].as_u64().unwrap());
        balances.sort_unstable();
        assert_eq!(balances, [balance, balance + 100]);
        assert!(replies.iter().all(|reply| reply["outcome"] == "done"));
        terminal.show(&replies[0]);
        let asked = asking.read();
        assert!((balance - 100..=balance + 100).contains(&asked["balance"].as_u64().unwrap()), "{asked}");
    }
    assert_eq!(server.program.stderr(), "", "nothing was in doubt");
    drop((client, unnamed, asking));
    server.stop();
    person.end_input();
    assert_eq!(person.finish().code, Some(0));
    ledger_stdout(&["verify"], folder.path());
}

#[test]
fn a_start_beside_an_open_transaction_says_so() {
    let folder = TempDir::new().unwrap();
    start_server(folder.path()).stop();
    let Some(command) = sqlite3(folder.path(), &[]) else { return };
    let mut person = Program::start(command);
    run(&mut person, "BEGIN IMMEDIATE");
    let path = folder.path().to_str().unwrap();
    let done = Program::run(atm(&["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data", path]), "");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("another process has a transaction open on the ledger"), "{done:?}");
    run(&mut person, "COMMIT");
    start_server(folder.path()).stop();
    person.end_input();
    assert_eq!(person.finish().code, Some(0));
}

#[test]
fn a_reader_that_stays_delays_neither_commits_nor_the_end_of_the_server() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    let Some(command) = sqlite3(folder.path(), &["-readonly"]) else { return };
    deposit_repeatedly(&server, 20);
    let mut person = Program::start(command);
    run(&mut person, "BEGIN; SELECT count(*) FROM entries");
    deposit_repeatedly(&server, 1_000);
    run(&mut person, "SELECT count(*) FROM entries");
    server.stop();
    let server = start_server(folder.path());
    assert_eq!(server.balance(), 10_000 + 1_020 * 100);
    run(&mut person, "SELECT count(*) FROM entries; COMMIT; SELECT count(*) FROM entries");
    assert_eq!(person.stdout(), "21\ndone\n21\ndone\n21\n1021\ndone\n");
    deposit_repeatedly(&server, 1);
    server.stop();
    person.end_input();
    assert_eq!(person.finish().code, Some(0));
    assert!(ledger_stdout(&["verify"], folder.path()).contains("balance    $1121\n"));
}

#[test]
fn the_tables_of_a_running_server_answer_questions() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    let Some(_) = sqlite3(folder.path(), &[]) else { return };
    let mut terminal = NamedTerminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    terminal.answer(&mut client, "deposit 40");
    client.read();
    assert_eq!(server.client().ask("withdraw 15")["outcome"], "done");
    for (question, answer) in [
        ("SELECT sum(amount) FROM movements", "0"),
        (
            "SELECT side, sum(amount) FROM movements GROUP BY side ORDER BY side",
            "account:1|12500\ncash|1500\ncash:kiosk-1|-4000\nopening|-10000",
        ),
        ("SELECT last_operation, last_outcome, last_balance FROM terminals", "deposit|done|14000"),
        ("SELECT a.balance = e.balance FROM accounts a JOIN entries e USING (account, version)", "1"),
    ] {
        let mut command = sqlite3(folder.path(), &["-readonly"]).unwrap();
        command.arg(question);
        let done = Program::run(command, "");
        assert_eq!((done.code, done.stdout.trim_end()), (Some(0), answer), "{question}: {done:?}");
    }
    drop(client);
    server.stop();
}
