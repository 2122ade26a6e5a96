//! examples/client.py: a working client in at most 15 lines. Where no server listens, neither example connects to itself.
use atm_e2e::{Program, Server, examples, python, with_ephemeral_ports};
use std::fs;

#[test]
fn the_example_has_at_most_15_lines_and_works() {
    let script = examples().join("client.py");
    let source = fs::read_to_string(&script).unwrap();
    assert!(source.lines().count() <= 15 && source.contains("struct.pack(\"!I\""), "{source}");

    let server = Server::start(&[]);
    let (host, port) = (server.address.ip().to_string(), server.address.port().to_string());
    let Some(command) = python(&script, &[&host, &port]) else { return };
    let done = Program::run(command, "\u{feff}1\n40\nwithdraw 15\n3\nexit\n");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    for text in [
        "1. Deposit",
        "\nHow much would you like to deposit?",
        "\nAmount deposited: $40. Your balance is $140.",
        "\nAmount withdrawn: $15. Your balance is $125.",
        "\nYour balance is $125.",
    ] {
        assert!(done.stdout.contains(text), "no {text:?} in {}", done.stdout);
    }
    assert!(done.stdout.ends_with("\nGoodbye.\n"), "{}", done.stdout);

    // The end of the input ends the session.
    let done = Program::run(python(&script, &[&host, &port]).unwrap(), "deposit 5\n");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert_eq!(server.balance(), 13_000);

    // The server refuses a line that is not UTF-8.
    let mut client = Program::start(python(&script, &[&host, &port]).unwrap());
    client.type_bytes(b"deposit 5\xff\n3\n");
    client.end_input();
    let done = client.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.contains("That is not an amount") && !done.stdout.contains("$135"), "{done:?}");
    server.stop();
}

#[test]
fn without_a_server_no_example_connects_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    // A terminal that gives up after two seconds, not two minutes.
    let (terminal, state) = (folder.path().join("terminal.py"), folder.path().join("kiosk-7.json"));
    let source = fs::read_to_string(examples().join("terminal.py")).unwrap();
    let hasty = source.replace("GIVE_UP = 1.0, 5.0, 60.0", "GIVE_UP = 1.0, 5.0, 1.0");
    assert_ne!(hasty, source);
    fs::write(&terminal, hasty).unwrap();
    for (script, more) in
        [(examples().join("client.py"), &[][..]), (terminal, &["kiosk-7", state.to_str().unwrap()])]
    {
        let Some(command) = python(&script, &[&["127.0.0.1", "40000"], more].concat()) else { return };
        let Some(command) = with_ephemeral_ports(&command, 40_000) else { return };
        let done = Program::run(command, "3\n");
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
        assert!(done.stderr.to_lowercase().ends_with("connection refused\n"), "{done:?}");
    }
}
