//! Conversations across links: take-over, parking, and the next terminal on the same link.
use super::{
    hello::{assert_new_session, welcome},
    *,
};

/// A connection where terminal `a` has a session, and the connection where it says hello next.
fn two_connections(wire: Wire) -> (TestDriver, TestDriver, u64) {
    let (mut old, mut new) =
        (TestDriver::new(wire, LinkKind::Connection), TestDriver::new(wire, LinkKind::Connection));
    old.received();
    new.received();
    new.manual_admit = true;
    let menu = only(old.hello(&hello("a", 1, 1))).seq.unwrap();
    (old, new, menu)
}

/// Moves the conversation to the second connection, as a driver does.
fn take_over(old: &mut TestDriver, new: &mut TestDriver) {
    assert!(old.host.conversation().unwrap().admits(new.host.incoming_hello().unwrap()));
    let conversation = old.host.take_over(old.now);
    assert!(conversation.is_some());
    new.ledger = old.ledger.clone();
    new.requests = std::mem::take(&mut old.requests);
    new.hold_requests = old.hold_requests;
    new.host.admit(conversation, new.now);
}

#[test]
fn a_newer_hello_takes_the_session_over_and_ends_the_older_endpoint() {
    for wire in [Wire::Json, Wire::Postcard] {
        let (mut old, mut new, menu) = two_connections(wire);
        let asked = old.reply(menu, "1").seq.unwrap();
        new.hello(&knowing(1, 2, asked, None, true));
        take_over(&mut old, &mut new);
        assert_eq!(only(old.received()).notice, Some(Notice::TakenOver { start: 1, attempt: 1 }));
        assert!(old.host.is_finished());
        let counted = old.host.counters();
        assert_eq!((old.answer(asked, "40"), old.unfed.len()), (vec![], 0), "input is discarded");
        assert_eq!(old.host.take_counters(), counted);
        assert_eq!(old.host.counters().frames, 0);
        assert_eq!(only(new.received()).seq, Some(asked));
        assert_eq!(new.reply(asked, "40").outcome, Some(deposited(40, 140)));
    }
}

#[test]
fn taken_over_is_sent_behind_unsent_output() {
    // A client that saw only its connection close would reconnect and take over in its turn, for ever.
    let (mut old, mut new, menu) = two_connections(Wire::Json);
    old.output_blocked = true;
    old.answer(menu, "1");
    // This answer waits for the output of the first, and is discarded.
    old.answer(menu, "2");
    new.hello(&knowing(2, 1, menu, menu, false));
    take_over(&mut old, &mut new);
    old.output_blocked = false;
    assert_eq!(kinds(&old.received()), [Ok(menu + 1), Err(Notice::TakenOver { start: 1, attempt: 1 })]);
    assert!(old.host.is_finished());
}

#[test]
fn an_outcome_goes_to_the_terminals_present_endpoint() {
    let (mut old, mut new, menu) = two_connections(Wire::Json);
    old.hold_requests = true;
    old.answer(menu, "deposit 40");
    new.hello(&knowing(1, 2, menu, menu, true));
    take_over(&mut old, &mut new);
    assert_eq!(only(new.received()).notice, Some(Notice::Working { re: Some(menu) }));
    let reply = only(new.release_requests());
    assert_eq!((reply.re, reply.outcome), (Some(menu), Some(deposited(40, 140))));
    assert_eq!(reply.welcome, welcome(Some(LEDGER), 1, 2));
    assert_eq!(only(old.received()).notice, Some(Notice::TakenOver { start: 1, attempt: 1 }));
}

#[test]
fn an_older_hello_does_not_take_over() {
    let (old, mut new, _) = two_connections(Wire::Json);
    new.hello(&hello("a", 1, 0));
    assert!(!old.host.conversation().unwrap().admits(new.host.incoming_hello().unwrap()));
    new.host.refuse(new.now);
    assert_eq!(only(new.received()).notice, Some(Notice::NameInUse { start: 1, attempt: 0 }));
    assert!(new.host.is_finished());
}

#[test]
fn only_the_session_of_a_named_terminal_survives_its_link() {
    let (mut old, mut new, menu) = two_connections(Wire::Json);
    old.hold_requests = true;
    old.answer(menu, "deposit 40");
    old.host.end(old.now);
    let mut conversation = old.host.park();
    assert!(conversation.as_ref().is_some_and(Conversation::is_busy) && old.host.is_finished());
    // The response comes while the conversation is parked.
    let request = old.requests.pop().unwrap();
    let response = old.ledger.apply(&request).unwrap();
    assert!(conversation.as_mut().unwrap().complete(request.ticket, response) != Effect::Nothing);
    new.ledger = old.ledger.clone();
    new.hello(&knowing(1, 2, menu, menu, true));
    new.host.admit(conversation, new.now);
    assert_eq!(only(new.received()).outcome, Some(deposited(40, 140)));

    let mut plain = TestDriver::new(Wire::Json, LinkKind::Connection);
    assert_eq!(plain.host.park(), None);
    let (mut over, menu) = TestDriver::at_menu(Wire::Json);
    over.reply(menu, "exit");
    assert_eq!(over.host.park(), None);
}

#[test]
fn the_next_terminal_on_a_link_waits_for_unsent_output() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    (driver.output_blocked, driver.manual_admit) = (true, true);
    driver.answer(menu, "1");
    driver.hello(&hello("b", 1, 1));
    assert_eq!(driver.host.incoming_hello(), None);
    driver.output_blocked = false;
    assert_eq!(only(driver.received()).re, Some(menu));
    assert_eq!(driver.host.incoming_hello().unwrap().terminal, Some(name("b")));
    driver.host.admit(None, driver.now);
    assert_eq!(only(driver.received()).welcome, welcome(Some(LEDGER), 1, 1));
}

#[test]
fn the_next_terminal_on_a_link_waits_for_the_outcome_of_the_one_before() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.hold_requests = true;
    driver.answer(menu, "deposit 40");
    assert_eq!(driver.hello(&hello("b", 1, 1)), []);
    let received = driver.release_requests();
    assert_eq!((received[0].re, received[0].outcome), (Some(menu), Some(deposited(40, 140))));
    assert_new_session(&received[1], None, None);
}

#[test]
fn a_parked_conversation_emits_its_next_request() {
    let (mut old, mut new) = (
        TestDriver::new(Wire::Json, LinkKind::Connection),
        TestDriver::new(Wire::Json, LinkKind::Connection),
    );
    new.received();
    (old.hold_requests, new.manual_admit) = (true, true);
    old.hello(&knowing(2, 1, 0, 0, false));
    old.host.end(old.now);
    let mut conversation = old.host.park().unwrap();
    let open = old.requests.pop().unwrap();
    let opened = old.ledger.apply(&open).unwrap();
    let settle = conversation.complete_parked(open.ticket, opened).unwrap();
    assert_eq!((&settle.origin, settle.command), (&Origin::Terminal(name("a")), Command::Settle { id: 0 }));
    let settled = old.ledger.apply(&settle).unwrap();
    assert_eq!(conversation.complete_parked(settle.ticket, settled), None);
    new.hello(&knowing(2, 2, 0, 0, true));
    new.host.admit(Some(conversation), new.now);
    assert_new_session(&only(new.received()), Some(0), Some(Outcome::NotDone));
}
