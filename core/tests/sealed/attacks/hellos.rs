//! Attacks 1 to 8: hellos, `who`, and memories that were set back or lost.
use super::*;
use crate::world::*;
use atm_core::{
    message::Notice,
    terminal::{Memory, Profile},
    time::Duration,
};

/// 1. It killed the live keys of the first prototype.
#[test]
fn an_older_hello_replayed_in_mid_session_changes_no_key() {
    for link in LINKS {
        let mut world = World::at_menu(link);
        let older = world.up[0].clone();
        world.reconnect();
        world.run();
        world.types("1");
        let before = world.server.requests;
        let answer = world.server.feed(world.link, &older, world.now);
        assert_eq!(indexes(&answer), [7], "name-in-use, under the key of that hello");
        assert_eq!(world.server.requests, before);
        world.inject(&answer);
        assert!(world.types("40").contains("Amount deposited: $40"));
    }
}

/// 2. It is refused, and so is what the host answers there when it is injected into the session.
#[test]
fn the_current_hello_replayed_from_another_connection_moves_nothing() {
    let mut world = World::at_menu(LinkKind::Connection);
    let hello = world.up[0].clone();
    let other = world.server.open(world.now);
    let refused = world.server.feed(other, &hello, world.now);
    assert_eq!(indexes(&refused), [7]);
    assert!(world.server.host(other).is_finished(), "that connection is closed");
    world.inject(&refused);
    assert!(!world.terminal.is_over(), "a notice before keys is not read after the welcome");
    world.types("1");
    assert!(world.types("40").contains("Amount deposited: $40"));
    // On its own connection it gets the same welcome again, under the same keys.
    let again = world.server.feed(world.link, &hello, world.now);
    assert_eq!(indexes(&again), [6]);
    assert_eq!(body(&frames(&again)[0])[1..17], body(&world.down[0])[1..17]);
    world.inject(&again);
    world.types("2");
    assert!(world.types("10").contains("Amount withdrawn: $10"));
}

/// 3. One hello an interval at the most, and the exchange goes on between.
#[test]
fn a_clear_who_injected_for_ever_holds_up_nothing() {
    let mut world = World::at_menu(LinkKind::Serial);
    let who = frame(&[3, 1]);
    world.inject(&who);
    assert!(world.take_output().is_empty(), "nothing waits for a reply");
    world.types("1");
    world.answer("40");
    let _lost = world.take_output();
    let hellos = world.up.len();
    for _ in 0..100 {
        world.inject(&who);
        world.take_output();
    }
    assert_eq!(world.up.len(), hellos + 1, "one hello");
    world.wait(Duration::from_secs(1));
    assert!(world.last_text().contains("Amount deposited: $40"), "{:?}", world.shown);
    // A `who` comes before every reply, ten milliseconds after the last one.
    let hellos = |world: &World| world.up.iter().filter(|frame| body(frame)[0] == 4).count();
    let before = hellos(&world);
    for _ in 0..50 {
        world.now = world.now + Duration::from_millis(10);
        world.answer("nonsense");
        let bytes = world.take_output();
        let reply = world.server.feed(world.link, &bytes, world.now);
        world.inject(&who);
        world.receive(&reply);
        world.run();
        assert!(world.last_text().starts_with("That is not a valid choice."));
    }
    assert!((2..=3).contains(&(hellos(&world) - before)), "one in 233 ms");
    assert_eq!(world.balance(), units(140));
}

/// 4. Wear: a forged hello and a replayed one cost the ledger nothing; a kiosk caps the authentic ones.
#[test]
fn a_replayed_or_forged_hello_commits_nothing() {
    for link in LINKS {
        let mut world = World::at_menu(link);
        world.types("1");
        world.reconnect();
        world.run();
        let before = world.server.requests;
        let mut forged = body(&world.up[0]);
        forged[11] ^= 1;
        for hello in [world.up[0].clone(), frame(&forged)] {
            for _ in 0..100 {
                let other = world.server.open(world.now);
                world.server.feed(other, &hello, world.now);
            }
        }
        assert_eq!(world.server.requests, before, "no request to the ledger");
    }
}

