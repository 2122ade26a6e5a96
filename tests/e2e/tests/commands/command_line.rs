//! The command lines of `atm` and `firmware-sim`: help, usage errors, exit codes, first lines, log.
use atm_e2e::{Program, Server, Signal, atm, firmware_sim};
use std::{fs, io, net::TcpListener, process::Stdio};

#[test]
fn help_and_version_exit_with_0() {
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
        let output = Program::run(atm(arguments), "");
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{arguments:?}: {output:?}");
        assert!(output.stdout.contains("Usage: atm"), "{arguments:?}: {output:?}");
    }
    for command in [atm(&["--version"]), firmware_sim(&["--version"])] {
        let output = Program::run(command, "");
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stdout.trim_end().ends_with(env!("CARGO_PKG_VERSION")), "{output:?}");
    }
    let output = Program::run(firmware_sim(&["--help"]), "");
    assert!(output.code == Some(0) && output.stdout.contains("--device"), "{output:?}");
    // The help has the default of each option.
    let output = Program::run(atm(&["serve", "--help"]), "");
    let help = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
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
        let shown = rest.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
        assert!(shown.is_some_and(|shown| shown.starts_with(default)), "{option}: {shown:?}");
    }
}

#[test]
fn usage_errors_exit_with_2() {
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
        let output = Program::run(atm(arguments), "");
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{arguments:?}: {output:?}");
        assert!(output.stderr.starts_with("error: "), "{arguments:?}: {output:?}");
    }
    for arguments in
        [&["--baud", "9600"][..], &["--wire", "raw"], &["--demo", "--device", "/dev/null"], &["extra"]]
    {
        assert_eq!(Program::run(firmware_sim(arguments), "").code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_server_that_cannot_listen_prints_one_line_and_exits_with_1() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = Server::start(&[]);
    for address in [server.address.to_string().as_str(), "256.0.0.1:0", "192.0.2.1:0"] {
        let output = Program::run(atm(&["serve", "--allow-clear", "--listen", address]), "");
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{address}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{address}: {output:?}");
        assert!(output.stderr.contains(address), "{address}: {output:?}");
    }
    // A port whose server was killed during a session can be bound again at once (SO_REUSEADDR).
    for _ in 0..2 {
        let server = Server::start(&["--listen", &free]);
        let client = server.client();
        server.program.signal(Signal::KILL);
        drop((server, client));
    }
    server.stop();
}

#[test]
fn balance_and_limit_are_options_of_the_server() {
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
fn the_log_is_on_standard_error_and_has_no_text_of_an_answer() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.ask("my secret");
    client.ask("deposit 047.11");
    drop(client);
    server.program.wait_for_stderr("session closed");
    let (log, stdout) = (server.program.stderr(), server.program.stdout());
    assert!(!log.contains("secret") && !log.contains("47.11"), "{log}");
    assert!(log.lines().all(|line| line.contains(" INFO ")), "{log}");
    assert_eq!(stdout, format!("listening on {} (json)\n", server.address));
    server.stop();
    let quiet = Server::start(&["--log", "off"]);
    quiet.balance();
    assert_eq!(quiet.program.stderr(), "");
    quiet.stop();
}

#[test]
fn a_closed_log_pipe_does_not_stop_the_server() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let server = Server::of(Program::start_with(atm(&["serve", "--listen", "127.0.0.1:0"]), writer.into()));
    for _ in 0..3 {
        assert_eq!(server.balance(), 10_000);
    }
    server.stop();
}

#[test]
fn a_closed_pipe_ends_a_command_without_a_message() {
    let server = Server::start(&["--log", "off"]);
    let address = server.address.to_string();
    for mut command in [
        atm(&["--help"]),
        atm(&["demo"]),
        atm(&["demo", "--hex"]),
        atm(&["completions", "zsh"]),
        atm(&["client", "--connect", &address]),
        firmware_sim(&["--demo"]),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(matches!(done.status.code(), Some(0 | 1)) && done.stderr.is_empty(), "{command:?}: {done:?}");
    }
    server.stop();
}

#[test]
fn a_secrets_file_that_is_there_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets");
    let run = || Program::run(atm(&["secrets", "new", path.to_str().unwrap()]), "");
    assert_eq!(run().code, Some(0));
    let before = fs::read(&path).unwrap();
    let done = run();
    let said = format!("the secrets file {}: it is there already, and is not replaced\n", path.display());
    assert!(done.code == Some(1) && done.stderr.ends_with(&said), "{done:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}
