//! `atm client` with an operation and a card: its number and its PIN from a file descriptor, one result, and money that moves once.
use crate::counter::{Counter, NUMBERS, PINS};
use atm_core::{time::Duration, wire::Wire};
use atm_e2e::{Client, Output, Program, Server, Value, atm, frame, json};
use std::{fs, net::SocketAddr, path::Path, process::Command};

const IDLE: Duration = Duration::from_secs(300);

/// Runs an operation with a card whose number and PIN are on standard input.
fn run(address: SocketAddr, card: [&str; 2], words: &[&str]) -> Output {
    let address = address.to_string();
    let options = ["client", &address, "--card-fd", "0", "--terminal", "kiosk-7"];
    let done = Program::run(atm(&[&options[..], words].concat()), &(card.join("\n") + "\n"));
    for secret in card {
        assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret), "{done:?}");
    }
    done
}

fn card(card: usize) -> [&'static str; 2] {
    [NUMBERS[card], PINS[card]]
}

#[test]
fn an_operation_with_a_card_has_one_result() {
    for wire in [Wire::Json, Wire::Postcard] {
        let counter = Counter::start(wire, IDLE);
        let wire = wire.to_string();
        for (number, words, code, result) in [
            (0, &["deposit", "12.34"][..], 0, "Amount deposited: $12.34. Your balance is $112.34.\n"),
            (0, &["withdraw", "40"], 0, "Amount withdrawn: $40. Your balance is $72.34.\n"),
            (
                0,
                &["transfer", "2", "2.34"],
                0,
                "Amount transferred: $2.34 to account 2. Your balance is $70.\n",
            ),
            (1, &["balance"], 0, "Your balance is $102.34.\n"),
            (0, &["withdraw", "500"], 3, "There is not enough money: your balance is $70.\n"),
            (0, &["transfer", "9", "1"], 3, "There is no account of that number that can take the money.\n"),
            (0, &["transfer", "1", "1"], 3, "Money can be transferred only to another account.\n"),
            (2, &["balance", "--account", "2"], 0, "Your balance is $102.34.\n"),
            (2, &["balance", "--account", "4"], 3, "That is not the number of an account.\n"),
            (0, &["withdraw", "all"], 0, "Amount withdrawn: $70. Your balance is $0.\n"),
        ] {
            let done = run(counter.address, card(number), &[words, &["--wire", &wire]].concat());
            let shown = (done.code, done.stdout.as_str(), done.stderr.as_str());
            assert_eq!(shown, (Some(code), result, ""), "{wire} {words:?}");
        }
        let statement = run(counter.address, card(0), &["statement", "--wire", &wire]).stdout;
        for line in ["deposit $12.34", "withdrawal $40", "transfer out $2.34", "withdrawal $70, balance $0"] {
            assert!(statement.contains(line), "{statement}");
        }
    }
}

#[test]
fn nothing_is_done_where_the_card_is_refused_or_the_server_asks_for_something_else() {
    let counter = Counter::start(Wire::Json, IDLE);
    for (card, more, code, stdout, stderr) in [
        ([NUMBERS[0], "0000"], &[][..], 3, "The card and the PIN were not accepted.\n", ""),
        (["4111111111111112", PINS[0]], &["--terminal=b"], 3, "That is not the number of a card.\n", ""),
        (
            card(2),
            &["--terminal=c"],
            1,
            "",
            "nothing was done: the card has several accounts: choose one with --account\n",
        ),
        (
            card(0),
            &["--terminal=d", "--account=1"],
            1,
            "",
            "nothing was done: the card has one account: leave out --account\n",
        ),
    ] {
        let address = counter.address.to_string();
        let name = if more.is_empty() { &["--terminal=a"][..] } else { more };
        let words = [&["client", &address, "withdraw", "40", "--card-fd", "0"], name].concat();
        let done = Program::run(atm(&words), &(card.join("\n") + "\n"));
        assert_eq!(
            (done.code, done.stdout.as_str(), done.stderr.as_str()),
            (Some(code), stdout, stderr),
            "{more:?}"
        );
    }
    assert_eq!(run(counter.address, card(0), &["balance"]).stdout, "Your balance is $100.\n");
    let without =
        Program::run(atm(&["client", &counter.address.to_string(), "balance", "--terminal", "kiosk-7"]), "");
    let reason = "nothing was done: access is by card: --card-fd\n";
    assert_eq!((without.code, without.stderr.as_str()), (Some(1), reason), "{without:?}");
}

