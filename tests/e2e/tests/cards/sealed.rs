//! Access by card over sealed links, with a ledger on disk: money moves, limits hold, and the log says nothing of the card.
use crate::branch::Branch;
use atm_e2e::{Program, SerialPair, Signal, TerminalProgram, atm};
use atm_host::client::Target;

#[test]
fn money_moves_between_accounts_and_stays_after_a_restart() {
    let branch = Branch::new();
    let server = branch.serve(&[]);
    let mut terminal = branch.at_menu("kiosk-1", &server, 0);
    let text = terminal.ask("withdraw 40").text;
    assert!(text.starts_with("Amount withdrawn: $40. Your balance is $210."), "{text}");
    let [.., confirm] = ["transfer", "1001", "12.34"].map(|answer| terminal.ask(answer).text);
    assert!(confirm.starts_with("Transfer $12.34 to account 1001 of B*** B***?"), "{confirm}");
    assert!(terminal.ask("yes").text.starts_with("Amount transferred: $12.34"));
    drop(terminal);
    server.stop();
    assert_eq!([1000, 1001].map(|account| branch.balance(account)), [19_766, 26_234]);
    let server = branch.serve(&[]);
    let mut other = branch.at_menu("kiosk-2", &server, 1);
    let statement = other.ask("statement").text;
    assert!(statement.contains("transfer in $12.34, balance $262.34"), "{statement}");
    drop(other);
    server.stop();
}

/// The programs as they are shipped, at both ends.
#[test]
fn a_person_at_the_client_withdraws_and_leaves_no_pin_on_the_screen() {
    let branch = Branch::new();
    let server = branch.serve(&[]);
    branch.enrol("kiosk-1");
    let (key, address) = (branch.path("kiosk-1"), server.address.to_string());
    let mut screen = TerminalProgram::start(atm(&["client", "--key", &key, &address]));
    screen.wait_for("Please type the number of your card.");
    let (number, pin) = &branch.cards[0];
    screen.press(format!("{number}\r"));
    screen.wait_for("Please type your PIN.");
    screen.press(format!("{pin}\r"));
    screen.wait_for("What would you like to do?");
    screen.press("withdraw 40\r");
    screen.wait_for("Amount withdrawn: $40. Your balance is $210.");
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert!(!screen.shown().contains(pin.as_str()), "{}", screen.shown());
    assert_eq!(screen.finish(), Some(0));
    assert_eq!(branch.balance(1000), 21_000);
    server.stop();
}

#[test]
fn the_limits_of_the_command_line_hold_also_after_a_restart() {
    let branch = Branch::new();
    let server = branch.serve(&["--withdrawal-limit", "50.50", "--day-limit", "80"]);
    let mut terminal = branch.at_menu("kiosk-1", &server, 0);
    let over = terminal.ask("withdraw 51").text;
    assert!(over.contains("$50.50"), "{over}");
    assert!(terminal.ask("withdraw 50").text.starts_with("Amount withdrawn: $50."));
    drop(terminal);
    server.stop();
    let server = branch.serve(&["--day-limit", "80"]);
    let mut terminal = branch.at_menu("kiosk-2", &server, 0);
    let over = terminal.ask("withdraw 31").text;
    assert!(over.contains("$30"), "{over}");
    assert!(terminal.ask("withdraw 30").text.starts_with("Amount withdrawn: $30."));
    drop(terminal);
    server.stop();
    assert_eq!(branch.balance(1000), 17_000);
}

/// The server is killed, so that nothing is left out of the files.
#[test]
fn a_log_at_debug_level_and_the_ledgers_files_have_no_number_and_no_pin() {
    let branch = Branch::new();
    let server = branch.serve(&["--log", "debug", "--metrics", "127.0.0.1:0"]);
    let mut terminal = branch.at_menu("kiosk-1", &server, 0);
    for answer in
        ["balance", "deposit 5", "statement", "pin", &branch.cards[0].1, "864297", "864297", "logout"]
    {
        terminal.ask(answer);
    }
    let wrong = terminal.ask(&branch.cards[1].0).text;
    assert!(wrong.starts_with("Please type your PIN."));
    assert!(terminal.ask("975310").text.starts_with("The card and the PIN were not accepted."));
    // A thread writes the log, after the reply.
    server.program.wait_for_stderr("reason=\"not-verified\"");
    let log = server.program.stderr();
    for words in [
        "terminal=kiosk-1 id=",
        "operation=\"verification\" outcome=\"done\"",
        "operation=\"verification\" outcome=\"refused\" reason=\"not-verified\"",
        "operation=\"pin-change\" outcome=\"done\"",
        "operation=\"deposit\" outcome=\"done\" amount=500",
        "operation=\"statement\" outcome=\"done\"",
    ] {
        assert!(log.contains(words), "no {words}: {log}");
    }
    server.program.signal(Signal::KILL);
    let output = server.program.finish();
    let (stdout, stderr) = (output.stdout.into_bytes(), output.stderr.into_bytes());
    let files = branch.files();
    let mut searched = vec![("stdout", &stdout), ("stderr", &stderr)];
    searched.extend(files.iter().map(|(path, content)| (path.to_str().unwrap(), content)));
    let secrets = [&branch.cards[0].0, &branch.cards[1].0, "864297", "975310"];
    for (name, content) in searched {
        for secret in secrets {
            let is_there = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{secret} is in {name}");
        }
    }
    // What was searched for would have been found.
    assert!(files.iter().any(|(_, content)| content.windows(7).any(|window| window == b"kiosk-1")));
}

#[test]
fn cards_are_served_on_a_serial_line() {
    let branch = Branch::new();
    branch.enrol("kiosk-1");
    let line = SerialPair::new();
    let (secrets, data) = (branch.path("secrets"), branch.path("data"));
    let by_card = ["serve", "--access", "card", "--sealed", "--secrets", &secrets, "--data", &data];
    let server = Program::start(atm(&[&by_card[..], &["--serial", &line.far]].concat()));
    server.wait_for("sealed, by card)");
    let mut terminal = branch.terminal("kiosk-1", Target::Serial { path: line.near.clone(), baud: 115_200 });
    terminal.log_in(&branch.cards[0]);
    assert!(terminal.ask("withdraw 40").text.starts_with("Amount withdrawn: $40."));
    server.signal(Signal::TERM);
    assert_eq!(server.finish().code, Some(0));
    assert_eq!(branch.balance(1000), 21_000);
}

#[test]
fn a_server_by_card_is_refused_without_what_it_needs() {
    let branch = Branch::new();
    let (secrets, data) = (branch.path("secrets"), branch.path("data"));
    for (arguments, reason) in [
        (&["--data", &data, "--secrets", &secrets][..], "it needs --sealed, or TLS"),
        (&["--data", &data, "--secrets", &secrets, "--allow-clear"], "it needs --sealed, or TLS"),
        (&["--sealed", "--secrets", &secrets], "<--data <DIR>"),
        (&["--sealed", "--data", &data], "--sealed needs --secrets FILE"),
    ] {
        for check in [&[][..], &["--check-config"]] {
            let command = atm(&[&["serve", "--access", "card"], arguments, check].concat());
            let output = Program::run(command, "");
            assert_eq!(output.code, Some(2), "{arguments:?}: {output:?}");
            assert!(output.stderr.contains(reason), "{arguments:?}: {output:?}");
        }
    }
    let whole = ["serve", "--access", "card", "--sealed", "--data", &data, "--secrets", &secrets];
    let output = Program::run(atm(&[&whole[..], &["--check-config"]].concat()), "");
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "ok\n"), "{output:?}");
}
