//! `atm ledger`: show, verify, export, backup and restore, beside a running server and without one.
use atm_e2e::{
    NamedTerminal, Program, Server, Value, atm, examples, json,
    ledger::{ledger_stdout, run_ledger, start_server},
    python,
};
use redb::{Database, TableDefinition};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
};
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

#[test]
fn the_books_are_read_while_the_server_runs_and_without_it() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let server = start_server(data);
    run_sessions(&server);
    assert_eq!(data.join("ledger.sock").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let read = || {
        let csv = ledger_stdout(&["export"], data);
        let json: Value =
            serde_json::from_str(&ledger_stdout(&["export", "--format", "json"], data)).unwrap();
        let show = ledger_stdout(&["show", "--last", "3", "--terminals", "1"], data);
        (ledger_stdout(&["verify"], data), csv, json, show)
    };
    let running = read();
    server.stop();
    assert!(!data.join("ledger.sock").exists());
    assert_eq!(read(), running, "the same with and without the server");

    let (verified, csv, json, show) = running;
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let hash = *rows.last().unwrap().last().unwrap();
    assert!(verified.starts_with("ok: ") && verified.contains("the balance is $132;"), "{verified}");
    assert!(verified.trim_end().ends_with(hash), "{verified}");
    // What is in one is in the other.
    let objects = json.as_array().unwrap();
    assert_eq!(objects.len(), rows.len());
    for (object, row) in objects.iter().zip(&rows) {
        for (name, value) in names.iter().zip(row) {
            let field = &object[*name];
            let text = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
            assert_eq!(if field.is_null() { "" } else { &text }, *value, "{name} of {object}");
        }
    }
    let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    for kind in ["created", "numbers", "done", "refused"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let last = objects.last().unwrap();
    assert_eq!(
        (&last["amount"], &last["balance"], &last["debit"]),
        (&json!(700), &json!(13_200), &json!("cash"))
    );
    for text in ["account:1", "$132", "$7", "and 2 more", hash, "deposit"] {
        assert!(show.contains(text), "no {text:?} in {show}");
    }
    assert!(!show.contains("cash:kiosk-1"), "only what was asked for: {show}");
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
    assert!(done.stdout.contains("account:1") && done.stdout.contains("132.00"), "{done:?}");
    for (from, to) in [("4000", "4001"), ("kiosk-1", "kiosk-3"), ("refused", "done")] {
        let done = Program::run(python(&script, &[]).unwrap(), &csv.replacen(from, to, 1));
        assert_eq!(done.code, Some(1), "{from}: {done:?}");
        assert!(done.stderr.contains("its hash is not the one that follows"), "{done:?}");
    }
}

#[test]
fn a_backup_that_was_made_while_the_server_ran_is_restored_as_another_ledger() {
    let folder = TempDir::new().unwrap();
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    let file = folder.path().join("backup.csv");
    let path = file.to_str().unwrap();
    let server = start_server(&data);
    run_sessions(&server);
    let mut terminal = NamedTerminal::new("kiosk-1");
    // A name of those sessions, in a later start.
    terminal.restart();
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    ledger_stdout(&["backup", path], &data);
    let csv = ledger_stdout(&["export"], &data);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let again = run_ledger(&["backup", path], &data);
    assert_eq!(again.code, Some(1), "a backup is not overwritten");
    // What comes after the backup is lost with the disk.
    terminal.answer(&mut client, "deposit 1000");
    client.read();
    drop(client);
    server.stop();

    assert_eq!(run_ledger(&["restore", path], &data).code, Some(1), "nor is a ledger");
    ledger_stdout(&["restore", path], &other);
    let restored = ledger_stdout(&["export"], &other);
    assert!(restored.starts_with(&csv), "{restored}");
    assert!(ledger_stdout(&["verify"], &other).contains("the balance is $132;"));
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
fn a_backup_that_is_not_whole_makes_no_ledger() {
    let folder = TempDir::new().unwrap();
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    let file = folder.path().join("backup.csv");
    let server = start_server(&data);
    run_sessions(&server);
    ledger_stdout(&["backup", file.to_str().unwrap()], &data);
    server.stop();
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let mut broken = vec![
        String::new(),
        "somebody's diary\n".to_owned(),
        whole.replacen("4000", "4001", 1),
        format!("{whole}\n"),
        whole.trim_end().to_owned(),
        whole.replacen("\nend,", "\nend,1", 1),
    ];
    for line in 0..lines.len() {
        let without = |(at, text): (usize, &&str)| (at != line).then(|| format!("{text}\n"));
        broken.push(lines.iter().enumerate().filter_map(without).collect());
        broken.push(lines[..line].iter().map(|text| format!("{text}\n")).collect());
    }
    for text in broken {
        fs::write(&file, &text).unwrap();
        let done = run_ledger(&["restore", file.to_str().unwrap()], &other);
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{text}: {done:?}");
        assert!(!other.exists(), "what came to nothing is taken away");
    }
    // A later version's is not one that lacks something.
    fs::write(&file, whole.replacen("\n1,", "\n2,", 1)).unwrap();
    let done = run_ledger(&["restore", file.to_str().unwrap()], &other);
    assert!(
        done.code == Some(1) && done.stderr.contains("a later version of atm wrote this, in format 2"),
        "{done:?}"
    );
    fs::write(&file, whole).unwrap();
    ledger_stdout(&["restore", file.to_str().unwrap()], &other);
}

#[test]
fn a_backup_takes_no_other_files_place() {
    let folder = TempDir::new().unwrap();
    let (data, files) = (folder.path().join("data"), folder.path().join("files"));
    let server = start_server(&data);
    run_sessions(&server);
    fs::create_dir(&files).unwrap();
    let (file, link) = (files.join("backup.csv"), files.join("link.csv"));
    fs::write(files.join("backup.csv.tmp"), "somebody's").unwrap();
    std::os::unix::fs::symlink(files.join("nowhere"), &link).unwrap();
    ledger_stdout(&["backup", file.to_str().unwrap()], &data);
    for there in [&file, &link] {
        let done = run_ledger(&["backup", there.to_str().unwrap()], &data);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains("it exists already, and is not overwritten"), "{done:?}");
    }
    assert_eq!(fs::read(files.join("backup.csv.tmp")).unwrap(), b"somebody's");
    // Neither what was begun nor what was refused has left anything.
    let mut names: Vec<_> = fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["backup.csv", "backup.csv.tmp", "link.csv"]);
    server.stop();
}

