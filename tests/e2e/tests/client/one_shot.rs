//! `atm client` with an operation on its command line: one result, one exit code, and money that moves once.
use super::piped_client::{prompt, scripted_server};
use atm_e2e::{Client, Output, Program, Server, Signal, Value, atm, frame, json};
use std::{fs, net::SocketAddr, path::Path, thread::JoinHandle};

/// Runs a client whose standard input has a line that it must not read.
fn run(address: SocketAddr, words: &[&str]) -> Output {
    let address = address.to_string();
    Program::run(atm(&[&["client", &address], words].concat()), "deposit 7\n")
}

fn object(output: &Output) -> Value {
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    output.stdout.parse().unwrap()
}

#[test]
fn an_operation_has_one_result_on_each_wire() {
    for wire in ["json", "postcard", "raw"] {
        let server = Server::start(&["--wire", wire, "--limit", "200"]);
        for (words, code, result) in [
            (&["balance"][..], 0, "Your balance is $100.\n"),
            (&["deposit", "40"], 0, "Amount deposited: $40. Your balance is $140.\n"),
            (&["withdraw", "30"], 0, "Amount withdrawn: $30. Your balance is $110.\n"),
            (&["withdraw", "111"], 3, "There is not enough money: your balance is $110.\n"),
            (&["deposit", "201"], 3, "That is over the limit of $200 for one operation.\n"),
            (&["withdraw", "all"], 0, "Amount withdrawn: $110. Your balance is $0.\n"),
        ] {
            let done = run(server.address, &[words, &["--wire", wire]].concat());
            assert_eq!((done.code, done.stdout.as_str()), (Some(code), result), "{wire} {words:?}: {done:?}");
            assert_eq!(done.stderr, "", "{wire} {words:?}");
        }
        server.stop();
    }
}

#[test]
fn a_result_is_an_object() {
    let server = Server::start(&["--balance", "140.50"]);
    for wire in ["--wire=json", "--terminal=kiosk-7"] {
        let done = object(&run(server.address, &["deposit", "40", "--json", wire]));
        assert!(done["id"].as_u64().is_some() && done["text"].as_str().unwrap().contains("$40."), "{done}");
        assert_eq!((&done["operation"], &done["outcome"]), (&json!("deposit"), &json!("done")));
        assert_eq!((&done["amount"], done.get("earlier")), (&json!(4000), None));
    }
    let refused = run(server.address, &["withdraw", "500", "--json"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let refused = object(&refused);
    assert_eq!((&refused["outcome"], &refused["reason"]), (&json!("refused"), &json!("insufficient")));
    assert_eq!(refused["balance"], 22_050);
    server.stop();
}

/// Passes one connection on to a server, up to the request that follows the hello; then `end` has the client and the reply.
fn relay(
    server: SocketAddr,
    end: impl FnOnce(Client, Value) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let (address, accepted) = scripted_server(Vec::new());
    let relay = std::thread::spawn(move || {
        let (mut client, mut server) = (accepted.join().unwrap(), Client::greeted(server));
        server.send(&frame(client.read().to_string()));
        client.send(&frame(server.read().to_string()));
        server.send(&frame(client.read().to_string()));
        end(client, server.read());
    });
    (address, relay)
}

/// Loses the reply to the request.
fn losing_relay(server: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    relay(server, |_, _| ())
}

/// The options of a named terminal with a state file.
fn named(state: &Path) -> [&str; 6] {
    ["--terminal", "kiosk-7", "--no-reconnect", "--json", "--state", state.to_str().unwrap()]
}

/// Runs a named terminal with a state file.
fn run_named(address: SocketAddr, state: &Path, words: &[&str]) -> Output {
    run(address, &[words, &named(state)].concat())
}

#[test]
fn a_signal_after_the_result_does_not_change_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = Server::start(&[]);
    let (address, relay) = relay(server.address, |mut client, reply| {
        client.send(&frame(reply.to_string()));
        // There is no goodbye.
        assert_eq!(client.read()["data"], "exit");
        client.read_or_end();
    });
    let address = address.to_string();
    let client = Program::start(atm(&[&["client", &address, "deposit", "40"], &named(&state)[..]].concat()));
    client.wait_for("\"done\"");
    client.signal(Signal::TERM);
    let done = client.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    relay.join().unwrap();
    assert!(fs::read_to_string(&state).unwrap().contains("\npending -\n"));
    server.stop();
}

#[test]
fn the_outcome_is_the_exit_code_where_the_state_cannot_be_stored() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = Server::start(&[]);
    let removed = folder.path().to_owned();
    let (address, relay) = relay(server.address, move |mut client, reply| {
        fs::remove_dir_all(removed).unwrap();
        client.send(&frame(reply.to_string()));
        client.read_or_end();
    });
    let done = run_named(address, &state, &["deposit", "40"]);
    assert_eq!((done.code, object(&done)["balance"].as_u64()), (Some(0), Some(14_000)), "{done:?}");
    assert!(done.stderr.contains("state"), "{done:?}");
    relay.join().unwrap();
    server.stop();
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_and_stays_pending() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = Server::start(&[]);
    let address = server.address.to_string();
    let mut command = atm(&[&["client", &address, "deposit", "40"], &named(&state)[..]].concat());
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let done = command.stdout(full).output().unwrap();
    let error = "the output cannot be written: No space left on device (os error 28)\n";
    assert_eq!((done.status.code(), done.stderr.as_slice()), (Some(1), error.as_bytes()));
    let repeated = run_named(server.address, &state, &["deposit", "40"]);
    assert_eq!((repeated.code, &object(&repeated)["earlier"]), (Some(0), &json!(true)), "{repeated:?}");
    assert_eq!(server.balance(), 14_000);
    server.stop();
}

