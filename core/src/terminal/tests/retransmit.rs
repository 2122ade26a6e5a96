//! Repeats, the state of the line, and when to give up.
use super::*;

/// How long after the one before each of them was sent, in milliseconds.
fn gaps(sent: &[(Instant, Vec<u8>)]) -> Vec<u32> {
    sent.windows(2).map(|pair| pair[0].0.until(pair[1].0).millis()).collect()
}

#[test]
fn an_answer_that_was_lost_is_sent_again() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut pair = Pair::at_menu(wire);
        pair.mute = true;
        assert_eq!(pair.types("deposit 40"), []);
        pair.mute = false;
        assert_eq!(only(pair.wait(RETRANSMIT.first_wait)).outcome(), deposited(40, 140));
        assert_eq!(pair.balance(), units(140));
    }
}

#[test]
fn a_reply_that_was_lost_is_got_again_and_the_money_moves_once() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut pair = Pair::at_menu(wire);
        pair.deaf = true;
        pair.types("deposit 40");
        assert_eq!(pair.wait(RETRANSMIT.first_wait), []);
        assert_eq!(pair.balance(), units(140));
        pair.deaf = false;
        assert_eq!(only(pair.wait(RETRANSMIT.max_wait)).outcome(), deposited(40, 140));
        assert_eq!(pair.balance(), units(140));
    }
}

#[test]
fn a_hello_that_was_lost_is_said_again_unchanged() {
    let mut pair = Pair::serial(Wire::Postcard);
    pair.mute = true;
    pair.wait(RETRANSMIT.max_wait);
    pair.mute = false;
    assert!(only(pair.wait(RETRANSMIT.max_wait)).text().starts_with("Welcome"));
    assert!(pair.sent.len() > 2 && pair.sent.iter().all(|(_, bytes)| *bytes == pair.sent[0].1));
}

#[test]
fn repeats_are_the_same_bytes_at_growing_intervals() {
    let mut pair = Pair::at_menu(Wire::Json);
    pair.sent.clear();
    pair.deaf = true;
    pair.types("deposit 40");
    pair.wait(Duration::from_millis(RETRANSMIT.first_wait.millis() * 40));
    assert!(pair.sent.iter().all(|(_, bytes)| *bytes == pair.sent[0].1));
    let first = RETRANSMIT.first_wait.millis();
    assert_eq!(gaps(&pair.sent), [1, 2, 4, 8, 8, 8, 8].map(|times| times * first));
    assert_eq!(RETRANSMIT.max_wait.millis(), 8 * first);
}

