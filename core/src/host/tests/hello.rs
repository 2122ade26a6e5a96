//! The handshake: what a hello gets in the same life, in a new life, and with the numbers of another ledger.
use super::{numbers::use_up_the_block, *};

pub(super) fn welcome(ledger: Option<LedgerId>, start: u64, attempt: u32) -> Option<Welcome> {
    Some(Welcome { ledger, start, attempt })
}

/// Asserts the first reply of a new session: the outcome of an earlier request, if there is one, and the
/// menu.
#[track_caller]
pub(super) fn assert_new_session(received: &DecodedMessage, re: Option<u64>, outcome: Option<Outcome>) {
    assert_eq!((received.re, received.outcome), (re, outcome), "{received:?}");
    assert_eq!(received.text.starts_with("About your earlier request:"), outcome.is_some(), "{received:?}");
    assert!(received.prompt && received.text.contains("Welcome to the ATM"), "{received:?}");
}

#[test]
fn the_first_hello_gets_a_welcome_and_the_menu() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut driver = TestDriver::new(wire, LinkKind::Serial);
        let received = only(driver.hello(&hello("a", 3, 1)));
        assert_eq!(received.welcome, welcome(Some(LEDGER), 3, 1));
        assert_new_session(&received, None, None);
    }
}

#[test]
fn a_hello_without_a_name_gets_a_session_without_a_ledger() {
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    let received = only(driver.hello(&hello("", 3, 1)));
    assert_eq!((received.welcome, received.seq), (welcome(None, 3, 1), Some(1)));
    assert_eq!(driver.reply(1, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn a_hello_discards_the_greeting_of_a_connection() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    assert_eq!(only(driver.received()).seq, Some(1));
    for terminal in ["", "a"] {
        let mut driver = driver.clone();
        let received = only(driver.hello(&hello(terminal, 1, 1)));
        assert!(received.welcome.is_some() && received.prompt);
        let open = received.seq.unwrap();
        assert!(driver.reply(open, "3").prompt);
        assert_eq!(driver.answer(None, "3")[0].notice, Some(Notice::Fault(Fault::Unnumbered)));
    }
}

#[test]
fn a_duplicate_hello_gets_the_same_reply() {
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    let first = driver.hello(&hello("a", 3, 1));
    assert_eq!(driver.hello(&hello("a", 3, 1)), first);
    driver.hold_requests = true;
    driver.answer(first[0].seq, "3");
    let working = driver.hello(&hello("a", 3, 1));
    assert!(matches!(only(working).notice, Some(Notice::Working { .. })));
}

#[test]
fn a_duplicate_hello_is_dropped_while_its_reply_is_being_sent() {
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    driver.output_blocked = true;
    for _ in 0..5 {
        driver.hello(&hello("a", 3, 1));
    }
    assert!(driver.unfed.is_empty());
    driver.output_blocked = false;
    only(driver.received());
}

#[test]
fn an_older_hello_gets_name_in_use() {
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    let open = only(driver.hello(&hello("a", 3, 2))).seq;
    for (start, attempt) in [(3, 1), (2, 9)] {
        let refused = only(driver.hello(&hello("a", start, attempt)));
        assert_eq!(refused.notice, Some(Notice::NameInUse { start, attempt }));
    }
    assert!(driver.reply(open, "3").prompt, "the session continues");
}

#[test]
fn a_hello_of_the_same_life_resumes_the_session() {
    for wire in [Wire::Json, Wire::Postcard] {
        let (mut driver, menu) = TestDriver::at_menu(wire);
        let asked = driver.reply(menu, "1");
        let shown = asked.seq.unwrap();

        // No reply is missing: the open prompt again.
        let again = only(driver.hello(&knowing(1, 2, shown, None, true)));
        assert_eq!((again.seq, &again.text), (asked.seq, &asked.text));
        assert_eq!(again.welcome, welcome(Some(LEDGER), 1, 2));

        // The answer was lost: its prompt is still open.
        let again = only(driver.hello(&knowing(1, 3, shown, shown, true)));
        assert_eq!((again.seq, again.re), (asked.seq, None));
        let done = driver.reply(shown, "40");
        assert_eq!(done.outcome, Some(deposited(40, 140)));

        // The reply was lost: it is sent again.
        let again = only(driver.hello(&knowing(1, 4, shown, shown, true)));
        assert_eq!((again.seq, again.re, again.outcome), (done.seq, Some(shown), done.outcome));
        assert_eq!(driver.balance(), units(140));
    }
}

#[test]
fn a_resumed_session_gets_the_outcome_of_its_outstanding_operation() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.hold_requests = true;
    driver.answer(menu, "deposit 40");
    let working = only(driver.hello(&knowing(1, 2, menu, menu, true)));
    assert_eq!(working.notice, Some(Notice::Working { re: Some(menu) }));
    let reply = only(driver.release_requests());
    assert_eq!((reply.re, reply.outcome), (Some(menu), Some(deposited(40, 140))));
    assert_eq!(reply.welcome, welcome(Some(LEDGER), 1, 2));
}

#[test]
fn a_new_life_voids_the_answer_that_was_lost() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let received = only(driver.hello(&knowing(2, 1, menu, menu, false)));
    assert_new_session(&received, Some(menu), Some(Outcome::NotDone));
    // The answer comes late, after the person has left.
    let late = driver.answer(menu, "deposit 40");
    assert_eq!(kinds(&late), [Err(Notice::Fault(Fault::NotOpen)), Ok(received.seq.unwrap())]);
    assert_eq!(driver.balance(), units(100));
}

