//! A session ends when its prompt has been open for the idle time, whatever is sent or replayed meanwhile.
use crate::{counter::Counter, terminal::Terminal};
use atm_core::{time, wire::Wire};
use atm_e2e::{Client, Value, frame};
use std::time::{Duration, Instant};

const IDLE: Duration = Duration::from_millis(1_500);

/// How late the end may come on a busy machine. A session that is extended by what is replayed does not end at all.
const LATE: Duration = Duration::from_millis(1_500);

fn counter() -> Counter {
    Counter::start(Wire::Json, time::Duration::from_millis(1_500))
}

/// A terminal at the menu with a card, where it has deposited; when the menu's prompt was opened at the latest.
fn at_menu(counter: &Counter) -> (Terminal, Client, Instant) {
    let mut terminal = Terminal::new("kiosk-7");
    let (mut client, _) = terminal.connect(counter.address, false);
    terminal.log_in(&mut client, 0);
    let done = terminal.ask(&mut client, "deposit 5");
    assert!(done.starts_with("Amount deposited: $5."), "{done}");
    (terminal, client, Instant::now())
}

/// Sends bytes again and again until the session ends; it must end on time. What is received meanwhile is returned.
fn replay(mut client: Client, opened: Instant, mut bytes: impl FnMut() -> Vec<u8>) -> Vec<Value> {
    let (mut received, mut next) = (Vec::new(), Instant::now());
    loop {
        assert!(opened.elapsed() < IDLE + LATE, "the session goes on: {} messages", received.len());
        if Instant::now() >= next {
            next += Duration::from_millis(20);
            client.try_send(&bytes());
        }
        let message = client.read_unless(|| Instant::now() >= next);
        let Some(message) = message else { continue };
        let is_end = message["notice"] == "idle";
        received.push(message);
        if is_end {
            let took = opened.elapsed();
            assert!(took >= IDLE - Duration::from_millis(100), "it took {took:?}");
            return received;
        }
    }
}

/// No session is left of which a hello could resume the menu.
fn assert_over(counter: &Counter, terminal: &mut Terminal) {
    let (_, text) = terminal.connect(counter.address, true);
    assert!(text.contains("Please type the number of your card."), "{text}");
}

#[test]
fn duplicates_of_the_last_answer_do_not_extend_it() {
    let counter = counter();
    let (mut terminal, client, opened) = at_menu(&counter);
    let mut answered = Terminal::new("kiosk-7");
    answered.shown = terminal.shown - 1;
    let received = replay(client, opened, || answered.answer("deposit 5"));
    assert!(received.len() > 10, "each got its reply again: {}", received.len());
    assert_over(&counter, &mut terminal);
}

/// They get their reply again, whatever they say, and burn no try.
#[test]
fn answers_to_the_last_secret_prompt_do_not_extend_it() {
    let counter = counter();
    let mut terminal = Terminal::new("kiosk-7");
    let (mut client, _) = terminal.connect(counter.address, false);
    terminal.log_in(&mut client, 0);
    let (opened, mut secret, mut pin) = (Instant::now(), Terminal::new("kiosk-7"), 1000);
    secret.shown = terminal.shown - 1;
    let received = replay(client, opened, || {
        pin += 1;
        secret.answer(&pin.to_string())
    });
    let again = received.iter().filter(|message| message["seq"] == terminal.shown).count();
    assert!(again > 10, "{again}");
    assert_over(&counter, &mut terminal);
    assert_eq!(counter.metric("atm_refused_verifications_total"), 0);
}

#[test]
fn faults_and_conflicts_do_not_extend_it() {
    for bytes in [frame("{"), frame(r#"{"re":1,"data":"3"}"#), frame(r#"{"data":"3"}"#)] {
        let counter = counter();
        let (mut terminal, client, opened) = at_menu(&counter);
        let received = replay(client, opened, || bytes.clone());
        assert!(received.iter().any(|message| message["error"].is_string()), "{received:?}");
        assert_over(&counter, &mut terminal);
    }
}

#[test]
fn the_same_hello_does_not_extend_it() {
    let counter = counter();
    let (mut terminal, client, opened) = at_menu(&counter);
    terminal.attempt -= 1;
    let same = frame(terminal.hello(false).to_string());
    let received = replay(client, opened, || same.clone());
    assert!(received.iter().any(|message| message["seq"] == terminal.shown), "{received:?}");
    assert_over(&counter, &mut terminal);
}

#[test]
fn later_hellos_that_resume_do_not_extend_it() {
    let counter = counter();
    let (mut terminal, client, opened) = at_menu(&counter);
    let menu = terminal.shown;
    let received = replay(client, opened, || frame(terminal.hello(true).to_string()));
    let resumed = received.iter().filter(|message| message["seq"] == menu).count();
    assert!(resumed > 10, "{resumed}");
    assert_over(&counter, &mut terminal);
}

#[test]
fn a_resumed_session_on_another_connection_ends_when_the_first_would_have() {
    let counter = counter();
    let (mut terminal, mut client, opened) = at_menu(&counter);
    let menu = terminal.shown;
    while opened.elapsed() < IDLE - Duration::from_millis(400) {
        // Each connection takes the session over from the one before.
        client = terminal.connect(counter.address, true).0;
        assert_eq!(terminal.shown, menu);
    }
    replay(client, opened, || frame("{"));
    assert_over(&counter, &mut terminal);
}

#[test]
fn a_session_whose_connection_is_lost_is_over_after_the_same_time() {
    let counter = counter();
    let (mut terminal, client, opened) = at_menu(&counter);
    drop(client);
    // It is resumed before, and not after.
    let (client, text) = terminal.connect(counter.address, true);
    assert!(text.contains("What would you like to do?") && opened.elapsed() < IDLE, "{text}");
    drop(client);
    // The end of a conversation without a link sends nothing to wait for.
    std::thread::sleep((opened + IDLE).saturating_duration_since(Instant::now()));
    assert_over(&counter, &mut terminal);
}
