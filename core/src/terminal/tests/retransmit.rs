//! Retransmission and backoff, the state of the link, and giving up.
use super::*;

/// The times between messages, in milliseconds.
fn gaps(sent: &[(Instant, Vec<u8>)]) -> Vec<u32> {
    sent.windows(2).map(|pair| pair[0].0.until(pair[1].0).millis()).collect()
}

#[test]
fn a_lost_answer_is_retransmitted() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut pair = Pair::at_menu(wire);
        pair.drop_to_host = true;
        assert_eq!(pair.types("deposit 40"), []);
        pair.drop_to_host = false;
        assert_eq!(only(pair.wait(RETRANSMIT.first_wait)).outcome(), deposited(40, 140));
        assert_eq!(pair.balance(), units(140));
    }
}

#[test]
fn a_lost_reply_is_sent_again_and_the_money_moves_once() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut pair = Pair::at_menu(wire);
        pair.drop_to_terminal = true;
        pair.types("deposit 40");
        assert_eq!(pair.wait(RETRANSMIT.first_wait), []);
        assert_eq!(pair.balance(), units(140));
        pair.drop_to_terminal = false;
        assert_eq!(only(pair.wait(RETRANSMIT.max_wait)).outcome(), deposited(40, 140));
        assert_eq!(pair.balance(), units(140));
    }
}

#[cfg(feature = "cards")]
#[test]
fn an_answer_that_has_no_reply_is_not_shown_by_debug() {
    let mut pair = Pair::at_menu(Wire::Json);
    pair.drop_to_host = true;
    pair.types("864297");
    let shown = std::format!("{:?}", pair.terminal);
    assert!(!shown.contains("864297") && !shown.contains("56, 54, 52, 50"), "{shown}");
}

#[test]
fn a_lost_hello_is_retransmitted_unchanged() {
    let mut pair = Pair::serial(Wire::Postcard);
    pair.drop_to_host = true;
    pair.wait(RETRANSMIT.max_wait);
    pair.drop_to_host = false;
    assert!(only(pair.wait(RETRANSMIT.max_wait)).text().starts_with("Welcome"));
    assert!(pair.sent.len() > 2 && pair.sent.iter().all(|(_, bytes)| *bytes == pair.sent[0].1));
}

#[test]
fn retransmissions_are_the_same_bytes_with_exponential_backoff() {
    let mut pair = Pair::at_menu(Wire::Json);
    pair.sent.clear();
    pair.drop_to_terminal = true;
    pair.types("deposit 40");
    pair.wait(Duration::from_millis(RETRANSMIT.first_wait.millis() * 40));
    assert!(pair.sent.iter().all(|(_, bytes)| *bytes == pair.sent[0].1));
    let first = RETRANSMIT.first_wait.millis();
    assert_eq!(gaps(&pair.sent), [1, 2, 4, 8, 8, 8, 8].map(|times| times * first));
    assert_eq!(RETRANSMIT.max_wait.millis(), 8 * first);
}

#[test]
fn the_first_wait_is_longer_than_the_longest_exchange() {
    for baud in [1200, 9600, 115_200, 1_000_000] {
        let exchange = u64::from(EXCHANGE) * 10 * 1000 / u64::from(baud);
        let retransmit = Retransmit::for_baud(baud);
        let times =
            [retransmit.first_wait, retransmit.max_wait, retransmit.down_after, retransmit.give_up_after]
                .map(Duration::millis);
        assert!(u64::from(times[0]) > exchange, "{baud}");
        assert!(times.is_sorted() && times[3] >= 60_000, "{baud}: {times:?}");
    }
    assert_eq!(Retransmit::for_baud(0), Retransmit::for_baud(1));
}

#[test]
fn unsent_output_is_not_retransmitted() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    let prompt = pair.terminal.prompt().unwrap();
    pair.terminal.answer(prompt, "deposit 40", pair.now).unwrap();
    let once = pair.terminal.output().to_vec();
    pair.terminal.consume(1);
    for _ in 0..20 {
        pair.now = pair.now + RETRANSMIT.max_wait;
        pair.terminal.tick(pair.now);
        if pair.terminal.is_awaiting_reply()
            && pair.terminal.prompt().is_none()
            && !pair.terminal.output().is_empty()
        {
            assert_eq!(pair.terminal.output(), &once[1..]);
        }
    }
}

#[test]
fn an_answer_is_deferred_while_a_retransmission_is_unsent() {
    // The reply came while the answer was being retransmitted.
    let mut pair = Pair::at_menu(Wire::Json);
    pair.drop_to_terminal = true;
    pair.types(&"x".repeat(64));
    pair.now = pair.now + RETRANSMIT.first_wait;
    pair.terminal.tick(pair.now);
    let retransmission = pair.terminal.output().to_vec();
    assert!(!retransmission.is_empty());
    pair.host.feed(&retransmission, pair.now);
    pair.drop_to_terminal = false;
    pair.carry_to_terminal();
    let next = pair.terminal.prompt().unwrap();
    let long = "\u{1}".repeat(64);
    pair.terminal.answer(next, &long, pair.now).unwrap();
    assert_eq!(pair.terminal.output(), retransmission);
    pair.terminal.consume(retransmission.len());
    assert_eq!(pair.terminal.memory().pending, next);
    let mut outbox = Outbox::<OUT>::new(Wire::Json);
    outbox.answer(next, &long).unwrap();
    assert_eq!(pair.terminal.output(), outbox.output());
}

