//! The exchange: what is shown, when an answer is taken, and what is stored.
use super::*;

const NUMBERED: [Wire; 2] = [Wire::Json, Wire::Postcard];

fn texts(shown: &[Shown]) -> Vec<&str> {
    shown.iter().map(|shown| shown.text().split(['.', '?']).next().unwrap()).collect()
}

#[test]
fn every_reply_is_shown_once_and_in_order() {
    for (wire, link, name) in [
        (Wire::Json, LinkKind::Serial, Some("a")),
        (Wire::Postcard, LinkKind::Serial, Some("a")),
        (Wire::Postcard, LinkKind::Serial, None),
        (Wire::Json, LinkKind::Connection, Some("a")),
    ] {
        for duplicate in [false, true] {
            let mut pair = Pair::new(sealed(config(wire, link, name, Memory::default())));
            pair.duplicate = duplicate && link == LinkKind::Serial;
            let mut shown = pair.run();
            for text in ["1", "40", "withdraw 15", "3", "exit"] {
                shown.extend(pair.types(text));
                shown.extend(pair.wait(Duration::from_secs(100)));
            }
            assert_eq!(
                texts(&shown),
                [
                    "Welcome to the ATM",
                    "How much would you like to deposit",
                    "Amount deposited: $40",
                    "Amount withdrawn: $15",
                    "Your balance is $125",
                    "Goodbye"
                ],
                "{wire} {link:?} {name:?} {duplicate}"
            );
            assert!(pair.terminal.is_over() && !pair.terminal.is_awaiting_reply());
            assert_eq!(pair.balance(), units(125));
        }
    }
}

