//! Rules 2, 11 and 13: what a hello gets, from the same life, another life, another line and another ledger.
use super::{numbers::use_up_the_block, *};

pub(super) fn welcome(ledger: Option<LedgerId>, start: u64, attempt: u32) -> Option<Welcome> {
    Some(Welcome { ledger, start, attempt })
}

/// What a person reads who starts anew: perhaps something of an earlier request, and the menu.
#[track_caller]
pub(super) fn starts_anew(heard: &Heard, re: Option<u64>, outcome: Option<Outcome>) {
    assert_eq!((heard.re, heard.outcome), (re, outcome), "{heard:?}");
    assert_eq!(heard.text.starts_with("About your earlier request:"), outcome.is_some(), "{heard:?}");
    assert!(heard.prompt && heard.text.contains("Welcome to the ATM"), "{heard:?}");
}

#[test]
fn the_first_hello_gets_a_welcome_and_the_menu() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut bench = Bench::new(wire, LinkKind::Serial);
        let heard = only(bench.hello(&hello("a", 3, 1)));
        assert_eq!(heard.welcome, welcome(Some(LEDGER), 3, 1));
        starts_anew(&heard, None, None);
    }
}

#[test]
fn a_hello_without_a_name_gets_a_session_without_a_ledger() {
    let mut bench = Bench::new(Wire::Postcard, LinkKind::Serial);
    let heard = only(bench.hello(&hello("", 3, 1)));
    assert_eq!((heard.welcome, heard.seq), (welcome(None, 3, 1), Some(1)));
    assert_eq!(bench.reply(1, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn a_hello_discards_the_greeting_of_a_connection() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    assert_eq!(only(bench.heard()).seq, Some(1));
    for terminal in ["", "a"] {
        let mut bench = bench.clone();
        let heard = only(bench.hello(&hello(terminal, 1, 1)));
        assert!(heard.welcome.is_some() && heard.prompt);
        let open = heard.seq.unwrap();
        assert!(bench.reply(open, "3").prompt);
        assert_eq!(bench.answer(None, "3")[0].notice, Some(Notice::Fault(Fault::Unnumbered)));
    }
}

#[test]
fn the_same_hello_gets_the_same() {
    let mut bench = Bench::new(Wire::Postcard, LinkKind::Serial);
    let first = bench.hello(&hello("a", 3, 1));
    assert_eq!(bench.hello(&hello("a", 3, 1)), first);
    bench.slow = true;
    bench.answer(first[0].seq, "3");
    let working = bench.hello(&hello("a", 3, 1));
    assert!(matches!(only(working).notice, Some(Notice::Working { .. })));
}

#[test]
fn the_same_hello_asks_for_nothing_while_its_reply_is_being_sent() {
    let mut bench = Bench::new(Wire::Postcard, LinkKind::Serial);
    bench.stuck = true;
    for _ in 0..5 {
        bench.hello(&hello("a", 3, 1));
    }
    assert!(bench.unfed.is_empty());
    bench.stuck = false;
    only(bench.heard());
}

#[test]
fn a_smaller_hello_is_told_that_the_name_is_in_use() {
    let mut bench = Bench::new(Wire::Postcard, LinkKind::Serial);
    let open = only(bench.hello(&hello("a", 3, 2))).seq;
    for (start, attempt) in [(3, 1), (2, 9)] {
        let refused = only(bench.hello(&hello("a", start, attempt)));
        assert_eq!(refused.notice, Some(Notice::NameInUse { start, attempt }));
    }
    assert!(bench.reply(open, "3").prompt, "the session goes on");
}

#[test]
fn who_comes_back_in_the_same_life_goes_on_where_it_was() {
    for wire in [Wire::Json, Wire::Postcard] {
        let (mut bench, menu) = Bench::at_menu(wire);
        let asked = bench.reply(menu, "1");
        let shown = asked.seq.unwrap();

        // Nothing is missing: the open prompt again.
        let again = only(bench.hello(&knowing(1, 2, shown, None, true)));
        assert_eq!((again.seq, &again.text), (asked.seq, &asked.text));
        assert_eq!(again.welcome, welcome(Some(LEDGER), 1, 2));

        // The answer was lost: its prompt is still open, for this answer.
        let again = only(bench.hello(&knowing(1, 3, shown, shown, true)));
        assert_eq!((again.seq, again.re), (asked.seq, asked.re));
        let done = bench.reply(shown, "40");
        assert_eq!(done.outcome, Some(deposited(40, 140)));

        // The reply was lost: it is told again.
        let again = only(bench.hello(&knowing(1, 4, shown, shown, true)));
        assert_eq!((again.seq, again.re, again.outcome), (done.seq, Some(shown), done.outcome));
        assert_eq!(bench.balance(), units(140));
    }
}

#[test]
fn who_comes_back_while_the_operation_is_out_gets_its_outcome() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    bench.answer(menu, "deposit 40");
    let working = only(bench.hello(&knowing(1, 2, menu, menu, true)));
    assert_eq!(working.notice, Some(Notice::Working { re: Some(menu) }));
    let reply = only(bench.catch_up());
    assert_eq!((reply.re, reply.outcome), (Some(menu), Some(deposited(40, 140))));
    assert_eq!(reply.welcome, welcome(Some(LEDGER), 1, 2));
}

#[test]
fn a_new_life_voids_the_answer_that_had_not_come() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let heard = only(bench.hello(&knowing(2, 1, menu, menu, false)));
    starts_anew(&heard, Some(menu), Some(Outcome::NotDone));
    // It comes late, when nobody is there any more.
    let late = bench.answer(menu, "deposit 40");
    assert_eq!(kinds(&late), [Err(Notice::Fault(Fault::NotOpen)), Ok(heard.seq.unwrap())]);
    assert_eq!(bench.balance(), units(100));
}