#[test]
fn a_withdrawal_of_all_that_is_repeated_empties_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = Server::start(&[]);
    let lose = |words: &[&str]| {
        let (address, relay) = losing_relay(server.address);
        assert_eq!(run_named(address, &state, words).code, Some(4));
        relay.join().unwrap();
    };
    // Nothing is left: the earlier outcome is the result.
    lose(&["withdraw", "all"]);
    let repeated = run_named(server.address, &state, &["withdraw", "all"]);
    assert_eq!(repeated.code, Some(0), "{repeated:?}");
    let repeated = object(&repeated);
    assert_eq!((&repeated["amount"], &repeated["earlier"]), (&json!(10_000), &json!(true)), "{repeated}");
    // A withdrawal has left nothing, and more is deposited since.
    assert_eq!(run(server.address, &["deposit", "30"]).code, Some(0));
    lose(&["withdraw", "30"]);
    assert_eq!(run(server.address, &["deposit", "70"]).code, Some(0));
    let all = run_named(server.address, &state, &["withdraw", "all"]);
    let report = "About your earlier request: Amount withdrawn: $30. Your balance is $0.\n";
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), report), "{all:?}");
    assert_eq!((&object(&all)["amount"], object(&all).get("earlier")), (&json!(7_000), None));
    server.stop();
}

#[test]
fn a_command_that_is_repeated_after_a_lost_reply_moves_money_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = Server::start(&[]);
    for (amount, balance) in [("40", 14_000), ("30", 17_000)] {
        let (address, relay) = losing_relay(server.address);
        let lost = run_named(address, &state, &["deposit", amount]);
        relay.join().unwrap();
        assert_eq!(lost.code, Some(4), "{lost:?}");
        let id = object(&lost)["id"].clone();
        assert_eq!(object(&lost)["outcome"], "unknown");
        assert!(lost.stderr.contains("unknown: the next start with this state file reports"), "{lost:?}");
        let repeated = run_named(server.address, &state, &["deposit", amount]);
        assert_eq!((repeated.code, repeated.stderr.as_str()), (Some(0), ""), "{repeated:?}");
        let repeated = object(&repeated);
        assert_eq!((&repeated["earlier"], &repeated["id"]), (&json!(true), &id), "{repeated}");
        assert_eq!((&repeated["outcome"], &repeated["balance"]), (&json!("done"), &json!(balance)));
        assert_eq!(server.balance(), balance);
    }
    // The outcome was learned, so the same deposit is a new one.
    assert_eq!(run_named(server.address, &state, &["deposit", "30"]).code, Some(0));
    assert_eq!(server.balance(), 20_000);
    server.stop();
}

