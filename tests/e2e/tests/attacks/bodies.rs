//! Attacks 9, 10, 14 and 16: frames that are reflected, cut, spliced into another conversation, or replayed for ever.
use crate::bank::{Bank, Link, Movement, indexes, moved};
use atm_core::seal;
use atm_e2e::{Direction, Frame, TIMEOUT, replay_session};
use std::time::{Duration, Instant};

/// Attack 9: both directions at once; a connection ends after 16 frames that are not authentic, so seven exchanges.
#[test]
fn reflected_frames_are_not_read() {
    let bank = Bank::new(Link::Sealed);
    bank.proxy.set_rule(|frame| vec![frame.reflected(), frame.clone(), frame.reflected()]);
    let mut person = bank.at_menu("kiosk-7");
    let shown = person.types(&["deposit 40", "withdraw 15", "balance"]);
    assert!(shown.contains("Your balance is $125."), "{shown}");
    person.leaves();
    assert_eq!(bank.proxy.connections(), 1);
    assert_eq!(bank.movements(), [moved("deposit", 40), moved("withdrawal", 15)]);
}

/// Attack 10: a reply is cut to each length, and then the stream ends: for the terminal that is a lost link.
#[test]
fn a_cut_reply_and_the_end_of_the_stream_are_a_lost_link() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    let cut = |frame: &Frame| {
        (1..frame.body.len()).map(|length| frame.with_body(frame.body[..length].to_vec())).collect()
    };
    bank.proxy.set_rule(move |frame| match (frame.connection, frame.direction) {
        (0, Direction::Down) => cut(frame),
        _ => frame.forward(),
    });
    person.program.type_line("deposit 40");
    bank.proxy.wait_until(|frames| {
        frames
            .iter()
            .rfind(|frame| frame.direction == Direction::Down)
            .filter(|frame| frame.body[0] == seal::SEALED)
            .cloned()
    });
    assert!(!person.program.stdout().contains("deposited"));
    bank.proxy.cut();
    person.wait_for_prompt();
    let (shown, reported) = person.leaves();
    assert!(shown.contains("Amount deposited: $40. Your balance is $140."), "{shown}");
    assert!(reported.contains("reconnected"), "{reported}");
    assert_eq!(bank.movements(), [moved("deposit", 40)]);
}

/// Attack 10: the same with the end of the session.
#[test]
fn a_session_that_is_cut_short_has_no_goodbye() {
    for is_cut in [false, true] {
        let bank = Bank::new(Link::Sealed);
        let mut person = bank.at_menu("kiosk-7");
        person.types(&["deposit 40"]);
        bank.proxy.set_rule(move |frame| match frame.direction {
            Direction::Down if is_cut => vec![frame.with_body(frame.body[..96].to_vec())],
            _ => frame.forward(),
        });
        person.program.type_line("exit");
        let done = person.program.finish();
        assert_eq!(done.stdout.contains("Goodbye."), !is_cut, "{done:?}");
        assert_eq!(bank.movements(), [moved("deposit", 40)]);
    }
}

