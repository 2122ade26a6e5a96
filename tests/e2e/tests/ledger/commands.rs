//! `atm ledger`: show, verify, export, backup and restore, beside a running server and without one.
use atm_e2e::{
    NamedTerminal, Program, Server, Signal, Value, atm, examples, json,
    ledger::{deposit_repeatedly, ledger_stdout, run_ledger, start_server},
    python,
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use tempfile::TempDir;

/// Deposits and withdrawals, done and refused, of two named terminals and an unnamed session.
fn run_sessions(server: &Server) {
    for (name, answers) in [("kiosk-1", ["deposit 40", "withdraw 15"]), ("kiosk-2", ["withdraw 500", "back"])]
    {
        let mut terminal = NamedTerminal::new(name);
        let (mut client, mut reply) = terminal.hello(server.address, false);
        for answer in answers {
            terminal.show(&reply);
            terminal.answer(&mut client, answer);
            reply = client.read();
        }
    }
    assert_eq!(server.client().ask("deposit 7")["balance"], 13_200);
}

/// Runs statements on the database of a ledger without a server; false if there is no Python.
pub(crate) fn change(folder: &Path, statements: &str) -> bool {
    const SCRIPT: &str =
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript(sys.argv[2]); db.commit()";
    let file = folder.join("ledger.db");
    let Some(command) = python("-c".as_ref(), &[SCRIPT, file.to_str().unwrap(), statements]) else {
        return false;
    };
    let done = Program::run(command, "");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    true
}

/// Runs `atm serve`, which must fail; returns its exit code and its error.
fn failed_start(folder: &Path) -> (Option<i32>, String) {
    let arguments = ["serve", "--log", "off", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    let done = Program::run(atm(&arguments), "");
    (done.code, done.stderr)
}

#[test]
fn the_ledger_is_read_while_the_server_runs_and_without_it() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let server = start_server(data);
    run_sessions(&server);
    let read = || {
        let csv = ledger_stdout(&["export"], data);
        let json: Value =
            serde_json::from_str(&ledger_stdout(&["export", "--format", "json"], data)).unwrap();
        let show = ledger_stdout(&["show", "--last", "3"], data);
        let terminal = ledger_stdout(&["show", "--terminal", "kiosk-1"], data);
        assert!(ledger_stdout(&["show", "--account", "1"], data).contains("balance    $132\n"));
        (ledger_stdout(&["verify"], data), csv, json, show, terminal)
    };
    let running = read();
    server.stop();
    assert_eq!(read(), running, "the same with and without the server");
    for name in ["ledger.db", "ledger.mark", "ledger.lock"] {
        assert_eq!(data.join(name).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    let (verified, csv, json, show, terminal) = running;
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert!(verified.starts_with("ok\nledger ") && verified.contains("balance    $132\n"), "{verified}");
    // What is in one is in the other; behind the entries, CSV has the heads of both journals.
    let objects = json.as_array().unwrap();
    assert_eq!(objects.len() + 2, rows.len());
    for (object, row) in objects.iter().zip(&rows) {
        for (name, value) in names.iter().zip(row) {
            let field = &object[*name];
            let text = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
            assert_eq!(if field.is_null() { "" } else { &text }, *value, "{name} of {object}");
        }
    }
    let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["created", "done", "done", "refused", "done"]);
    let last = objects.last().unwrap();
    assert_eq!(
        (&last["amount"], &last["balance"], &last["debit"]),
        (&json!(700), &json!(13_200), &json!("cash"))
    );
    let head = format!("journal host 5 {}\n", last["hash"].as_str().unwrap());
    assert!(verified.contains(&head), "{verified}");
    for text in ["entries    5\n", "terminals  2\n", "1: $132\n", "cash       $32", "refused", &head] {
        assert!(show.contains(text), "no {text:?} in {show}");
    }
    assert!(!show.contains("created"), "the last three entries: {show}");
    assert!(terminal.contains("withdrawal $15: done, balance $125\n"), "{terminal}");
}

#[test]
fn an_auditor_reads_the_export_alone() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    run_sessions(&server);
    let csv = ledger_stdout(&["export"], folder.path());
    server.stop();
    let script = examples().join("audit.py");
    let Some(command) = python(&script, &[]) else { return };
    let done = Program::run(command, &csv);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.contains("account:1") && done.stdout.contains(" $132\n"), "{done:?}");
    for (from, to) in [("4000", "4001"), ("kiosk-1", "kiosk-3"), ("refused", "done")] {
        let done = Program::run(python(&script, &[]).unwrap(), &csv.replacen(from, to, 1));
        assert_eq!(done.code, Some(1), "{from}: {done:?}");
        assert!(done.stderr.contains("its hash is not the one that follows"), "{done:?}");
    }
}

