//! Enrolment: with a ledger on disk a certificate is served only while `atm terminal` has its name enrolled for TLS.
use crate::{
    authority::Authority,
    client::{TlsClient, first_hello},
};
use atm_e2e::{Output, Program, Server, TIMEOUT, Value, atm, json, ledger::ledger_stdout, limit_files};
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};
use tempfile::TempDir;

const NOT_ENROLLED: &str = "This terminal is not enrolled here.";
const OUT_OF_SERVICE: &str = "This ATM is out of service. Ask its operator.";

/// A bank that serves TLS alone, with a ledger on disk. `kiosk-7` and `kiosk-8` have a certificate.
struct Bank {
    authority: Authority,
    folder: TempDir,
}

impl Bank {
    fn new() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        for name in ["kiosk-7", "kiosk-8"] {
            authority.issue(name, &[name]);
        }
        Self { authority, folder }
    }

    fn data(&self, folder: &str) -> PathBuf {
        self.folder.path().join(folder)
    }

    fn serve(&self, folder: &str) -> Server {
        let data = self.data(folder);
        self.authority.serve(&["--data", data.to_str().unwrap(), "--metrics", "127.0.0.1:0"])
    }

    /// `atm terminal` or `atm access` on the ledger in a folder; returns its standard output.
    fn manage(&self, words: &[&str], folder: &str) -> String {
        let mut command = atm(words);
        command.arg("--data").arg(self.data(folder));
        let done = Program::run(command, "");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{words:?}: {done:?}");
        done.stdout
    }

    fn enrol(&self, name: &str) {
        self.manage(&["terminal", "add", name, "--tls"], "data");
    }

    fn revoke(&self, name: &str) -> String {
        self.manage(&["terminal", "revoke", name], "data")
    }

    /// Runs `atm client` with an operation and the certificate of a terminal.
    fn client(&self, server: &Server, name: &str, words: &[&str]) -> Output {
        let mut command = atm(&["client", &server.address.to_string()]);
        command.args(words).args(self.authority.client_options(name));
        Program::run(command, "")
    }

    fn connect(&self, server: &Server, name: &str) -> TlsClient {
        TlsClient::connect(server.address, &self.authority, Some(name))
    }

    /// The terminal, the operation and the outcome of each entry about an operation; the ledger verifies.
    fn operations(&self) -> Vec<[String; 3]> {
        operations_in(&self.data("data"))
    }
}

fn operations_in(folder: &Path) -> Vec<[String; 3]> {
    ledger_stdout(&["verify"], folder);
    let export = ledger_stdout(&["export", "--format", "json"], folder);
    let entries: Vec<Value> = serde_json::from_str(&export).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |entry: &Value| ["terminal", "operation", "kind"].map(|field| text(&entry[field]));
    let is_operation = |kind: &str| ["done", "refused", "void"].contains(&kind);
    entries.iter().map(of).filter(|[_, _, kind]| is_operation(kind)).collect()
}

#[track_caller]
fn assert_refused(done: &Output, text: &str) {
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains(text) || done.stderr.contains(text), "{done:?}");
}

#[test]
fn a_terminal_is_served_from_its_enrolment_to_its_revocation() {
    let bank = Bank::new();
    let server = bank.serve("data");
    assert_refused(&bank.client(&server, "kiosk-7", &["deposit", "40"]), NOT_ENROLLED);
    server.program.wait_for_stderr("refused: the ledger does not admit the terminal");
    server.program.wait_for_stderr(
        "terminal=kiosk-7 reason=\"not enrolled for TLS, or revoked: `atm terminal add NAME --tls`\"",
    );
    assert_eq!(server.metric("atm_refused_terminals_total"), 1);

    bank.enrol("kiosk-7");
    let done = bank.client(&server, "kiosk-7", &["deposit", "40"]);
    assert!(done.code == Some(0) && done.stdout.contains("Your balance is $140."), "{done:?}");
    assert_refused(&bank.client(&server, "kiosk-8", &["deposit", "40"]), NOT_ENROLLED);
    let list = bank.manage(&["terminal", "list"], "data");
    assert!(list.lines().any(|row| row.contains("kiosk-7  ") && row.contains("certificate")), "{list}");
    assert!(list.contains("in service") && !list.contains("kiosk-8"), "{list}");

    let said = bank.revoke("kiosk-7");
    assert_eq!(said, "kiosk-7: revoked; no key and no certificate of this name is served any more\n");
    assert_refused(&bank.client(&server, "kiosk-7", &["deposit", "40"]), NOT_ENROLLED);
    let list = bank.manage(&["terminal", "list"], "data");
    assert!(list.lines().any(|row| row.contains("kiosk-7") && row.ends_with("revoked")), "{list}");
    assert_eq!(server.metric("atm_refused_terminals_total"), 3);
    server.stop();
    assert_eq!(bank.operations(), [["kiosk-7", "deposit", "done"]]);
}

