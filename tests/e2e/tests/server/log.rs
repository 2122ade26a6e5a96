//! Log: one event an operation under a public target, as text or as JSON; a reader that pauses stops nothing but the log.
use atm_e2e::{Client, NamedTerminal, Program, Server, Signal, TIMEOUT, Value, atm, json};
use std::{
    io::{BufRead, BufReader, PipeReader, pipe},
    os::fd::OwnedFd,
    time::Instant,
};
use tempfile::TempDir;

/// The events of a target in a log of JSON lines.
fn events(log: &str, target: &str) -> Vec<Value> {
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["target"] == target).collect()
}

#[test]
fn each_operation_is_one_event_with_its_outcome_and_amount() {
    let folder = TempDir::new().unwrap();
    for data in [None, folder.path().to_str()] {
        let arguments = [&["--log-format", "json"], &data.map_or(vec![], |data| vec!["--data", data])[..]];
        let server = Server::start(&arguments.concat());
        let mut terminal = NamedTerminal::new("kiosk-1");
        let (mut client, welcome) = terminal.hello(server.address, false);
        terminal.show(&welcome);
        for answer in ["deposit 5", "withdraw 40", "balance", "withdraw 500", "my secret"] {
            terminal.answer(&mut client, answer);
            let reply = client.read();
            terminal.show(&reply);
        }
        let mut unnamed = server.client();
        unnamed.ask("deposit 1");
        drop((client, unnamed));
        let log = server.finish();
        let of = |event: &Value| {
            ["terminal", "operation", "outcome", "reason", "amount"].map(|field| event[field].clone())
        };
        let operations = events(&log, "atm::operation");
        let named = |operation: &str, outcome: &str, reason: Value, amount: Value| {
            [json!("kiosk-1"), json!(operation), json!(outcome), reason, amount]
        };
        assert_eq!(
            operations.iter().map(of).collect::<Vec<_>>(),
            [
                named("deposit", "done", Value::Null, json!(500)),
                named("withdrawal", "done", Value::Null, json!(4_000)),
                named("balance", "done", Value::Null, Value::Null),
                named("withdrawal", "refused", json!("insufficient"), json!(50_000)),
                [Value::Null, json!("deposit"), json!("done"), Value::Null, json!(100)],
            ]
        );
        let ids: Vec<_> = operations[..4].iter().map(|event| event["id"].as_u64().unwrap()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert_eq!(operations[4]["session"], 2, "sessions count from 1");
        let sessions = events(&log, "atm::session");
        assert_eq!(sessions[0]["session"], 1, "sessions count from 1");
        assert!(!log.contains("secret"), "{log}");
        for event in log.lines() {
            let event: Value = serde_json::from_str(event).unwrap();
            for field in ["timestamp", "level", "target", "message"] {
                assert!(event[field].is_string(), "{event}");
            }
        }
    }
}

#[test]
fn warnings_that_peers_cause_are_logged_ten_times_a_second_with_a_count() {
    let first_bytes = "GET / HTTP/1.1\r\n\r\n";
    for (sessions, warning) in [(1, "turned away"), (0, "its peer speaks another protocol")] {
        let server = Server::start(&["--log", "warn", "--max-sessions", "1"]);
        let held: Vec<Client> = (0..sessions).map(|_| server.client()).collect();
        let (until, mut peers) = (Instant::now() + TIMEOUT, 0);
        while !server.program.stderr().contains("unlogged=") {
            assert!(Instant::now() < until, "{}", server.program.stderr());
            let mut peer = Client::connect(server.address);
            peer.try_send(first_bytes.as_bytes());
            assert!(!peer.read_to_end().is_empty(), "a notice");
            peers += 1;
        }
        let log = server.program.stderr();
        assert!(log.matches(warning).count() < peers, "{log}");
        drop(held);
        server.stop();
    }
}

/// A server whose standard error is a pipe, and the other end of it.
fn start_with_pipe() -> (Server, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let command = atm(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    (Server::of(Program::start_with(command, OwnedFd::from(writer).into())), reader)
}

/// More than a pipe and the queue in the server hold.
const ANSWERS: usize = 8000;

fn answer_many(server: &Server) {
    let mut client = server.client();
    for _ in 0..ANSWERS {
        assert_eq!(client.ask("balance")["outcome"], "done");
    }
}

#[test]
fn a_log_that_is_not_read_delays_no_session_and_no_exit() {
    let (server, _reader) = start_with_pipe();
    answer_many(&server);
    server.program.signal(Signal::TERM);
    assert_eq!(server.program.finish().code, Some(0));
}

#[test]
fn lines_that_were_dropped_are_counted_in_the_log() {
    let (server, reader) = start_with_pipe();
    answer_many(&server);
    let (mut operations, mut dropped) = (0, 0);
    for line in BufReader::new(reader).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        operations += usize::from(event["message"] == "operation");
        if event["message"] == "lines of the log were dropped: standard error was not read" {
            dropped = usize::try_from(event["lines"].as_u64().unwrap()).unwrap();
            break;
        }
    }
    // One event more may be that of the session's end.
    assert!((ANSWERS..=ANSWERS + 1).contains(&(operations + dropped)), "{operations} and {dropped}");
    assert!(dropped > 0);
    server.stop();
}