/// 5. The terminal's row has the epoch of the last hello.
#[test]
fn an_older_hello_is_refused_after_the_host_restarted() {
    for link in LINKS {
        let mut world = World::at_menu(link);
        let older = world.up[0].clone();
        world.reconnect();
        world.run();
        let newest = world.up.last().unwrap().clone();
        world.server.restart(world.now);
        let refused = world.server.feed(world.link, &older, world.now);
        assert_eq!(indexes(&refused), [7]);
        let mut other = World::with(link, profile("a", 1, 11));
        other.take_output();
        other.inject(&refused);
        assert_eq!(other.shown, [Shown::Notice(Notice::NameInUse { start: 1, attempt: 1 })]);
        // The newest one is served anew on a serial line, under a new number; on a connection it is refused.
        let link_again = world.server.open(world.now);
        let served = world.server.feed(link_again, &newest, world.now);
        assert_eq!(indexes(&served), [if link == LinkKind::Serial { 6 } else { 7 }]);
    }
}

/// 6. The ledger uses its numbers again; the keys still differ, because the hello does.
#[test]
fn a_ledger_that_was_set_back_under_a_session_is_detected() {
    let mut world = World::at_menu(LinkKind::Serial);
    let stored = world.server.ledger.clone();
    world.types("1");
    world.types("40");
    for _ in 0..400 {
        world.types("nonsense");
    }
    let recorded = world.down.clone();
    world.server.ledger = stored;
    world.server.restart(world.now);
    assert!(world.types("3").contains("It is unknown what became of your request"));
    let shown = world.shown.len();
    for frame in &recorded {
        world.inject(frame);
    }
    assert_eq!(world.shown.len(), shown, "nothing of the lost history is shown");
}

/// 6. The same hello gets the same number from the ledger, but not the same keys: the host's start is another.
#[test]
fn a_session_that_a_set_back_ledger_forgot_is_not_replayed_to_it() {
    for link in LINKS {
        let mut world = World::new(link);
        let stored = world.server.ledger.clone();
        world.run();
        world.types("1");
        world.types("40");
        world.server.ledger = stored;
        world.server.restart(world.now);
        let numbers = |frame: &[u8]| body(frame)[9..17].to_vec();
        let other = world.server.open(world.now);
        let welcome = world.server.feed(other, &world.up[0], world.now);
        assert_eq!(indexes(&welcome), [6], "the ledger does not remember the hello");
        assert_eq!(numbers(&frames(&welcome)[0]), numbers(&world.down[0]));
        for frame in &world.up[1..] {
            assert!(world.server.feed(other, frame, world.now).is_empty());
        }
        assert_eq!(world.balance(), units(100));
    }
}

/// 7. The row has a greater epoch: the terminal is refused rather than served under keys that it has used before.
#[test]
fn a_terminal_whose_memory_was_set_back_is_refused() {
    for (salt, on_connection) in [(11, true), (12, true), (12, false)] {
        let link = if on_connection { LinkKind::Connection } else { LinkKind::Serial };
        let mut world = World::at_menu(link);
        world.types("1");
        world.restart_terminal(profile("a", 2, 77), world.terminal.memory());
        world.run();
        // Its start counter is the old one again.
        world.restart_terminal(profile("a", 1, salt), Memory::default());
        world.run();
        let in_use = Shown::Notice(Notice::NameInUse { start: 1, attempt: 1 });
        assert_eq!(world.shown.last(), Some(&in_use));
        world.server.restart(world.now);
        world.restart_terminal(profile("a", 1, salt), Memory::default());
        world.run();
        assert_eq!(world.shown.last(), Some(&in_use), "and by the row");
    }
}

/// 8. A terminal without its key, or with another one, gets nothing.
#[test]
fn a_terminal_without_its_key_meets_with_silence() {
    let without = Profile { key: None, ..profile("a", 1, 11) };
    let other = Profile { key: Some(key("b", 1)), ..profile("a", 1, 11) };
    let unknown = Profile { name: "z".parse().ok(), ..profile("a", 1, 11) };
    let series = Profile { key: Some(key("a", 2)), ..profile("a", 1, 11) };
    for profile in [without, other, unknown, series] {
        for link in LINKS {
            let mut world = World::with(link, profile.clone());
            world.run();
            assert_eq!((world.down.len(), world.refused()), (0, 1), "{profile:?}");
            assert_eq!(world.server.requests, 0);
        }
    }
}
