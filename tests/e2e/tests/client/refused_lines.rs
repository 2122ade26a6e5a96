//! A line that is refused: it is the last one of a pipe, unless that keeps going; at a terminal, a word of the menu is taken
//! where an amount is asked for. On each wire, over TCP and serial lines, with a name and without.
use super::piped_client::WIRES;
use atm_e2e::{FirmwareSim, Output, Program, Server, Signal, TerminalProgram, atm};
use std::process::Command;

/// A running host, and the arguments of a client for it.
#[derive(Debug)]
struct Host {
    server: Option<Server>,
    _kiosk: Option<FirmwareSim>,
    client: Vec<String>,
}

impl Host {
    fn server(wire: &str, more: &[&str]) -> Self {
        let server = Server::start(&["--wire", wire]);
        let address = server.address.to_string();
        let client = [&["client", "--connect", &address, "--wire", wire], more].concat();
        let client = client.into_iter().map(str::to_owned).collect();
        Self { client, server: Some(server), _kiosk: None }
    }

    fn kiosk(wire: &str) -> Self {
        let kiosk = FirmwareSim::start(&["--wire", wire]);
        let client = ["client", "--serial", &kiosk.path, "--wire", wire].map(str::to_owned).to_vec();
        Self { client, server: None, _kiosk: Some(kiosk) }
    }

    /// One host for each kind of link.
    fn each() -> Vec<Self> {
        let servers = WIRES.iter().map(|wire| Self::server(wire, &[]));
        let named = ["json", "postcard"].map(|wire| Self::server(wire, &["--terminal", "kiosk-7"]));
        servers.chain(named).chain(["json", "postcard"].map(Self::kiosk)).collect()
    }

    fn command(&self, more: &[&str]) -> Command {
        let client: Vec<&str> = self.client.iter().map(String::as_str).chain(more.iter().copied()).collect();
        atm(&client)
    }

    fn run(&self, more: &[&str], lines: &str) -> Output {
        Program::run(self.command(more), lines)
    }

    fn stop(self) {
        if let Some(server) = self.server {
            server.stop();
        }
    }
}

#[test]
fn a_refused_line_is_the_last_one_of_a_pipe() {
    for host in Host::each() {
        for (lines, stopped) in [
            ("1\n40.00\n3\nexit\n", "line 2 (\"40.00\"): it was refused"),
            ("2\n101\n3\n", "line 2 (\"101\"): it was refused"),
            ("3\nsing\ndeposit 3\n", "line 2 (\"sing\"): it was refused"),
            ("deposit\n\n3\n", "line 2 (\"\"): it was refused"),
            ("deposit\nbalance\n3\n", "line 2 (\"balance\"): it was refused"),
        ] {
            let done = host.run(&[], lines);
            let err = format!("stopped at {stopped}\n");
            assert_eq!((done.code, done.stderr), (Some(3), err), "{host:?} {lines:?}: {}", done.stdout);
            assert!(done.stdout.ends_with("Goodbye.\n"), "{host:?} {lines:?}: {}", done.stdout);
        }
        let long = "9".repeat(65);
        let done = host.run(&[], &format!("deposit\n{long}\n3\n"));
        let err = "stopped at line 2: an answer has at most 64 bytes\n";
        assert_eq!((done.code, done.stderr.as_str()), (Some(3), err), "{host:?}: {}", done.stdout);
        let done = host.run(&[], "3\n");
        assert!(done.code == Some(0) && done.stdout.contains("Your balance is $100."), "{host:?}: {done:?}");
        host.stop();
    }
}

#[test]
fn a_pipe_that_keeps_going_reports_each_refused_line() {
    for host in Host::each() {
        let long = "9".repeat(65);
        let done = host.run(&["--keep-going"], &format!("1\n40.00\n{long}\n3\nsing\nbalance\n"));
        let err = "line 2 (\"40.00\"): it was refused\nline 3: an answer has at most 64 bytes\n\
                   line 5 (\"sing\"): it was refused\n";
        assert_eq!((done.code, done.stderr.as_str()), (Some(3), err), "{host:?}: {}", done.stdout);
        // The third line after the refused amount answers the prompt that it left open.
        for text in ["Amount deposited: $3. Your balance is $103.", "\nYour balance is $103.", "Goodbye."] {
            assert!(done.stdout.contains(text), "{host:?}: {}", done.stdout);
        }
        host.stop();
    }
}

#[test]
fn a_word_of_the_menu_is_taken_where_an_amount_is_asked_for() {
    for host in Host::each() {
        let mut screen = TerminalProgram::start(host.command(&[]));
        screen.wait_for_times(">>> ", 1);
        for (line, shown) in [
            ("1\rbalance\r", "Your balance is $100."),
            ("2\rDeposit 40\r", "Amount deposited: $40. Your balance is $140."),
            ("deposit\rwithdraw\r", "Balance: $140. How much would you like to withdraw?"),
            ("withdraw 15\r", "Amount withdrawn: $15. Your balance is $125."),
            // A number is an amount, and a refused amount leaves its prompt open.
            ("1\r3\r", "Amount deposited: $3. Your balance is $128."),
            ("1\rforty\r", "That is not an amount: type a whole number in digits."),
            ("withdraw 500\r", "There is not enough money: your balance is $128."),
            ("balance\r", "\nYour balance is $128."),
            ("exit\r", "Goodbye."),
        ] {
            screen.press(line);
            screen.wait_for(shown);
        }
        assert_eq!(screen.finish(), Some(0), "{host:?}");
        host.stop();
    }
}

#[test]
fn a_line_that_was_begun_before_another_session_is_not_sent() {
    let server = Server::start(&[]);
    let address = server.address.to_string();
    let client = atm(&["client", "--connect", &address, "--terminal", "kiosk-7"]);
    let mut screen = TerminalProgram::start(client);
    screen.wait_for(">>> ");
    screen.press("1\r");
    screen.wait_for("How much would you like to deposit?");
    screen.press("4");
    server.program.signal(Signal::KILL);
    drop(server);
    screen.wait_for("connection lost; reconnecting");
    let server = Server::start(&["--listen", &address]);
    screen.wait_for("reconnected");
    screen.wait_for("(help shows the menu)");
    screen.press("0\r");
    screen.wait_for(
        "not sent: another prompt has opened since the line was begun; type it again if it answers that one",
    );
    screen.press("balance\r");
    screen.wait_for("Your balance is $100.");
    screen.press("exit\r");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}