#[test]
fn nobody_but_the_owner_looks_through_the_window() {
    // Somebody who may open the socket, because its mode was changed, is asked who he is.
    const READER: &str = "
import socket, sys
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
stream.sendall(b'read 1\\n')
print(stream.makefile().read())
";
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let server = start_server(data);
    run_sessions(&server);
    let socket = data.join("ledger.sock");
    for (path, mode) in [(data, 0o755), (&socket, 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let arguments = [READER, socket.to_str().unwrap()];
    let Some(command) = python("-c".as_ref(), &arguments) else { return };
    let done = Program::run(command, "");
    assert!(done.stdout.starts_with("atm ledger 1") && done.stdout.contains("\nend\n"), "{done:?}");
    if !rustix::process::geteuid().is_root() {
        eprintln!("passed over: only the administrator can be somebody else");
        return;
    }
    let mut command = python("-c".as_ref(), &arguments).unwrap();
    command.uid(65_534).current_dir("/");
    let done = Program::run(command, "");
    assert_eq!(done.stdout.trim_end(), "fault,only the owner of the ledger may read it", "{done:?}");
    server.stop();
}

/// What somebody with the right tool may change in a ledger.
type Change = (&'static str, fn(&redb::WriteTransaction));

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const TERMINALS: TableDefinition<'_, &str, (u64, i128)> = TableDefinition::new("terminals");
const ACCOUNTS: TableDefinition<'_, u64, u64> = TableDefinition::new("accounts");
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");

/// Changes the entries, by their numbers: each a hash (32 bytes) and a line.
fn edit(transaction: &redb::WriteTransaction, change: impl FnOnce(&mut BTreeMap<u64, Vec<u8>>)) {
    let mut table = transaction.open_table(ENTRIES).unwrap();
    let mut entries = BTreeMap::new();
    for item in table.extract_if(|_, _| true).unwrap() {
        let (first, value) = item.unwrap();
        let (mut number, mut rest) = (first.value(), value.value());
        while let Some((len, packed)) = rest.split_first_chunk() {
            let (entry, behind) = packed.split_at(u16::from_le_bytes(*len).into());
            entries.insert(number, entry.to_vec());
            (number, rest) = (number + 1, behind);
        }
    }
    change(&mut entries);
    for (number, entry) in entries {
        let len = u16::try_from(entry.len()).unwrap().to_le_bytes();
        table.insert(number, [&len[..], &entry].concat().as_slice()).unwrap();
    }
}

/// Writes an entry's line anew, under its old hash.
fn rewrite(transaction: &redb::WriteTransaction, number: u64, change: impl Fn(&str) -> String) {
    edit(transaction, |entries| {
        let entry = entries.get_mut(&number).unwrap();
        let line = change(std::str::from_utf8(&entry[32..]).unwrap());
        entry.truncate(32);
        entry.extend(line.bytes());
    });
}

#[test]
fn whatever_was_changed_is_found() {
    const CHANGES: [Change; 10] = [
        ("entry 3: its hash", |t| rewrite(t, 3, |line| line.replace("4000", "4001"))),
        ("entry 4", |t| rewrite(t, 4, |line| line.replace("kiosk-1", "kiosk-9"))),
        ("entry 1", |t| rewrite(t, 1, |line| line.replace("10000", "20000"))),
        ("entry 3 is missing", |t| edit(t, |entries| drop(entries.remove(&3)))),
        ("the balance of account 1", |t| drop(t.open_table(ACCOUNTS).unwrap().insert(1, 99_999).unwrap())),
        ("the cash of kiosk-1", |t| {
            drop(t.open_table(TERMINALS).unwrap().insert("kiosk-1", (5, 1)).unwrap());
        }),
        ("the last entry of kiosk-1", |t| {
            drop(t.open_table(TERMINALS).unwrap().insert("kiosk-1", (3, 2500)).unwrap());
        }),
        ("the count of terminals", |t| {
            drop(t.open_table(TERMINALS).unwrap().insert("kiosk-3", (4, 0)).unwrap());
        }),
        ("the end of the reserved numbers", |t| {
            drop(t.open_table(STATE).unwrap().insert("numbers", 7).unwrap())
        }),
        ("the identity", |t| drop(t.open_table(STATE).unwrap().insert("ledger", 7).unwrap())),
    ];
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let server = start_server(data);
    run_sessions(&server);
    server.stop();
    let file = data.join("ledger.redb");
    let whole = fs::read(&file).unwrap();
    for (found, change) in CHANGES {
        fs::write(&file, &whole).unwrap();
        let database = Database::open(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
        drop(database);
        let done = run_ledger(&["verify"], data);
        assert_eq!(done.code, Some(1), "{found}: {done:?}");
        assert!(done.stdout.contains(found), "{found}: {done:?}");
    }
    // A later format, and a database that is somebody else's.
    for (found, change) in [
        (
            "a later version of atm wrote this, in format 2",
            (|t| {
                drop(t.open_table(STATE).unwrap().insert("format", 2).unwrap());
            }) as fn(&redb::WriteTransaction),
        ),
        ("not a ledger of atm", |t| assert!(t.delete_table(STATE).unwrap())),
    ] {
        fs::write(&file, &whole).unwrap();
        let database = Database::open(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
        drop(database);
        for command in [&["ledger", "verify"][..], &["serve", "--log", "off", "--listen", "127.0.0.1:0"]] {
            let arguments = [command, &["--data", data.to_str().unwrap()]].concat();
            let done = Program::run(atm(&arguments), "");
            assert_eq!(done.code, Some(1), "{done:?}");
            assert!(done.stderr.contains(found), "{found}: {done:?}");
        }
    }
}