#[test]
fn another_operation_follows_an_earlier_outcome_unless_that_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = Server::start(&[]);
    let lose = || {
        let (address, relay) = losing_relay(server.address);
        assert_eq!(run_named(address, &state, &["deposit", "40"]).code, Some(4));
        relay.join().unwrap();
    };
    lose();
    let done = run_named(server.address, &state, &["withdraw", "30"]);
    let report = "About your earlier request: Amount deposited: $40. Your balance is $140.\n";
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), report), "{done:?}");
    assert_eq!(object(&done)["balance"], 11_000);
    lose();
    // A server with another ledger cannot know the outcome: no repetition moves money.
    let other = Server::start(&[]);
    for _ in 0..3 {
        let unknown = run_named(other.address, &state, &["withdraw", "30"]);
        assert_eq!(unknown.code, Some(4), "{unknown:?}");
        let unknown = object(&unknown);
        assert_eq!(
            (&unknown["outcome"], &unknown["earlier"]),
            (&json!("unknown"), &json!(true)),
            "{unknown}"
        );
        assert_eq!(other.balance(), 10_000);
    }
    let seen = run_named(other.address, &state, &["balance"]);
    let report =
        "About your earlier request: It is unknown what became of your request: check the balance.\n";
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), report), "{seen:?}");
    assert_eq!(object(&seen)["balance"], 10_000);
    assert_eq!(run_named(other.address, &state, &["withdraw", "30"]).code, Some(0));
    assert!(fs::read_to_string(&state).unwrap().contains("\npending -\n"));
    other.stop();
    server.stop();
}

#[test]
fn a_reply_that_confirms_nothing_is_unknown() {
    for data in ["Invalid choice", "Hello"] {
        let bare = |data: &str| json!({ "input": true, "data": data }).to_string().into_bytes();
        let (address, server) = scripted_server(bare("Menu"));
        let host = std::thread::spawn(move || {
            let mut server = server.join().unwrap();
            assert_eq!(server.read_once(), b"deposit 40");
            server.send(&json!({ "input": false, "data": data }).to_string().into_bytes());
            server.send(&bare("Menu"));
            server.read_once()
        });
        let done = run(address, &["deposit", "40", "--wire", "raw"]);
        assert_eq!((done.code, done.stdout), (Some(4), format!("{data}\n")));
        assert_eq!(done.stderr, "unknown: check the balance\n");
        assert_eq!(host.join().unwrap(), b"exit");
    }
}

#[test]
fn a_reply_about_another_operation_is_unknown() {
    for outcome in [
        json!({ "operation": "balance", "balance": 10_000 }),
        json!({ "operation": "deposit", "amount": 4_100, "balance": 14_100 }),
        json!({ "operation": "withdrawal", "amount": 4_000, "balance": 6_000 }),
    ] {
        let (address, server) = scripted_server(prompt(1));
        let mut reply =
            json!({ "seq": 2, "re": 1, "input": true, "data": "Done.\n\nYes?", "outcome": "done" });
        reply.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
        let host = std::thread::spawn(move || {
            let mut server = server.join().unwrap();
            assert_eq!(server.read()["data"], "deposit 40");
            server.send(&frame(reply.to_string()));
            server.read_or_end();
        });
        let done = run(address, &["deposit", "40"]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(4), "Done.\n"), "{outcome}: {done:?}");
        assert_eq!(done.stderr, "unknown: check the balance\n");
        host.join().unwrap();
    }
}
