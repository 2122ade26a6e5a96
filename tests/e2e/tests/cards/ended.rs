//! A card that is blocked, that has another PIN, or whose terminal says hello elsewhere: the session that was open moves nothing more.
use crate::{
    counter::{Counter, NUMBERS, PINS},
    terminal::Terminal,
};
use atm_core::{time::Duration, wire::Wire};
use atm_e2e::Client;

const NO_ACCESS: &str = "Your card's session is over.";

fn counter() -> Counter {
    Counter::start(Wire::Json, Duration::from_secs(30))
}

/// A terminal at the menu with card 0.
fn at_menu(counter: &Counter, name: &'static str) -> (Terminal, Client) {
    let mut terminal = Terminal::new(name);
    let (mut client, _) = terminal.connect(counter.address, false);
    terminal.log_in(&mut client, 0);
    (terminal, client)
}

/// Whatever the session asks for is refused, and it is at the card prompt again.
fn assert_refused(terminal: &mut Terminal, client: &mut Client) {
    let text = terminal.ask(client, "withdraw 40");
    assert!(text.starts_with(NO_ACCESS) && text.contains("Please type the number of your card."), "{text}");
}

#[test]
fn a_session_is_over_when_its_pin_is_changed_at_another_terminal() {
    let counter = counter();
    let ((mut first, mut first_client), (mut second, mut client)) =
        (at_menu(&counter, "kiosk-1"), at_menu(&counter, "kiosk-2"));
    for text in ["pin", PINS[0], "8642"] {
        second.ask(&mut client, text);
    }
    assert!(second.ask(&mut client, "8642").starts_with("Your PIN is changed."));
    assert_refused(&mut first, &mut first_client);
    // The session that has changed it goes on.
    assert!(second.ask(&mut client, "balance").starts_with("Your balance is $100."));
}

#[test]
fn a_session_is_over_when_wrong_pins_block_its_card_and_they_are_counted() {
    let counter = counter();
    let (mut first, mut first_client) = at_menu(&counter, "kiosk-1");
    // Each refusal delays the next one at the same terminal.
    for name in ["kiosk-2", "kiosk-3", "kiosk-4"] {
        let mut thief = Terminal::new(name);
        let (mut client, _) = thief.connect(counter.address, false);
        thief.ask(&mut client, NUMBERS[0]);
        let text = thief.ask(&mut client, "0007");
        assert!(text.starts_with("The card and the PIN were not accepted."), "{text}");
    }
    assert_refused(&mut first, &mut first_client);
    // The right PIN gets the reply of a wrong one.
    first.ask(&mut first_client, NUMBERS[0]);
    let text = first.ask(&mut first_client, PINS[0]);
    assert!(text.starts_with("The card and the PIN were not accepted."), "{text}");
    for (name, expected) in [
        ("atm_refused_verifications_total", 4),
        ("atm_blocked_cards_total", 1),
        ("atm_verification_alarms_total", 1),
    ] {
        assert_eq!(counter.metric(name), expected, "{name}");
    }
}

#[test]
fn a_session_is_over_when_its_terminal_says_hello_elsewhere() {
    let counter = counter();
    let (mut terminal, mut old) = at_menu(&counter, "kiosk-1");
    let withdraw = terminal.answer("withdraw 40");
    let (mut client, text) = terminal.connect(counter.address, false);
    assert!(text.contains("Please type the number of your card."), "{text}");
    // The answer to the prompt that was open there has no effect on either connection.
    old.try_send(&withdraw);
    assert_eq!(old.read()["notice"], "taken-over");
    assert_eq!(old.read_or_end(), None);
    client.send(&withdraw);
    assert_eq!(client.read()["error"], "not-open");
    terminal.show(&mut client);
    terminal.log_in(&mut client, 0);
    assert!(terminal.ask(&mut client, "balance").starts_with("Your balance is $100."));
}