/// Attack 14: two terminals' sealed bodies change places, and then come late as well.
#[test]
fn bodies_of_two_terminals_that_change_places_are_not_read() {
    let bank = Bank::new(Link::Sealed);
    let (mut seven, mut eight) = (bank.at_menu("kiosk-7"), bank.at_menu("kiosk-8"));
    bank.proxy.set_rule(|frame| match frame.body[0] {
        seal::SEALED => vec![frame.on(1 - frame.connection)],
        _ => frame.forward(),
    });
    let before = bank.proxy.recorded().len();
    seven.program.type_line("deposit 40");
    eight.program.type_line("withdraw 15");
    bank.proxy.wait_until(|frames| {
        let answers =
            |connection| frames[before..].iter().filter(|frame| frame.connection == connection).count();
        (answers(0) >= 2 && answers(1) >= 2).then_some(())
    });
    assert_eq!(bank.movements(), [], "no answer was read");
    bank.proxy.forward_all();
    seven.wait_for_prompt();
    eight.wait_for_prompt();
    assert!(
        seven.program.stdout().contains("Amount deposited: $40.")
            && !seven.program.stdout().contains("withdrawn")
    );
    assert!(
        eight.program.stdout().contains("Amount withdrawn: $15.")
            && !eight.program.stdout().contains("deposited")
    );
    let (seven, eight) = (seven.leaves(), eight.leaves());
    assert!(seven.0.contains("Goodbye.") && eight.0.contains("Goodbye."));
    let mut movements = bank.movements();
    movements.sort();
    let of_eight: Movement = ("kiosk-8".to_owned(), "withdrawal".to_owned(), 15);
    assert_eq!(movements, [moved("deposit", 40), of_eight]);
}

/// Attack 14: what was sealed in an earlier session or life of the same terminal is spliced into the present one.
#[test]
fn bodies_of_an_earlier_session_are_not_read_in_this_one() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40"]);
    bank.proxy.cut();
    person.types(&["deposit 5"]);
    person.leaves();
    let earlier = bank.proxy.recorded();
    let last = bank.proxy.connections();
    // Four of each kind before every frame of the present session.
    let mut at = 0;
    bank.proxy.set_rule(move |frame| {
        let mut sent = Vec::new();
        for _ in 0..2 {
            at = (at + 1) % earlier.len();
            if earlier[at].body[0] != seal::HELLO {
                sent.push(earlier[at].on(last));
            }
        }
        sent.push(frame.clone());
        sent
    });
    let mut person = bank.at_menu("kiosk-7");
    let shown = person.types(&["withdraw 45", "balance", "withdraw"]);
    assert!(shown.contains("Your balance is $100.") && !shown.contains("deposited"), "{shown}");
    person.leaves();
    assert_eq!(bank.movements(), [moved("deposit", 40), moved("deposit", 5), moved("withdrawal", 45)]);
}

/// Attack 14: another ledger of the operator, with the same secrets file and the same terminal.
#[test]
fn a_session_recorded_at_one_ledger_moves_nothing_at_another() {
    let bank = Bank::new(Link::Sealed);
    let other = Bank::with_secrets_of(&bank);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["withdraw 40"]);
    person.leaves();
    // The other ledger has not seen that hello, and its key is the same: it is welcomed, under other keys.
    let replies = replay_session(other.address(), &bank.proxy.bodies(Direction::Up));
    assert_eq!(indexes(&replies), [6]);
    let welcome = replies.iter().find(|body| body[0] == seal::WELCOME).unwrap();
    assert_ne!(welcome[1..17], bank.proxy.bodies(Direction::Down)[0][1..17], "the header");
    assert_eq!(other.movements(), []);
    assert_eq!(bank.movements(), [moved("withdrawal", 40)]);
}

/// Attack 16: the last answer is replayed for ever. The server's idle time runs from the first sending of the prompt.
#[test]
fn the_last_answer_replayed_holds_no_session_open() {
    let bank = Bank::with(Link::Sealed, &["--idle-timeout", "2"]);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["balance"]);
    let since = Instant::now();
    let last: Frame =
        (bank.proxy.recorded().into_iter()).rfind(|frame| frame.direction == Direction::Up).unwrap();
    // The person has left.
    person.program.signal(atm_e2e::Signal::STOP);
    while !bank.server().program.stderr().contains("session closed") {
        assert!(since.elapsed() < TIMEOUT, "the session is still open: {}", bank.server().program.stderr());
        bank.proxy.send(&last);
        std::thread::sleep(Duration::from_millis(50));
    }
    let elapsed = since.elapsed();
    assert!((Duration::from_millis(1_500)..TIMEOUT).contains(&elapsed), "{elapsed:?}");
    assert_eq!(bank.movements(), []);
}
