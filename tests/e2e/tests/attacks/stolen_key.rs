//! Stolen keys: another terminal's opens nothing of this one's, an older step's life stays secret, and the operator's
//! commands end a thief's service.
use crate::bank::{Bank, Link, Movement, hellos, indexes, moved};
use atm_core::seal::{self, Header, TerminalKey};
use atm_e2e::{Direction, Frame, Program, exchange_frames};
use atm_host::access::KeyFile;
use std::{fs, path::Path};

/// What a holder of `key` reads of recorded frames: the contents that open under a session of one of the hellos.
fn read_with(key: &TerminalKey, frames: &[Frame]) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    let hellos = frames.iter().filter(|frame| frame.body[0] == seal::HELLO);
    for proof in hellos.filter_map(|frame| key.verify(&frame.body)) {
        for welcome in frames.iter().filter(|frame| frame.body[0] == seal::WELCOME) {
            let header = Header::from_bytes(welcome.body[1..17].try_into().unwrap());
            let keys = proof.session(header);
            for frame in frames.iter().filter(|frame| frame.body[0] == seal::SEALED) {
                for key in [&keys.up, &keys.down] {
                    let mut body = frame.body.clone();
                    contents.extend(seal::open(key, 0, &mut body).map(|range| body[range].to_vec()));
                }
            }
        }
    }
    contents
}

fn key_of(path: &Path) -> TerminalKey {
    KeyFile::read(path).unwrap().key
}

#[test]
fn another_terminals_key_reads_nothing_and_takes_no_name() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40"]);
    let frames = bank.proxy.recorded();
    let (own, stolen) = (key_of(&bank.key("kiosk-7")), key_of(&bank.key("kiosk-8")));
    assert_eq!(read_with(&own, &frames).len(), 2, "an answer and its reply: the test can read");
    assert!(read_with(&stolen, &frames).is_empty());
    // The thief says hello under the other name: with this key, and later steps and series of it.
    for key in [stolen.clone(), stolen.forward(3, 3).unwrap()] {
        KeyFile { terminal: "kiosk-7".parse().unwrap(), key }.replace(&bank.path("forged")).unwrap();
        let mut thief =
            atm_e2e::atm(&["client", &bank.address().to_string(), "--reply-timeout", "2", "--key"]);
        thief.arg(bank.path("forged")).env("HOME", bank.path("kiosk-8"));
        let done = Program::run(thief, "withdraw 50\n");
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
        let _ = fs::remove_file(bank.path("forged.state"));
    }
    assert!(person.types(&["withdraw 15"]).contains("Your balance is $125."));
    person.leaves();
    assert_eq!(bank.movements(), [moved("deposit", 40), moved("withdrawal", 15)]);
}

/// The thief of `kiosk-8` is in the middle of `kiosk-7`, too: he puts his own authentic frames into its session.
#[test]
fn a_thiefs_own_frames_are_not_read_in_another_terminals_session() {
    let bank = Bank::new(Link::Sealed);
    let (mut person, mut thief) = (bank.at_menu("kiosk-7"), bank.at_menu("kiosk-8"));
    person.types(&["deposit"]);
    thief.types(&["withdraw"]);
    thief.types(&["50"]);
    let his: Vec<Frame> = bank.proxy.recorded().into_iter().filter(|frame| frame.connection == 1).collect();
    for frame in &his {
        bank.proxy.send(&frame.on(0));
    }
    let shown = person.types(&["40"]);
    assert!(shown.contains("Amount deposited: $40. Your balance is $90."), "{shown}");
    assert!(!person.program.stdout().contains("withdrawn"));
    person.leaves();
    let of_eight: Movement = ("kiosk-8".to_owned(), "withdrawal".to_owned(), 50);
    assert_eq!(bank.movements(), [of_eight, moved("deposit", 40)]);
}

