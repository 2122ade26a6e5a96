//! The handshake: restarts of either end, another ledger, reconnecting and take-over.
use super::*;

/// The faults about a hello that the host will never accept.
const REFUSALS: &[Fault] = &[
    Fault::Version,
    Fault::BadName,
    Fault::OtherName,
    Fault::NotEnrolled,
    #[cfg(feature = "cards")]
    Fault::ByCard,
];

#[test]
fn after_a_restart_of_the_host_the_terminal_says_hello_again() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut pair = Pair::at_menu(wire);
        pair.restart_host();
        let shown = only(pair.types("deposit 40"));
        assert_eq!(shown.outcome(), Some(Outcome::NotDone));
        assert!(shown.text().starts_with("About your earlier request"));
        assert_eq!(pair.balance(), units(100));
        assert_eq!(only(pair.types("deposit 40")).outcome(), deposited(40, 140));
    }
}

#[test]
fn an_outcome_survives_the_restart_of_the_host() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.drop_to_terminal = true;
    pair.types("deposit 40");
    pair.restart_host();
    pair.drop_to_terminal = false;
    let shown = only(pair.wait(RETRANSMIT.max_wait));
    assert_eq!(shown.outcome(), deposited(40, 140));
    assert_eq!(pair.balance(), units(140));
}

#[test]
fn a_restarted_terminal_gets_the_outcome_of_its_answer() {
    for wire in [Wire::Json, Wire::Postcard] {
        for (lost, outcome, balance) in
            [(true, Some(Outcome::NotDone), 100), (false, deposited(40, 140), 140)]
        {
            let mut pair = Pair::at_menu(wire);
            (pair.drop_to_host, pair.drop_to_terminal) = (lost, true);
            pair.types("deposit 40");
            assert!(pair.stored.pending.is_some());
            (pair.drop_to_host, pair.drop_to_terminal) = (false, false);
            pair.restart_terminal();
            let shown = only(pair.run());
            assert_eq!(shown.outcome(), outcome);
            assert!(shown.text().contains("Welcome"));
            assert_eq!((pair.balance(), pair.stored.pending), (units(balance), None));
            // Only once.
            pair.restart_terminal();
            assert_eq!(only(pair.run()).outcome(), None);
        }
    }
}

#[test]
fn a_restarted_terminal_gets_a_refusal_too() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.drop_to_terminal = true;
    pair.types("withdraw 400");
    pair.drop_to_terminal = false;
    pair.restart_terminal();
    assert!(matches!(only(pair.run()).outcome(), Some(Outcome::Refused(_))));
}

#[test]
fn both_ends_may_restart_at_once() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.drop_to_terminal = true;
    pair.types("deposit 40");
    pair.drop_to_terminal = false;
    pair.restart_host();
    pair.restart_terminal();
    assert_eq!(only(pair.run()).outcome(), deposited(40, 140));
    assert_eq!(pair.balance(), units(140));
}

#[test]
fn a_terminal_that_restarts_during_an_operation_waits_for_its_outcome() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    pair.hold_requests = true;
    pair.types("deposit 40");
    pair.restart_terminal();
    assert_eq!(pair.run(), []);
    let shown = pair.release_requests();
    assert_eq!(only(shown).outcome(), deposited(40, 140));
    assert_eq!(pair.balance(), units(140));
}

#[test]
fn another_ledger_makes_the_outcome_unknown_and_resets_the_numbers() {
    for restart in [false, true] {
        let mut pair = Pair::at_menu(Wire::Postcard);
        pair.types("3");
        pair.drop_to_terminal = true;
        pair.types("deposit 40");
        pair.drop_to_terminal = false;
        pair.restart_host();
        pair.ledger = RamLedger::new(LedgerId(1), units(100));
        if restart {
            pair.restart_terminal();
        }
        let shown = only(pair.wait(RETRANSMIT.max_wait));
        assert_eq!(shown.outcome(), Some(Outcome::Unknown));
        let memory = pair.terminal.memory();
        assert_eq!((memory.ledger, memory.pending), (Some(LedgerId(1)), None));
        // Its numbers are lower than those of the other ledger that were shown.
        assert_eq!(Some(memory.shown), pair.terminal.prompt().unwrap());
        assert_eq!(only(pair.types("deposit 40")).outcome(), deposited(40, 140));
    }
}

