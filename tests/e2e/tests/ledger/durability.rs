//! Durability of `atm serve --data`: an acknowledged outcome survives `kill -9`, and a folder without a sound ledger is
//! refused.
use atm_e2e::{NamedTerminal, Output, Program, Server, Signal, atm, json, ledger::run_ledger};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};
use tempfile::TempDir;

fn start_server(folder: &Path) -> Server {
    Server::start(&["--data", folder.to_str().unwrap()])
}

/// Starts a server that must exit with this code and one line of error.
fn expect_refused_start(folder: &Path, code: i32) -> Output {
    let done = Program::run(
        atm(&["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data", folder.to_str().unwrap()]),
        "",
    );
    assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
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
    let (mut first, mut second) = (NamedTerminal::new("kiosk-1"), NamedTerminal::new("kiosk-2"));
    let (mut client, welcome) = first.hello(server.address, false);
    first.show(&welcome);
    first.answer(&mut client, "deposit 40");
    let reply = client.read();
    assert_eq!(reply["balance"], 14_000);
    first.show(&reply);
    let (mut client, welcome) = second.hello(server.address, false);
    second.show(&welcome);
    second.answer(&mut client, "withdraw 15");
    let lost = client.read();
    kill(server);

    let server = start_server(&data);
    let known = second.ledger.clone();
    let (mut client, welcome) = second.hello(server.address, true);
    assert_eq!(welcome["ledger"], known, "it is the same ledger");
    for field in ["re", "outcome", "operation", "amount", "balance"] {
        assert_eq!(welcome[field], lost[field], "{welcome}");
    }
    second.show(&welcome);
    second.answer(&mut client, "3");
    assert_eq!(client.read()["balance"], 12_500);
    // The terminal that has shown everything starts at the menu, above all numbers that it has seen.
    let (_, welcome) = first.hello(server.address, true);
    assert_eq!(welcome["outcome"], json!(null), "{welcome}");
    first.show(&welcome);
    drop(client);
    // And the folder is its owner's alone.
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&data).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    server.stop();
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
fn what_is_not_a_ledger_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    start_server(&data).stop();
    let (file, mark) = (data.join("ledger.db"), data.join("ledger.mark"));
    let ledger = fs::read(&file).unwrap();
    let diary = b"not a ledger at all, but a person's diary".repeat(100);
    for (content, text) in [
        (&b""[..], "ledger.db is missing or empty"),
        (&diary, "file is not a database"),
        (b"SQLite format 3\0 and then nothing of the kind", "file is not a database"),
        (&ledger[..ledger.len() / 4096 / 2 * 4096], "malformed"),
    ] {
        fs::write(&file, content).unwrap();
        let done = expect_refused_start(&data, 78);
        assert!(done.stderr.contains(text) && done.stderr.contains("restore a backup"), "{done:?}");
        assert!(fs::read(&file).unwrap() == content);
    }
    // Without its mark a database may be any.
    fs::remove_file(&mark).unwrap();
    let done = expect_refused_start(&data, 78);
    assert!(done.stderr.contains("ledger.mark is missing or not whole"), "{done:?}");
    assert!(!mark.exists());
    // Where the folder is a file, or cannot be made, another start may find it mended.
    for folder in [file.as_path(), Path::new("/proc/none/data")] {
        let done = expect_refused_start(folder, 1);
        assert!(done.stderr.contains(folder.to_str().unwrap()), "{done:?}");
    }
}

