//! `atm secrets`, `atm terminal` and `atm access`: what they print, their exit codes and errors, on the ledger of a running
//! server and on a closed one, and what a client under a key meets with.
use atm_e2e::{Output, Program, SerialPair, Server, Signal, Value, atm, ledger::ledger_stdout};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// A folder with a secrets file and a ledger, `kiosk-7` and `kiosk-8` enrolled with keys.
struct Bank(tempfile::TempDir);

impl Bank {
    /// The server has stopped.
    fn new() -> Self {
        let (bank, server) = Self::served();
        server.stop();
        bank
    }

    fn served() -> (Self, Server) {
        let bank = Self(tempfile::tempdir().unwrap());
        let file = bank.text("secrets");
        assert_eq!(done(bank.run(&["secrets", "new", &file])), format!("{file}: new keys\n"));
        let server = bank.serve();
        for name in ["kiosk-7", "kiosk-8"] {
            bank.issue("add", name, name);
        }
        (bank, server)
    }

    fn serve(&self) -> Server {
        Server::start(&["--sealed", "--secrets", &self.text("secrets"), "--data", &self.text("data")])
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn text(&self, file: &str) -> String {
        self.path(file).to_str().unwrap().to_owned()
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = atm(words);
        command.env_remove("CREDENTIALS_DIRECTORY");
        Program::run(command, "")
    }

    /// A command on the ledger.
    fn on_ledger(&self, words: &[&str]) -> Output {
        self.run(&[words, &["--data", &self.text("data")]].concat())
    }

    /// `atm terminal add` or `rotate` with the secrets file, and the key to a file.
    fn try_issue(&self, command: &str, name: &str, file: &str) -> Output {
        let (out, secrets) = (self.text(file), self.text("secrets"));
        self.on_ledger(&["terminal", command, name, "--out", &out, "--secrets", &secrets])
    }

    fn issue(&self, command: &str, name: &str, file: &str) -> String {
        done(self.try_issue(command, name, file))
    }

    /// The row of a terminal in `atm terminal list --json`.
    fn row(&self, name: &str) -> Value {
        let list = done(self.on_ledger(&["terminal", "list", "--json"]));
        let mut rows = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.find(|row| row["terminal"] == name).unwrap()
    }

    fn client(&self, server: &Server, file: &str) -> Command {
        let mut client =
            atm(&["client", &server.address.to_string(), "--key", &self.text(file), "--reply-timeout", "2"]);
        client.env("HOME", self.0.path()).env("XDG_STATE_HOME", self.path("xdg"));
        client
    }

    /// What the client prints for a balance.
    fn balance(&self, server: &Server, file: &str) -> Output {
        Program::run(self.client(server, file), "balance\n")
    }
}

/// The standard output of a command that succeeded.
fn done(output: Output) -> String {
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    output.stdout
}

/// The error of a command that failed, in one line.
fn error(output: &Output) -> &str {
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    output.stderr.trim_end()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn an_enrolled_terminal_is_served_at_once_and_listed_with_its_last_start() {
    let (bank, server) = Bank::served();
    assert_eq!((mode(&bank.path("secrets")), mode(&bank.path("kiosk-7"))), (0o600, 0o600));
    let row = bank.row("kiosk-7");
    assert_eq!((&row["series"], &row["start"], &row["revoked"]), (&1.into(), &Value::Null, &false.into()));
    let shown = bank.balance(&server, "kiosk-7");
    assert!(shown.code == Some(0) && shown.stdout.contains("Your balance is $100."), "{shown:?}");
    let list = done(bank.on_ledger(&["terminal", "list"]));
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["terminal", "with", "series", "step", "last", "start", "state"]);
    let start = bank.row("kiosk-7")["start"].as_u64().unwrap().to_string();
    assert_eq!(rows[1], ["kiosk-7", "key", "1", "0", &start, "in", "service"]);
    assert_eq!(rows[2], ["kiosk-8", "key", "1", "-", "-", "in", "service"]);
    server.stop();
}

#[test]
fn a_rotated_key_takes_the_place_of_the_former_one_at_its_first_hello() {
    let (bank, server) = Bank::served();
    let said = bank.issue("rotate", "kiosk-7", "next");
    assert_eq!(said, format!("kiosk-7: series 2 is issued; its key is in {}\n", bank.text("next")));
    for (file, is_served) in [("kiosk-7", true), ("next", true), ("kiosk-7", false)] {
        let shown = bank.balance(&server, file);
        assert_eq!(shown.code == Some(0), is_served, "{file}: {shown:?}");
        if !is_served {
            assert!(shown.stderr.contains("no answer under the key of kiosk-7, series 1"), "{shown:?}");
        }
    }
    server.stop();
}

#[test]
fn a_revoked_terminal_is_served_after_it_was_enrolled_again() {
    let (bank, server) = Bank::served();
    assert!(done(bank.on_ledger(&["terminal", "revoke", "kiosk-7"])).starts_with("kiosk-7: revoked"));
    assert_eq!(bank.row("kiosk-7")["revoked"], true);
    assert!(done(bank.on_ledger(&["terminal", "list"])).contains(" revoked\n"));
    assert_ne!(bank.balance(&server, "kiosk-7").code, Some(0));
    let said = bank.issue("add", "kiosk-7", "again");
    assert_eq!(said, format!("kiosk-7: enrolled, series 2; its key is in {}\n", bank.text("again")));
    assert_eq!(bank.balance(&server, "again").code, Some(0));
    server.stop();
}

#[test]
fn an_order_that_does_not_fit_the_row_is_refused_and_leaves_no_key_file() {
    let bank = Bank::new();
    let refused = |output: &Output, text: &str| assert!(error(output).contains(text), "{output:?}");
    refused(&bank.try_issue("add", "kiosk-7", "new"), "terminal kiosk-7: it is enrolled already");
    refused(&bank.try_issue("rotate", "kiosk-9", "new"), "terminal kiosk-9: it is not enrolled");
    refused(&bank.on_ledger(&["terminal", "add", "kiosk-7", "--tls"]), "it is enrolled already");
    // The row is read before the secrets file, which is not needed to refuse the order.
    done(bank.on_ledger(&["terminal", "add", "kiosk-6", "--tls"]));
    let rotated = bank.on_ledger(&["terminal", "rotate", "kiosk-6", "--out", &bank.text("new")]);
    refused(&rotated, "terminal kiosk-6: it is enrolled with a certificate");
    let before = done(bank.on_ledger(&["terminal", "list", "--json"]));
    refused(&bank.on_ledger(&["terminal", "revoke", "kiosk-9"]), "terminal kiosk-9: it is not enrolled");
    refused(&bank.on_ledger(&["access", "confirm", "kiosk-9"]), "terminal kiosk-9: it is not enrolled");
    refused(&bank.on_ledger(&["access", "confirm", "kiosk-7"]), "terminal kiosk-7: it is in service");
    assert!(!bank.path("new").exists());
    // The file of another key is not replaced, and the order is not given.
    let key = fs::read(bank.path("kiosk-8")).unwrap();
    let output = bank.try_issue("rotate", "kiosk-7", "kiosk-8");
    assert!(error(&output).contains(&bank.text("kiosk-8")), "{output:?}");
    assert_eq!(fs::read(bank.path("kiosk-8")).unwrap(), key);
    let folder = bank.text("nowhere");
    let output = bank.run(&["terminal", "list", "--data", &folder]);
    assert!(error(&output).contains("nowhere"), "{output:?}");
    assert_eq!(done(bank.on_ledger(&["terminal", "list", "--json"])), before);
    ledger_stdout(&["verify"], &bank.path("data"));
}

#[test]
fn a_name_that_is_none_and_missing_options_are_usage_errors() {
    let bank = Bank::new();
    for words in [
        &["terminal", "add", "kiosk 7", "--tls"][..],
        &["terminal", "add", "kiosk-9"],
        &["terminal", "add", "kiosk-9", "--tls", "--out", "key"],
        &["terminal", "rotate", "kiosk-7"],
        &["terminal", "revoke"],
        &["access", "confirm", ""],
    ] {
        let output = bank.on_ledger(words);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{words:?}: {output:?}");
    }
    let long = "k".repeat(33);
    let output = bank.on_ledger(&["terminal", "revoke", &long]);
    assert!(output.code == Some(2) && output.stderr.contains("1 to 32 of A-Z"), "{output:?}");
}

#[test]
fn a_secrets_file_that_is_missing_open_to_others_a_link_inside_the_ledgers_folder_or_damaged_is_refused() {
    let bank = Bank::new();
    let out = bank.text("new");
    let add = |secrets: &[&str]| {
        bank.on_ledger(&[&["terminal", "add", "kiosk-9", "--out", &out], secrets].concat())
    };
    let refused = |output: &Output, text: &str| {
        assert!(error(output).contains(text), "{output:?}");
        assert!(!bank.path("new").exists());
    };
    refused(&add(&[]), "a key needs the secrets file: --secrets FILE");
    let none = bank.text("none");
    refused(&add(&["--secrets", &none]), "none: No such file");
    let (file, link) = (bank.text("secrets"), bank.text("link"));
    symlink(&file, &link).unwrap();
    refused(&add(&["--secrets", &link]), "link: it is not a regular file (a link is not followed)");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&add(&["--secrets", &file]), "users other than its owner can use it (mode 644): chmod 600");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let inside = bank.text("data/secrets");
    fs::copy(&file, &inside).unwrap();
    let reason = format!("data/secrets: it is inside the ledger's folder {}, so a copy", bank.text("data"));
    refused(&add(&["--secrets", &inside]), &reason);
    for check in [&["--check-config"][..], &[]] {
        let options = ["serve", "--sealed", "--secrets", &inside, "--listen", "127.0.0.1:0"];
        let output = bank.on_ledger(&[&options, check].concat());
        assert!(output.code.is_some_and(|code| code != 0) && output.stderr.contains(&reason), "{output:?}");
    }
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[pins]", "[pin]")).unwrap();
    let output = add(&["--secrets", &file]);
    refused(&output, "secrets: it is not one that `atm secrets new` has written, or it is damaged");
    assert!(!output.stderr.contains("key = "), "{output:?}");
    // A file, and a link to one, is never replaced.
    for path in [&file, &link] {
        let output = bank.run(&["secrets", "new", path]);
        assert!(error(&output).contains(path.as_str()), "{output:?}");
    }
    assert!(fs::read_to_string(&file).unwrap().contains("[pin]\n"));
}

