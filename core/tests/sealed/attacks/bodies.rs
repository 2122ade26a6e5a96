//! Attacks 9 to 17: what is done with sealed bodies, and with clear ones in their place.
use super::*;
use crate::world::*;
use atm_core::{
    ledger::{LedgerId, RamLedger},
    message::Notice,
    terminal::{Memory, Profile},
    time::Duration,
};

/// 9.
#[test]
fn a_reflected_frame_is_not_read() {
    for link in LINKS {
        let mut world = World::at_menu(link);
        world.types("1");
        world.types("40");
        let (up, down) = (world.up.clone(), world.down.clone());
        let shown = world.shown.len();
        for frame in &up {
            world.inject(frame);
        }
        assert_eq!((world.shown.len(), world.take_output().len()), (shown, 0));
        let before = world.server.requests;
        for frame in &down {
            assert!(world.server.feed(world.link, frame, world.now).is_empty());
        }
        assert_eq!((world.server.requests, world.balance()), (before, units(140)));
        world.types("1");
        assert!(world.types("5").contains("Amount deposited: $5"));
    }
}

/// 10. A body that was cut is refused, and a lost connection is no end of the session.
#[test]
fn a_cut_body_and_a_cut_connection_end_no_session() {
    let mut world = World::at_menu(LinkKind::Connection);
    world.answer("exit");
    let bytes = world.take_output();
    let goodbye = world.server.feed(world.link, &bytes, world.now);
    let whole = body(&frames(&goodbye)[0]);
    for length in 1..whole.len() {
        world.inject(&frame(&whole[..length]));
    }
    world.terminal.end();
    assert!(!world.terminal.is_over() && world.terminal.is_awaiting_reply());
    world.inject(&goodbye);
    assert!(world.terminal.is_over());
}

/// 11. The terminal reads nothing in clear, the host neither; a hello does not open with another version.
#[test]
fn there_is_no_downgrade_to_clear_or_to_version_1() {
    for link in LINKS {
        let mut world = World::new(link);
        let hello = world.take_output();
        assert!(world.server.host(world.link).output().is_empty(), "there is no greeting");
        // The same hello in clear, in both versions.
        let mut clear = World::with(link, Profile { key: None, ..profile("a", 1, 11) });
        let mut in_clear = body(&frames(&clear.take_output())[0]);
        assert!(world.server.feed(world.link, &frame(&in_clear), world.now).is_empty());
        in_clear[1] = 2;
        in_clear.extend([0, 0]);
        assert!(world.server.feed(world.link, &frame(&in_clear), world.now).is_empty());
        let mut version_1 = body(&frames(&hello)[0]);
        version_1[1] = 1;
        assert!(world.server.feed(world.link, &frame(&version_1), world.now).is_empty());
        // An answer in clear, with and without a number.
        for answer in [&[1, 0, 1, b'3'][..], &[1, 1, 1, 1, b'3']] {
            assert!(world.server.feed(world.link, &frame(answer), world.now).is_empty());
        }
        assert_eq!((world.refused(), world.server.requests), (5, 0));
        // What a host in clear would answer: a welcome, and every notice.
        let mut open = World::with(link, Profile { key: None, ..profile("a", 1, 11) });
        open.server.config.sealed_only = false;
        open.link = open.server.open(open.now);
        open.run();
        assert!(open.terminal.prompt().is_some());
        for frame in &open.down {
            world.inject(frame);
        }
        for notice in [
            &[3, 0, 0][..],
            &[3, 1],
            &[3, 2, 1, 1],
            &[3, 3, 1, 1],
            &[3, 4],
            &[3, 5],
            &[3, 6],
            &[3, 7, 10],
            &[3, 8],
        ] {
            world.inject(&frame(notice));
        }
        assert_eq!(world.shown, []);
        assert!(world.take_output().is_empty());
        let welcome = world.server.feed(world.link, &hello, world.now);
        world.receive(&welcome);
        assert!(world.terminal.prompt().is_some(), "and the session is what it was");
    }
}

/// 11. In mid-session too, also where the host serves other terminals in clear.
#[test]
fn an_answer_or_hello_in_clear_has_no_effect_on_a_sealed_session() {
    for link in LINKS {
        let mut world = World::new(link);
        world.server.config.sealed_only = false;
        world.link = world.server.open(world.now);
        world.run();
        world.types("1");
        let prompt = world.terminal.prompt().unwrap().unwrap();
        // 128 to 16383: a varint of two bytes.
        let answer = match prompt {
            0..128 => vec![1, 1, prompt as u8, 2, b'4', b'0'],
            _ => vec![1, 1, (prompt as u8) | 0x80, (prompt >> 7) as u8, 2, b'4', b'0'],
        };
        let mut clear = World::with(link, Profile { key: None, ..profile("a", 0, 0) });
        let hello = clear.take_output();
        for bytes in [frame(&answer), hello.clone()] {
            assert!(world.server.feed(world.link, &bytes, world.now).is_empty());
        }
        assert_eq!(world.balance(), units(100));
        // A plain client's hello of that name takes nothing over from elsewhere.
        let plain = frame(&[0, 1, 1, 1, b'a', 0, 0, 0, 0, 0, 0]);
        let other = world.server.open(world.now);
        for bytes in [plain, hello] {
            let refused = world.server.feed(other, &bytes, world.now);
            assert!(indexes(&refused).iter().all(|index| *index == 3 || *index == 2), "in clear");
        }
        assert!(world.types("40").contains("Amount deposited: $40"));
        // Nor after a restart: the row has a sealed epoch.
        world.server.restart(world.now);
        let other = world.server.open(world.now);
        let mut clear = World::with(link, Profile { key: None, ..profile("a", 9, 0) });
        let hello = clear.take_output();
        let refused = world.server.feed(other, &hello, world.now);
        clear.inject(&refused);
        assert_eq!(clear.shown.last(), Some(&Shown::Notice(Notice::NameInUse { start: 9, attempt: 1 })));
    }
}

