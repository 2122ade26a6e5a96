//! Access by card over TLS: the certificate names the terminal, and the secrets file has the keys of the cards alone.
use crate::{authority::Authority, client::TlsClient};
use atm_e2e::{Program, Server, Value, atm, json, text_of};
use tempfile::TempDir;

/// A bank by card: account 1000 of $250 with a card, and the terminal `kiosk-7`, enrolled for TLS.
struct Bank {
    authority: Authority,
    folder: TempDir,
    server: Server,
    number: String,
    pin: String,
}

impl Bank {
    fn new() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        authority.issue("kiosk-7", &["kiosk-7"]);
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (secrets, data) = (path("secrets"), path("data"));
        order(&["secrets", "new", &secrets]);
        let server = authority.serve(&["--access", "card", "--secrets", &secrets, "--data", &data]);
        assert!(server.program.stdout().contains("(json, TLS, by card)"));
        order(&["terminal", "add", "kiosk-7", "--tls", "--data", &data]);
        order(&["account", "open", "--owner", "Ada Lovelace", "--balance", "250", "--data", &data]);
        let issued = order(&["card", "issue", "--account", "1000", "--data", &data, "--secrets", &secrets]);
        let field = |name: &str| {
            let line = issued.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{issued}")).split_whitespace().collect()
        };
        let (number, pin) = (field("number"), field("PIN"));
        Self { authority, folder, server, number, pin }
    }

    fn connect(&self) -> TlsClient {
        TlsClient::connect(self.server.address, &self.authority, Some("kiosk-7"))
    }
}

/// Runs a command of the operator, which must be done; returns what it prints.
fn order(arguments: &[&str]) -> String {
    let output = Program::run(atm(arguments), "");
    assert_eq!(output.code, Some(0), "{arguments:?}: {output:?}");
    output.stdout
}

fn hello(start: u64) -> Value {
    json!({ "hello": 2, "capabilities": 1, "terminal": "kiosk-7", "start": start, "attempt": 1 })
}

#[test]
fn money_moves_with_a_card_and_its_pin() {
    let bank = Bank::new();
    let mut client = bank.connect();
    let first = client.hello(&hello(1));
    assert!(text_of(&first).ends_with("Please type the number of your card. (exit ends the session)"));
    let secret = client.ask(&first, &bank.number);
    assert_eq!(secret["secret"], true, "{secret}");
    let menu = client.ask(&secret, &bank.pin);
    let done = client.ask(&menu, "withdraw 40");
    assert_eq!((&done["outcome"], &done["balance"]), (&json!("done"), &json!(21_000)), "{done}");
    // In mid-session no money moves any more once the certificate is revoked.
    let data = bank.folder.path().join("data");
    order(&["terminal", "revoke", "kiosk-7", "--data", data.to_str().unwrap()]);
    let over = client.ask(&done, "withdraw 40");
    assert_eq!(over["notice"], "out-of-service", "{over}");
    let show = order(&["account", "show", "1000", "--json", "--data", data.to_str().unwrap()]);
    assert!(show.contains("\"balance\":21000"), "{show}");
}

#[test]
fn a_terminal_that_cannot_hide_a_pin_is_told_so_and_gets_no_session() {
    let bank = Bank::new();
    let mut client = bank.connect();
    let mut version_1 = hello(1);
    version_1["hello"] = json!(1);
    let fault = client.hello(&version_1);
    assert_eq!(fault["error"], "by-card", "{fault}");
    // A plain client of version 1.
    let mut command = atm(&["client", &bank.server.address.to_string(), "--wire", "json"]);
    command.args(bank.authority.client_options("kiosk-7"));
    let done = Program::run(command, "3\n");
    assert!(!done.stdout.contains("Your balance"), "{done:?}");
}
