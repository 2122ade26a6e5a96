//! What meets with silence, and changes nothing.
use crate::world::*;
use atm_core::{
    codec::postcard,
    host::{Config, Event, Host, LinkKind},
    ledger::SessionId,
    message::{EXTENDED, Hello, KeyId, Notice},
    seal::{self, Header, SessionKeys},
    wire::Wire,
};

/// The keys of a session, as its terminal has them.
fn session(world: &World) -> SessionKeys {
    let hello = body(world.up.iter().rev().find(|frame| body(frame)[0] == 4).unwrap());
    let welcome = body(world.down.iter().rev().find(|frame| body(frame)[0] == 6).unwrap());
    let header = Header::from_bytes(welcome[1..17].try_into().unwrap());
    key("a", 1).verify(&hello).unwrap().session(header)
}

fn sealed(key: &seal::Key, index: u8, content: &[u8]) -> Vec<u8> {
    let mut out = [0; 128];
    out[seal::content_at(0)..][..content.len()].copy_from_slice(content);
    let length = seal::seal(key, index, &[], &mut out, content.len());
    frame(&out[..length.unwrap()])
}

/// A terminal that knows its key may still be wrong: only answers go up, only replies and notices down.
#[test]
fn a_sealed_body_with_another_kind_of_message_is_not_read() {
    let mut world = World::at_menu(LinkKind::Serial);
    let keys = session(&world);
    let before = world.server.requests;
    for content in [&[0, 1, 1, 1, b'a', 9, 9, 0, 0, 0, 0][..], &[2, 1, 0, 0, 1, 0], &[3, 1], &[4], &[]] {
        assert!(world.server.feed(world.link, &sealed(&keys.up, 5, content), world.now).is_empty());
    }
    assert_eq!((world.refused(), world.server.requests), (5, before));
    let shown = world.shown.len();
    for content in [&[0, 1, 0, 9, 9, 0, 0, 0, 0][..], &[1, 0, 1, b'3'], &[5], &[]] {
        world.inject(&sealed(&keys.down, 5, content));
    }
    assert_eq!((world.shown.len(), world.terminal.counters().unauthentic), (shown, 4));
    // The same under an index that it was not sealed for.
    let mut notice = body(&sealed(&keys.down, 7, &[3, 5]));
    notice[0] = 5;
    world.inject(&frame(&notice));
    assert!(!world.terminal.is_over());
    world.inject(&sealed(&keys.down, 5, &[3, 5]));
    assert_eq!(world.shown.last(), Some(&Shown::Notice(Notice::Idle)));
}

/// It would fix keys that neither side has.
#[test]
fn a_forged_welcome_fixes_nothing() {
    let mut world = World::new(LinkKind::Serial);
    let hello = world.take_output();
    let welcome = world.server.feed(world.link, &hello, world.now);
    let genuine = body(&frames(&welcome)[0]);
    for at in [1, 9, 17, 40, 112] {
        let mut forged = genuine.clone();
        forged[at] ^= 1;
        world.inject(&frame(&forged));
        assert!(world.terminal.is_handshaking() && !world.terminal.was_welcomed());
    }
    world.receive(&welcome);
    assert!(world.terminal.was_welcomed());
    assert!(world.types("3").contains("Your balance is $100"));
}

/// A terminal whose memory was set back to this very start, say: the live session stays.
#[test]
fn a_hello_of_an_equal_epoch_with_other_bytes_changes_no_key() {
    for link in [LinkKind::Serial, LinkKind::Connection] {
        let mut world = World::at_menu(link);
        let mut twin = World::with(link, profile("a", 1, 12));
        let hello = twin.take_output();
        let other = world.server.open(world.now);
        for at in [world.link, other] {
            // A serial line is the only one.
            if link == LinkKind::Connection || at == world.link {
                let refused = world.server.feed(at, &hello, world.now);
                twin.inject(&refused);
                let in_use = Notice::NameInUse { start: 1, attempt: 1 };
                assert_eq!(twin.shown.pop(), Some(Shown::Notice(in_use)));
                twin = World::with(link, profile("a", 1, 12));
                twin.take_output();
            }
        }
        assert!(world.types("3").contains("Your balance is $100"));
    }
}

