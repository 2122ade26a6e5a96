//! Attacks 7, 8 and 17: a terminal whose memory was set back, or that has lost its key.
use crate::bank::{Bank, LINKS, Link, hellos, moved};
use atm_e2e::{Direction, Frame, Program, exchange_frames};
use std::fs;

/// Attack 7: an old copy of the terminal's folder, key and state. The row has a greater step: the terminal is refused, rather than
/// served under a key that it has used before.
#[test]
fn a_terminal_whose_memory_was_set_back_repeats_nothing() {
    let bank = Bank::new(Link::Sealed);
    bank.at_menu("kiosk-7").leaves();
    bank.copy("kiosk-7", "old");
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40"]);
    person.leaves();
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 5"]);
    person.leaves();
    bank.copy("old", "kiosk-7");
    let hellos_before = hellos(&bank.proxy).len();
    let done = Program::run(bank.client("kiosk-7", &[]), "balance\n");
    assert!(hellos(&bank.proxy).len() > hellos_before);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(1), "A terminal of this name is in use.\n"),
        "{done:?}"
    );
    assert_eq!(bank.movements(), [moved("deposit", 40), moved("deposit", 5)]);
}

/// Attack 17: everything of the terminal is as it was, the clock too, as far as he can have it; he plays the host. On a link in
/// clear the recorded welcome is for the hello that is said again, so the person reads an old session.
#[test]
fn a_recorded_session_means_nothing_to_a_terminal_whose_memory_was_set_back() {
    for link in LINKS {
        let bank = Bank::new(link);
        let mut person = bank.at_menu("kiosk-7");
        person.types(&["withdraw 40"]);
        person.leaves();
        let recorded: Vec<Vec<u8>> = bank.proxy.bodies(Direction::Down);
        let start = start_of(&hellos(&bank.proxy)[0]);
        let folder = bank.path("kiosk-7");
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_name() != "key" && entry.file_type().unwrap().is_file() {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        // In clear he changes the start in the recorded welcome to that of the hello; a seal has it inside.
        let mut next = recorded.into_iter();
        bank.proxy.set_rule(move |frame: &Frame| match frame.direction {
            Direction::Down => Vec::new(),
            Direction::Up => {
                let now = start_of(&frame.body);
                let answer = |body: Vec<u8>| match (now, start) {
                    (Some(now), Some(then)) if body[0] == 2 => replace(&body, &then, &now),
                    _ => body,
                };
                next.next().map(|body| frame.reflected().with_body(answer(body))).into_iter().collect()
            }
        });
        let done = Program::run(bank.client("kiosk-7", &["--reply-timeout", "3"]), "withdraw 40\n");
        let is_shown = done.stdout.contains("Amount withdrawn: $40.");
        assert_eq!(is_shown, link == Link::Clear, "{done:?}");
        assert!(is_shown || done.code == Some(1) && done.stdout.is_empty(), "{done:?}");
        assert_eq!(bank.movements(), [moved("withdrawal", 40)], "the second one was never asked for");
    }
}

/// The varint of `start` in a hello: behind its index, version, and name.
fn start_of(hello: &[u8]) -> Option<[u8; 6]> {
    let at = hello.windows(7).position(|bytes| bytes == b"kiosk-7")? + 7;
    hello.get(at..at + 6)?.try_into().ok()
}

fn replace(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match body.windows(from.len()).position(|bytes| bytes == from) {
        Some(at) => [&body[..at], to, &body[at + from.len()..]].concat(),
        None => body.to_vec(),
    }
}

/// Attack 8: the key's file is gone, empty or zeros. The client sends nothing; in clear the name is not served.
#[test]
fn a_terminal_that_has_lost_its_key_says_nothing_in_clear() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40"]);
    person.leaves();
    let text = fs::read_to_string(bank.key("kiosk-7")).unwrap();
    let digits = text.split('"').nth(3).unwrap();
    let (before, connections) = (bank.proxy.recorded().len(), bank.proxy.connections());
    for lost in [String::new(), "\0".repeat(text.len()), text.replace(digits, "")] {
        fs::write(bank.key("kiosk-7"), lost).unwrap();
        let done = Program::run(bank.client("kiosk-7", &[]), "deposit 1\n");
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    }
    assert_eq!((bank.proxy.recorded().len(), bank.proxy.connections()), (before, connections));
    // A key of zeros is a key, of no terminal.
    fs::write(bank.key("kiosk-7"), text.replace(digits, &"0".repeat(64))).unwrap();
    let done = Program::run(bank.client("kiosk-7", &["--reply-timeout", "2"]), "deposit 1\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.stderr.contains("no answer under the key"), "{done:?}");
    assert!(exchange_frames(bank.address(), &[b"\0\x01\x01\x07kiosk-7\x01\x01\0\0\0\0"]).is_empty());
    assert_eq!(bank.movements(), [moved("deposit", 40)]);
}