#[test]
fn a_void_prevents_the_operation_for_ever() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    only(driver.hello(&knowing(2, 1, menu, menu, false)));
    let operation = Operation::Deposit(units(40));
    let command = Command::Operate { id: menu, operation };
    let ticket = Ticket::default();
    let late = Request { ticket, origin: Origin::Terminal(name("a")), turn: 2, command };
    let voided = Response::Settled { id: menu, outcome: Outcome::NotDone };
    assert_eq!(driver.ledger.apply(&late), Ok(voided));
    assert_eq!(driver.balance(), units(100));
}

#[test]
fn a_new_life_gets_an_outcome_that_was_never_shown() {
    for pending in [true, false] {
        let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
        driver.reply(menu, "deposit 40");
        // Without a pending number, the highest number shown proves that the outcome was not shown.
        let pending = pending.then_some(menu);
        let received = only(driver.hello(&knowing(2, 1, menu, pending, false)));
        assert_new_session(&received, Some(menu), Some(deposited(40, 140)));
        assert_eq!(driver.answer(menu, "deposit 40")[0].notice, Some(Notice::Fault(Fault::NotOpen)));
        assert_eq!(driver.balance(), units(140));
    }
}

#[test]
fn a_new_life_gets_a_refusal_that_was_never_shown() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let refused = driver.reply(menu, "withdraw 400").outcome;
    assert!(matches!(refused, Some(Outcome::Refused(_))));
    assert_new_session(&only(driver.hello(&knowing(2, 1, menu, menu, false))), Some(menu), refused);
}

#[test]
fn an_outcome_that_was_shown_is_not_repeated() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let shown = driver.reply(menu, "deposit 40").seq.unwrap();
    assert_new_session(&only(driver.hello(&knowing(2, 1, shown, None, false))), None, None);
}

#[test]
fn a_new_life_starts_at_the_menu_whatever_prompt_was_open() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let asked = driver.reply(menu, "1").seq.unwrap();
    let received = only(driver.hello(&knowing(2, 1, asked, None, false)));
    assert_new_session(&received, None, None);
    let invalid = driver.reply(received.seq, "40");
    assert!(invalid.text.starts_with("That is not a valid choice"), "{invalid:?}");
}

#[test]
fn a_new_life_gets_the_outcome_of_the_outstanding_operation() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.hold_requests = true;
    driver.answer(menu, "withdraw 400");
    let working = only(driver.hello(&knowing(2, 1, menu, menu, false)));
    assert!(matches!(working.notice, Some(Notice::Working { .. })));
    // The old session would ask again how much to withdraw; the new one shows the menu.
    let received = only(driver.release_requests());
    assert!(matches!(received.outcome, Some(Outcome::Refused(_))));
    assert_new_session(&received, Some(menu), received.outcome);
    assert_eq!(received.welcome, welcome(Some(LEDGER), 2, 1));
}