#[test]
fn a_backup_that_was_made_while_the_server_ran_is_restored_as_another_ledger() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let [backup, export] = ["backup.db", "export.csv"].map(|name| folder.path().join(name));
    let files = [&backup, &export].map(|file| file.to_str().unwrap());
    let server = start_server(&data);
    run_sessions(&server);
    let mut terminal = NamedTerminal::new("kiosk-1");
    // That name has said hello in its first start.
    terminal.restart();
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    let csv = ledger_stdout(&["export"], &data);
    for (command, file) in ["backup", "export"].into_iter().zip(files) {
        ledger_stdout(&[command, file], &data);
        assert_eq!(Path::new(file).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(file).unwrap();
        let again = run_ledger(&[command, file], &data);
        assert_eq!(again.code, Some(1), "{again:?}");
        assert!(again.stderr.contains(&format!("{file}: it exists already")), "{again:?}");
        assert_eq!(fs::read(file).unwrap(), before);
    }
    assert_eq!(fs::read_to_string(&export).unwrap(), csv);
    // What comes after the backup is lost with the disk.
    terminal.answer(&mut client, "deposit 1000");
    client.read();
    drop(client);
    server.stop();
    let [backup, export] = files;
    assert_eq!(run_ledger(&["restore", backup], &data).code, Some(1), "not over a ledger");
    let other = folder.path().join("other");
    let refused = run_ledger(&["restore", export], &other);
    assert!(refused.code == Some(1) && refused.stderr.contains("file is not a database"), "{refused:?}");
    ledger_stdout(&["restore", backup], &other);
    let restored = ledger_stdout(&["export"], &other);
    assert!(restored.starts_with(csv.split(",head,").next().unwrap().rsplit_once('\n').unwrap().0));
    assert!(restored.contains(",restored,"), "{restored}");
    assert!(ledger_stdout(&["verify"], &other).contains("balance    $132\n"));
    let server = start_server(&other);
    let known = terminal.ledger.clone();
    let (mut client, welcome) = terminal.hello(server.address, true);
    assert_ne!(welcome["ledger"], known, "it is another ledger");
    assert_eq!(welcome["outcome"], "unknown", "{welcome}");
    (terminal.shown, terminal.pending) = (0, None);
    terminal.show(&welcome);
    terminal.answer(&mut client, "deposit 1");
    assert_eq!(client.read()["balance"], 13_300);
    drop(client);
    server.stop();
    ledger_stdout(&["verify"], &other);
}

#[test]
fn heads_that_were_kept_elsewhere_show_that_a_ledger_was_replaced() {
    let folder = TempDir::new().unwrap();
    let [data, other] = ["data", "other"].map(|name| folder.path().join(name));
    let heads = folder.path().join("heads");
    for (data, deposits) in [(&data, 3), (&other, 5)] {
        let server = start_server(data);
        deposit_repeatedly(&server, deposits);
        server.stop();
    }
    fs::write(&heads, ledger_stdout(&["verify"], &data)).unwrap();
    let expect = ["verify", "--expect", heads.to_str().unwrap()];
    let server = start_server(&data);
    deposit_repeatedly(&server, 1);
    ledger_stdout(&expect, &data);
    server.stop();
    let done = run_ledger(&expect, &other);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("entry 4 of journal host is another one than expected"), "{done:?}");
    fs::write(&heads, "").unwrap();
    assert_eq!(run_ledger(&expect, &data).code, Some(1), "there is nothing to expect in it");
}

#[test]
fn a_ledger_that_another_start_does_not_mend_has_an_exit_code_of_its_own() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = start_server(&data);
    deposit_repeatedly(&server, 3);
    server.program.signal(Signal::KILL);
    drop(server);
    let refused = |folder: &Path, text: &str| {
        let (code, error) = failed_start(folder);
        assert!(code == Some(78) && error.contains(text), "{text:?}: {code:?} {error}");
        let done = run_ledger(&["verify"], folder);
        assert!(done.code == Some(1) && done.stderr.contains(text), "{text:?}: {done:?}");
    };
    let copy = |name: &str, without: &str| {
        let to = folder.path().join(name);
        fs::create_dir(&to).unwrap();
        for file in ["ledger.db", "ledger.db-wal", "ledger.mark"] {
            if file != without {
                fs::copy(data.join(file), to.join(file)).unwrap();
            }
        }
        to
    };
    refused(&copy("without-log", "ledger.db-wal"), "belong together");
    refused(&copy("without-mark", "ledger.mark"), "ledger.mark is missing or not whole");
    let former = folder.path().join("former");
    fs::create_dir(&former).unwrap();
    fs::write(former.join("ledger.redb"), "redb").unwrap();
    refused(&former, "before the first release");
    let newer = copy("newer", "");
    if change(&newer, "UPDATE ledger SET format = 6") {
        refused(&newer, "another version of atm wrote it, in format 6");
    }
    let changed = copy("changed", "");
    if change(&changed, "UPDATE entries SET amount = 1 WHERE number = 3") {
        let done = run_ledger(&["verify"], &changed);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stdout.contains("does not have the hash that follows"), "{done:?}");
        assert!(done.stdout.ends_with("the ledger is inconsistent\n"), "{done:?}");
    }
    let missing = run_ledger(&["show"], &folder.path().join("nowhere"));
    assert!(missing.code == Some(1) && missing.stderr.contains("there is no ledger"), "{missing:?}");
    assert_eq!(run_ledger(&["show", "--account", "1", "--last", "1"], &data).code, Some(2));
    // The whole of it is a ledger.
    assert!(ledger_stdout(&["verify"], &copy("whole", "")).contains("balance    $103\n"));
}
