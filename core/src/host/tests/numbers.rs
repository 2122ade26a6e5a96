//! Numbers, duplicates and conflicts: every answer has one reply, and every other message gets an error.
use super::*;

const NUMBERED: [Wire; 2] = [Wire::Json, Wire::Postcard];

#[test]
fn on_a_connection_the_host_greets_at_once() {
    for wire in NUMBERED {
        let mut driver = TestDriver::new(wire, LinkKind::Connection);
        let greeting = only(driver.received());
        assert!(greeting.prompt && greeting.welcome.is_none());
        assert_eq!(greeting.seq, Some(1));
    }
    let mut raw = TestDriver::new(Wire::Raw, LinkKind::Connection);
    assert!(only(raw.received()).text.starts_with("Welcome"));
}

#[test]
fn on_a_serial_line_the_host_sends_nothing_before_a_hello() {
    for wire in NUMBERED {
        let mut driver = TestDriver::new(wire, LinkKind::Serial);
        assert_eq!(driver.after(Duration::from_secs(10_000)), []);
        driver.host.shut_down(driver.now);
        assert_eq!(driver.received(), []);
        assert!(driver.host.is_finished());
    }
}

#[test]
fn an_answer_without_a_session_gets_who() {
    for wire in NUMBERED {
        let mut driver = TestDriver::new(wire, LinkKind::Serial);
        assert_eq!(driver.reply(3, "1").notice, Some(Notice::Who));
        assert_eq!(driver.reply(None, "1").notice, Some(Notice::Who));
    }
}

#[test]
fn who_is_sent_only_when_the_output_is_empty() {
    // A link that takes nothing for a while must not overflow the output buffer.
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Serial);
    driver.output_blocked = true;
    for _ in 0..100 {
        driver.answer(3, "1");
    }
    assert!(!driver.host.is_finished());
    driver.output_blocked = false;
    assert_eq!(kinds(&driver.received()), [Err(Notice::Who); 100]);
    assert!(only(driver.hello(&hello("a", 1, 1))).prompt);
}

#[test]
fn every_reply_has_a_higher_number_and_names_the_prompt_that_was_answered() {
    for wire in NUMBERED {
        let (mut driver, mut open) = TestDriver::at_menu(wire);
        for text in ["1", "40", "3", "nonsense", "withdraw 5"] {
            let reply = driver.reply(open, text);
            assert_eq!(reply.re, Some(open), "{text}");
            assert!(reply.seq.unwrap() > open, "{text}");
            open = reply.seq.unwrap();
        }
    }
}

#[test]
fn a_duplicate_answer_gets_the_same_reply_and_moves_no_money() {
    for wire in NUMBERED {
        let (mut driver, open) = TestDriver::at_menu(wire);
        let bytes = answer(wire, open, "deposit 40");
        driver.unfed.extend_from_slice(&bytes);
        driver.drive();
        let first = std::mem::take(&mut driver.sent);
        assert_eq!(only(decode(wire, &first)).outcome, Some(deposited(40, 140)));
        for _ in 0..3 {
            driver.unfed.extend_from_slice(&bytes);
            driver.drive();
            assert_eq!(std::mem::take(&mut driver.sent), first);
        }
        assert_eq!(driver.balance(), units(140));
    }
}

#[test]
fn a_duplicate_of_exit_gets_the_goodbye_again() {
    let (mut driver, open) = TestDriver::at_menu(Wire::Postcard);
    let goodbye = driver.reply(open, "exit");
    assert!(goodbye.ends);
    assert_eq!(driver.reply(open, "exit"), goodbye);
    assert_eq!(driver.reply(open, "1").notice, Some(Notice::Who));
}

#[test]
fn a_second_answer_with_other_content_is_a_conflict() {
    for wire in NUMBERED {
        let (mut driver, open) = TestDriver::at_menu(wire);
        let reply = driver.reply(open, "deposit 40");
        let received = driver.answer(open, "deposit 41");
        assert_eq!(received[0].notice, Some(Notice::Fault(Fault::Conflict)));
        assert_eq!(received[1..], [reply], "the open prompt again, under its own number");
        assert_eq!(driver.balance(), units(140));
    }
}

#[test]
fn an_answer_to_a_prompt_that_is_not_open_is_refused() {
    for wire in NUMBERED {
        let (mut driver, open) = TestDriver::at_menu(wire);
        let second = driver.reply(open, "3").seq.unwrap();
        let third = driver.reply(second, "3").seq.unwrap();
        for re in [open, third + 1, 0, Numbers::MAX - 1] {
            let received = driver.answer(re, "deposit 40");
            assert_eq!(kinds(&received), [Err(Notice::Fault(Fault::NotOpen)), Ok(third)]);
        }
        assert_eq!(driver.balance(), units(100));
        assert_eq!(driver.reply(third, "deposit 40").outcome, Some(deposited(40, 140)));
    }
}

