//! Durability of `atm serve --data`: an acknowledged outcome survives `kill -9`, and a folder without a sound ledger is
//! refused.
use atm_e2e::{NamedTerminal, Output, Program, Server, Signal, atm, json, ledger::run_ledger};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};
use tempfile::TempDir;

fn start_server(folder: &Path) -> Server {
    Server::start(&["--data", folder.to_str().unwrap()])
}

/// Starts a server that must exit with code 1 and one line of error.
fn expect_refused_start(folder: &Path) -> Output {
    let done = Program::run(
        atm(&["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data", folder.to_str().unwrap()]),
        "",
    );
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    done
}

/// A power loss, except that the page cache survives.
fn kill(server: Server) {
    server.program.signal(Signal::KILL);
    assert_eq!(server.program.finish().code, None);
}

#[test]
fn nothing_is_forgotten_when_the_server_is_killed() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("deep/data");
    let server = start_server(&data);
    let (mut heard, mut deaf) = (NamedTerminal::new("kiosk-1"), NamedTerminal::new("kiosk-2"));
    let (mut client, welcome) = heard.hello(server.address, false);
    heard.show(&welcome);
    heard.answer(&mut client, "deposit 40");
    let reply = client.read();
    assert_eq!(reply["balance"], 14_000);
    heard.show(&reply);
    let (mut client, welcome) = deaf.hello(server.address, false);
    deaf.show(&welcome);
    deaf.answer(&mut client, "withdraw 15");
    let lost = client.read();
    kill(server);

    let server = start_server(&data);
    let known = deaf.ledger.clone();
    let (mut client, welcome) = deaf.hello(server.address, true);
    assert_eq!(welcome["ledger"], known, "it is the same ledger");
    for field in ["re", "outcome", "operation", "amount", "balance"] {
        assert_eq!(welcome[field], lost[field], "{welcome}");
    }
    deaf.show(&welcome);
    deaf.answer(&mut client, "3");
    assert_eq!(client.read()["balance"], 12_500);
    // Whoever heard everything starts at the menu, above all numbers that it was told.
    let (_, welcome) = heard.hello(server.address, true);
    assert_eq!(welcome["outcome"], json!(null), "{welcome}");
    heard.show(&welcome);
    drop(client);
    server.stop();
    // And the folder is its owner's alone.
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(data.join("ledger.redb").metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_answer_that_the_server_never_had_is_not_done_after_its_restart() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    let mut terminal = NamedTerminal::new("kiosk-3");
    let (client, welcome) = terminal.hello(server.address, false);
    let id = terminal.show(&welcome);
    terminal.pending = Some(id);
    drop(client);
    kill(server);
    let server = start_server(folder.path());
    let (mut client, welcome) = terminal.hello(server.address, true);
    assert_eq!((&welcome["re"], &welcome["outcome"]), (&json!(id), &json!("not-done")), "{welcome}");
    terminal.show(&welcome);
    terminal.answer(&mut client, "3");
    assert_eq!(client.read()["balance"], 10_000);
    drop(client);
    server.stop();
}

#[test]
fn the_balance_of_the_command_line_is_a_new_ledgers() {
    let folder = TempDir::new().unwrap();
    let arguments = ["--data", folder.path().to_str().unwrap(), "--balance", "7"];
    for _ in 0..2 {
        let server = Server::start(&arguments);
        assert_eq!(server.balance(), 700);
        server.stop();
    }
    let server = start_server(folder.path());
    assert_eq!(server.balance(), 700);
    server.stop();
}

#[test]
fn a_second_server_is_refused() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    for _ in 0..2 {
        let done = expect_refused_start(folder.path());
        assert!(done.stderr.contains("another process works on it"), "{done:?}");
        assert_eq!(server.client().ask("deposit 1")["outcome"], "done");
    }
    assert_eq!(server.balance(), 10_200);
    server.stop();
}

#[test]
fn what_is_not_a_ledger_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ledger.redb");
    let words = b"not a ledger at all, but somebody's diary".repeat(100);
    for (content, told) in [
        (&b""[..], "this is not a ledger of atm"),
        (&words, "this is not a ledger of atm"),
        (b"redb", "it is damaged"),
        (b"redb\x1a\x0a\xa9\x0d\x0a and then nothing of the kind", "it is damaged"),
    ] {
        fs::write(&file, content).unwrap();
        let done = expect_refused_start(folder.path());
        assert!(done.stderr.contains(told), "{done:?}");
        assert_eq!(fs::read(&file).unwrap(), content);
    }
    // Where the folder is a file, or cannot be made.
    let done = expect_refused_start(&file);
    assert!(done.stderr.contains("ledger.redb"), "{done:?}");
    let done = expect_refused_start(Path::new("/proc/none/data"));
    assert!(done.stderr.contains("/proc/none/data"), "{done:?}");
}