#[test]
fn a_start_that_is_refused_changes_nothing() {
    let folder = TempDir::new().unwrap();
    start_server(folder.path()).stop();
    let server = start_server(folder.path());
    for _ in 0..3 {
        assert_eq!(server.client().ask("deposit 1")["outcome"], "done");
    }
    kill(server);
    let log = folder.path().join("ledger.db-wal");
    let files = || {
        ["ledger.db", "ledger.db-wal", "ledger.mark"]
            .map(|name| fs::read(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    let flip = || {
        let mut bytes = fs::read(&log).unwrap();
        // The salt in the log's header, without which no frame of it counts.
        bytes[16] ^= 1;
        fs::write(&log, bytes).unwrap();
    };
    flip();
    let damaged = files();
    for done in [expect_refused_start(folder.path(), 78), run_ledger(&["verify"], folder.path())] {
        assert!(done.stderr.contains("write-ahead log (ledger.db-wal) is missing or damaged"), "{done:?}");
        assert!(files() == damaged);
    }
    flip();
    let server = start_server(folder.path());
    assert_eq!(server.balance(), 10_300);
    server.stop();
}

#[test]
fn a_link_that_leads_nowhere_is_no_reason_to_begin_anew() {
    let folder = TempDir::new().unwrap();
    let (data, away) = (folder.path().join("data"), folder.path().join("unmounted/ledger.db"));
    fs::create_dir(&data).unwrap();
    let link = data.join("ledger.db");
    std::os::unix::fs::symlink(&away, &link).unwrap();
    let done = expect_refused_start(&data, 78);
    assert!(done.stderr.contains("ledger.db is missing"), "{done:?}");
    let backup = folder.path().join("backup.csv");
    fs::write(&backup, "").unwrap();
    let done = run_ledger(&["restore", backup.to_str().unwrap()], &data);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("it exists already"), "{done:?}");
    assert!(link.is_symlink() && !away.exists() && !data.join("ledger.mark").exists());
    // One that leads to a ledger is one. Its write-ahead log is beside the file.
    let server = start_server(away.parent().unwrap());
    assert_eq!(server.client().ask("deposit 40")["outcome"], "done");
    server.stop();
    fs::rename(away.with_file_name("ledger.mark"), data.join("ledger.mark")).unwrap();
    for balance in [14_000, 14_100] {
        let server = start_server(&data);
        assert_eq!(server.balance(), balance);
        assert_eq!(server.client().ask("deposit 1")["outcome"], "done");
        assert!(run_ledger(&["show"], &data).stdout.contains(&format!("1: ${}\n", balance / 100 + 1)));
        kill(server);
    }
    assert!(run_ledger(&["verify"], &data).stdout.contains("balance    $142\n"));
}

#[test]
fn a_start_that_finds_no_room_is_finished_by_the_next() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    // A disk on which a ledger does not fit, and then does.
    let script = format!(
        "mount -t tmpfs -o size=16k none {path} && {{ \"$0\" \"$@\"; echo \"exit code $?\"; }} && \
         mount -o remount,size=16m {path} && exec \"$0\" \"$@\""
    );
    let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]).arg(serve.get_program()).args(serve.get_args());
    command.arg("--data").arg(folder.path().join("deep/data"));
    let server = Program::start(command);
    server.wait_for("listening on ");
    assert!(server.stdout().starts_with("exit code 1\n"), "{}", server.stdout());
    assert!(server.stderr().contains("full") || server.stderr().contains("No space"), "{}", server.stderr());
    server.signal(Signal::TERM);
    assert_eq!(server.finish().code, Some(0));
}

#[test]
fn a_file_that_is_removed_or_replaced_under_the_server_stops_it() {
    for (name, is_replaced) in [("ledger.db", false), ("ledger.db", true), ("ledger.db-wal", false)] {
        let folder = TempDir::new().unwrap();
        let data = folder.path();
        let server = start_server(data);
        let mut client = server.client();
        assert_eq!(client.ask("deposit 40")["outcome"], "done");
        let (file, away) = (data.join(name), data.join("away"));
        fs::rename(&file, &away).unwrap();
        if is_replaced {
            fs::copy(&away, &file).unwrap();
        }
        // What no start finds again is not acknowledged.
        client.answer("deposit 1000");
        while let Some(message) = client.try_read() {
            assert!(message["outcome"].is_null(), "{message}");
        }
        let done = server.program.finish();
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains("removed or replaced while it was open"), "{done:?}");
        if name == "ledger.db" && !is_replaced {
            // Nothing is begun in its place.
            for done in [expect_refused_start(data, 78), run_ledger(&["verify"], data)] {
                assert!(done.stderr.contains("ledger.db is missing"), "{done:?}");
            }
            fs::rename(&away, &file).unwrap();
        }
        // A copy has everything, together with the log, which was not replaced.
        let server = start_server(data);
        assert_eq!(server.balance(), 14_000);
        server.stop();
    }
}
