//! The programs' options, exit codes and first lines.
use atm_e2e::{Program, Server, Signal, atm, firmware_sim};
use std::{io, net::TcpListener};

#[test]
fn help_and_version() {
    let commands: [&[&str]; 7] = [
        &["--help"],
        &["serve", "--help"],
        &["client", "--help"],
        &["demo", "--help"],
        &["help", "serve"],
        &["ledger", "--help"],
        &["ledger", "restore", "--help"],
    ];
    for arguments in commands {
        let done = Program::run(atm(arguments), "");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{arguments:?}: {done:?}");
        assert!(done.stdout.contains("Usage: atm"), "{arguments:?}: {done:?}");
    }
    for command in [atm(&["--version"]), firmware_sim(&["--version"])] {
        let done = Program::run(command, "");
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stdout.trim_end().ends_with(env!("CARGO_PKG_VERSION")), "{done:?}");
    }
    let done = Program::run(firmware_sim(&["--help"]), "");
    assert!(done.code == Some(0) && done.stdout.contains("--device"), "{done:?}");
    // Every limit of the server says its default.
    let done = Program::run(atm(&["serve", "--help"]), "");
    let help = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for (option, default) in [
        ("--listen", "127.0.0.1:65432"),
        ("--wire", "json"),
        ("--balance", "100"),
        ("--limit", "1000000"),
        ("--idle-timeout", "300"),
        ("--frame-timeout", "10"),
        ("--stall-timeout", "30"),
        ("--max-sessions", "10000"),
    ] {
        let (_, rest) = help.split_once(&format!(" {option} <")).unwrap_or_else(|| panic!("no {option}"));
        let told = rest.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
        assert!(told.is_some_and(|told| told.starts_with(default)), "{option}: {told:?}");
    }
}

#[test]
fn completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = Program::run(atm(&["completions", shell]), "");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(done.stdout.contains("max-sessions"), "{shell}: {}", done.stdout);
    }
}

#[test]
fn wrong_usage_is_2() {
    let commands: [&[&str]; 16] = [
        &["sing"],
        &["ledger", "verify"],
        &["ledger", "export", "--data", "a", "--format", "xml"],
        &["--balance", "5"],
        &["serve", "extra"],
        &["serve", "--wire", "morse"],
        &["serve", "--balance", "-5"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--listen", "127.0.0.1:99999"],
        &["serve", "--balance", "1e3"],
        &["serve", "--idle-timeout", "0"],
        &["serve", "--max-sessions", "many"],
        &["client", "--baud", "9600"],
        &["client", "--connect", "127.0.0.1:1", "--serial", "/dev/null"],
        &["demo", "--wire", "morse"],
        &["completions", "nosh"],
    ];
    for arguments in commands {
        let done = Program::run(atm(arguments), "");
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{arguments:?}: {done:?}");
        assert!(done.stderr.starts_with("error: "), "{arguments:?}: {done:?}");
    }
    for arguments in
        [&["--baud", "9600"][..], &["--wire", "raw"], &["--demo", "--device", "/dev/null"], &["extra"]]
    {
        assert_eq!(Program::run(firmware_sim(arguments), "").code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_server_that_cannot_listen_fails_with_one_line() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = Server::start(&[]);
    for address in [server.address.to_string().as_str(), "256.0.0.1:0", "192.0.2.1:0"] {
        let done = Program::run(atm(&["serve", "--listen", address]), "");
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{address}: {done:?}");
        assert_eq!(done.stderr.lines().count(), 1, "{address}: {done:?}");
        assert!(done.stderr.contains(address), "{address}: {done:?}");
    }
    // One whose server was killed with a client there is free again at once.
    for _ in 0..2 {
        let server = Server::start(&["--listen", &free]);
        let client = server.client();
        server.program.signal(Signal::KILL);
        drop((server, client));
    }
    server.stop();
}

#[test]
fn a_server_starts_with_the_balance_and_the_limit_that_it_is_told() {
    for (text, minor) in [("0", 0), ("100", 10_000), ("140.50", 14_050), ("90071992547409.91", (1 << 53) - 1)]
    {
        let server = Server::start(&["--balance", text]);
        assert_eq!(server.balance(), minor, "{text}");
        server.stop();
    }
    let server = Server::start(&["--limit", "30"]);
    let mut client = server.client();
    assert!(atm_e2e::text_of(&client.ask("deposit 31")).starts_with("That is over the limit of $30"));
    assert_eq!(client.ask("30")["balance"], 13_000);
    drop(client);
    server.stop();
}

#[test]
fn logs_are_lines_on_standard_error_without_what_was_typed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.ask("my secret");
    client.ask("deposit 4711");
    drop(client);
    server.program.wait_for_stderr("session closed");
    let (errors, output) = (server.program.stderr(), server.program.stdout());
    assert!(!errors.contains("secret") && !errors.contains("4711"), "{errors}");
    assert!(errors.lines().all(|line| line.contains(" INFO ")), "{errors}");
    assert_eq!(output, format!("listening on {} (json)\n", server.address));
    server.stop();
    let quiet = Server::start(&["--log", "off"]);
    quiet.balance();
    assert_eq!(quiet.program.stderr(), "");
    quiet.stop();
}

#[test]
fn a_log_that_nobody_reads_any_more_does_not_stop_the_server() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let server = Server::of(Program::start_with(atm(&["serve", "--listen", "127.0.0.1:0"]), writer.into()));
    for _ in 0..3 {
        assert_eq!(server.balance(), 10_000);
    }
    server.stop();
}