#[test]
fn the_first_repeat_comes_after_the_longest_exchange() {
    for baud in [1200, 9600, 115_200, 1_000_000] {
        let bytes = u64::try_from(host::OUT).unwrap() * 2;
        let exchange = bytes * 10 * 1000 / u64::from(baud);
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
fn what_is_still_on_its_way_out_is_not_repeated() {
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
fn an_answer_waits_for_the_repeat_that_is_still_on_its_way_out() {
    // The line was slower than the host: the reply came while the answer was being sent once more.
    let mut pair = Pair::at_menu(Wire::Json);
    pair.deaf = true;
    pair.types(&"x".repeat(64));
    pair.now = pair.now + RETRANSMIT.first_wait;
    pair.terminal.tick(pair.now);
    let repeat = pair.terminal.output().to_vec();
    assert!(!repeat.is_empty());
    pair.host.feed(&repeat, pair.now);
    pair.deaf = false;
    pair.down();
    let next = pair.terminal.prompt().unwrap();
    let long = "\u{1}".repeat(64);
    pair.terminal.answer(next, &long, pair.now).unwrap();
    assert_eq!(pair.terminal.output(), repeat);
    pair.terminal.consume(repeat.len());
    assert_eq!(pair.terminal.memory().pending, next);
    let mut outbox = Outbox::<OUT>::new(Wire::Json);
    outbox.answer(next, &long).unwrap();
    assert_eq!(pair.terminal.output(), outbox.output());
}

#[test]
fn the_line_goes_down_and_comes_up() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.deaf = true;
    pair.types("3");
    let early = Duration::from_millis(RETRANSMIT.down_after.millis() - 1);
    assert_eq!(pair.wait(early), []);
    assert_eq!(pair.wait(Duration::from_millis(1)), [Told::Down]);
    assert_eq!(pair.wait(RETRANSMIT.max_wait), [], "told once");
    pair.deaf = false;
    let told = pair.wait(RETRANSMIT.max_wait);
    assert!(told.contains(&Told::Up) && told.iter().any(|told| told.outcome().is_some()), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn at_an_open_prompt_a_silent_line_is_not_down() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    assert_eq!(pair.terminal.deadline(), None);
    assert_eq!(pair.wait(Duration::from_secs(200)), []);
}

#[test]
fn while_the_host_works_the_line_is_up_and_nothing_is_given_up() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.slow = true;
    assert_eq!(pair.types("deposit 40"), []);
    assert_eq!(pair.wait(Duration::from_secs(600)), []);
    assert_eq!(pair.requests.len(), 1);
    let reply = only(pair.catch_up());
    assert_eq!(reply.outcome(), deposited(40, 140));
    assert!(!reply.text().contains("earlier"), "the same session goes on");
}

#[test]
fn work_on_something_else_does_not_put_off_giving_up() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.mute = true;
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
    pair.mute = false;
    let told = pair.wait(RETRANSMIT.max_wait);
    assert!(told.iter().any(|told| told.outcome() == Some(Outcome::NotDone)), "{told:?}");
    assert_eq!(pair.balance(), units(100));
}

#[test]
fn money_does_not_move_when_the_line_comes_back_after_the_person_has_left() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.mute = true;
    pair.types("deposit 40");
    let told =
        pair.wait(Duration::from_millis(RETRANSMIT.give_up_after.millis() + RETRANSMIT.max_wait.millis()));
    assert_eq!(told, [Told::Down]);
    pair.mute = false;
    let told = pair.wait(RETRANSMIT.max_wait);
    assert_eq!(told[0].outcome(), Some(Outcome::NotDone), "{told:?}");
    assert_eq!(pair.balance(), units(100));
    // The answer comes late all the same, as from a relay that held it.
    let answer = pair.sent.iter().find(|(_, bytes)| bytes.windows(7).any(|part| part == b"deposit")).unwrap();
    pair.host.feed(&answer.1.clone(), pair.now);
    pair.run();
    assert_eq!(pair.balance(), units(100));
}

#[test]
fn what_was_done_before_the_terminal_gave_up_is_told() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.deaf = true;
    pair.types("deposit 40");
    pair.wait(Duration::from_millis(RETRANSMIT.give_up_after.millis() + RETRANSMIT.max_wait.millis()));
    pair.deaf = false;
    let told = pair.wait(RETRANSMIT.max_wait);
    assert_eq!(told[0].outcome(), deposited(40, 140), "{told:?}");
    assert!(told[0].text().starts_with("About your earlier request"));
}

#[test]
fn a_driver_may_give_up_before() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.mute = true;
    pair.types("deposit 40");
    pair.terminal.give_up();
    pair.mute = false;
    assert_eq!(pair.wait(RETRANSMIT.max_wait), [], "it is not sent again");
    assert!(pair.terminal.is_awaiting_reply(), "and what became of it is not known");
    pair.terminal.reconnect(pair.now);
    let told = pair.run();
    assert_eq!(told.last().unwrap().outcome(), Some(Outcome::NotDone), "{told:?}");
}

#[test]
fn a_frame_that_does_not_end_is_dropped_on_a_serial_line_and_breaks_a_connection() {
    for (wire, link, expected) in [
        (Wire::Postcard, LinkKind::Serial, vec![]),
        (Wire::Json, LinkKind::Serial, vec![]),
        (Wire::Json, LinkKind::Connection, vec![Told::Broken(Fault::Incomplete)]),
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
fn damage_is_not_shown_where_it_is_sent_again() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    assert_eq!(feed(&mut pair.terminal, b"noise\0", pair.now), []);
    assert_eq!(pair.terminal.counters().discarded, 1);
    // Nor is what the host says of such damage on the other way.
    let mut json = Pair::at_menu(Wire::Json);
    json.host.feed(&[0, 0, 0, 1, b'x'], json.now);
    assert_eq!(json.run(), []);
    assert_eq!(only(json.types("deposit 40")).outcome(), deposited(40, 140));
}
