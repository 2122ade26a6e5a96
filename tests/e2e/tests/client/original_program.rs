//! Compatibility with the original classroom program on the `raw` wire: its client with our server, our client with its
//! server.

use atm_e2e::{Program, Server, Signal, atm, original_programs, python};

const PROMPT: &str = ">>> ";

/// Types each line at its prompt and waits for the text that must follow.
fn enter_lines(program: &mut Program, lines: &[(&str, &str)]) {
    for (number, (line, shown)) in lines.iter().enumerate() {
        program.wait_for_times(PROMPT, number + 1);
        program.type_line(line);
        program.wait_for(shown);
    }
}

#[test]
fn the_original_client_works_with_our_server() {
    let server = Server::start(&["--wire", "raw"]);
    let port = server.address.port().to_string();
    let Some(command) = python(&original_programs().join("client.py"), &[&port]) else { return };
    let mut client = Program::start(command);
    client.wait_for("Welcome to the ATM");
    enter_lines(
        &mut client,
        &[
            ("1", "How much would you like to deposit?"),
            ("forty", "That is not an amount"),
            ("40", "Your balance is $140."),
            ("2", "How much would you like to withdraw?"),
            ("500", "There is not enough money"),
            ("15", "Amount withdrawn: $15. Your balance is $125."),
            ("3", ">>> Your balance is $125."),
            ("dance", "That is not a valid choice."),
        ],
    );
    // The original client leaves without waiting for a goodbye.
    client.wait_for_times(PROMPT, 9);
    client.type_line("exit");
    let done = client.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");

    // Another client stops the server with quit.
    let mut client = Program::start(python(&original_programs().join("client.py"), &[&port]).unwrap());
    enter_lines(&mut client, &[("3", "Your balance is $125."), ("quit", "")]);
    assert_eq!(client.finish().code, Some(0));
    assert_eq!(server.program.finish().code, Some(0));
}

#[test]
fn our_client_works_with_the_original_server() {
    let Some(command) = python(&original_programs().join("server.py"), &["0"]) else { return };
    let server = Program::start(command);
    let port = server.wait_until(|text| {
        let line = text.split_once('\n')?.0;
        Some(line.rsplit(' ').next().unwrap().to_owned())
    });
    let address = format!("127.0.0.1:{port}");
    let client = |input: &str| Program::run(atm(&["client", "--connect", &address, "--wire", "raw"]), input);

    let done = client("1\n40\n2\n15\n3\ndance\nexit\n");
    let shown = [
        "1. Deposit",
        "\nHow much would you like to deposit?\nAmount deposited. Your balance is $140\n",
        "\nYour balance is $140. How much would you like to withdraw?\nAmount withdrawn. Your balance is $125\n",
        "\nYour balance is $125\n",
        "\nInvalid choice\n",
    ];
    let mut rest = done.stdout.as_str();
    for text in shown {
        let at = rest.find(text).unwrap_or_else(|| panic!("no {text:?}: {done:?}"));
        rest = &rest[at + text.len()..];
    }
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");

    // The end of the lines means `exit`; `quit` stops the server.
    assert_eq!(client("3\n").code, Some(0));
    let done = client("3\nquit\n");
    assert!(done.code == Some(0) && done.stdout.contains("Your balance is $125"), "{done:?}");
    let ended = server.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}

#[test]
fn our_client_reports_that_the_original_server_was_killed() {
    let Some(command) = python(&original_programs().join("server.py"), &["0"]) else { return };
    let server = Program::start(command);
    let port =
        server.wait_until(|text| Some(text.split_once('\n')?.0.rsplit(' ').next().unwrap().to_owned()));
    let mut client =
        Program::start(atm(&["client", "--connect", &format!("127.0.0.1:{port}"), "--wire", "raw"]));
    client.wait_for("3. Balance");
    client.type_line("1");
    client.wait_for("How much would you like to deposit?");
    server.signal(Signal::KILL);
    let done = client.finish();
    assert_eq!(
        (done.code, done.stderr.as_str()),
        (Some(1), "the server closed the connection\n"),
        "{done:?}"
    );
}