/// The number goes to no server that would take it for a choice.
#[test]
fn a_server_with_open_access_gets_no_number() {
    let server = Server::start(&[]);
    let done = run(server.address, card(0), &["withdraw", "40"]);
    let reason = "nothing was done: the server does not serve by card\n";
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(1), "", reason));
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn the_card_comes_from_any_descriptor_and_has_two_lines() {
    let (counter, folder) = (Counter::start(Wire::Json, IDLE), tempfile::tempdir().unwrap());
    let file = folder.path().join("card");
    let shell = |lines: &str| {
        fs::write(&file, lines).unwrap();
        let atm = atm(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" client \"$1\" balance --terminal kiosk-7 --card-fd 3 3<\"$2\""]);
        command.arg(atm.get_program()).arg(counter.address.to_string()).arg(&file);
        Program::run(command, "")
    };
    let done = shell(&format!("{}\r\n{}", NUMBERS[0], PINS[0]));
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "Your balance is $100.\n"), "{done:?}");
    let short = shell(NUMBERS[0]);
    assert_eq!(
        (short.code, short.stderr.contains("file descriptor 3: there is no line")),
        (Some(1), true),
        "{short:?}"
    );
    assert!(!short.stderr.contains(NUMBERS[0]));
    for words in [
        &["balance", "--card-fd", "0"][..],
        &["--card-fd", "0", "--terminal", "a"],
        &["balance", "--account", "1"],
    ] {
        let usage = Program::run(atm(&[&["client"], words].concat()), "");
        assert_eq!(usage.code, Some(2), "{words:?} {usage:?}");
    }
}

/// Runs an operation of a terminal with a state file, whose result is an object.
fn run_named(address: SocketAddr, state: &Path, number: usize, words: &[&str]) -> (Output, Value) {
    let named = ["--no-reconnect", "--json", "--state", state.to_str().unwrap()];
    let done = run(address, card(number), &[words, &named].concat());
    let object = done.stdout.parse().unwrap_or_else(|_| panic!("{done:?}"));
    (done, object)
}

/// Runs an operation whose last reply is lost; returns its id.
fn lose(counter: &Counter, state: &Path, words: &[&str], last: &'static str) -> Value {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, server) = (listener.local_addr().unwrap(), counter.address);
    let relay = std::thread::spawn(move || {
        let mut client = Client::new(listener.accept().unwrap().0);
        let mut server = Client::connect(server);
        loop {
            let message = client.read();
            server.send(&frame(message.to_string()));
            let reply = server.read();
            if message["data"] == last {
                return;
            }
            client.send(&frame(reply.to_string()));
        }
    });
    let (lost, object) = run_named(address, state, 0, words);
    relay.join().unwrap();
    assert_eq!((lost.code, &object["outcome"]), (Some(4), &json!("unknown")), "{lost:?}");
    object["id"].clone()
}

#[test]
fn a_command_that_is_repeated_after_a_lost_reply_moves_money_once() {
    let (counter, folder) = (Counter::start(Wire::Json, IDLE), tempfile::tempdir().unwrap());
    let state = folder.path().join("state");
    for (words, last, balance) in [
        (&["withdraw", "40"][..], "withdraw 40", "$60"),
        (&["transfer", "2", "10.50"], "yes", "$49.50"),
        (&["deposit", "0.50"], "deposit 0.50", "$50"),
    ] {
        let id = lose(&counter, &state, words, last);
        let (repeated, object) = run_named(counter.address, &state, 0, words);
        // At the card prompt it is not known yet whose request that was.
        let brief = "An earlier request at this terminal was done.\n";
        assert_eq!((repeated.code, repeated.stderr.as_str()), (Some(0), brief), "{repeated:?}");
        assert_eq!(
            (&object["outcome"], &object["earlier"], &object["id"]),
            (&json!("done"), &json!(true), &id)
        );
        assert!(
            object["text"].as_str().unwrap().contains(&format!("Your balance is {balance}.")),
            "{object}"
        );
        let now = run(counter.address, card(0), &["balance"]).stdout;
        assert_eq!(now, format!("Your balance is {balance}.\n"));
    }
}

#[test]
fn another_operation_or_another_card_follows_an_earlier_outcome() {
    let (counter, folder) = (Counter::start(Wire::Json, IDLE), tempfile::tempdir().unwrap());
    let state = folder.path().join("state");
    lose(&counter, &state, &["withdraw", "40"], "withdraw 40");
    let (other, object) = run_named(counter.address, &state, 0, &["withdraw", "30"]);
    assert_eq!(
        (other.code, &object["balance"], object.get("earlier")),
        (Some(0), &json!(3_000), None),
        "{other:?}"
    );
    assert!(other.stderr.contains("Amount withdrawn: $40. Your balance is $60."), "{other:?}");
    lose(&counter, &state, &["withdraw", "10"], "withdraw 10");
    let (other, object) = run_named(counter.address, &state, 1, &["withdraw", "10"]);
    assert_eq!(
        (other.code, &object["balance"], object.get("earlier")),
        (Some(0), &json!(9_000), None),
        "{other:?}"
    );
    assert_eq!(other.stderr, "An earlier request at this terminal was done.\n");
}
