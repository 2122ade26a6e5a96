//! Losing and finding a session: restarts of either end, other ledgers, and being taken over.
use super::*;

#[test]
fn a_host_that_was_restarted_is_told_who_answers() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut pair = Pair::at_menu(wire);
        pair.restart_host();
        let told = only(pair.types("deposit 40"));
        assert_eq!(told.outcome(), Some(Outcome::NotDone));
        assert!(told.text().starts_with("About your earlier request"));
        assert_eq!(pair.balance(), units(100));
        assert_eq!(only(pair.types("deposit 40")).outcome(), deposited(40, 140));
    }
}

#[test]
fn an_outcome_survives_the_restart_of_the_host() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.deaf = true;
    pair.types("deposit 40");
    pair.restart_host();
    pair.deaf = false;
    let told = only(pair.wait(RETRANSMIT.max_wait));
    assert_eq!(told.outcome(), deposited(40, 140));
    assert_eq!(pair.balance(), units(140));
}

#[test]
fn a_terminal_that_restarts_is_told_what_became_of_its_answer() {
    for wire in [Wire::Json, Wire::Postcard] {
        for (lost, outcome, balance) in
            [(true, Some(Outcome::NotDone), 100), (false, deposited(40, 140), 140)]
        {
            let mut pair = Pair::at_menu(wire);
            (pair.mute, pair.deaf) = (lost, true);
            pair.types("deposit 40");
            assert!(pair.stored.pending.is_some());
            (pair.mute, pair.deaf) = (false, false);
            pair.restart_terminal();
            let told = only(pair.run());
            assert_eq!(told.outcome(), outcome);
            assert!(told.text().contains("Welcome"));
            assert_eq!((pair.balance(), pair.stored.pending), (units(balance), None));
            // It is told once.
            pair.restart_terminal();
            assert_eq!(only(pair.run()).outcome(), None);
        }
    }
}

#[test]
fn a_refusal_is_told_after_a_restart_too() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.deaf = true;
    pair.types("withdraw 400");
    pair.deaf = false;
    pair.restart_terminal();
    assert!(matches!(only(pair.run()).outcome(), Some(Outcome::Refused(_))));
}

#[test]
fn both_ends_may_restart_at_once() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.deaf = true;
    pair.types("deposit 40");
    pair.deaf = false;
    pair.restart_host();
    pair.restart_terminal();
    assert_eq!(only(pair.run()).outcome(), deposited(40, 140));
    assert_eq!(pair.balance(), units(140));
}

#[test]
fn a_restart_in_the_middle_of_an_operation_waits_for_its_outcome() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.slow = true;
    pair.types("deposit 40");
    pair.restart_terminal();
    assert_eq!(pair.run(), []);
    let told = pair.catch_up();
    assert_eq!(only(told).outcome(), deposited(40, 140));
    assert_eq!(pair.balance(), units(140));
}

#[test]
fn another_ledger_makes_the_outcome_unknown_and_its_numbers_count() {
    for restart in [false, true] {
        let mut pair = Pair::at_menu(Wire::Postcard);
        pair.types("3");
        pair.deaf = true;
        pair.types("deposit 40");
        pair.deaf = false;
        pair.restart_host();
        pair.ledger = RamLedger::new(LedgerId(1), units(100));
        if restart {
            pair.restart_terminal();
        }
        let told = only(pair.wait(RETRANSMIT.max_wait));
        assert_eq!(told.outcome(), Some(Outcome::Unknown));
        let memory = pair.terminal.memory();
        assert_eq!((memory.ledger, memory.pending), (Some(LedgerId(1)), None));
        // Its numbers are lower than those that were shown of the other.
        assert_eq!(Some(memory.shown), pair.terminal.prompt().unwrap());
        assert_eq!(only(pair.types("deposit 40")).outcome(), deposited(40, 140));
    }
}

#[test]
fn a_terminal_without_a_name_is_told_that_it_is_unknown() {
    let mut pair = Pair::new(config(Wire::Postcard, LinkKind::Serial, None, Memory::default()));
    pair.run();
    pair.types("3");
    pair.deaf = true;
    pair.types("deposit 40");
    pair.deaf = false;
    // A host that was restarted numbers from the beginning; its reply must be shown all the same.
    pair.restart_host();
    let told = only(pair.wait(RETRANSMIT.max_wait));
    assert_eq!(told.outcome(), Some(Outcome::Unknown));
    assert!(!pair.terminal.is_awaiting_reply());
    assert_eq!(only(pair.types("deposit 2")).outcome(), deposited(2, 142));
}

#[test]
fn a_connection_that_comes_back_goes_on_where_it_was() {
    let mut pair = Pair::new(config(Wire::Json, LinkKind::Connection, Some("a"), Memory::default()));
    pair.run();
    pair.types("1");
    let prompt = pair.terminal.prompt();
    pair.reconnect();
    assert_eq!(pair.run(), [], "its prompt was shown");
    assert_eq!(pair.terminal.prompt(), prompt);

    // The answer was lost with the connection: it is sent again.
    pair.mute = true;
    pair.types("40");
    pair.mute = false;
    pair.reconnect();
    assert_eq!(only(pair.run()).outcome(), deposited(40, 140));

    // The reply was lost with it.
    pair.deaf = true;
    pair.types("deposit 2");
    pair.deaf = false;
    pair.reconnect();
    assert_eq!(only(pair.run()).outcome(), deposited(2, 142));
    assert_eq!(pair.balance(), units(142));
}

