//! Sealed hellos: steps of a key, series, and what a hello says.
use crate::world::*;
use atm_core::{
    codec::postcard,
    host::LinkKind,
    ledger::Numbers,
    message::{Capabilities, Dispenser, EXTENDED, Hello, KeyId, Notice},
    terminal::{Memory, Profile},
};

/// A cold start after a welcome steps the key; the host computes forward.
#[test]
fn a_terminal_steps_its_key_at_each_start() {
    for link in [LinkKind::Serial, LinkKind::Connection] {
        let mut world = World::at_menu(link);
        let mut key = key("a", 1);
        for start in 2..6 {
            key = key.next().unwrap();
            let stepped = Profile { key: Some(key.clone()), ..profile("a", start, start) };
            world.restart_terminal(stepped, world.terminal.memory());
            world.run();
            assert!(world.terminal.prompt().is_some() && world.terminal.was_welcomed());
        }
        // The epoch before the last step is over, however great its start.
        let before = Profile { key: key_at("a", 1, 3), ..profile("a", 99, 99) };
        world.restart_terminal(before, Memory::default());
        world.run();
        let in_use = Notice::NameInUse { start: 99, attempt: 1 };
        assert_eq!(world.shown.last(), Some(&Shown::Notice(in_use)));
    }
}

fn key_at(name: &str, series: u32, step: u32) -> Option<atm_core::seal::TerminalKey> {
    key(name, series).forward(step, step)
}

/// However great a counter is that was forged with a stolen key: the next series is above it.
#[test]
fn a_rotated_key_is_greater_than_any_epoch_of_the_series_before() {
    let mut world = World::with(LinkKind::Serial, profile("a", Numbers::MAX - 1, 1));
    world.run();
    assert!(world.terminal.prompt().is_some());
    world.server.keys.insert("a".parse().unwrap(), key("a", 2));
    let rotated = Profile { key: key_at("a", 2, 0), ..profile("a", 1, 1) };
    world.restart_terminal(rotated, Memory::default());
    world.run();
    assert!(world.terminal.prompt().is_some());
    world.types("1");
    assert!(world.types("40").contains("Amount deposited: $40"));
    // A revoked series has no key any more.
    world.restart_terminal(profile("a", Numbers::MAX - 1, 1), Memory::default());
    let shown = world.shown.len();
    world.run();
    assert_eq!(world.shown.len(), shown);
}

/// A connection is one terminal's; a serial line may get another one.
#[test]
fn a_hello_of_another_terminal_ends_no_session_on_a_connection() {
    let mut other = World::with(LinkKind::Connection, profile("b", 1, 11));
    let hello = other.take_output();
    let mut world = World::at_menu(LinkKind::Connection);
    assert!(world.server.feed(world.link, &hello, world.now).is_empty());
    assert_eq!(world.refused(), 1);
    assert!(world.types("3").contains("Your balance is $100"));
    let mut world = World::at_menu(LinkKind::Serial);
    let welcome = world.server.feed(world.link, &hello, world.now);
    other.receive(&welcome);
    assert!(other.terminal.prompt().is_some());
}

/// An authentic hello is answered under its early key, also where no session follows.
#[test]
fn a_refused_hello_gets_a_notice_under_its_own_key() {
    let mut world = World::new(LinkKind::Connection);
    world.server.ledger = atm_core::ledger::RamLedger::new(LEDGER, Default::default());
    for name in ["c", "d", "e", "f", "g", "h", "i", "j"] {
        let mut other = World::with(LinkKind::Connection, profile(name, 1, 1));
        let hello = other.take_output();
        world.server.keys.insert(name.parse().unwrap(), key(name, 1));
        let link = world.server.open(world.now);
        world.server.feed(link, &hello, world.now);
    }
    world.run();
    assert_eq!(world.shown, [Shown::Notice(Notice::Busy)], "the ledger has no room for another name");
    assert_eq!(body(&world.down[0])[0], 7);
    assert!(world.terminal.is_turned_away());
}

fn hello() -> (Hello, KeyId) {
    let key = KeyId { series: u32::MAX.try_into().unwrap(), step: u32::MAX, salt: u64::MAX };
    let hello = Hello {
        version: EXTENDED,
        terminal: Some("x".repeat(32).parse().unwrap()),
        start: Numbers::MAX - 1,
        attempt: u32::MAX,
        ledger: Some(LEDGER),
        shown: Numbers::MAX - 1,
        pending: Some(Numbers::MAX - 1),
        resume: true,
        capabilities: Capabilities::from_bits(255),
        dispenser: Some(Dispenser { serial: u64::MAX, count: Numbers::MAX - 1 }),
        key: Some(key),
    };
    (hello, key)
}

#[test]
fn a_sealed_hello_decodes_to_the_same_and_in_no_other_way() {
    let (hello, key) = hello();
    let mut out = [0; 256];
    let length = postcard::write_sealed_hello(&hello, &key, &mut out).unwrap();
    assert_eq!(postcard::read_sealed_hello(&out[..length]), Ok(hello.clone()));
    for end in 0..length {
        assert!(postcard::read_sealed_hello(&out[..end]).is_err(), "{end}");
    }
    assert!(postcard::read_sealed_hello(&out[..=length]).is_err());
    // A name is needed to find the key.
    let unnamed = Hello { terminal: None, ..hello };
    let length = postcard::write_sealed_hello(&unnamed, &key, &mut out).unwrap();
    assert!(postcard::read_sealed_hello(&out[..length]).is_err());
}

/// With the tag and the checksum it fits the input buffer of a microcontroller.
#[test]
fn the_longest_sealed_hello_takes_134_bytes() {
    let (mut hello, key) = hello();
    hello.ledger = Some(atm_core::ledger::LedgerId(u64::MAX));
    let mut out = [0; 256];
    let length = postcard::write_sealed_hello(&hello, &key, &mut out).unwrap();
    assert_eq!(length + atm_core::seal::TAG, 134);
    const { assert!(134 + 4 <= atm_core::host::POSTCARD_IN) };
}

/// It is authentic, so the host may say so.
#[test]
fn a_sealed_hello_of_another_version_gets_a_sealed_fault() {
    let mut world = World::new(LinkKind::Serial);
    let bytes = world.take_output();
    let mut later = body(&frames(&bytes)[0]);
    later.truncate(later.len() - 16);
    later[1] = 3;
    let proof = key("a", 1).prove(&later);
    later.extend(proof.tag());
    let answer = world.server.feed(world.link, &frame(&later), world.now);
    let mut notice = body(&frames(&answer)[0]);
    assert_eq!(notice[0], 7);
    let content = atm_core::seal::open(&proof.early(), 0, &mut notice).unwrap();
    assert_eq!(notice[content], [3, 7, 10]);
}