#[test]
fn the_log_says_at_the_start_whether_sealed_links_and_links_in_clear_are_served() {
    let bank = Bank::new();
    let (line, secrets, data) = (SerialPair::new(), bank.text("secrets"), bank.text("data"));
    let (tcp, serial) = (["--listen", "127.0.0.1:0"], ["--serial", &line.near]);
    let (sealed, mixed) = (["--sealed", "--secrets", &secrets], ["--secrets", &secrets]);
    let clear = ["--wire", "postcard"];
    for (options, shown) in [
        (&sealed[..], "sealed=true clear=false"),
        (&[mixed, clear].concat(), "sealed=true clear=true"),
        (&clear, "sealed=false clear=true"),
    ] {
        for place in [tcp, serial] {
            let words = [&["serve", "--data", &data], options, &place].concat();
            let server = Program::start(atm(&words));
            server.wait_for("listening on");
            server.wait_for_stderr(shown);
            server.signal(Signal::TERM);
            assert_eq!(server.finish().code, Some(0));
        }
    }
}

#[test]
fn a_closed_folder_takes_the_orders_of_a_served_one() {
    let bank = Bank::new();
    bank.issue("rotate", "kiosk-7", "next");
    done(bank.on_ledger(&["terminal", "revoke", "kiosk-8"]));
    let server = bank.serve();
    assert_eq!(bank.balance(&server, "next").code, Some(0));
    assert_ne!(bank.balance(&server, "kiosk-8").code, Some(0));
    server.stop();
    ledger_stdout(&["verify"], &bank.path("data"));
}

