//! The limit of a file's size (`RLIMIT_FSIZE`) is an error of the disk, and a signal that ends a command leaves no part of a file.
use atm_e2e::{
    NamedTerminal, Program, Signal,
    ledger::{deposit_repeatedly, ledger_command, start_server},
    limit_files,
};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

#[test]
fn a_server_at_the_limit_holds_outcomes_back_until_there_is_room() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    let mut terminal = NamedTerminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    limit_files(&server.program, Some(8192));
    terminal.answer(&mut client, "deposit 1");
    server.program.wait_for_stderr("the ledger's commit failed");
    limit_files(&server.program, None);
    let reply = client.read();
    terminal.show(&reply);
    let is_done = reply["outcome"] == "done";
    assert!(is_done || reply["outcome"] == "not-done", "{reply}");
    terminal.answer(&mut client, "3");
    assert_eq!(client.read()["balance"], if is_done { 10_100 } else { 10_000 });
    drop(client);
    server.program.signal(Signal::TERM);
    let done = server.program.finish();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(Program::run(ledger_command(&["verify"], folder.path()), "").stdout.starts_with("ok\n"));
}

#[test]
fn a_backup_or_an_export_beyond_the_limit_fails_and_leaves_no_file() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = start_server(&data);
    deposit_repeatedly(&server, 400);
    server.stop();
    for words in [["backup", "copy"], ["export", "copy"]] {
        let copy = folder.path().join("copy");
        let ledger = ledger_command(&[words[0], copy.to_str().unwrap()], &data);
        // In blocks of 512 bytes.
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "ulimit -f 80; exec \"$0\" \"$@\""])
            .arg(ledger.get_program())
            .args(ledger.get_args());
        let output = Program::run(limited, "");
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output:?}");
        assert!(output.stderr.contains(copy.to_str().unwrap()), "{output:?}");
        assert!(output.stderr.contains("a file may have 40960 bytes here (ulimit -f)"), "{output:?}");
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["data"], "{words:?}");
    }
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_backup_that_a_signal_ends_leaves_no_file() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = start_server(&data);
    deposit_repeatedly(&server, 1000);
    server.stop();
    let mut ended = 0;
    let signals = [
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        Signal::ALARM,
        Signal::IO,
        Signal::PROF,
        Signal::VTALARM,
        Signal::XCPU,
    ];
    for signal in signals.repeat(2) {
        let copy = folder.path().join("copy");
        let mut backup = Program::start(ledger_command(&["backup", copy.to_str().unwrap()], &data));
        while backup.is_running() && !names(folder.path()).iter().any(|name| name.ends_with(".tmp")) {}
        if backup.is_running() {
            backup.signal(signal);
        }
        let done = backup.finish();
        let mut left = names(folder.path());
        left.retain(|name| name != "data");
        assert!(left.is_empty() || left == ["copy"], "{left:?}: {done:?}");
        assert!(matches!(done.code, Some(0 | 130)), "{done:?}");
        ended += usize::from(left.is_empty());
        let _ = fs::remove_file(copy);
    }
    assert!(ended > 0, "no signal came in time");
}