#[test]
fn the_python_terminal_says_that_it_is_not_enrolled() {
    let bank = Bank::new();
    let server = bank.serve("data");
    let run = || {
        let state = bank.data("state.json");
        let port = server.address.port().to_string();
        let [_, ca, _, certificate, _, key] = bank.authority.client_options("kiosk-7");
        let arguments = ["localhost", &port, "kiosk-7", state.to_str().unwrap(), &ca, &certificate, &key];
        let script = atm_e2e::examples().join("terminal.py");
        atm_e2e::python(&script, &arguments).map(|command| Program::run(command, "deposit 40\nexit\n"))
    };
    let Some(done) = run() else { return };
    assert_refused(&done, NOT_ENROLLED);
    bank.enrol("kiosk-7");
    let done = run().unwrap();
    assert!(done.code == Some(0) && done.stdout.contains("Your balance is $140."), "{done:?}");
    server.stop();
}

#[test]
fn a_terminal_that_is_revoked_in_mid_session_moves_nothing_more() {
    let bank = Bank::new();
    let server = bank.serve("data");
    bank.enrol("kiosk-7");
    let mut live = bank.connect(&server, "kiosk-7");
    let welcome = live.hello(&first_hello("kiosk-7"));
    let menu = live.ask(&welcome, "deposit 40");
    assert_eq!(menu["outcome"], "done");
    // Its handshake is before the revocation, its hello after it.
    let mut waiting = bank.connect(&server, "kiosk-7");
    assert_eq!(waiting.read()["input"], true, "the greeting");
    bank.revoke("kiosk-7");

    let end = live.ask(&menu, "withdraw 100");
    assert_eq!(
        (&end["notice"], &end["data"], &end["end"]),
        (&json!("out-of-service"), &json!(OUT_OF_SERVICE), &json!(true))
    );
    assert_eq!(live.try_read().unwrap(), None);
    server.program.wait_for_stderr("request fenced: an operator has revoked or enrolled the terminal");
    let next = json!({
        "hello": 1, "terminal": "kiosk-7", "start": 1, "attempt": 2, "ledger": welcome["ledger"],
        "shown": menu["seq"], "pending": menu["seq"], "resume": true,
    });
    for mut client in [waiting, bank.connect(&server, "kiosk-7")] {
        let refusal = client.hello(&next);
        assert_eq!((&refusal["error"], &refusal["data"]), (&json!("not-enrolled"), &json!(NOT_ENROLLED)));
        assert_eq!(client.try_read().unwrap(), None);
    }
    assert_eq!(bank.operations(), [["kiosk-7", "deposit", "done"]]);

    // Enrolled again, the terminal learns that its last answer was not done.
    bank.enrol("kiosk-7");
    let mut client = bank.connect(&server, "kiosk-7");
    let reply = client.hello(&next);
    assert_eq!((&reply["re"], &reply["outcome"]), (&menu["seq"], &json!("not-done")), "{reply}");
    assert_eq!(client.ask(&reply, "balance")["balance"], 14_000);
    drop(client);
    server.stop();
    assert_eq!(bank.operations().len(), 2, "the answer is void");
}

#[test]
fn the_person_at_a_revoked_terminal_reads_that_it_is_out_of_service() {
    let bank = Bank::new();
    let server = bank.serve("data");
    bank.enrol("kiosk-7");
    let mut command = atm(&["client", &server.address.to_string()]);
    command.args(bank.authority.client_options("kiosk-7"));
    let mut client = Program::start(command);
    client.wait_for("Welcome to the ATM");
    bank.revoke("kiosk-7");
    client.type_line("deposit 40");
    let done = client.finish();
    assert!(done.stdout.contains(OUT_OF_SERVICE) && !done.stdout.contains("taken over"), "{done:?}");
    assert!(done.code.is_some_and(|code| code != 0), "{done:?}");
    assert_eq!(bank.operations(), [[""; 3]; 0]);
    server.stop();
}

#[test]
fn a_certificate_of_an_enrolled_terminal_opens_no_other_enrolled_name() {
    let bank = Bank::new();
    let server = bank.serve("data");
    bank.enrol("kiosk-7");
    bank.enrol("kiosk-8");
    let mut client = bank.connect(&server, "kiosk-7");
    let refusal = client.hello(&first_hello("kiosk-8"));
    assert_eq!(refusal["error"], "other-name", "{refusal}");
    assert_eq!(client.try_read().unwrap(), None);
    assert_eq!(server.metric("atm_refused_terminals_total"), 1);
    server.stop();
}