#[test]
fn a_plain_client_is_greeted_and_numbers_its_answers() {
    let mut pair = Pair::new(Config {
        profile: None,
        ..config(Wire::Json, LinkKind::Connection, None, Memory::default())
    });
    assert_eq!(texts(&pair.run()), ["Welcome to the ATM"]);
    assert_eq!(pair.terminal.prompt(), Some(Some(1)));
    assert_eq!(only(pair.types("deposit 40")).outcome(), deposited(40, 140));
    assert!(pair.sent[0].1.ends_with(br#"{"re":1,"data":"deposit 40"}"#));
}

#[test]
fn a_hello_hides_the_greeting_of_a_connection() {
    let mut pair = Pair::new(config(Wire::Json, LinkKind::Connection, Some("a"), Memory::default()));
    assert!(pair.terminal.is_handshaking());
    assert_eq!(texts(&pair.run()), ["Welcome to the ATM"], "the menu is shown once");
    assert!(!pair.terminal.is_handshaking());
    // The skipped greeting and the welcome.
    assert_eq!(pair.terminal.take_counters().frames, 2);
    assert_eq!(pair.terminal.counters().frames, 0);
}

#[test]
fn an_answer_is_taken_only_at_the_prompt_that_it_was_typed_at() {
    let mut pair = Pair::at_menu(Wire::Json);
    let menu = pair.terminal.prompt().unwrap();
    for wrong in [None, Some(menu.unwrap() + 1), Some(0)] {
        assert_eq!(pair.terminal.answer(wrong, "1", pair.now), Err(AnswerError::NotOpen));
    }
    assert_eq!(pair.terminal.answer(menu, &"x".repeat(65), pair.now), Err(AnswerError::TooLong));
    assert!(pair.terminal.output().is_empty() && pair.terminal.memory().pending.is_none());
    assert_eq!(pair.terminal.answer(menu, &std::format!(" {} ", "x".repeat(64)), pair.now), Ok(()));
    // No other answer is taken in its place.
    assert_eq!(pair.terminal.prompt(), None);
    assert_eq!(pair.terminal.answer(menu, "2", pair.now), Err(AnswerError::NotOpen));
}

#[test]
fn an_answered_prompt_is_in_the_memory_from_before_the_sending_until_its_reply_is_shown() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    let menu = pair.terminal.memory().shown;
    assert_eq!(pair.terminal.memory(), Memory { ledger: Some(LEDGER), shown: menu, pending: None });
    pair.terminal.answer(Some(menu), "deposit 40", pair.now).unwrap();
    assert_eq!(pair.terminal.memory().pending, Some(menu));
    assert!(pair.terminal.is_awaiting_reply() && !pair.terminal.output().is_empty());
    pair.drop_to_terminal = true;
    pair.run();
    assert_eq!(pair.terminal.memory(), Memory { ledger: Some(LEDGER), shown: menu, pending: Some(menu) });
    pair.drop_to_terminal = false;
    let Shown::Message { seq, .. } = only(pair.wait(Duration::from_secs(5))) else { panic!() };
    assert_eq!(pair.terminal.memory(), Memory { ledger: Some(LEDGER), shown: seq.unwrap(), pending: None });
}

#[test]
fn after_a_fault_about_the_answer_another_is_taken() {
    // As from a host whose input buffer is smaller than the answer.
    let mut pair = Pair::new(Config {
        profile: None,
        ..config(Wire::Json, LinkKind::Connection, None, Memory::default())
    });
    pair.run();
    let prompt = pair.terminal.prompt().unwrap();
    pair.terminal.answer(prompt, "deposit 40", pair.now).unwrap();
    let broken = pair.terminal.output().len();
    pair.terminal.consume(broken);
    pair.host.feed(&[0, 0, 0, 1, b'x'], pair.now);
    let shown = pair.run();
    assert_eq!(shown[0].notice(), Some(Notice::Fault(Fault::NotJson)));
    assert!(shown[1].text().starts_with("Welcome"));
    assert_eq!((pair.terminal.prompt(), pair.terminal.is_awaiting_reply()), (Some(prompt), false));
    assert_eq!(only(pair.types("deposit 2")).outcome(), deposited(2, 102));
}

#[test]
fn a_duplicate_of_the_open_prompt_does_not_drop_the_answer() {
    // The link made the duplicate; the host acts on the answer.
    let mut pair = Pair::new(Config {
        profile: None,
        ..config(Wire::Json, LinkKind::Connection, None, Memory::default())
    });
    let greeting = pair.host.output().to_vec();
    pair.run();
    pair.hold_requests = true;
    pair.types("deposit 40");
    assert_eq!(feed(&mut pair.terminal, &greeting, pair.now), []);
    assert!(pair.terminal.is_awaiting_reply());
    assert_eq!(only(pair.release_requests()).outcome(), deposited(40, 140));
}

#[test]
fn only_the_reply_to_the_last_answer_is_shown() {
    use crate::{message::Reply, screen::Screen};
    for wire in NUMBERED {
        let mut pair = Pair::at_menu(wire);
        pair.types("3");
        pair.hold_requests = true;
        pair.types("deposit 40");
        let open = pair.stored.shown;
        for (seq, re) in
            [(open + 9, Some(open - 1)), (open + 9, None), (open - 1, Some(open)), (open, Some(open))]
        {
            let mut outbox = Outbox::<1024>::new(wire);
            outbox
                .reply(&Reply { seq, re, screens: [Screen::Menu].into_iter().collect(), welcome: None })
                .unwrap();
            assert_eq!(feed(&mut pair.terminal, outbox.output(), pair.now), [], "{seq} {re:?}");
        }
        assert_eq!(only(pair.release_requests()).outcome(), deposited(40, 140));
    }
}

#[test]
fn an_echo_of_its_own_messages_is_ignored() {
    for wire in NUMBERED {
        let mut pair = Pair::serial(wire);
        let hello = pair.terminal.output().to_vec();
        pair.run();
        pair.drop_to_host = true;
        pair.types("deposit 40");
        let answer = pair.sent.last().unwrap().1.clone();
        for echo in [&hello, &answer] {
            assert_eq!(feed(&mut pair.terminal, echo, pair.now), []);
        }
        pair.drop_to_host = false;
        assert_eq!(only(pair.wait(Duration::from_secs(5))).outcome(), deposited(40, 140));
    }
}

#[test]
fn a_session_that_is_over_stays_over() {
    for wire in NUMBERED {
        let mut pair = Pair::at_menu(wire);
        let menu = pair.stored.shown;
        pair.types("exit");
        let stale = {
            let mut other = Pair::at_menu(wire);
            other.terminal.answer(Some(menu), "3", other.now).unwrap();
            other.carry_to_host();
            other.serve_host();
            other.host.output().to_vec()
        };
        assert_eq!(feed(&mut pair.terminal, &stale, pair.now), []);
        // The host has lost the session and sends `who`.
        pair.restart_host();
        let answer = pair.sent.last().unwrap().1.clone();
        pair.host.feed(&answer, pair.now);
        assert_eq!(pair.run(), [], "no hello is sent");
        assert!(pair.terminal.is_over() && pair.terminal.prompt().is_none());
        assert_eq!(pair.terminal.deadline(), None);
    }
}

#[test]
fn every_end_of_a_session_is_shown() {
    for (notice, text) in
        [(Notice::Idle, "No answer for too long"), (Notice::Stopping, "The server is stopping")]
    {
        let mut pair = Pair::at_menu(Wire::Postcard);
        match notice {
            Notice::Idle => {}
            _ => pair.host.shut_down(pair.now),
        }
        let shown = only(pair.wait(Duration::from_secs(301)));
        assert_eq!(shown.notice(), Some(notice));
        assert!(shown.text().starts_with(text) && pair.terminal.is_over());
    }
}