#[test]
fn after_a_restore_terminals_are_out_of_service_until_they_are_confirmed() {
    let bank = Bank::new();
    let (backup, data) = (bank.text("backup.db"), bank.text("data"));
    done(bank.run(&["ledger", "backup", &backup, "--data", &data]));
    fs::remove_dir_all(&data).unwrap();
    done(bank.run(&["ledger", "restore", &backup, "--data", &data]));
    let server = bank.serve();
    assert_eq!(bank.row("kiosk-7")["closed"], true);
    let shown = bank.balance(&server, "kiosk-7");
    assert!(shown.code != Some(0) && shown.stdout.contains("This ATM is out of service"), "{shown:?}");
    assert_eq!(done(bank.on_ledger(&["access", "confirm", "kiosk-7"])), "kiosk-7: back in service\n");
    assert_eq!(bank.balance(&server, "kiosk-7").code, Some(0));
    assert_ne!(bank.balance(&server, "kiosk-8").code, Some(0));
    for opened in ["1 terminal is", "0 terminals are"] {
        let said = done(bank.on_ledger(&["access", "confirm"]));
        assert_eq!(said, format!("confirmed: {opened} back in service\n"));
    }
    assert_eq!(bank.balance(&server, "kiosk-8").code, Some(0));
    server.stop();
}

/// Its epoch is behind the row of the server, and no other client runs.
#[test]
fn a_terminal_that_was_set_back_is_said_to_need_another_key() {
    let (bank, server) = Bank::served();
    let key = fs::read(bank.path("kiosk-7")).unwrap();
    for _ in 0..2 {
        assert_eq!(bank.balance(&server, "kiosk-7").code, Some(0));
    }
    fs::write(bank.path("kiosk-7"), key).unwrap();
    fs::remove_file(bank.path("kiosk-7.state")).unwrap();
    let hint = "issue another key (atm terminal rotate kiosk-7, at the server)";
    let shown = bank.balance(&server, "kiosk-7");
    assert!(
        shown.code == Some(1) && shown.stdout.contains("A terminal of this name is in use."),
        "{shown:?}"
    );
    assert!(shown.stderr.contains(hint), "{shown:?}");
    let mut one_shot = bank.client(&server, "kiosk-7");
    one_shot.arg("balance");
    let shown = Program::run(one_shot, "");
    assert!(shown.code == Some(1) && shown.stderr.contains(hint), "{shown:?}");
    bank.issue("rotate", "kiosk-7", "next");
    assert_eq!(bank.balance(&server, "next").code, Some(0));
    server.stop();
}