#[test]
fn after_a_hello_an_answer_must_have_a_number() {
    let (mut driver, open) = TestDriver::at_menu(Wire::Json);
    let received = driver.answer(None, "deposit 40");
    assert_eq!(kinds(&received), [Err(Notice::Fault(Fault::Unnumbered)), Ok(open)]);
    assert_eq!(driver.balance(), units(100));
    // Without a hello the number is optional.
    let mut plain = TestDriver::new(Wire::Json, LinkKind::Connection);
    plain.received();
    assert_eq!(plain.reply(None, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn a_plain_session_may_use_numbers_and_gets_the_same_rules() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    let reply = driver.reply(1, "deposit 40");
    assert_eq!((reply.seq, reply.re), (Some(2), Some(1)));
    assert_eq!(driver.reply(1, "deposit 40"), reply);
    assert_eq!(driver.balance(), units(140));
    assert_eq!(driver.answer(1, "deposit 41")[0].notice, Some(Notice::Fault(Fault::Conflict)));
}

#[test]
fn after_a_fault_a_plain_session_gets_the_prompt_without_its_notices() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    let menu = driver.reply(1, "deposit 40");
    let received = driver.send(&[0, 0, 0, 1, b'x']);
    assert_eq!((received[1].seq, received[1].outcome), (menu.seq, None));
    assert!(received[1].text.starts_with("Welcome"), "{}", received[1].text);
}

#[test]
fn a_duplicate_is_dropped_while_its_reply_is_being_sent() {
    for wire in NUMBERED {
        let (mut driver, open) = TestDriver::at_menu(wire);
        driver.output_blocked = true;
        for _ in 0..5 {
            driver.answer(open, "deposit 40");
        }
        assert!(driver.unfed.is_empty(), "the duplicates are taken and dropped");
        driver.output_blocked = false;
        assert_eq!(only(driver.received()).outcome, Some(deposited(40, 140)));
    }
}

#[test]
fn another_answer_waits_while_a_reply_is_being_sent() {
    let (mut driver, open) = TestDriver::at_menu(Wire::Postcard);
    driver.output_blocked = true;
    driver.answer(open, "deposit 40");
    driver.answer(open + 1, "deposit 2");
    assert_eq!(driver.balance(), units(140));
    driver.output_blocked = false;
    assert_eq!(driver.received().last().unwrap().outcome, Some(deposited(2, 142)));
}

#[test]
fn an_echo_of_a_host_message_is_dropped() {
    for wire in NUMBERED {
        let mut driver = TestDriver::new(wire, LinkKind::Serial);
        driver.unfed = frame(wire, |out| out.hello(&hello("a", 1, 1)));
        driver.drive();
        let echo = std::mem::take(&mut driver.sent);
        assert!(!echo.is_empty());
        assert_eq!(driver.send(&echo), []);
        driver.answer(7, "x");
        let notices = frame(wire, |out| out.notice(Notice::Who, None));
        assert_eq!(driver.send(&notices), []);
    }
}

#[test]
fn more_numbers_are_reserved_during_a_conversation() {
    let (mut driver, mut open) = TestDriver::at_menu(Wire::Json);
    // More than one or two blocks have.
    let turns = if cfg!(miri) { 260 } else { 600u64 };
    for turn in 1..=turns {
        let reply = driver.reply(open, "deposit 1");
        assert_eq!(reply.outcome, Some(deposited(1, 100 + turn)));
        assert_eq!((reply.re, reply.welcome), (Some(open), None));
        assert!(reply.seq.unwrap() > open);
        open = reply.seq.unwrap();
    }
}

/// Deposits until no number is left for the reply with the outcome.
pub(super) fn use_up_the_block(driver: &mut TestDriver, open: &mut u64) {
    // More than a block has.
    for _ in 0..1000 {
        assert_eq!(driver.answer(*open, "deposit 1"), []);
        let operation = driver.requests.pop().unwrap();
        driver.settle(&operation);
        match driver.received().pop() {
            Some(reply) => *open = reply.seq.unwrap(),
            None => return,
        }
    }
    panic!("the block has no end");
}

#[test]
fn an_outcome_waits_until_more_numbers_are_reserved() {
    let (mut driver, mut open) = TestDriver::at_menu(Wire::Json);
    driver.hold_requests = true;
    use_up_the_block(&mut driver, &mut open);
    assert!(matches!(driver.requests[..], [Request { command: Command::Reserve, .. }]));
    let money = driver.balance();
    assert_eq!(driver.reply(open, "deposit 1").notice, Some(Notice::Working { re: Some(open) }));
    let reply = only(driver.release_requests());
    assert_eq!((reply.re, reply.outcome.is_some()), (Some(open), true));
    assert_eq!(driver.balance(), money);
}

#[test]
fn a_block_below_the_answered_prompt_is_not_used() {
    let (mut driver, mut open) = TestDriver::at_menu(Wire::Json);
    driver.hold_requests = true;
    use_up_the_block(&mut driver, &mut open);
    let request = driver.requests.pop().unwrap();
    // The ledger was set back to the state before this block was reserved.
    assert!(driver.host.complete(request.ticket, Response::Reserved(Numbers::block(1, 256)), driver.now));
    assert_eq!(only(driver.received()).notice, Some(Notice::Busy));
}
