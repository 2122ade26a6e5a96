//! Rules 1, 3, 4, 6, 7: numbers, repeats, conflicts, and that nothing is met with silence.
use super::*;

const NUMBERED: [Wire; 2] = [Wire::Json, Wire::Postcard];

#[test]
fn on_a_connection_the_host_greets_at_once() {
    for wire in NUMBERED {
        let mut bench = Bench::new(wire, LinkKind::Connection);
        let greeting = only(bench.heard());
        assert!(greeting.prompt && greeting.welcome.is_none());
        assert_eq!(greeting.seq, Some(1));
    }
    let mut raw = Bench::new(Wire::Raw, LinkKind::Connection);
    assert!(only(raw.heard()).text.starts_with("Welcome"));
}

#[test]
fn on_a_serial_line_it_is_silent_before_a_hello() {
    for wire in NUMBERED {
        let mut bench = Bench::new(wire, LinkKind::Serial);
        assert_eq!(bench.after(Duration::from_secs(10_000)), []);
        bench.host.shut_down(bench.now);
        assert_eq!(bench.heard(), []);
        assert!(bench.host.is_finished());
    }
}

#[test]
fn an_answer_without_a_session_is_asked_who_it_is() {
    for wire in NUMBERED {
        let mut bench = Bench::new(wire, LinkKind::Serial);
        assert_eq!(bench.reply(3, "1").notice, Some(Notice::Who));
        assert_eq!(bench.reply(None, "1").notice, Some(Notice::Who));
    }
}

#[test]
fn who_is_said_again_only_when_the_last_was_sent() {
    // A line that takes nothing for a while must not fill up and break.
    let mut bench = Bench::new(Wire::Json, LinkKind::Serial);
    bench.stuck = true;
    for _ in 0..100 {
        bench.answer(3, "1");
    }
    assert!(!bench.host.is_finished());
    bench.stuck = false;
    assert_eq!(kinds(&bench.heard()), [Err(Notice::Who); 100]);
    assert!(only(bench.hello(&hello("a", 1, 1))).prompt);
}

#[test]
fn every_reply_has_a_higher_number_and_names_what_it_follows() {
    for wire in NUMBERED {
        let (mut bench, mut open) = Bench::at_menu(wire);
        for text in ["1", "40", "3", "nonsense", "withdraw 5"] {
            let reply = bench.reply(open, text);
            assert_eq!(reply.re, Some(open), "{text}");
            assert!(reply.seq.unwrap() > open, "{text}");
            open = reply.seq.unwrap();
        }
    }
}

#[test]
fn a_repeat_gets_the_same_reply_and_moves_no_money() {
    for wire in NUMBERED {
        let (mut bench, open) = Bench::at_menu(wire);
        let bytes = answer(wire, open, "deposit 40");
        bench.unfed.extend_from_slice(&bytes);
        bench.drive();
        let first = std::mem::take(&mut bench.sent);
        assert_eq!(only(decode(wire, &first)).outcome, Some(deposited(40, 140)));
        for _ in 0..3 {
            bench.unfed.extend_from_slice(&bytes);
            bench.drive();
            assert_eq!(std::mem::take(&mut bench.sent), first);
        }
        assert_eq!(bench.balance(), units(140));
    }
}

#[test]
fn a_repeat_of_the_last_answer_of_a_session_gets_its_goodbye_again() {
    let (mut bench, open) = Bench::at_menu(Wire::Postcard);
    let goodbye = bench.reply(open, "exit");
    assert!(goodbye.ends);
    assert_eq!(bench.reply(open, "exit"), goodbye);
    assert_eq!(bench.reply(open, "1").notice, Some(Notice::Who));
}

#[test]
fn other_content_for_a_prompt_that_was_answered_is_a_conflict() {
    for wire in NUMBERED {
        let (mut bench, open) = Bench::at_menu(wire);
        let reply = bench.reply(open, "deposit 40");
        let heard = bench.answer(open, "deposit 41");
        assert_eq!(heard[0].notice, Some(Notice::Fault(Fault::Conflict)));
        assert_eq!(heard[1..], [reply], "the open prompt again, under its own number");
        assert_eq!(bench.balance(), units(140));
    }
}

#[test]
fn an_answer_to_a_prompt_that_is_not_open_is_refused() {
    for wire in NUMBERED {
        let (mut bench, open) = Bench::at_menu(wire);
        let second = bench.reply(open, "3").seq.unwrap();
        let third = bench.reply(second, "3").seq.unwrap();
        for re in [open, third + 1, 0, u64::MAX] {
            let heard = bench.answer(re, "deposit 40");
            assert_eq!(kinds(&heard), [Err(Notice::Fault(Fault::NotOpen)), Ok(third)]);
        }
        assert_eq!(bench.balance(), units(100));
        assert_eq!(bench.reply(third, "deposit 40").outcome, Some(deposited(40, 140)));
    }
}

