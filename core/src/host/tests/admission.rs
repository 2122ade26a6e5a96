//! Admission by the ledger: fenced conversations, equal hellos, plain clients, and a ledger that was set back.
use super::{hello::assert_new_session, *};
use crate::{
    ledger::{Gap, MAX_SET_BACK, Rejection},
    time::UnixTime,
};

/// A second host of the same ledger admits a hello of terminal `a`.
fn admit_elsewhere(driver: &mut TestDriver, hello: &Hello) {
    let mut other = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    other.ledger = driver.ledger.clone();
    assert!(only(other.hello(hello)).welcome.is_some());
    driver.ledger = other.ledger;
}

#[test]
fn a_conversation_is_fenced_after_another_host_has_admitted_its_terminal() {
    for text in ["deposit 40", "3"] {
        let (mut driver, menu) = TestDriver::at_menu(Wire::Json);
        admit_elsewhere(&mut driver, &knowing(1, 2, menu, None, true));
        let notice = driver.reply(menu, text).notice;
        assert_eq!(notice, Some(Notice::TakenOver { start: 1, attempt: 1 }));
        assert_eq!(driver.balance(), units(100), "nothing was done");
        assert_eq!(driver.reply(menu, text).notice, Some(Notice::Who));
    }
}

#[test]
fn a_conversation_of_a_revoked_terminal_ends_as_out_of_service() {
    for text in ["deposit 40", "3"] {
        let (mut driver, menu) = TestDriver::at_menu(Wire::Json);
        driver.hold_requests = true;
        driver.answer(menu, text);
        let request = driver.requests.pop().unwrap();
        let revoked = Response::Rejected(Rejection::Revoked);
        assert!(driver.host.complete(request.ticket, revoked, driver.now));
        let received = driver.received();
        assert_eq!(received.last().unwrap().notice, Some(Notice::OutOfService));
        driver.hold_requests = false;
        assert_eq!(driver.reply(menu, text).notice, Some(Notice::Who));
    }
}

#[test]
fn a_session_is_not_resumed_if_another_host_has_served_its_terminal() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Json);
    let asked = driver.reply(menu, "1").seq.unwrap();
    admit_elsewhere(&mut driver, &knowing(1, 2, asked, None, true));
    assert_new_session(&only(driver.hello(&knowing(1, 3, asked, None, true))), None, None);
}

#[test]
fn an_operation_that_is_fenced_is_voided_by_the_hello_that_waits_for_it() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Json);
    driver.hold_requests = true;
    driver.answer(menu, "deposit 40");
    admit_elsewhere(&mut driver, &knowing(1, 2, menu, None, false));
    driver.hello(&knowing(1, 3, menu, menu, true));
    assert_new_session(&only(driver.release_requests()), Some(menu), Some(Outcome::NotDone));
    assert_eq!(driver.balance(), units(100));
}

#[test]
fn a_hello_that_was_admitted_elsewhere_is_refused_on_a_connection_and_served_on_a_serial_line() {
    for (link, is_served) in [(LinkKind::Connection, false), (LinkKind::Serial, true)] {
        let mut driver = TestDriver::new(Wire::Json, link);
        driver.received();
        admit_elsewhere(&mut driver, &hello("a", 3, 2));
        let received = only(driver.hello(&hello("a", 3, 2)));
        let refused = Some(Notice::NameInUse { start: 3, attempt: 2 });
        assert_eq!((received.welcome.is_some(), received.notice == refused), (is_served, !is_served));
        assert_eq!(driver.host.is_finished(), !is_served);
    }
}

#[test]
fn a_plain_client_is_served_on_every_connection_and_starts_at_the_menu() {
    let open = || {
        let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
        driver.received();
        driver
    };
    let (mut first, mut second) = (open(), open());
    let menu = only(first.hello(&hello("a", 0, 0))).seq.unwrap();
    first.reply(menu, "1");
    second.manual_admit = true;
    second.hello(&hello("a", 0, 0));
    assert!(first.host.conversation().unwrap().admits(second.host.incoming_hello().unwrap()));
    second.ledger = first.ledger.clone();
    second.host.admit(first.host.take_over(first.now), second.now);
    let received = only(second.received());
    assert_new_session(&received, None, None);
    assert_eq!(second.reply(received.seq, "deposit 40").outcome, Some(deposited(40, 140)));
    assert_eq!(only(first.received()).notice, Some(Notice::TakenOver { start: 0, attempt: 0 }));
}

#[test]
fn an_equal_hello_on_another_connection_does_not_take_over() {
    let mut first = TestDriver::new(Wire::Json, LinkKind::Connection);
    first.received();
    let menu = only(first.hello(&hello("a", 1, 1))).seq;
    let conversation = first.host.conversation().unwrap();
    for (start, attempt, admitted) in
        [(1, 1, false), (1, 0, false), (0, 9, false), (1, 2, true), (2, 0, true)]
    {
        assert_eq!(conversation.admits(&hello("a", start, attempt)), admitted, "{start} {attempt}");
    }
    assert_eq!(only(first.hello(&hello("a", 1, 1))).seq, menu, "on its own connection it is a duplicate");
}

#[test]
fn a_response_of_the_ledger_that_rejects_a_hello_ends_the_session() {
    for (rejection, notice) in [
        (Rejection::Full, Notice::Busy),
        (Rejection::TooSoon, Notice::Busy),
        (Rejection::InUse, Notice::NameInUse { start: 1, attempt: 1 }),
        (Rejection::Unsound, Notice::Fault(Fault::NotAMessage)),
        (Rejection::SetBack(Gap { start: 1, end: 2 }), Notice::OutOfService),
        (Rejection::Revoked, Notice::OutOfService),
    ] {
        let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
        driver.received();
        driver.hold_requests = true;
        driver.hello(&hello("a", 1, 1));
        let request = driver.requests.pop().unwrap();
        assert!(driver.host.complete(request.ticket, Response::Rejected(rejection), driver.now));
        assert_eq!(only(driver.received()).notice, Some(notice));
        assert!(driver.host.is_finished());
    }
}

