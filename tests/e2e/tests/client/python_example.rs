//! examples/client.py: a working client in at most 15 lines.
use atm_e2e::{Program, Server, examples, python};
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