#[test]
fn after_a_hello_an_answer_must_have_a_number() {
    let (mut bench, open) = Bench::at_menu(Wire::Json);
    let heard = bench.answer(None, "deposit 40");
    assert_eq!(kinds(&heard), [Err(Notice::Fault(Fault::Unnumbered)), Ok(open)]);
    assert_eq!(bench.balance(), units(100));
    // Without a hello it need not.
    let mut plain = Bench::new(Wire::Json, LinkKind::Connection);
    plain.heard();
    assert_eq!(plain.reply(None, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn a_plain_session_may_number_and_is_held_to_it() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    let reply = bench.reply(1, "deposit 40");
    assert_eq!((reply.seq, reply.re), (Some(2), Some(1)));
    assert_eq!(bench.reply(1, "deposit 40"), reply);
    assert_eq!(bench.balance(), units(140));
    assert_eq!(bench.answer(1, "deposit 41")[0].notice, Some(Notice::Fault(Fault::Conflict)));
}

#[test]
fn after_a_fault_a_plain_session_is_not_told_its_news_twice() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    let menu = bench.reply(1, "deposit 40");
    let heard = bench.send(&[0, 0, 0, 1, b'x']);
    assert_eq!((heard[1].seq, heard[1].outcome), (menu.seq, None));
    assert!(heard[1].text.starts_with("Welcome"), "{}", heard[1].text);
}

#[test]
fn a_repeat_that_comes_while_its_reply_is_being_sent_asks_for_nothing() {
    for wire in NUMBERED {
        let (mut bench, open) = Bench::at_menu(wire);
        bench.stuck = true;
        for _ in 0..5 {
            bench.answer(open, "deposit 40");
        }
        assert!(bench.unfed.is_empty(), "the repeats are taken and dropped");
        bench.stuck = false;
        assert_eq!(only(bench.heard()).outcome, Some(deposited(40, 140)));
    }
}

#[test]
fn an_answer_that_comes_while_a_reply_is_being_sent_waits() {
    let (mut bench, open) = Bench::at_menu(Wire::Postcard);
    bench.stuck = true;
    bench.answer(open, "deposit 40");
    bench.answer(open + 1, "deposit 2");
    assert_eq!(bench.balance(), units(140));
    bench.stuck = false;
    assert_eq!(bench.heard().last().unwrap().outcome, Some(deposited(2, 142)));
}

#[test]
fn an_echo_of_what_the_host_said_is_dropped() {
    for wire in NUMBERED {
        let mut bench = Bench::new(wire, LinkKind::Serial);
        bench.unfed = frame(wire, |out| out.hello(&hello("a", 1, 1)));
        bench.drive();
        let echo = std::mem::take(&mut bench.sent);
        assert!(!echo.is_empty());
        assert_eq!(bench.send(&echo), []);
        bench.answer(7, "x");
        let notices = frame(wire, |out| out.notice(Notice::Who, None));
        assert_eq!(bench.send(&notices), []);
    }
}

#[test]
fn numbers_that_run_out_are_reserved_again_in_mid_conversation() {
    let (mut bench, mut open) = Bench::at_menu(Wire::Json);
    // More than any block has, or two.
    let turns = if cfg!(miri) { 260 } else { 600u64 };
    for turn in 1..=turns {
        let reply = bench.reply(open, "deposit 1");
        assert_eq!(reply.outcome, Some(deposited(1, 100 + turn)));
        assert_eq!((reply.re, reply.welcome), (Some(open), None));
        assert!(reply.seq.unwrap() > open);
        open = reply.seq.unwrap();
    }
}

/// Deposits until an outcome has no number left to be told under.
pub(super) fn use_up_the_block(bench: &mut Bench, open: &mut u64) {
    // No block is so large.
    for _ in 0..1000 {
        assert_eq!(bench.answer(*open, "deposit 1"), []);
        let operation = bench.requests.pop().unwrap();
        bench.settle(&operation);
        match bench.heard().pop() {
            Some(reply) => *open = reply.seq.unwrap(),
            None => return,
        }
    }
    panic!("the numbers never end");
}

#[test]
fn an_outcome_waits_for_the_numbers_to_tell_it_with() {
    let (mut bench, mut open) = Bench::at_menu(Wire::Json);
    bench.slow = true;
    use_up_the_block(&mut bench, &mut open);
    assert!(matches!(bench.requests[..], [Request::Open { .. }]));
    let money = bench.balance();
    assert_eq!(bench.reply(open, "deposit 1").notice, Some(Notice::Working { re: Some(open) }));
    let reply = only(bench.catch_up());
    assert_eq!((reply.re, reply.outcome.is_some()), (Some(open), true));
    assert_eq!(bench.balance(), money);
}
