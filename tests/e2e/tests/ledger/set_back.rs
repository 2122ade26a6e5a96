//! A ledger that was set back: the folder of `atm serve --data` is replaced by an old copy under live terminals. A copy that is
//! older than its mark is refused; where the mark is as old, the terminals prove it. What was lost is unknown for ever, and
//! money moves once from there on.
use atm_e2e::{
    Client, NamedTerminal, Program, Server, Signal, Value, atm, frame, json,
    ledger::{ledger_stdout, run_ledger, start_server},
    python,
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

    /// Replaces the folder by its copy, `ledger.mark` included: the server cannot notice it.
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
    // Each learns that something is unknown, and one of them of which answer, under a number that it has not shown.
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

    // After another start an id in the gap is unknown still, and is not voided.
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
fn a_client_with_a_state_file_says_so_and_goes_on() {
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
    assert_eq!(server.finish().matches("the ledger was set back").count(), 1);
    let server = folders.start();
    let done = session(&server, "3\n");
    assert!(done.stdout.contains("Your balance is $111."), "{done:?}");
    assert!(!done.stdout.contains("unknown"), "{done:?}");
    server.stop();
}

/// Runs `atm serve`, which must refuse the ledger; returns its error.
fn refusal(folder: &Path) -> String {
    let arguments = ["serve", "--log", "off", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    let done = Program::run(atm(&arguments), "");
    assert_eq!(done.code, Some(78), "{done:?}");
    done.stderr
}

/// Starts a server that goes on with what there is.
fn start_with_loss(folder: &Path) -> Server {
    Server::start(&["--log", "warn", "--accept-loss", "--data", folder.to_str().unwrap()])
}

#[test]
fn a_copy_that_is_older_than_its_mark_is_refused_and_goes_on_as_another_ledger_where_the_loss_is_accepted() {
    let folders = Folders::new();
    let mut terminal = NamedTerminal::new("kiosk-1");
    let server = folders.start();
    let (mut client, _) = enter(&mut terminal, &server, false);
    assert_eq!(ask(&mut terminal, &mut client, "deposit 10")["outcome"], "done");
    drop(client);
    server.stop();
    folders.copy();
    let server = folders.start();
    let (mut client, _) = enter(&mut terminal, &server, true);
    let known = terminal.ledger.clone();
    terminal.answer(&mut client, "deposit 5");
    assert_eq!(client.read()["outcome"], "done");
    drop(client);
    server.stop();
    fs::copy(folders.copy.join("ledger.db"), folders.live.join("ledger.db")).unwrap();
    let copied = fs::read(folders.live.join("ledger.db")).unwrap();
    for _ in 0..2 {
        let error = refusal(&folders.live);
        for text in ["it is an older copy", "restore a backup", "--accept-loss"] {
            assert!(error.contains(text), "no {text:?} in {error}");
        }
    }
    assert!(run_ledger(&["show"], &folders.live).stderr.contains("it is an older copy"));
    assert_eq!(fs::read(folders.live.join("ledger.db")).unwrap(), copied, "it is left as it is");

    let server = start_with_loss(&folders.live);
    server.program.wait_for_stderr("the loss is accepted: this is another ledger");
    let (mut client, welcome) = terminal.hello(server.address, true);
    assert_ne!(welcome["ledger"], known);
    assert_eq!(welcome["outcome"], "unknown", "{welcome}");
    (terminal.shown, terminal.pending) = (0, None);
    terminal.show(&welcome);
    assert_eq!(ask(&mut terminal, &mut client, "deposit 1")["balance"], 11_100);
    drop(client);
    server.stop();
    // From here on it is a ledger as others are, and with the option too.
    for start in [start_server, start_with_loss] {
        let server = start(&folders.live);
        let known = terminal.ledger.clone();
        let (client, welcome) = enter(&mut terminal, &server, false);
        assert_eq!((&welcome["ledger"], &welcome["outcome"]), (&known, &Value::Null), "{welcome}");
        assert_eq!(server.program.stderr(), "");
        drop(client);
        server.stop();
    }
    assert_eq!(ledger_stdout(&["export"], &folders.live).matches(",restored,").count(), 1);
    ledger_stdout(&["verify"], &folders.live);
}

/// Copies the log's pages to the database, so that the next commit begins the log anew. False on a machine without Python.
fn checkpoint(folder: &Path) -> bool {
    const CHECKPOINT: &str = "import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(RESTART)').fetchone()[0])";
    let database = folder.join("ledger.db");
    let Some(command) = python("-c".as_ref(), &[CHECKPOINT, database.to_str().unwrap()]) else {
        return false;
    };
    let done = Program::run(command, "");
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "0\n"), "{done:?}");
    true
}

#[test]
fn a_copy_whose_files_are_of_two_moments_is_refused() {
    let folders = Folders::new();
    let mut terminal = NamedTerminal::new("kiosk-1");
    let server = folders.start();
    let (mut client, _) = enter(&mut terminal, &server, false);
    assert_eq!(ask(&mut terminal, &mut client, "deposit 10")["outcome"], "done");
    if !checkpoint(&folders.live) {
        return;
    }
    fs::create_dir(&folders.copy).unwrap();
    let copy_file = |name| fs::copy(folders.live.join(name), folders.copy.join(name)).unwrap();
    copy_file("ledger.db");
    // The copy of the database lacks this, and so does the log that begins behind it.
    assert_eq!(ask(&mut terminal, &mut client, "deposit 20")["outcome"], "done");
    checkpoint(&folders.live);
    assert_eq!(server.client().ask("deposit 40")["outcome"], "done");
    copy_file("ledger.db-wal");
    copy_file("ledger.mark");
    drop(client);
    server.program.signal(Signal::KILL);
    drop(server);
    // Under the names of the files that it was copied from: their numbers may be given out again.
    folders.set_back();
    for _ in 0..2 {
        let error = refusal(&folders.live);
        assert!(error.contains("its parts are of different moments"), "{error}");
    }
    assert_eq!(run_ledger(&["verify"], &folders.live).code, Some(1));
}

#[test]
fn a_mark_of_which_one_half_is_torn_is_enough() {
    const SLOT: usize = 4096;
    let folders = Folders::new();
    folders.start().stop();
    let path = folders.live.join("ledger.mark");
    for torn in [0..SLOT, SLOT..2 * SLOT] {
        let mut mark = fs::read(&path).unwrap();
        mark[torn].fill(b'?');
        fs::write(&path, mark).unwrap();
        let server = folders.start();
        assert_eq!(server.client().ask("deposit 1")["outcome"], "done");
        server.stop();
    }
    for torn in [vec![0; 2 * SLOT], Vec::new()] {
        fs::write(&path, torn).unwrap();
        assert!(refusal(&folders.live).contains("ledger.mark is missing or not whole"));
    }
    let server = start_with_loss(&folders.live);
    assert_eq!(server.balance(), 10_200);
    server.stop();
    folders.start().stop();
}