/// 12. A bank's balance is not found by watching sizes while withdrawals bisect it.
#[test]
fn lengths_say_nothing_of_balances_and_refusals() {
    let mut seen = std::collections::HashSet::new();
    for balance in [0u64, 1, 1 << 20, 90_000_000_000_000] {
        let mut world = World::new(LinkKind::Serial);
        world.server.ledger = RamLedger::new(LEDGER, units(balance));
        world.run();
        for text in ["2", "7", "back", "3", "2", "1000000", "all"] {
            if world.terminal.prompt().is_some() {
                world.types(text);
            }
        }
        // The delimiter ends noise before a frame; a frame has one more byte for each zero run only.
        seen.extend(world.up[1..].iter().chain(&world.down[1..]).map(Vec::len));
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// 13. Each costs one check of a tag.
#[test]
fn a_flood_of_forged_hellos_under_a_known_name_changes_nothing() {
    for link in LINKS {
        let mut world = World::at_menu(link);
        world.types("1");
        let before = (world.server.requests, world.refused());
        let genuine = body(&world.up[0]);
        for count in 0..200u32 {
            let mut forged = genuine.clone();
            let at = genuine.len() - 16 + count as usize % 16;
            forged[at] ^= 1 + (count / 16) as u8;
            assert!(world.server.feed(world.link, &frame(&forged), world.now).is_empty());
        }
        assert_eq!((world.server.requests, world.refused()), (before.0, before.1 + 200));
        assert!(world.types("40").contains("Amount deposited: $40"));
    }
}

/// 14. Two terminals, two epochs, two ledgers.
#[test]
fn a_body_is_read_in_its_own_conversation_only() {
    let mut world = World::at_menu(LinkKind::Connection);
    world.types("1");
    let mut other = World::with(LinkKind::Connection, profile("b", 1, 11));
    other.run();
    other.types("1");
    let mut later = World::with(LinkKind::Connection, profile("a", 1, 12));
    later.run();
    let mut elsewhere = World::with(LinkKind::Connection, profile("a", 1, 11));
    elsewhere.server.ledger = RamLedger::new(LedgerId(0xfeed), units(100));
    elsewhere.run();
    for foreign in [&other, &later, &elsewhere] {
        let (shown, before) = (world.shown.len(), world.server.requests);
        for frame in &foreign.down {
            world.inject(frame);
        }
        assert_eq!(world.shown.len(), shown);
        for frame in foreign.up.iter().filter(|frame| body(frame)[0] == 5) {
            assert!(world.server.feed(world.link, frame, world.now).is_empty());
        }
        assert_eq!(world.server.requests, before);
    }
    assert!(world.types("40").contains("Amount deposited: $40"));
}

/// 15.
#[test]
fn a_second_welcome_for_one_hello_is_not_read() {
    let mut world = World::at_menu(LinkKind::Serial);
    let hello = world.up[0].clone();
    world.server.restart(world.now);
    // A serial line: the hello is served anew, under another number.
    let second = world.server.feed(world.link, &hello, world.now);
    assert_eq!(indexes(&second), [6]);
    assert_ne!(body(&frames(&second)[0])[1..17], body(&world.down[0])[1..17]);
    let shown = world.shown.len();
    world.inject(&second);
    assert_eq!(world.shown.len(), shown);
    // The host that restarted does not know the first keys: silence, until the terminal gives up and says hello.
    world.answer("1");
    world.wait(Duration::from_secs(70));
    assert!(world.last_text().starts_with("About your earlier request:"), "{:?}", world.shown);
    assert!(world.terminal.prompt().is_some());
}

/// 16. Idle time runs from the first sending of the prompt.
#[test]
fn the_last_answer_replayed_holds_no_session_open() {
    let mut world = World::at_menu(LinkKind::Serial);
    world.types("1");
    let last = world.up.last().unwrap().clone();
    let deadline = world.server.host(world.link).deadline();
    for _ in 0..29 {
        world.now = world.now + Duration::from_secs(10);
        world.server.tick(world.now);
        let again = world.server.feed(world.link, &last, world.now);
        assert_eq!(frames(&again), [world.down.last().unwrap().clone()], "the same reply");
        assert_eq!(world.server.host(world.link).deadline(), deadline);
    }
    world.now = world.now + Duration::from_secs(11);
    world.server.tick(world.now);
    assert!(world.server.host(world.link).conversation().is_none());
}

/// 17. The salt is new, if everything else is old.
#[test]
fn a_recorded_session_means_nothing_to_a_terminal_whose_memory_was_set_back() {
    for link in LINKS {
        let mut world = World::at_menu(link);
        world.types("2");
        assert!(world.types("40").contains("Amount withdrawn: $40"));
        let recorded = world.down.clone();
        world.restart_terminal(profile("a", 1, 12), Memory::default());
        world.take_output();
        world.shown.clear();
        for frame in &recorded {
            world.inject(frame);
        }
        assert_eq!(world.shown, [], "no money is shown that the host did not give");
        assert!(world.terminal.is_handshaking());
    }
}
