//! Rules 5, 11 and 13 across lines: taking over, parking, and the next terminal on the same line.
use super::{
    hello::{starts_anew, welcome},
    *,
};

/// A terminal with a session on one connection, and the connection on which it comes next.
fn two_lines(wire: Wire) -> (Bench, Bench, u64) {
    let (mut old, mut new) = (Bench::new(wire, LinkKind::Connection), Bench::new(wire, LinkKind::Connection));
    old.heard();
    new.heard();
    new.guarded = true;
    let menu = only(old.hello(&hello("a", 1, 1))).seq.unwrap();
    (old, new, menu)
}

/// What a driver does when a terminal comes on a second line.
fn take_over(old: &mut Bench, new: &mut Bench) {
    assert!(old.host.conversation().unwrap().admits(new.host.incoming_hello().unwrap()));
    let conversation = old.host.take_over(old.now);
    assert!(conversation.is_some());
    new.ledger = old.ledger.clone();
    new.requests = std::mem::take(&mut old.requests);
    new.slow = old.slow;
    new.host.admit(conversation, new.now);
}

#[test]
fn a_greater_hello_takes_the_session_over_and_ends_the_older_endpoint() {
    for wire in [Wire::Json, Wire::Postcard] {
        let (mut old, mut new, menu) = two_lines(wire);
        let asked = old.reply(menu, "1").seq.unwrap();
        new.hello(&knowing(1, 2, asked, None, true));
        take_over(&mut old, &mut new);
        assert_eq!(only(old.heard()).notice, Some(Notice::TakenOver { start: 1, attempt: 1 }));
        assert!(old.host.is_finished());
        let counted = old.host.counters();
        assert_eq!((old.answer(asked, "40"), old.unfed.len()), (vec![], 0), "it is let go of");
        assert_eq!(old.host.take_counters(), counted);
        assert_eq!(old.host.counters().frames, 0);
        assert_eq!(only(new.heard()).seq, Some(asked));
        assert_eq!(new.reply(asked, "40").outcome, Some(deposited(40, 140)));
    }
}

#[test]
fn the_older_endpoint_says_that_it_was_taken_over_behind_what_is_on_its_way() {
    // A client that saw only the end of its connection would come again, and take over in its turn, for ever.
    let (mut old, mut new, menu) = two_lines(Wire::Json);
    old.stuck = true;
    old.answer(menu, "1");
    // This one waits for the reply to the one before, and is nobody's any more.
    old.answer(menu, "2");
    new.hello(&knowing(2, 1, menu, menu, false));
    take_over(&mut old, &mut new);
    old.stuck = false;
    assert_eq!(kinds(&old.heard()), [Ok(menu + 1), Err(Notice::TakenOver { start: 1, attempt: 1 })]);
    assert!(old.host.is_finished());
}

#[test]
fn an_outcome_goes_to_the_terminals_present_endpoint() {
    let (mut old, mut new, menu) = two_lines(Wire::Json);
    old.slow = true;
    old.answer(menu, "deposit 40");
    new.hello(&knowing(1, 2, menu, menu, true));
    take_over(&mut old, &mut new);
    assert_eq!(only(new.heard()).notice, Some(Notice::Working { re: Some(menu) }));
    let reply = only(new.catch_up());
    assert_eq!((reply.re, reply.outcome), (Some(menu), Some(deposited(40, 140))));
    assert_eq!(reply.welcome, welcome(Some(LEDGER), 1, 2));
    assert_eq!(only(old.heard()).notice, Some(Notice::TakenOver { start: 1, attempt: 1 }));
}

#[test]
fn a_smaller_hello_does_not_take_over() {
    let (old, mut new, _) = two_lines(Wire::Json);
    new.hello(&hello("a", 1, 0));
    assert!(!old.host.conversation().unwrap().admits(new.host.incoming_hello().unwrap()));
    new.host.refuse(new.now);
    assert_eq!(only(new.heard()).notice, Some(Notice::NameInUse { start: 1, attempt: 0 }));
    assert!(new.host.is_finished());
}

#[test]
fn a_session_survives_its_line_and_only_that_of_a_named_terminal() {
    let (mut old, mut new, menu) = two_lines(Wire::Json);
    old.slow = true;
    old.answer(menu, "deposit 40");
    old.host.end(old.now);
    let mut conversation = old.host.park();
    assert!(conversation.as_ref().is_some_and(Conversation::is_busy) && old.host.is_finished());
    // The outcome comes while nobody is there.
    let request = old.requests.pop().unwrap();
    let response = old.ledger.apply(&request).unwrap();
    assert!(conversation.as_mut().unwrap().complete(&request, response) != Effect::Nothing);
    new.ledger = old.ledger.clone();
    new.hello(&knowing(1, 2, menu, menu, true));
    new.host.admit(conversation, new.now);
    assert_eq!(only(new.heard()).outcome, Some(deposited(40, 140)));

    let mut plain = Bench::new(Wire::Json, LinkKind::Connection);
    assert_eq!(plain.host.park(), None);
    let (mut over, menu) = Bench::at_menu(Wire::Json);
    over.reply(menu, "exit");
    assert_eq!(over.host.park(), None);
}

#[test]
fn the_next_terminal_on_a_line_waits_for_what_is_on_its_way_to_the_one_before() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    (bench.stuck, bench.guarded) = (true, true);
    bench.answer(menu, "1");
    bench.hello(&hello("b", 1, 1));
    assert_eq!(bench.host.incoming_hello(), None);
    bench.stuck = false;
    assert_eq!(only(bench.heard()).re, Some(menu));
    assert_eq!(bench.host.incoming_hello().unwrap().terminal, Some(name("b")));
    bench.host.admit(None, bench.now);
    assert_eq!(only(bench.heard()).welcome, welcome(Some(LEDGER), 1, 1));
}

#[test]
fn the_next_terminal_on_a_line_waits_for_the_outcome_of_the_one_before() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    bench.answer(menu, "deposit 40");
    assert_eq!(bench.hello(&hello("b", 1, 1)), []);
    let heard = bench.catch_up();
    assert_eq!((heard[0].re, heard[0].outcome), (Some(menu), Some(deposited(40, 140))));
    starts_anew(&heard[1], None, None);
}

#[test]
fn what_a_parked_conversation_asks_next_is_asked_without_a_line() {
    let (mut old, mut new) =
        (Bench::new(Wire::Json, LinkKind::Connection), Bench::new(Wire::Json, LinkKind::Connection));
    new.heard();
    (old.slow, new.guarded) = (true, true);
    old.hello(&knowing(2, 1, 0, 0, false));
    old.host.end(old.now);
    let mut conversation = old.host.park().unwrap();
    let open = old.requests.pop().unwrap();
    let opened = old.ledger.apply(&open).unwrap();
    let settle = conversation.complete_parked(&open, opened).unwrap();
    assert_eq!(settle, Request::Settle { terminal: name("a"), id: 0 });
    let settled = old.ledger.apply(&settle).unwrap();
    assert_eq!(conversation.complete_parked(&settle, settled), None);
    new.hello(&knowing(2, 2, 0, 0, true));
    new.host.admit(Some(conversation), new.now);
    starts_anew(&only(new.heard()), Some(0), Some(Outcome::NotDone));
}
