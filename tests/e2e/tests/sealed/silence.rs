//! What a client with a key does with bytes that are not its host's, and where no host answers under its key.
use crate::{
    host::{SealedHost, Station},
    middle::Middle,
};
use atm_e2e::{Program, Server};
use std::{
    io::Read,
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering},
};

const HINT: &str = "no answer under the key of kiosk-7, series 1: it may be revoked or replaced";

#[test]
fn a_revoked_terminal_says_that_no_host_answers_under_its_key() {
    let (host, station) = (SealedHost::new(), Station::new());
    host.revoke();
    let address = host.listen().to_string();
    let done = Program::run(station.client(&[&address, "--reply-timeout", "2"]), "deposit 40\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.stderr.contains(HINT) && done.stderr.contains("no reply within 2 s"), "{done:?}");
    // It was not welcomed: the key stays.
    assert_eq!((station.step(), host.balance()), ((1, 0), 100));
}

/// A server in clear could ask for anything in the name of the real one.
#[test]
fn a_server_in_clear_is_not_shown_and_gets_no_answer() {
    let station = Station::new();
    for wire in ["postcard", "json", "raw"] {
        let server = Server::start(&["--wire", wire]);
        let address = server.address.to_string();
        let done = Program::run(station.client(&[&address, "--reply-timeout", "2"]), "deposit 40\n");
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{wire}: {done:?}");
        assert!(done.stderr.contains(HINT), "{wire}: {done:?}");
    }
}

/// The greeting of a server in clear.
fn clear_greeting() -> Vec<u8> {
    let server = Server::start(&["--wire", "postcard", "--balance", "999"]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(atm_e2e::TIMEOUT)).unwrap();
    let mut bytes = [0; 512];
    let count = stream.read(&mut bytes).unwrap();
    assert!(count > 4, "the server greets at once");
    bytes[..count].to_vec()
}

#[test]
fn injected_bytes_are_not_shown_and_do_not_disturb_the_session() {
    let (host, station, greeting) = (SealedHost::new(), Station::new(), clear_greeting());
    let middle = Middle::to(host.listen());
    let mut client = station.at_menu(&[&middle.address.to_string()]);
    let before = client.stdout();
    for injected in [&greeting[..], b"\0", b"You have won.\n\0", &[1, 0, 2, 7, 0], &[0xff; 2000], b"\0"] {
        middle.inject(injected);
    }
    client.type_line("deposit 40");
    client.wait_for("Amount deposited: $40. Your balance is $140.");
    middle.inject(&greeting);
    client.type_line("balance");
    client.wait_for_prompts(3);
    let shown = client.stdout();
    assert!(
        shown.starts_with(&before)
            && shown.matches("Welcome").count() == before.matches("Welcome").count() * 3
    );
    client.end_input();
    let done = client.finish();
    assert_eq!((done.code, done.stderr.as_str(), host.balance()), (Some(0), "", 140), "{done:?}");
}

/// Each second message of the host has a bit flipped somewhere: it is as if it were lost.
#[test]
fn changed_bytes_are_ignored_and_the_answer_is_sent_again() {
    let (host, station) = (SealedHost::new(), Station::new());
    let messages = AtomicU32::new(0);
    let middle = Middle::changing(host.listen(), move |bytes| {
        let mut bytes = bytes.to_vec();
        let number = messages.fetch_add(1, Ordering::Relaxed);
        if number.is_multiple_of(2) {
            let at = 7 * number as usize % (bytes.len() - 2) + 1;
            bytes[at] ^= 1 << (number % 8);
        }
        bytes
    });
    let done =
        Program::run(station.client(&[&middle.address.to_string()]), "deposit 40\nwithdraw 15\nbalance\n");
    assert_eq!((done.code, host.balance()), (Some(0), 125), "{done:?}");
    assert!(done.stdout.contains("Your balance is $125."), "{done:?}");
}