#[test]
fn an_unnamed_terminal_gets_unknown_after_a_restart_of_the_host() {
    let mut pair = Pair::new(config(Wire::Postcard, LinkKind::Serial, None, Memory::default()));
    pair.run();
    pair.types("3");
    pair.drop_to_terminal = true;
    pair.types("deposit 40");
    pair.drop_to_terminal = false;
    // The restarted host numbers from 1 again; its reply must be shown nevertheless.
    pair.restart_host();
    let shown = only(pair.wait(RETRANSMIT.max_wait));
    assert_eq!(shown.outcome(), Some(Outcome::Unknown));
    assert!(!pair.terminal.is_awaiting_reply());
    assert_eq!(only(pair.types("deposit 2")).outcome(), deposited(2, 142));
}

#[test]
fn a_reconnected_terminal_resumes_its_session() {
    let mut pair = Pair::new(config(Wire::Json, LinkKind::Connection, Some("a"), Memory::default()));
    pair.run();
    pair.types("1");
    let prompt = pair.terminal.prompt();
    pair.reconnect();
    assert_eq!(pair.run(), [], "its prompt was shown before");
    assert_eq!(pair.terminal.prompt(), prompt);

    // The answer was lost with the connection: it is retransmitted.
    pair.drop_to_host = true;
    pair.types("40");
    pair.drop_to_host = false;
    pair.reconnect();
    assert_eq!(only(pair.run()).outcome(), deposited(40, 140));

    // The reply was lost with the connection.
    pair.drop_to_terminal = true;
    pair.types("deposit 2");
    pair.drop_to_terminal = false;
    pair.reconnect();
    assert_eq!(only(pair.run()).outcome(), deposited(2, 142));
    assert_eq!(pair.balance(), units(142));
}

#[test]
fn a_plain_client_that_reconnects_gets_a_new_session() {
    let plain = Config { profile: None, ..config(Wire::Json, LinkKind::Connection, None, Memory::default()) };
    let mut pair = Pair::new(plain);
    pair.run();
    for _ in 0..3 {
        pair.types("3");
    }
    pair.drop_to_host = true;
    pair.types("deposit 40");
    assert!(pair.terminal.is_awaiting_reply(), "its driver reports that the outcome is unknown");
    pair.drop_to_host = false;
    pair.restart_host();
    pair.terminal.reconnect(pair.now);
    assert!(!pair.terminal.is_awaiting_reply());
    // The new session's numbers are lower than those that were shown.
    assert!(only(pair.run()).text().starts_with("Welcome"));
    assert_eq!(only(pair.types("deposit 2")).outcome(), deposited(2, 102));
    assert_eq!(only(pair.types("deposit 2")).outcome(), deposited(2, 104));
}

#[test]
fn reconnect_starts_a_new_session_after_the_old_one_is_over() {
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
    let mut pair = Pair::in_clear(Wire::Postcard).go_to_menu();
    // The notice is about an earlier life or an earlier hello: ignored.
    for (start, attempt) in [(0, 1), (1, 0), (2, 1)] {
        for notice in [Notice::TakenOver { start, attempt }, Notice::NameInUse { start, attempt }] {
            assert_eq!(feed(&mut pair.terminal, &notice_bytes(notice), pair.now), []);
        }
    }
    assert!(!pair.terminal.is_over());
    for notice in [Notice::TakenOver { start: 1, attempt: 1 }, Notice::NameInUse { start: 1, attempt: 1 }] {
        let mut pair = pair.clone();
        let shown = only(feed(&mut pair.terminal, &notice_bytes(notice), pair.now));
        assert_eq!(shown.notice(), Some(notice));
        assert!(pair.terminal.is_over());
    }
}