#[test]
fn a_plain_client_that_comes_back_is_somebody_new() {
    let plain = Config { profile: None, ..config(Wire::Json, LinkKind::Connection, None, Memory::default()) };
    let mut pair = Pair::new(plain);
    pair.run();
    for _ in 0..3 {
        pair.types("3");
    }
    pair.mute = true;
    pair.types("deposit 40");
    assert!(pair.terminal.is_awaiting_reply(), "whose driver says that the outcome is unknown");
    pair.mute = false;
    pair.restart_host();
    pair.terminal.reconnect(pair.now);
    assert!(!pair.terminal.is_awaiting_reply());
    // The new session's numbers are lower than those that were shown.
    assert!(only(pair.run()).text().starts_with("Welcome"));
    assert_eq!(only(pair.types("deposit 2")).outcome(), deposited(2, 102));
    assert_eq!(only(pair.types("deposit 2")).outcome(), deposited(2, 104));
}

#[test]
fn a_new_session_begins_where_the_old_one_is_over() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.types("exit");
    pair.terminal.reconnect(pair.now);
    assert!(only(pair.run()).text().starts_with("Welcome"));
}

pub(super) fn notice_bytes(notice: Notice) -> Vec<u8> {
    let mut outbox = Outbox::<512>::new(Wire::Postcard);
    outbox.notice(notice, None).unwrap();
    outbox.output().to_vec()
}

#[test]
fn a_terminal_that_was_taken_over_or_refused_is_over() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    // Of an earlier life, or of an earlier hello of this one: not meant.
    for (start, attempt) in [(0, 1), (1, 0), (2, 1)] {
        for notice in [Notice::TakenOver { start, attempt }, Notice::NameInUse { start, attempt }] {
            assert_eq!(feed(&mut pair.terminal, &notice_bytes(notice), pair.now), []);
        }
    }
    assert!(!pair.terminal.is_over());
    for notice in [Notice::TakenOver { start: 1, attempt: 1 }, Notice::NameInUse { start: 1, attempt: 1 }] {
        let mut pair = pair.clone();
        let told = only(feed(&mut pair.terminal, &notice_bytes(notice), pair.now));
        assert_eq!(told.notice(), Some(notice));
        assert!(pair.terminal.is_over());
    }
}

#[test]
fn a_terminal_that_comes_twice_is_taken_over_by_the_later() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    let mut early = pair.terminal.clone();
    pair.restart_terminal();
    pair.run();
    // The earlier one answers on the same line.
    early.answer(early.prompt().unwrap(), "deposit 40", pair.now).unwrap();
    pair.host.feed(early.output(), pair.now);
    pair.run();
    assert_eq!(pair.balance(), units(100), "its prompt is not open");
    early.reconnect(pair.now);
    let hello = early.output().to_vec();
    pair.host.feed(&hello, pair.now);
    let told = only(feed(&mut early, pair.host.output(), pair.now));
    assert!(matches!(told.notice(), Some(Notice::NameInUse { .. })));
    assert!(early.is_over());
}

#[test]
fn a_hello_that_will_never_be_served_is_the_end() {
    for fault in [Fault::Version, Fault::BadName] {
        let mut pair = Pair::serial(Wire::Postcard);
        let told = only(feed(&mut pair.terminal, &notice_bytes(Notice::Fault(fault)), pair.now));
        assert_eq!(told.notice(), Some(Notice::Fault(fault)));
        assert!(pair.terminal.is_over());
        assert_eq!(pair.terminal.deadline(), None, "it is not repeated for ever");
    }
}

#[test]
fn a_welcome_of_another_hello_is_not_taken() {
    let mut pair = Pair::serial(Wire::Postcard);
    pair.host.feed(pair.terminal.output(), pair.now);
    pair.work();
    let welcome = pair.host.output().to_vec();
    for another_life in [true, false] {
        let mut pair = pair.clone();
        if another_life {
            pair.restart_terminal();
        } else {
            pair.terminal.reconnect(pair.now);
        }
        assert_eq!(feed(&mut pair.terminal, &welcome, pair.now), []);
        assert_eq!(pair.terminal.prompt(), None);
    }
}

#[test]
fn a_terminal_that_says_no_hello_shows_who() {
    let config =
        Config { profile: None, ..config(Wire::Postcard, LinkKind::Serial, None, Memory::default()) };
    let mut terminal = Kiosk::new(config, Instant::default());
    let told = feed(&mut terminal, &notice_bytes(Notice::Who), Instant::default());
    assert_eq!(only(told).notice(), Some(Notice::Who));
    assert!(!terminal.is_over(), "it only has nothing to say to it");
}

#[test]
fn a_fault_about_a_hello_ends_nothing_once_that_was_welcomed() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    for fault in [Fault::Version, Fault::BadName] {
        feed(&mut pair.terminal, &notice_bytes(Notice::Fault(fault)), pair.now);
        assert!(!pair.terminal.is_over() && pair.terminal.prompt().is_some(), "{fault}");
    }
}

#[test]
fn who_is_asked_again_and_again_says_hello_once() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.mute = true;
    for _ in 0..3 {
        feed(&mut pair.terminal, &notice_bytes(Notice::Who), pair.now);
        pair.run();
    }
    let hellos = pair.sent.len() - 1;
    assert_eq!(hellos, 1);
    pair.mute = false;
    assert_eq!(pair.wait(RETRANSMIT.first_wait), [], "the menu was shown");
    assert!(pair.terminal.prompt().is_some());
}
