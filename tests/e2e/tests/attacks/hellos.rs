//! Attacks 1 to 3: hellos that are replayed, and `who` in clear.
use crate::bank::{Bank, Link, hellos, indexes, moved};
use atm_e2e::{Direction, Frame, exchange_frames, replay_session};
use std::time::Instant;

/// Attack 1: an older hello of the same terminal in mid-session, on its own connection and on another.
#[test]
fn an_older_hello_replayed_in_mid_session_changes_no_key() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    // The next hello is on another connection.
    bank.proxy.cut();
    person.types(&["deposit"]);
    let hellos = hellos(&bank.proxy);
    assert_eq!((hellos.len(), bank.proxy.connections()), (2, 2));
    let refused = exchange_frames(bank.address(), &[&hellos[0]]);
    assert_eq!(indexes(&refused), [7], "name-in-use, under the key of that hello");
    bank.proxy.inject(Direction::Up, &hellos[0]);
    bank.proxy.inject(Direction::Down, &refused[0]);
    let shown = person.types(&["40"]);
    assert!(shown.contains("Amount deposited: $40. Your balance is $140."), "{shown}");
    person.leaves();
    assert_eq!(bank.proxy.connections(), 2, "the session was not disturbed");
    assert_eq!(bank.movements(), [moved("deposit", 40)]);
}

/// Attack 2: the present hello from another connection, and the refusal that it gets there injected into the session.
#[test]
fn the_present_hello_replayed_from_another_connection_moves_nothing() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["withdraw"]);
    let frames = bank.proxy.recorded();
    let up: Vec<_> = (frames.iter()).filter(|frame| frame.direction == Direction::Up).collect();
    let bodies: Vec<&[u8]> = up.iter().map(|frame| &frame.body[..]).collect();
    let refused = replay_session(bank.address(), &bodies);
    assert_eq!(indexes(&refused), [7], "name-in-use, and silence to the recorded answers");
    bank.proxy.inject(Direction::Down, &refused[0]);
    // On its own connection it gets the same bytes as before, which the terminal has shown already.
    bank.proxy.inject(Direction::Up, bodies[0]);
    let shown = person.types(&["30"]);
    assert!(shown.contains("Amount withdrawn: $30. Your balance is $70."), "{shown}");
    person.leaves();
    assert_eq!(bank.proxy.connections(), 1);
    assert_eq!(bank.movements(), [moved("withdrawal", 30)]);
}

/// Attack 3: a `who` in clear, which any peer can send, before each message of the host.
#[test]
fn a_clear_who_injected_before_every_reply_holds_up_nothing() {
    let bank = Bank::new(Link::Sealed);
    bank.proxy.set_rule(|frame| {
        let who = frame.with_body(vec![3, 1]);
        match frame.direction {
            Direction::Up => frame.forward(),
            Direction::Down => vec![who.clone(), who.clone(), frame.clone(), who],
        }
    });
    let (mut person, since) = (bank.at_menu("kiosk-7"), Instant::now());
    for times in 1..=5 {
        let shown = person.types(&["deposit 10"]);
        assert!(shown.contains(&format!("Your balance is ${}.", 100 + 10 * times)), "{shown}");
    }
    person.leaves();
    // A `who` while an answer waits causes a hello, at most one in an interval of retransmission, which is a second.
    let (count, seconds) = (hellos(&bank.proxy).len() as u64, since.elapsed().as_secs());
    assert!((2..=3 + seconds).contains(&count), "{count} hellos in {seconds} s");
    assert_eq!(bank.movements(), vec![moved("deposit", 10); 5]);
}

/// Attacks 1 and 2: every frame of one session, played to the server while that session goes on, after it, and beside the next.
#[test]
fn a_whole_recorded_session_played_to_the_server_is_refused() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40", "withdraw 15"]);
    let recorded = bank.proxy.bodies(Direction::Up);
    let play = || replay_session(bank.address(), &recorded);
    assert_eq!(indexes(&play()), [7]);
    person.leaves();
    assert_eq!(indexes(&play()), [7], "after it, by the terminal's row");
    let mut person = bank.at_menu("kiosk-7");
    assert_eq!(indexes(&play()), [7], "beside the next one");
    for body in &recorded {
        bank.proxy.inject(Direction::Up, body);
    }
    assert!(person.types(&["balance"]).contains("Your balance is $125."));
    person.leaves();
    assert_eq!(bank.movements(), [moved("deposit", 40), moved("withdrawal", 15)]);
}

/// Held hellos: the first hello reaches the server after the second.
#[test]
fn a_hello_that_is_held_back_is_refused_once_a_later_one_was_served() {
    let bank = Bank::new(Link::Sealed);
    bank.proxy.set_rule(|frame| if frame.connection == 0 { Vec::new() } else { frame.forward() });
    let person = atm_e2e::Program::start(bank.client("kiosk-7", &[]));
    let held: Frame = bank.proxy.wait_until(|frames| frames.first().cloned());
    // The client opens another connection after ten seconds without a byte, or at once when this one ends.
    bank.proxy.cut();
    person.wait_for_prompts(1);
    assert_eq!(indexes(&exchange_frames(bank.address(), &[held.body])), [7]);
    drop(person);
    assert_eq!(bank.movements(), []);
}