#[test]
fn a_new_life_starts_anew_although_a_second_hello_asks_to_resume() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.hold_requests = true;
    driver.answer(menu, "withdraw 400");
    driver.hello(&knowing(2, 1, menu, menu, false));
    driver.hello(&knowing(2, 2, menu, menu, true));
    let received = only(driver.release_requests());
    assert_new_session(&received, Some(menu), received.outcome);
    assert_eq!(received.welcome, welcome(Some(LEDGER), 2, 2));
}

#[test]
fn an_outcome_never_shown_is_sent_although_a_second_hello_asks_to_resume() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.reply(menu, "deposit 40");
    driver.hold_requests = true;
    driver.hello(&knowing(2, 1, menu, None, false));
    driver.hello(&knowing(2, 2, menu, None, true));
    assert_new_session(&only(driver.release_requests()), Some(menu), Some(deposited(40, 140)));
}

/// A host whose terminal has said hello in a new life, with the menu's answer pending: the ledger holds back the
/// request that settles it.
fn settling_a_hello() -> (TestDriver, u64) {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.hold_requests = true;
    driver.hello(&knowing(2, 1, menu, menu, false));
    let opened = driver.requests.pop().unwrap();
    driver.settle(&opened);
    driver.received();
    assert!(matches!(driver.requests[..], [Request { command: Command::Settle { .. }, .. }]));
    (driver, menu)
}

#[test]
fn a_second_hello_while_the_first_is_settled_does_not_affect_the_next_answer() {
    let (mut driver, menu) = settling_a_hello();
    driver.hello(&knowing(3, 1, menu, menu, false));
    let received = only(driver.release_requests());
    assert_new_session(&received, Some(menu), Some(Outcome::NotDone));
    assert_eq!(received.welcome, welcome(Some(LEDGER), 3, 1));

    let open = received.seq.unwrap();
    let reply = driver.reply(open, "deposit 40");
    assert_eq!((reply.re, reply.outcome, reply.welcome), (Some(open), Some(deposited(40, 140)), None));
    assert!(!reply.text.contains("earlier"), "{reply:?}");
}

#[test]
fn a_hello_with_an_earlier_answer_pending_gets_its_outcome_or_unknown() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let next = driver.reply(menu, "3").seq.unwrap();
    let done = driver.reply(next, "deposit 40");
    // The pending answer is an earlier one: the ledger knows only the last outcome.
    let received = only(driver.clone().hello(&knowing(1, 2, menu, menu, true)));
    assert_new_session(&received, Some(menu), Some(Outcome::Unknown));
    // The hello contradicts itself (the reply is shown, and pending): the outcome is sent under a new number.
    let received = only(driver.hello(&knowing(1, 2, done.seq.unwrap(), next, true)));
    assert_new_session(&received, Some(next), Some(deposited(40, 140)));
    assert!(received.seq > done.seq);
}

#[test]
fn a_new_life_cannot_resume_the_session_of_another() {
    // The answer of the earlier life may still be in transit.
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let received = only(driver.hello(&knowing(2, 1, menu, menu, true)));
    assert_new_session(&received, Some(menu), Some(Outcome::NotDone));
}

#[test]
fn a_settled_outcome_goes_only_to_the_hello_that_asked_for_it() {
    let (mut driver, menu) = settling_a_hello();
    driver.hello(&Hello { ledger: Some(LedgerId(1)), ..knowing(3, 1, menu, menu, false) });
    assert_new_session(&only(driver.release_requests()), Some(menu), Some(Outcome::Unknown));
}

#[test]
fn a_new_life_gets_the_outcome_that_waits_for_a_number() {
    let (mut driver, mut open) = TestDriver::at_menu(Wire::Postcard);
    driver.hold_requests = true;
    use_up_the_block(&mut driver, &mut open);
    driver.hello(&knowing(2, 1, open, open, false));
    let received = only(driver.release_requests());
    assert!(matches!(received.outcome, Some(Outcome::Done(_))));
    assert_new_session(&received, Some(open), received.outcome);
}

