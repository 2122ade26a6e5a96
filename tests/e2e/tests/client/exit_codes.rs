//! The exit code of `atm client`: the outcome of the lines of a pipe, on each wire; a person at a terminal; signals.
use super::piped_client::{WIRES, prompt, run, scripted_server};
use atm_e2e::{Client, Output, Program, Server, Signal, TIMEOUT, TerminalProgram, atm, frame, json};
use rustix::{
    fs::{OFlags, fcntl_setfl},
    io::ioctl_fionread,
    process::{Pid, kill_process},
};
use std::{
    io::{self, Write},
    net::SocketAddr,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_refused_line_is_3_on_each_wire() {
    for wire in WIRES {
        let server = Server::start(&["--wire", wire, "--limit", "200"]);
        for lines in [
            "withdraw 101\n",
            "deposit 201\n",
            "deposit 0\n",
            "1\n40.00\n",
            "2\nforty\n",
            "sing\n",
            "\n",
            "deposit 90071992547409\n",
        ] {
            let done = run(server.address, wire, lines);
            assert_eq!(done.code, Some(3), "{wire} {lines:?}: {done:?}");
        }
        assert_eq!(run(server.address, wire, "withdraw all\n").code, Some(0), "{wire}");
        let done = run(server.address, wire, "withdraw\n");
        assert_eq!(done.code, Some(3), "{wire}: there is nothing to withdraw: {done:?}");
        server.stop();
    }
}

#[test]
fn a_line_that_cannot_be_sent_is_3() {
    let server = Server::start(&[]);
    for line in ["9".repeat(65).as_bytes(), "9".repeat(5000).as_bytes(), b"\xff"] {
        let mut client = Program::start(atm(&["client", "--connect", &server.address.to_string()]));
        client.type_bytes(&[line, b"\n"].concat());
        client.end_input();
        let done = client.finish();
        assert_eq!(done.code, Some(3), "{line:?}: {done:?}");
    }
    server.stop();
}

#[test]
fn a_non_blocking_standard_input_is_waited_for() {
    let server = Server::start(&[]);
    let (input, mut lines) = io::pipe().unwrap();
    fcntl_setfl(&input, OFlags::NONBLOCK).unwrap();
    let mut command = atm(&["client", "--connect", &server.address.to_string()]);
    let client = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    for line in ["deposit 40\n", "with", "draw 30\n"] {
        // The client has read all before, and finds nothing.
        thread::sleep(Duration::from_millis(100));
        lines.write_all(line.as_bytes()).unwrap();
    }
    drop(lines);
    let done = client.wait_with_output().unwrap();
    assert_eq!((done.status.code(), done.stderr.as_slice()), (Some(0), &b""[..]), "{done:?}");
    assert_eq!(server.balance(), 11_000);
    server.stop();
}

/// Runs a named terminal with one line, at a host that sends this reply to it, or closes the connection without one.
fn run_with_reply(reply: Option<&str>) -> Output {
    let (address, server) = scripted_server(Vec::new());
    let address = address.to_string();
    let arguments = ["client", "--connect", &address, "--terminal", "k", "--no-reconnect"];
    let mut client = Program::start(atm(&arguments));
    client.type_line("deposit 40");
    client.end_input();
    let mut server = server.join().unwrap();
    let (start, attempt) = hello(&mut server);
    let welcome = json!({ "seq": 7, "hello": 1, "ledger": "00000000000000aa", "start": start, "attempt": attempt, "input": true, "data": "Yes?" });
    server.send(&frame(welcome.to_string()));
    let answer = server.read();
    assert_eq!((&answer["re"], &answer["data"]), (&json!(7), &json!("deposit 40")));
    match reply {
        Some(outcome) => {
            let reply = json!({ "seq": 8, "re": 7, "input": true, "data": "Yes?", "outcome": outcome, "reason": "full" });
            server.send(&frame(reply.to_string()));
            // The client may leave by `exit`.
            let _ = server.stream().write_all(&frame(
                json!({ "seq": 9, "re": 8, "input": false, "data": "Bye.", "end": true }).to_string(),
            ));
        }
        None => drop(server),
    }
    client.finish()
}

/// The start and attempt of the hello that a client has sent.
fn hello(server: &mut Client) -> (u64, u64) {
    let hello = server.read();
    (hello["start"].as_u64().unwrap(), hello["attempt"].as_u64().unwrap())
}

#[test]
fn the_outcome_of_the_last_operation_is_the_exit_code() {
    for (reply, code) in [(Some("unknown"), 4), (Some("not-done"), 5), (Some("refused"), 3), (None, 4)] {
        let done = run_with_reply(reply);
        assert_eq!(done.code, Some(code), "{reply:?}: {done:?}");
    }
}

/// Interrupts a piped client whose server has received `answer` and not replied.
fn interrupt(signal: Signal, answer: Option<&str>) -> Output {
    let (address, server) = scripted_server(prompt(1));
    let mut client = Program::start(atm(&["client", "--connect", &address.to_string()]));
    let mut server = server.join().unwrap();
    client.wait_for("Yes?");
    if let Some(answer) = answer {
        client.type_line(answer);
        server.read();
    }
    client.signal(signal);
    client.finish()
}

#[test]
fn an_interrupted_pipe_is_130_and_reports_an_answer_without_a_reply() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2] {
        let done = interrupt(signal, None);
        assert_eq!((done.code, done.stderr.as_str()), (Some(130), ""), "{done:?}");
        let done = interrupt(signal, Some("deposit 40"));
        assert_eq!(done.code, Some(130), "{done:?}");
        let reason = "stopped at line 1 (\"deposit 40\"): there is no reply\nunknown: check the balance\n";
        assert_eq!(done.stderr, reason);
    }
}

#[test]
fn a_second_signal_ends_a_client_whose_output_blocks() {
    let (address, server) = scripted_server(Vec::new());
    let (unread, output) = io::pipe().unwrap();
    let mut command = atm(&["client", "--connect", &address.to_string(), "--wire", "raw"]);
    let mut client = command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let mut server = server.join().unwrap();
    let flood = thread::spawn(move || while server.try_send(b"and so on\n") {});
    let until = Instant::now() + TIMEOUT;
    // It blocks when it writes no more.
    let mut written = 0;
    while written == 0 || written != ioctl_fionread(&unread).unwrap() {
        assert!(Instant::now() < until, "the output does not block");
        written = ioctl_fionread(&unread).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    let code = loop {
        if let Some(status) = client.try_wait().unwrap() {
            break status.code();
        }
        assert!(Instant::now() < until, "signals have no effect");
        kill_process(Pid::from_child(&client), Signal::INT).unwrap();
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, Some(130));
    flood.join().unwrap();
}

fn at_terminal(address: SocketAddr) -> TerminalProgram {
    let screen = TerminalProgram::start(atm(&["client", "--connect", &address.to_string()]));
    screen.wait_for(">>> ");
    screen
}

#[test]
fn a_person_who_saw_the_refusals_leaves_with_0() {
    let server = Server::start(&[]);
    let mut screen = at_terminal(server.address);
    screen.press("withdraw 500\r");
    screen.wait_for("There is not enough money");
    screen.press("back\rsing\r");
    screen.wait_for("That is not a valid choice.");
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}

#[test]
fn a_person_whose_link_is_lost_with_an_answer_out_ends_with_4() {
    let (address, server) = scripted_server(prompt(1));
    let mut screen = at_terminal(address);
    let mut server = server.join().unwrap();
    screen.press("deposit 40\r");
    server.read();
    drop(server);
    screen.wait_for("unknown: check the balance");
    assert_eq!(screen.finish(), Some(4));
}