#[test]
fn a_named_terminal_that_is_turned_away_on_a_connection_resumes_on_another() {
    let busy = notice_bytes(Notice::Busy);
    for (link, name, is_over) in [
        (LinkKind::Connection, Some("kiosk-7"), false),
        (LinkKind::Connection, None, true),
        (LinkKind::Serial, Some("kiosk-7"), true),
    ] {
        let now = Instant::from_millis(0);
        let mut terminal = TestTerminal::new(config(Wire::Postcard, link, name, Memory::default()), now);
        terminal.consume(terminal.output().len());
        assert_eq!(only(feed(&mut terminal, &busy, now)).notice(), Some(Notice::Busy));
        assert_eq!((terminal.is_over(), terminal.is_turned_away()), (is_over, !is_over), "{link:?} {name:?}");
        assert_eq!((terminal.prompt(), terminal.deadline()), (None, None));
        assert_eq!(feed(&mut terminal, &busy, now), [], "it is shown once");
    }
    let mut pair = Pair::new(config(Wire::Postcard, LinkKind::Connection, Some("a"), Memory::default()));
    pair.run();
    pair.drop_to_host = true;
    pair.types("deposit 40");
    feed(&mut pair.terminal, &busy, pair.now);
    assert!(pair.terminal.is_turned_away() && pair.terminal.is_awaiting_reply());
    pair.drop_to_host = false;
    pair.terminal.reconnect(pair.now);
    assert_eq!(only(pair.run()).outcome(), deposited(40, 140), "the answer is retransmitted");
}

#[test]
fn of_two_terminals_with_one_name_the_later_takes_over() {
    let mut pair = Pair::in_clear(Wire::Postcard).go_to_menu();
    let mut early = pair.terminal.clone();
    pair.restart_terminal();
    pair.run();
    // The earlier one answers on the same link.
    early.answer(early.prompt().unwrap(), "deposit 40", pair.now).unwrap();
    pair.host.feed(early.output(), pair.now);
    pair.run();
    assert_eq!(pair.balance(), units(100), "its prompt is not open");
    early.reconnect(pair.now);
    let hello = early.output().to_vec();
    pair.host.feed(&hello, pair.now);
    let shown = only(feed(&mut early, pair.host.output(), pair.now));
    assert!(matches!(shown.notice(), Some(Notice::NameInUse { .. })));
    assert!(early.is_over());
}

#[test]
fn a_fault_about_the_hello_ends_the_session() {
    for &fault in REFUSALS {
        let mut pair = Pair::in_clear(Wire::Postcard);
        let shown = only(feed(&mut pair.terminal, &notice_bytes(Notice::Fault(fault)), pair.now));
        assert_eq!(shown.notice(), Some(Notice::Fault(fault)));
        assert!(pair.terminal.is_over());
        assert_eq!(pair.terminal.deadline(), None, "it is not retransmitted for ever");
    }
}

#[test]
fn a_welcome_for_another_hello_is_ignored() {
    let mut pair = Pair::serial(Wire::Postcard);
    pair.host.feed(pair.terminal.output(), pair.now);
    pair.serve_host();
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
fn a_terminal_without_a_profile_shows_who() {
    let config =
        Config { profile: None, ..config(Wire::Postcard, LinkKind::Serial, None, Memory::default()) };
    let mut terminal = TestTerminal::new(config, Instant::default());
    let shown = feed(&mut terminal, &notice_bytes(Notice::Who), Instant::default());
    assert_eq!(only(shown).notice(), Some(Notice::Who));
    assert!(!terminal.is_over(), "the session continues");
}

#[test]
fn a_fault_about_a_hello_after_the_welcome_ends_nothing() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    for &fault in REFUSALS {
        feed(&mut pair.terminal, &notice_bytes(Notice::Fault(fault)), pair.now);
        assert!(!pair.terminal.is_over() && pair.terminal.prompt().is_some(), "{fault}");
    }
}

#[test]
fn duplicates_of_who_cause_one_hello() {
    let mut pair = Pair::in_clear(Wire::Postcard).go_to_menu();
    pair.drop_to_host = true;
    for _ in 0..3 {
        feed(&mut pair.terminal, &notice_bytes(Notice::Who), pair.now);
        pair.run();
    }
    let hellos = pair.sent.len() - 1;
    assert_eq!(hellos, 1);
    pair.drop_to_host = false;
    assert_eq!(pair.wait(RETRANSMIT.first_wait), [], "the menu was shown");
    assert!(pair.terminal.prompt().is_some());
}