#[test]
fn a_name_that_is_enrolled_with_a_key_is_not_served_under_a_certificate() {
    let bank = Bank::new();
    let server = bank.serve("data");
    let [secrets, key] = ["secrets", "key"].map(|file| bank.data(file).to_str().unwrap().to_owned());
    assert_eq!(Program::run(atm(&["secrets", "new", &secrets]), "").code, Some(0));
    bank.manage(&["terminal", "add", "kiosk-7", "--out", &key, "--secrets", &secrets], "data");
    assert_refused(&bank.client(&server, "kiosk-7", &["balance"]), NOT_ENROLLED);
    server.stop();
}

#[test]
fn a_restored_ledger_serves_no_certificate_before_its_terminal_is_confirmed() {
    let bank = Bank::new();
    let server = bank.serve("data");
    bank.enrol("kiosk-7");
    bank.enrol("kiosk-8");
    let (backup, restored) = (bank.data("backup.db"), bank.data("restored"));
    ledger_stdout(&["backup", backup.to_str().unwrap()], &bank.data("data"));
    server.stop();
    ledger_stdout(&["restore", backup.to_str().unwrap()], &restored);
    let server = bank.serve("restored");
    assert_refused(&bank.client(&server, "kiosk-7", &["deposit", "40"]), OUT_OF_SERVICE);
    server.program.wait_for_stderr("out of service until `atm access confirm`");
    bank.manage(&["access", "confirm", "kiosk-7"], "restored");
    let list = bank.manage(&["terminal", "list"], "restored");
    assert!(list.lines().any(|row| row.contains("kiosk-8") && row.ends_with("closed")), "{list}");
    let done = bank.client(&server, "kiosk-7", &["deposit", "40"]);
    assert!(done.code == Some(0) && done.stdout.contains("Your balance is $140."), "{done:?}");
    assert_refused(&bank.client(&server, "kiosk-8", &["deposit", "40"]), OUT_OF_SERVICE);
    server.stop();
    assert_eq!(operations_in(&restored), [["kiosk-7", "deposit", "done"]]);
}

#[test]
fn no_certificate_is_served_while_the_ledger_cannot_be_read() {
    let bank = Bank::new();
    let server = bank.serve("data");
    bank.enrol("kiosk-7");
    bank.enrol("kiosk-8");
    let mut live = bank.connect(&server, "kiosk-7");
    let welcome = live.hello(&first_hello("kiosk-7"));
    limit_files(&server.program, Some(8192));
    live.answer(&welcome["seq"], "deposit 40");
    server.program.wait_for_stderr("the ledger's commit failed");
    let refusal = bank.connect(&server, "kiosk-8").read();
    assert_eq!(refusal["notice"], "busy", "{refusal}");
    server.program.wait_for_stderr("the ledger cannot be read now");
    // The client tries again until the disk has room.
    let mut command = atm(&["client", &server.address.to_string(), "balance"]);
    command.args(bank.authority.client_options("kiosk-8"));
    let client = Program::start(command);
    client.wait_for_stderr("reconnecting");
    limit_files(&server.program, None);
    assert_eq!(live.read()["re"], welcome["seq"]);
    let done = client.finish();
    assert!(done.code == Some(0) && done.stdout.starts_with("Your balance is $1"), "{done:?}");
    drop(live);
    server.stop();
}

/// Hellos and deposits go on all the time, each hello in a later life: each moment of a revocation is met by some of them.
#[test]
fn after_a_revocation_has_returned_no_money_moves() {
    let bank = Bank::new();
    let server = bank.serve("data");
    for round in 0..4 {
        bank.enrol("kiosk-7");
        let is_over = AtomicBool::new(false);
        let (before, after) = thread::scope(|scope| {
            let deposits = scope.spawn(|| {
                let (mut start, until) = (round * 1_000_000, Instant::now() + TIMEOUT);
                while !is_over.load(Ordering::Relaxed) && Instant::now() < until {
                    start += 1;
                    let mut client = bank.connect(&server, "kiosk-7");
                    let hello = json!({ "hello": 1, "terminal": "kiosk-7", "start": start, "attempt": 1 });
                    let mut reply = client.hello(&hello);
                    for _ in 0..3 {
                        // A refused hello, or the end of a session.
                        if reply["input"] != true {
                            break;
                        }
                        reply = client.ask(&reply, "deposit 1");
                    }
                }
            });
            let wanted = bank.operations().len() + 5;
            while bank.operations().len() < wanted {
                assert!(!deposits.is_finished());
            }
            bank.revoke("kiosk-7");
            let before = bank.operations();
            // As many hellos again, which are all refused.
            let refused = server.metric("atm_refused_terminals_total");
            while server.metric("atm_refused_terminals_total") < refused + 5 {
                assert!(!deposits.is_finished());
            }
            is_over.store(true, Ordering::Relaxed);
            deposits.join().unwrap();
            (before, bank.operations())
        });
        assert_eq!(before.len(), after.len(), "round {round}");
    }
    server.stop();
}