#[test]
fn a_void_stands_in_the_ledger_against_an_operation_under_way_elsewhere() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    only(bench.hello(&knowing(2, 1, menu, menu, false)));
    let origin = Origin::Terminal(name("a"));
    let late = Request::Operate { origin, id: menu, operation: crate::ledger::Operation::Deposit(units(40)) };
    let told = Response::Settled { id: menu, outcome: Outcome::NotDone };
    assert_eq!(bench.ledger.apply(&late), Ok(told));
    assert_eq!(bench.balance(), units(100));
}

#[test]
fn a_new_life_is_told_what_was_done_and_never_shown() {
    for pending in [true, false] {
        let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
        bench.reply(menu, "deposit 40");
        // Even where the terminal forgot that it had an answer out, what it has shown tells that it had.
        let pending = pending.then_some(menu);
        let heard = only(bench.hello(&knowing(2, 1, menu, pending, false)));
        starts_anew(&heard, Some(menu), Some(deposited(40, 140)));
        assert_eq!(bench.answer(menu, "deposit 40")[0].notice, Some(Notice::Fault(Fault::NotOpen)));
        assert_eq!(bench.balance(), units(140));
    }
}

#[test]
fn a_refusal_that_was_never_shown_is_told_too() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let refused = bench.reply(menu, "withdraw 400").outcome;
    assert!(matches!(refused, Some(Outcome::Refused(_))));
    starts_anew(&only(bench.hello(&knowing(2, 1, menu, menu, false))), Some(menu), refused);
}

#[test]
fn what_was_shown_is_not_told_again() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let shown = bench.reply(menu, "deposit 40").seq.unwrap();
    starts_anew(&only(bench.hello(&knowing(2, 1, shown, None, false))), None, None);
}

#[test]
fn a_new_life_starts_at_the_menu_whatever_the_old_one_was_asked() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let asked = bench.reply(menu, "1").seq.unwrap();
    let heard = only(bench.hello(&knowing(2, 1, asked, None, false)));
    starts_anew(&heard, None, None);
    let invalid = bench.reply(heard.seq, "40");
    assert!(invalid.text.starts_with("That is not a valid choice"), "{invalid:?}");
}

#[test]
fn a_new_life_that_comes_while_the_operation_is_out_is_told_its_outcome() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    bench.answer(menu, "withdraw 400");
    let working = only(bench.hello(&knowing(2, 1, menu, menu, false)));
    assert!(matches!(working.notice, Some(Notice::Working { .. })));
    // The life that answered would be asked again how much to withdraw; whoever starts anew is not.
    let heard = only(bench.catch_up());
    assert!(matches!(heard.outcome, Some(Outcome::Refused(_))));
    starts_anew(&heard, Some(menu), heard.outcome);
    assert_eq!(heard.welcome, welcome(Some(LEDGER), 2, 1));
}

