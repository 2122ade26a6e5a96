//! Which terminals are served by card, and what the others learn.
use crate::{
    counter::{Counter, FRAME},
    terminal::Terminal,
};
use atm_core::{time::Duration, wire::Wire};
use atm_e2e::{Client, Program, Value, atm, frame, text_of};
use std::time::Instant;

fn counter() -> Counter {
    Counter::start(Wire::Json, Duration::from_secs(30))
}

#[test]
fn a_hello_that_lacks_what_cards_need_is_refused_in_words() {
    for field in ["hello", "capabilities", "terminal"] {
        let counter = counter();
        let mut hello = Terminal::new("kiosk-7").hello(false);
        match field {
            "hello" => hello[field] = Value::from(1),
            _ => drop(hello.as_object_mut().unwrap().remove(field)),
        }
        let mut client = Client::connect(counter.address);
        client.send(&frame(hello.to_string()));
        // There is no greeting before it.
        let fault = client.read();
        assert_eq!(fault["error"], "by-card", "{field}: {fault}");
        assert!(text_of(&fault).starts_with("Access here is by card: a hello needs a name, version 2, and"));
        // The same connection is served once it has what was missing.
        let mut terminal = Terminal::new("kiosk-7");
        client.send(&frame(terminal.hello(false).to_string()));
        assert!(terminal.show(&mut client).contains("Please type the number of your card."));
    }
}

#[test]
fn without_a_hello_nothing_is_answered_but_who_and_the_connection_ends() {
    let counter = counter();
    let (mut client, began) = (Client::connect(counter.address), Instant::now());
    client.send(&frame(r#"{"data":"3"}"#));
    assert_eq!(client.read()["notice"], "who");
    assert_eq!(client.read_or_end(), None);
    let took = began.elapsed().as_millis();
    assert!(took + 100 >= FRAME.millis().into(), "{took}");
    assert_eq!(counter.metric("atm_sessions_total"), 1);
}

#[test]
fn a_client_without_a_name_says_why_it_is_not_served() {
    let counter = counter();
    let client = atm(&["client", "--reply-timeout", "2", &counter.address.to_string()]);
    let output = Program::run(client, "3\n");
    assert_ne!(output.code, Some(0), "{output:?}");
    assert!(!output.stdout.contains("Your balance"), "{output:?}");
}