#[test]
fn a_rejected_hello_that_is_retransmitted_on_a_serial_line_is_served_anew() {
    let (mut driver, _) = TestDriver::at_menu(Wire::Postcard);
    let proof = |attempt, shown| knowing(2, attempt, shown, None, false);
    assert!(only(driver.hello(&proof(1, 1000))).prompt);
    // Without a clock, a second proof is too soon. Nothing is met with silence, however often it comes.
    for _ in 0..2 {
        assert_eq!(only(driver.hello(&proof(2, 5000))).notice, Some(Notice::Busy));
    }
    driver.ledger.set_time(UnixTime::from_millis(60_000));
    assert!(only(driver.hello(&proof(2, 5000))).prompt);
}

#[test]
fn a_full_ledger_is_busy_for_a_new_name_and_serves_the_names_that_it_has() {
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    for terminal in ["a", "b", "c", "d"] {
        assert!(only(driver.hello(&hello(terminal, 1, 1))).prompt);
    }
    assert_eq!(only(driver.hello(&hello("e", 1, 1))).notice, Some(Notice::Busy));
    assert!(only(driver.hello(&hello("a", 1, 2))).prompt);
}

#[test]
fn a_hello_that_proves_a_set_back_gets_unknown_and_higher_numbers() {
    for (shown, pending) in [(1000, None), (1000, Some(999)), (1000, Some(1001))] {
        let (mut driver, _) = TestDriver::at_menu(Wire::Postcard);
        let received = only(driver.hello(&knowing(2, 1, shown, pending, false)));
        assert_new_session(&received, pending, Some(Outcome::Unknown));
        let open = received.seq.unwrap();
        assert!(open > shown && Some(open) > pending);
        assert_eq!(driver.reply(open, "deposit 40").outcome, Some(deposited(40, 140)));
        // The next hello is one as ever.
        assert_new_session(&only(driver.hello(&knowing(3, 1, open + 1, None, false))), None, None);
    }
}

#[test]
fn a_session_is_not_resumed_after_the_ledger_was_set_back() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let asked = driver.reply(menu, "1").seq.unwrap();
    let before = RamLedger::new(LEDGER, units(100));
    driver.ledger = before;
    let received = only(driver.hello(&knowing(1, 2, asked, None, true)));
    assert_new_session(&received, None, Some(Outcome::Unknown));
}

#[test]
fn a_claim_far_above_the_reserved_numbers_is_refused_as_unsound() {
    let (driver, _) = TestDriver::at_menu(Wire::Postcard);
    for (seen, is_served) in
        [(MAX_SET_BACK + 257, true), (MAX_SET_BACK + 258, false), (Numbers::MAX - 1, false)]
    {
        let received = only(driver.clone().hello(&knowing(2, 1, seen, None, false)));
        let fault = received.notice == Some(Notice::Fault(Fault::NotAMessage));
        assert_eq!((received.prompt, fault), (is_served, !is_served), "{seen}");
    }
}

#[test]
fn the_warning_of_a_set_back_comes_again_if_its_welcome_was_lost() {
    let (mut driver, _) = TestDriver::at_menu(Wire::Postcard);
    driver.output_blocked = true;
    driver.hello(&knowing(2, 1, 1000, None, false));
    driver.output_blocked = false;
    driver.sent.clear();
    driver.received();
    assert_new_session(&only(driver.hello(&knowing(2, 2, 1000, None, false))), None, Some(Outcome::Unknown));
}

#[test]
fn a_second_plain_hello_is_admitted_by_itself() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    driver.hold_requests = true;
    driver.hello(&hello("a", 0, 0));
    let mut second = TestDriver::new(Wire::Json, LinkKind::Connection);
    second.received();
    second.manual_admit = true;
    second.hello(&Hello { ledger: Some(LEDGER), shown: 5000, pending: Some(5001), ..hello("a", 0, 0) });
    second.requests = std::mem::take(&mut driver.requests);
    second.host.admit(driver.host.take_over(driver.now), second.now);
    let received = second.release_requests();
    let reply = received.last().unwrap();
    assert_new_session(reply, Some(5001), Some(Outcome::Unknown));
    assert!(reply.seq > Some(5001), "its claim was heard: {reply:?}");
}

#[test]
fn a_rejected_hello_leaves_no_epoch_behind() {
    let (mut driver, _) = TestDriver::at_menu(Wire::Postcard);
    let unsound = knowing(9, 1, 1 << 40, None, false);
    assert_eq!(only(driver.hello(&unsound)).notice, Some(Notice::Fault(Fault::NotAMessage)));
    assert!(only(driver.hello(&knowing(3, 1, 0, None, false))).prompt);
}

#[test]
fn a_resumed_reply_that_was_shown_names_no_prompt_of_another_ledger() {
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    let lost = Hello { ledger: Some(LedgerId(1)), ..knowing(1, 1, 7, Some(7), false) };
    let welcome = only(driver.hello(&lost));
    assert_eq!((welcome.seq, welcome.re), (Some(1), Some(7)));
    for pending in [None, Some(1)] {
        let again = only(driver.hello(&knowing(1, 2 + u32::from(pending.is_some()), 1, pending, true)));
        assert_eq!((again.seq, again.re), (Some(1), None));
    }
}