/// Also when its session is over, and nothing would be lost.
#[test]
fn a_hello_replayed_after_the_goodbye_is_refused_without_the_ledger() {
    let mut world = World::at_menu(LinkKind::Connection);
    world.types("exit");
    let before = world.server.requests;
    let other = world.server.open(world.now);
    let refused = world.server.feed(other, &world.up[0], world.now);
    assert_eq!(body(&frames(&refused)[0])[0], 7);
    assert_eq!(world.server.requests, before);
}

/// The driver's key must be the one that the hello claims: its series and step order the epochs.
#[test]
fn a_key_of_another_step_or_series_than_the_hello_claims_is_not_taken() {
    for (series, step, is_read) in [(1, 0, true), (1, 1, false), (2, 0, false)] {
        let id = KeyId { series: u32::try_into(series).unwrap(), step, salt: 1 };
        let hello = Hello { version: EXTENDED, terminal: "a".parse().ok(), start: 1, ..Hello::EMPTY };
        let mut out = [0; 256];
        let length = postcard::write_sealed_hello(&hello, &id, &mut out).unwrap();
        let body = [&out[..length], key("a", 1).prove(&out[..length]).tag()].concat();
        let config = Config::new(Wire::Postcard, LinkKind::Serial);
        let mut host = Host::<256, 512>::new(config, SessionId::new(1), Default::default());
        host.feed(&frame(&body), Default::default());
        let Some(Event::Key(claim)) = host.poll_event() else { panic!() };
        assert_eq!((claim.series, claim.step), (id.series, step));
        host.provide_key(Some(&key("a", 1)), Default::default());
        assert_eq!(matches!(host.poll_event(), Some(Event::Hello(_))), is_read, "{series} {step}");
        assert_eq!(host.counters().unauthentic, u32::from(!is_read));
    }
}

/// Another protocol's bytes, a full server, a shutdown.
#[test]
fn a_connection_without_an_authentic_hello_gets_nothing() {
    let mut world = World::new(LinkKind::Connection);
    assert!(world.server.feed(world.link, b"\x05GET /\x00\x05GET /\x00", world.now).is_empty());
    assert!(world.server.host(world.link).is_finished(), "and is closed");
    let config = Config { sealed_only: true, ..Config::new(Wire::Postcard, LinkKind::Connection) };
    let new = || Host::<256, 512>::new(config, SessionId::new(1), Default::default());
    let mut full = new();
    full.reject_busy(Default::default());
    let mut stopping = new();
    stopping.shut_down(Default::default());
    for host in [full, stopping] {
        assert!(host.output().is_empty() && host.is_finished());
    }
    for wire in [Wire::Json, Wire::Raw] {
        let config = Config { wire, ..config };
        let mut host = Host::<256, 512>::new(config, SessionId::new(1), Default::default());
        let taken = host.feed(b"\0\0\0\x0c{\"data\":\"2\"}", Default::default());
        assert!(taken > 0 && host.output().is_empty() && host.poll_event().is_none());
    }
}

/// Neither keys nor what they protect.
#[test]
fn debug_of_an_endpoint_shows_no_secret() {
    let mut world = World::at_menu(LinkKind::Serial);
    let keys = session(&world);
    let shown = format!("{:?} {:?}", world.server.host(world.link), world.terminal);
    for key in [&keys.up, &keys.down, key("a", 1).key()] {
        let [a, b, c, ..] = key.bytes();
        assert!(!shown.contains(&format!("{a}, {b}, {c}")), "{shown}");
    }
    assert!(shown.contains("Key(..)"));
    // A frame that was opened, and is kept until the driver has handled it.
    world.inject(&sealed(&keys.down, 5, &[3, 0, 0]));
    assert!(!format!("{:?}", world.terminal).contains("[3, 0, 0]"));
}