#[test]
fn a_terminal_that_is_stolen_reveals_nothing_of_its_earlier_lives() {
    let bank = Bank::new(Link::Sealed);
    let first = key_of(&bank.key("kiosk-7"));
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40"]);
    person.leaves();
    let earlier = bank.proxy.recorded();
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["balance"]);
    let stolen = key_of(&bank.key("kiosk-7"));
    assert_eq!((first.step(), stolen.step()), (0, 1));
    assert!(!read_with(&first, &earlier).is_empty(), "the test can read");
    let mut later = Some(stolen.clone());
    for _ in 0..50 {
        let key = later.unwrap();
        assert!(read_with(&key, &earlier).is_empty());
        later = key.next();
    }
    assert!(!read_with(&stolen, &bank.proxy.recorded()).is_empty(), "what is said now is read");
}

#[test]
fn a_revoked_key_moves_nothing_more_not_even_in_a_live_session() {
    let bank = Bank::new(Link::Sealed);
    let mut thief = bank.at_menu("kiosk-7");
    thief.types(&["withdraw 10"]);
    bank.manage(&["terminal", "revoke", "kiosk-7"], "data");
    thief.program.type_line("withdraw 20");
    let done = thief.program.finish();
    // The outcome is unknown to a thief, as to any terminal whose session was fenced.
    assert!(done.code == Some(4) && !done.stdout.contains("$20"), "{done:?}");
    assert!(done.stdout.contains("This ATM is out of service."), "{done:?}");
    assert_eq!(bank.movements(), [moved("withdrawal", 10)]);
    bank.copy("kiosk-7", "thief");
    let done = Program::run(bank.client("kiosk-7", &["--reply-timeout", "2"]), "withdraw 20\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(4), ""), "{done:?}");
    assert!(done.stderr.contains("no answer under the key of kiosk-7, series 1"), "{done:?}");
    // The terminal gets a new key; what was recorded is not served, nor is the thief's copy.
    bank.issue("add", "kiosk-7");
    let mut person = bank.at_menu("kiosk-7");
    assert!(person.types(&["deposit 1"]).contains("Your balance is $91."));
    person.leaves();
    bank.copy("thief", "kiosk-7");
    let done = Program::run(bank.client("kiosk-7", &["--reply-timeout", "2"]), "withdraw 20\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(4), ""), "{done:?}");
    assert_eq!(bank.movements(), [moved("withdrawal", 10), moved("deposit", 1)]);
}

/// A thief raises the counters of the terminal as far as they go: the next series is above them.
#[test]
fn counters_that_a_thief_forged_lock_a_terminal_out_until_its_key_is_rotated() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40"]);
    person.leaves();
    let hello = hellos(&bank.proxy)[0].clone();
    let mut read = atm_core::codec::postcard::read_sealed_hello(&hello[..hello.len() - seal::TAG]).unwrap();
    // The key that the thief stole, at its last step within the server's bound, and the last start.
    let stolen = key_of(&bank.key("kiosk-7")).forward(4_000, 5_000).unwrap();
    (read.start, read.attempt) = ((1 << 53) - 2, u32::MAX);
    let mut claim = read.key.unwrap();
    claim.step = stolen.step();
    let mut forged = vec![0; 200];
    let length = atm_core::codec::postcard::write_sealed_hello(&read, &claim, &mut forged).unwrap();
    forged.truncate(length);
    let proof = stolen.prove(&forged);
    forged.extend(proof.tag());
    assert_eq!(indexes(&exchange_frames(bank.address(), &[forged])), [6], "it is authentic");
    let done = Program::run(bank.client("kiosk-7", &[]), "deposit 1\n");
    assert!(done.code == Some(1) && done.stdout.contains("in use"), "the true terminal is behind: {done:?}");
    bank.issue("rotate", "kiosk-7");
    let mut person = bank.at_menu("kiosk-7");
    assert!(person.types(&["deposit 5"]).contains("Your balance is $145."));
    person.leaves();
    assert_eq!(bank.movements(), [moved("deposit", 40), moved("deposit", 5)]);
    assert!(bank.proxy.bodies(Direction::Up).len() > 3);
}