#[test]
fn an_outcome_of_another_ledger_is_unknown_and_never_not_done() {
    for (pending, outcome) in [(Some(7), Some(Outcome::Unknown)), (None, None)] {
        let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
        let knowing = Hello { ledger: Some(LedgerId(1)), ..knowing(1, 1, 7, pending, false) };
        let received = only(driver.hello(&knowing));
        assert_new_session(&received, pending, outcome);
        assert_eq!(received.welcome, welcome(Some(LEDGER), 1, 1));
    }
}

#[test]
fn a_resumed_session_notices_another_ledger() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let back = Hello { ledger: Some(LedgerId(1)), ..knowing(1, 2, menu, menu, true) };
    assert_new_session(&only(driver.hello(&back)), Some(menu), Some(Outcome::Unknown));
}

#[test]
fn an_unnamed_answer_without_a_reply_is_unknown() {
    // The host was restarted: its numbers start below what this terminal has shown.
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    let back = Hello { shown: 20, pending: Some(20), resume: true, ..hello("", 1, 2) };
    let received = only(driver.hello(&back));
    assert_eq!((received.re, received.outcome), (Some(20), Some(Outcome::Unknown)));
    assert!(received.seq.unwrap() > 20, "otherwise the terminal drops it as a duplicate");
    assert!(driver.reply(received.seq, "3").seq > received.seq);
}

#[test]
fn a_number_that_cannot_be_counted_to_is_refused() {
    let most = Numbers::MAX;
    for (start, shown, pending) in [(most, 0, None), (1, most, None), (1, 0, Some(most)), (1, u64::MAX, None)]
    {
        for terminal in ["", "a"] {
            let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
            let received = only(driver.hello(&Hello { shown, pending, ..hello(terminal, start, 1) }));
            assert_eq!(
                received.notice,
                Some(Notice::Fault(Fault::NotAMessage)),
                "{start} {shown} {pending:?}"
            );
        }
    }
}

#[test]
fn an_unnamed_terminal_is_served_above_what_it_has_shown() {
    let shown = Numbers::MAX - 300;
    let received =
        only(TestDriver::new(Wire::Postcard, LinkKind::Serial).hello(&Hello { shown, ..hello("", 1, 1) }));
    assert!(received.prompt && received.seq.unwrap() > shown, "{received:?}");
    // No number is left above it, and the terminal would show no reply below it.
    let shown = Numbers::MAX - 1;
    let received =
        only(TestDriver::new(Wire::Postcard, LinkKind::Serial).hello(&Hello { shown, ..hello("", 1, 1) }));
    assert_eq!(received.notice, Some(Notice::Busy));
}

#[test]
fn unnamed_sessions_on_one_link_never_share_a_number() {
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    let mut highest = 0;
    for start in 1..5 {
        // The session ends by the idle timeout, by the hello of a named terminal, or by a refused hello.
        let menu = only(driver.hello(&hello("", start, 1))).seq.unwrap();
        assert!(menu > highest, "otherwise a late answer to the old prompt answers the new one");
        highest = driver.reply(menu, "3").seq.unwrap();
        match start {
            1 => assert_eq!(driver.after(Duration::from_secs(400))[0].notice, Some(Notice::Idle)),
            2 => assert!(only(driver.hello(&hello("a", 1, 1))).prompt),
            _ => {
                driver.manual_admit = true;
                driver.hello(&hello("b", 1, 1));
                driver.host.refuse(driver.now);
                driver.manual_admit = false;
                assert!(matches!(only(driver.received()).notice, Some(Notice::NameInUse { .. })));
            }
        }
    }
}

#[test]
fn a_hello_while_numbers_are_reserved_gets_a_welcome() {
    let (mut driver, mut open) = TestDriver::at_menu(Wire::Postcard);
    driver.hold_requests = true;
    use_up_the_block(&mut driver, &mut open);
    let again =
        Hello { resume: true, ledger: Some(LEDGER), shown: open, pending: Some(open), ..hello("a", 1, 2) };
    assert_eq!(only(driver.hello(&again)).notice, Some(Notice::Working { re: Some(open) }));
    let reply = only(driver.release_requests());
    let welcome = reply.welcome.expect("the reply answers the hello");
    assert_eq!((welcome.start, welcome.attempt, reply.re), (1, 2, Some(open)));
}
