//! A ledger that was set back: the folder of `atm serve --data` is replaced by an old copy under live terminals. What was lost
//! is unknown for ever, and money moves once from there on.
use atm_e2e::{
    Client, NamedTerminal, Program, Server, Value, atm, frame, json,
    ledger::{ledger_stdout, start_server},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A ledger's folder, and an old copy of it.
struct Folders {
    live: PathBuf,
    copy: PathBuf,
    _root: TempDir,
}

impl Folders {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        Self { live: root.path().join("live"), copy: root.path().join("copy"), _root: root }
    }

    fn start(&self) -> Server {
        start_server(&self.live)
    }

    /// Copies the folder of a server that was stopped.
    fn copy(&self) {
        copy(&self.live, &self.copy);
    }

    /// Replaces the folder by its copy, `ledger.told` included: the server cannot notice it.
    fn set_back(&self) {
        fs::remove_dir_all(&self.live).unwrap();
        copy(&self.copy, &self.live);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Says hello and shows the welcome.
fn enter(terminal: &mut NamedTerminal, server: &Server, resume: bool) -> (Client, Value) {
    let (client, welcome) = terminal.hello(server.address, resume);
    terminal.show(&welcome);
    (client, welcome)
}

/// Answers, and shows the reply.
fn ask(terminal: &mut NamedTerminal, client: &mut Client, text: &str) -> Value {
    assert!(terminal.answer(client, text));
    let reply = client.read();
    terminal.show(&reply);
    reply
}

#[test]
fn what_was_lost_is_unknown_for_ever_and_the_next_operation_is_done_once() {
    let folders = Folders::new();
    let [mut known, mut asking, mut quiet] = ["known", "asking", "quiet"].map(NamedTerminal::new);
    let server = folders.start();
    for terminal in [&mut known, &mut asking, &mut quiet] {
        let (mut client, _) = enter(terminal, &server, false);
        assert_eq!(ask(terminal, &mut client, "deposit 10")["outcome"], "done");
    }
    server.stop();
    folders.copy();

    // What the copy does not have: operations of each, and of one a reply that it has not shown.
    let server = folders.start();
    for terminal in [&mut known, &mut asking, &mut quiet] {
        let (mut client, _) = enter(terminal, &server, true);
        assert_eq!(ask(terminal, &mut client, "deposit 5")["outcome"], "done");
    }
    let (mut client, _) = enter(&mut asking, &server, false);
    asking.answer(&mut client, "deposit 7");
    assert_eq!(client.read()["balance"], 15_200);
    drop(client);
    server.stop();
    folders.set_back();

    let server = folders.start();
    let lost = [known.shown, asking.pending.unwrap(), quiet.shown];
    // Each is told that something is unknown, and one of them of which answer, under a number that it has not shown.
    let (mut client, welcome) = enter(&mut asking, &server, true);
    assert_eq!((&welcome["re"], &welcome["outcome"]), (&json!(lost[1]), &json!("unknown")), "{welcome}");
    let (mut other, welcome) = enter(&mut known, &server, true);
    assert_eq!((&welcome["re"], &welcome["outcome"]), (&Value::Null, &json!("unknown")), "{welcome}");
    let prompt = asking.shown;
    let reply = ask(&mut asking, &mut client, "deposit 1");
    assert_eq!((&reply["outcome"], &reply["balance"]), (&json!("done"), &json!(13_100)), "{reply}");
    // A duplicate of it gets the same reply.
    client.send(&frame(json!({ "re": prompt, "data": "deposit 1" }).to_string()));
    assert_eq!(client.read(), reply);
    assert_eq!(ask(&mut known, &mut other, "3")["balance"], 13_100);
    let (third, welcome) = enter(&mut quiet, &server, true);
    assert_eq!(welcome["outcome"], "unknown", "{welcome}");
    drop((client, other, third));
    for name in ["known", "asking", "quiet"] {
        server.program.wait_for_stderr(&format!("terminal={name} start="));
    }
    assert_eq!(server.program.stderr().matches("the ledger was set back").count(), 3);
    server.stop();

    // After another start an id in the gap is unknown still: nobody voids it.
    let server = folders.start();
    for (terminal, id) in [&mut known, &mut asking, &mut quiet].into_iter().zip(lost) {
        terminal.restart();
        terminal.pending = Some(id);
        let (mut client, welcome) = enter(terminal, &server, false);
        assert_eq!((&welcome["re"], &welcome["outcome"]), (&json!(id), &json!("unknown")), "{welcome}");
        assert_eq!(ask(terminal, &mut client, "3")["balance"], 13_100);
    }
    assert_eq!(server.program.stderr(), "", "and it was not set back again");
    // An answer above the gap that the server never had is voided, as ever.
    let open = quiet.shown;
    quiet.pending = Some(open);
    let (client, welcome) = enter(&mut quiet, &server, false);
    assert_eq!((&welcome["re"], &welcome["outcome"]), (&json!(open), &json!("not-done")), "{welcome}");
    drop(client);
    server.stop();
    let export = ledger_stdout(&["export", "--format", "csv"], &folders.live);
    assert_eq!(export.matches(",set-back,").count(), 3, "{export}");
    ledger_stdout(&["verify"], &folders.live);
}

#[test]
fn a_client_with_a_state_file_is_told_and_goes_on() {
    let folders = Folders::new();
    let state = TempDir::new().unwrap();
    let path = state.path().join("state");
    let session = |server: &Server, lines: &str| {
        let address = server.address.to_string();
        let state = ["--terminal", "kiosk-7", "--state", path.to_str().unwrap()];
        Program::run(atm(&[&["client", "--connect", &address], &state[..]].concat()), lines)
    };
    for (lines, balance) in [("deposit 10\n3\n", 110), ("deposit 5\ndeposit 6\n", 121)] {
        let server = folders.start();
        let done = session(&server, lines);
        assert!(done.stdout.contains(&format!("Your balance is ${balance}.")), "{done:?}");
        server.stop();
        if balance == 110 {
            folders.copy();
        }
    }
    folders.set_back();
    let server = folders.start();
    let done = session(&server, "");
    assert!(
        done.stdout.contains("It is unknown what became of your request: check the balance."),
        "{done:?}"
    );
    let done = session(&server, "deposit 1\n");
    assert!(done.stdout.contains("Amount deposited: $1. Your balance is $111."), "{done:?}");
    assert!(!done.stdout.contains("unknown"), "{done:?}");
    assert_eq!(server.program.stderr().matches("the ledger was set back").count(), 1);
    server.stop();
    let server = folders.start();
    let done = session(&server, "3\n");
    assert!(done.stdout.contains("Your balance is $111."), "{done:?}");
    assert!(!done.stdout.contains("unknown"), "{done:?}");
    server.stop();
}