#[test]
fn a_new_ledger_that_was_not_finished_is_begun_again() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("ledger.redb.new"), b"half of it").unwrap();
    let server = start_server(folder.path());
    assert_eq!(server.balance(), 10_000);
    server.stop();
    assert!(!folder.path().join("ledger.redb.new").exists());
}

#[test]
fn a_link_that_leads_nowhere_is_no_reason_to_begin_anew() {
    let folder = TempDir::new().unwrap();
    let (data, away) = (folder.path().join("data"), folder.path().join("unmounted/ledger.redb"));
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(&away, data.join("ledger.redb")).unwrap();
    let done = expect_refused_start(&data);
    assert!(done.stderr.contains("what it leads to is not there"), "{done:?}");
    let backup = folder.path().join("backup.csv");
    fs::write(&backup, "").unwrap();
    let done = run_ledger(&["restore", backup.to_str().unwrap()], &data);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("what it leads to is not there"), "{done:?}");
    assert!(data.join("ledger.redb").is_symlink() && !away.exists());
    // One that leads to a ledger is one.
    fs::create_dir(away.parent().unwrap()).unwrap();
    let server = start_server(away.parent().unwrap());
    assert_eq!(server.client().ask("deposit 40")["outcome"], "done");
    server.stop();
    let server = start_server(&data);
    assert_eq!(server.balance(), 14_000);
    server.stop();
}

#[test]
fn what_came_to_nothing_is_taken_away() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    // A disk on which a ledger does not fit: the folder for it goes with it, one that was there stays.
    let script = format!(
        "mount -t tmpfs -o size=16k none {path} && mkdir {path}/there && {{ \"$0\" \"$@\"; echo $?; find {path} | sort; }}"
    );
    for (data, left) in [("deep/data", vec!["there"]), ("there", vec!["there", "there/ledger.lock"])] {
        let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script]).arg(serve.get_program()).args(serve.get_args());
        command.arg("--data").arg(folder.path().join(data));
        let done = Program::run(command, "");
        assert!(done.stderr.contains("No space left on device"), "{done:?}");
        let left = left.iter().map(|name| format!("{path}/{name}\n"));
        assert_eq!(done.stdout, format!("1\n{path}\n{}", left.collect::<String>()), "{done:?}");
    }
}

/// Takes a ledger away, all of it.
fn clear(data: &Path) {
    for name in ["ledger.redb", "ledger.journal", "ledger.told"] {
        fs::remove_file(data.join(name)).unwrap();
    }
}

#[test]
fn a_ledger_that_is_removed_under_the_server_stops_it() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    for (name, replaced) in [("ledger.redb", false), ("ledger.redb", true), ("ledger.journal", false)] {
        let server = start_server(data);
        let mut client = server.client();
        assert_eq!(client.ask("deposit 40")["outcome"], "done");
        let (file, away) = (data.join(name), data.join("away"));
        fs::rename(&file, &away).unwrap();
        if replaced {
            fs::copy(&away, &file).unwrap();
        }
        // Nobody is told that something was done which nobody will find again.
        client.answer("deposit 1000");
        while let Some(message) = client.try_read() {
            assert!(message["outcome"].is_null(), "{message}");
        }
        let done = server.program.finish();
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains("somebody has removed it"), "{done:?}");
        match (name, replaced) {
            ("ledger.redb", false) => {
                // Nothing is begun in the place of what its journal knows of.
                let done = Program::run(atm(&["serve", "--data", data.to_str().unwrap()]), "");
                assert_eq!(done.code, Some(1), "{done:?}");
                assert!(
                    done.stderr.contains("what was told of is not (ledger.journal, ledger.told)"),
                    "{done:?}"
                );
                fs::rename(&away, &file).unwrap();
                let server = start_server(data);
                assert_eq!(server.balance(), 114_000);
                server.stop();
                clear(data);
            }
            ("ledger.redb", true) => {
                // Its journal was not replaced, and has both.
                fs::remove_file(&away).unwrap();
                let server = start_server(data);
                assert_eq!(server.balance(), 114_000);
                server.stop();
                clear(data);
            }
            _ => {
                // What was told of is missing.
                let done = Program::run(atm(&["ledger", "verify", "--data", data.to_str().unwrap()]), "");
                assert_eq!(done.code, Some(1), "{done:?}");
                assert!(done.stderr.contains("was told of and is not in it"), "{done:?}");
                fs::rename(&away, &file).unwrap();
                let server = start_server(data);
                assert_eq!(server.balance(), 114_000);
                server.stop();
            }
        }
    }
}