#[test]
fn a_new_life_that_says_hello_twice_while_the_operation_is_out_still_starts_anew() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    bench.answer(menu, "withdraw 400");
    bench.hello(&knowing(2, 1, menu, menu, false));
    bench.hello(&knowing(2, 2, menu, menu, true));
    let heard = only(bench.catch_up());
    starts_anew(&heard, Some(menu), heard.outcome);
    assert_eq!(heard.welcome, welcome(Some(LEDGER), 2, 2));
}

#[test]
fn an_outcome_never_shown_is_told_although_the_hello_is_said_twice() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.reply(menu, "deposit 40");
    bench.slow = true;
    bench.hello(&knowing(2, 1, menu, None, false));
    bench.hello(&knowing(2, 2, menu, None, true));
    starts_anew(&only(bench.catch_up()), Some(menu), Some(deposited(40, 140)));
}

#[test]
fn a_hello_that_comes_while_another_is_settled_does_not_disturb_the_next_answer() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    bench.hello(&knowing(2, 1, menu, menu, false));
    let opened = bench.requests.pop().unwrap();
    bench.settle(&opened);
    bench.heard();
    assert!(matches!(bench.requests[..], [Request::Settle { .. }]));
    bench.hello(&knowing(3, 1, menu, menu, false));
    let heard = only(bench.catch_up());
    starts_anew(&heard, Some(menu), Some(Outcome::NotDone));
    assert_eq!(heard.welcome, welcome(Some(LEDGER), 3, 1));

    let open = heard.seq.unwrap();
    let reply = bench.reply(open, "deposit 40");
    assert_eq!((reply.re, reply.outcome, reply.welcome), (Some(open), Some(deposited(40, 140)), None));
    assert!(!reply.text.contains("earlier"), "{reply:?}");
}

#[test]
fn who_comes_back_with_an_answer_that_is_not_the_last_is_told_what_became_of_it() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let next = bench.reply(menu, "3").seq.unwrap();
    let done = bench.reply(next, "deposit 40");
    // It follows an answer of before: what became of that, the ledger does not know any more.
    let heard = only(bench.clone().hello(&knowing(1, 2, menu, menu, true)));
    starts_anew(&heard, Some(menu), Some(Outcome::Unknown));
    // It says that it has shown the reply, and that it has not: it is told under a new number.
    let heard = only(bench.hello(&knowing(1, 2, done.seq.unwrap(), next, true)));
    starts_anew(&heard, Some(next), Some(deposited(40, 140)));
    assert!(heard.seq > done.seq);
}

#[test]
fn a_new_life_cannot_go_on_with_the_session_of_another() {
    // Whatever it says: the answer of the other life may still be on its way.
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let heard = only(bench.hello(&knowing(2, 1, menu, menu, true)));
    starts_anew(&heard, Some(menu), Some(Outcome::NotDone));
}

#[test]
fn what_is_settled_is_told_only_to_who_asked_for_it() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    bench.hello(&knowing(2, 1, menu, menu, false));
    let opened = bench.requests.pop().unwrap();
    bench.settle(&opened);
    bench.heard();
    assert!(matches!(bench.requests[..], [Request::Settle { .. }]));
    bench.hello(&Hello { ledger: Some(LedgerId(1)), ..knowing(3, 1, menu, menu, false) });
    starts_anew(&only(bench.catch_up()), Some(menu), Some(Outcome::Unknown));
}

#[test]
fn a_new_life_is_told_the_outcome_that_waits_for_its_number() {
    let (mut bench, mut open) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    use_up_the_block(&mut bench, &mut open);
    bench.hello(&knowing(2, 1, open, open, false));
    let heard = only(bench.catch_up());
    assert!(matches!(heard.outcome, Some(Outcome::Done(_))));
    starts_anew(&heard, Some(open), heard.outcome);
}

#[test]
fn of_another_ledger_an_outcome_is_unknown_and_never_not_done() {
    for (pending, outcome) in [(Some(7), Some(Outcome::Unknown)), (None, None)] {
        let mut bench = Bench::new(Wire::Postcard, LinkKind::Serial);
        let knowing = Hello { ledger: Some(LedgerId(1)), ..knowing(1, 1, 7, pending, false) };
        let heard = only(bench.hello(&knowing));
        starts_anew(&heard, pending, outcome);
        assert_eq!(heard.welcome, welcome(Some(LEDGER), 1, 1));
    }
}