#[test]
fn the_link_goes_down_and_comes_up() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.drop_to_terminal = true;
    pair.types("3");
    let early = Duration::from_millis(RETRANSMIT.down_after.millis() - 1);
    assert_eq!(pair.wait(early), []);
    assert_eq!(pair.wait(Duration::from_millis(1)), [Shown::LinkDown]);
    assert_eq!(pair.wait(RETRANSMIT.max_wait), [], "reported once");
    pair.drop_to_terminal = false;
    let shown = pair.wait(RETRANSMIT.max_wait);
    assert!(
        shown.contains(&Shown::LinkUp) && shown.iter().any(|shown| shown.outcome().is_some()),
        "{shown:?}"
    );
    assert_eq!(shown.len(), 2);
}

#[test]
fn at_an_open_prompt_a_silent_link_is_not_down() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    assert_eq!(pair.terminal.deadline(), None);
    assert_eq!(pair.wait(Duration::from_secs(200)), []);
}

#[test]
fn while_the_host_works_the_link_is_up_and_the_answer_is_kept() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.hold_requests = true;
    assert_eq!(pair.types("deposit 40"), []);
    assert_eq!(pair.wait(Duration::from_secs(600)), []);
    assert_eq!(pair.requests.len(), 1);
    let reply = only(pair.release_requests());
    assert_eq!(reply.outcome(), deposited(40, 140));
    assert!(!reply.text().contains("earlier"), "the same session continues");
}

#[test]
fn working_about_another_answer_does_not_delay_giving_up() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.drop_to_host = true;
    pair.types("deposit 40");
    let pending = pair.terminal.memory().pending.unwrap();
    let mut waited = Duration::ZERO;
    while waited < RETRANSMIT.give_up_after {
        waited = Duration::from_millis(waited.millis() + 1000);
        pair.wait(Duration::from_millis(1000));
        let other = hello::notice_bytes(Notice::Working { re: Some(pending + 1) });
        feed(&mut pair.terminal, &other, pair.now);
    }
    pair.wait(RETRANSMIT.max_wait);
    pair.drop_to_host = false;
    let shown = pair.wait(RETRANSMIT.max_wait);
    assert!(shown.iter().any(|shown| shown.outcome() == Some(Outcome::NotDone)), "{shown:?}");
    assert_eq!(pair.balance(), units(100));
}

#[test]
fn no_money_moves_when_the_link_comes_up_after_the_person_has_left() {
    let mut pair = Pair::in_clear(Wire::Postcard).go_to_menu();
    pair.drop_to_host = true;
    pair.types("deposit 40");
    let shown =
        pair.wait(Duration::from_millis(RETRANSMIT.give_up_after.millis() + RETRANSMIT.max_wait.millis()));
    assert_eq!(shown, [Shown::LinkDown]);
    pair.drop_to_host = false;
    let shown = pair.wait(RETRANSMIT.max_wait);
    assert_eq!(shown[0].outcome(), Some(Outcome::NotDone), "{shown:?}");
    assert_eq!(pair.balance(), units(100));
    // A relay delivers the answer late.
    let answer = pair.sent.iter().find(|(_, bytes)| bytes.windows(7).any(|part| part == b"deposit")).unwrap();
    pair.host.feed(&answer.1.clone(), pair.now);
    pair.run();
    assert_eq!(pair.balance(), units(100));
}

#[test]
fn an_operation_done_before_the_terminal_gave_up_is_shown() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.drop_to_terminal = true;
    pair.types("deposit 40");
    pair.wait(Duration::from_millis(RETRANSMIT.give_up_after.millis() + RETRANSMIT.max_wait.millis()));
    pair.drop_to_terminal = false;
    let shown = pair.wait(RETRANSMIT.max_wait);
    assert_eq!(shown[0].outcome(), deposited(40, 140), "{shown:?}");
    assert!(shown[0].text().starts_with("About your earlier request"));
}

#[test]
fn a_driver_may_give_up_early() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.drop_to_host = true;
    pair.types("deposit 40");
    pair.terminal.give_up();
    pair.drop_to_host = false;
    assert_eq!(pair.wait(RETRANSMIT.max_wait), [], "the answer is not retransmitted");
    assert!(pair.terminal.is_awaiting_reply(), "its outcome is not known");
    pair.terminal.reconnect(pair.now);
    let shown = pair.run();
    assert_eq!(shown.last().unwrap().outcome(), Some(Outcome::NotDone), "{shown:?}");
}

#[test]
fn an_unfinished_frame_is_discarded_on_a_serial_line_and_breaks_a_connection() {
    for (wire, link, expected) in [
        (Wire::Postcard, LinkKind::Serial, vec![]),
        (Wire::Json, LinkKind::Serial, vec![]),
        (Wire::Json, LinkKind::Connection, vec![Shown::Broken(Fault::Incomplete)]),
    ] {
        let mut pair = Pair::new(config(wire, link, Some("a"), Memory::default()));
        pair.run();
        assert_eq!(feed(&mut pair.terminal, &[0, 1], pair.now), []);
        assert_eq!(pair.wait(Duration::from_secs(10)), expected);
        assert_eq!(pair.terminal.counters().discarded, 1);
        if link == LinkKind::Serial {
            assert_eq!(only(pair.types("deposit 40")).outcome(), deposited(40, 140));
        }
    }
}

#[test]
fn damaged_frames_are_not_shown_where_they_are_retransmitted() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    assert_eq!(feed(&mut pair.terminal, b"noise\0", pair.now), []);
    assert_eq!(pair.terminal.counters().discarded, 1);
    // Nor is the host's fault about a damaged frame in the other direction.
    let mut json = Pair::at_menu(Wire::Json);
    json.host.feed(&[0, 0, 0, 1, b'x'], json.now);
    assert_eq!(json.run(), []);
    assert_eq!(only(json.types("deposit 40")).outcome(), deposited(40, 140));
}