#[test]
fn a_changed_ledger_is_noticed_by_who_comes_back() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let back = Hello { ledger: Some(LedgerId(1)), ..knowing(1, 2, menu, menu, true) };
    starts_anew(&only(bench.hello(&back)), Some(menu), Some(Outcome::Unknown));
}

#[test]
fn an_unnamed_answer_without_its_reply_is_unknown() {
    // The host was restarted: its numbers begin again, below what this terminal has shown.
    let mut bench = Bench::new(Wire::Postcard, LinkKind::Serial);
    let back = Hello { shown: 20, pending: Some(20), resume: true, ..hello("", 1, 2) };
    let heard = only(bench.hello(&back));
    assert_eq!((heard.re, heard.outcome), (Some(20), Some(Outcome::Unknown)));
    assert!(heard.seq.unwrap() > 20, "else the terminal takes it for one that it has shown");
    assert!(bench.reply(heard.seq, "3").seq > heard.seq);
}

#[test]
fn a_number_that_nobody_can_have_counted_to_is_refused() {
    let most = Numbers::MAX;
    for (start, shown, pending) in [(most, 0, None), (1, most, None), (1, 0, Some(most)), (1, u64::MAX, None)]
    {
        for terminal in ["", "a"] {
            let mut bench = Bench::new(Wire::Postcard, LinkKind::Serial);
            let heard = only(bench.hello(&Hello { shown, pending, ..hello(terminal, start, 1) }));
            assert_eq!(heard.notice, Some(Notice::Fault(Fault::NotAMessage)), "{start} {shown} {pending:?}");
        }
    }
}

#[test]
fn an_unnamed_terminal_is_served_above_what_it_has_shown() {
    let shown = Numbers::MAX - 300;
    let heard = only(Bench::new(Wire::Postcard, LinkKind::Serial).hello(&Hello { shown, ..hello("", 1, 1) }));
    assert!(heard.prompt && heard.seq.unwrap() > shown, "{heard:?}");
    // There is no number above the last one: better no session than one that the terminal never shows.
    let shown = Numbers::MAX - 1;
    let heard = only(Bench::new(Wire::Postcard, LinkKind::Serial).hello(&Hello { shown, ..hello("", 1, 1) }));
    assert_eq!(heard.notice, Some(Notice::Busy));
}

#[test]
fn sessions_without_a_name_on_one_line_never_share_a_number() {
    let mut bench = Bench::new(Wire::Postcard, LinkKind::Serial);
    let mut highest = 0;
    for start in 1..5 {
        // One leaves by idling, one by a terminal with a name, one by a hello of a terminal that is turned away.
        let menu = only(bench.hello(&hello("", start, 1))).seq.unwrap();
        assert!(menu > highest, "a late answer to the old prompt would be taken for one to the new");
        highest = bench.reply(menu, "3").seq.unwrap();
        match start {
            1 => assert_eq!(bench.after(Duration::from_secs(400))[0].notice, Some(Notice::Idle)),
            2 => assert!(only(bench.hello(&hello("a", 1, 1))).prompt),
            _ => {
                bench.guarded = true;
                bench.hello(&hello("b", 1, 1));
                bench.host.refuse(bench.now);
                bench.guarded = false;
                assert!(matches!(only(bench.heard()).notice, Some(Notice::NameInUse { .. })));
            }
        }
    }
}

#[test]
fn a_hello_that_comes_while_numbers_are_fetched_is_welcomed() {
    let (mut bench, mut open) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    use_up_the_block(&mut bench, &mut open);
    let again =
        Hello { resume: true, ledger: Some(LEDGER), shown: open, pending: Some(open), ..hello("a", 1, 2) };
    assert_eq!(only(bench.hello(&again)).notice, Some(Notice::Working { re: Some(open) }));
    let reply = only(bench.catch_up());
    let welcome = reply.welcome.expect("it answers the hello");
    assert_eq!((welcome.start, welcome.attempt, reply.re), (1, 2, Some(open)));
}

#[test]
fn a_number_that_was_never_given_is_unknown_and_makes_no_void() {
    for never in [1_000_000, Numbers::MAX - 1] {
        let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
        let heard = only(bench.hello(&knowing(2, 1, menu, never, false)));
        starts_anew(&heard, Some(never), Some(Outcome::Unknown));
        // A void under it would stand above every operation to come.
        let done = only(bench.answer(heard.seq.unwrap(), "deposit 5"));
        assert!(matches!(done.outcome, Some(Outcome::Done(_))), "{done:?}");
    }
}
