//! Sessions without an attack: a sealed link does what one in clear does.
use crate::world::*;
use atm_core::{
    host::LinkKind,
    message::Notice,
    money::Amount,
    seal::{BUCKET, TAG},
    terminal::{self, Terminal},
    time::Duration,
    wire::Wire,
};

#[test]
fn a_deposit_and_a_withdrawal_on_either_kind_of_link() {
    for link in [LinkKind::Serial, LinkKind::Connection] {
        let mut world = World::at_menu(link);
        world.types("1");
        assert!(world.types("40").contains("Amount deposited: $40"));
        world.types("2");
        assert!(world.types("30").contains("Amount withdrawn: $30. Your balance is $110."));
        assert_eq!(world.balance(), Amount::from_units(110).unwrap());
        assert!(world.types("exit").contains("Goodbye"));
        assert!(world.terminal.is_over() && world.terminal.was_welcomed());
        assert_eq!((world.refused(), world.terminal.counters().unauthentic), (0, 0));
    }
}

#[test]
fn a_hello_a_welcome_and_everything_after_have_one_length_each() {
    let mut world = World::at_menu(LinkKind::Serial);
    for text in ["3", "nonsense", "1", "40", "2", "1000000", "all", &"x".repeat(64), "", "exit"] {
        world.types(text);
    }
    let sealed = 1 + TAG + BUCKET;
    let bodies: Vec<Vec<u8>> = world.up[1..].iter().map(|frame| body(frame)).collect();
    assert!(bodies.iter().all(|body| body[0] == 5 && body.len() == sealed), "{bodies:?}");
    let bodies: Vec<Vec<u8>> = world.down.iter().map(|frame| body(frame)).collect();
    assert_eq!((bodies[0][0], bodies[0].len()), (6, sealed + 16));
    assert!(bodies[1..].iter().all(|body| body[0] == 5 && body.len() == sealed), "{bodies:?}");
    assert_eq!(bodies.len(), world.up.len());
}

#[test]
fn a_retransmission_is_the_same_bytes_and_gets_the_same_reply() {
    let mut world = World::at_menu(LinkKind::Serial);
    world.types("1");
    world.answer("40");
    let first = world.take_output();
    let reply = world.server.feed(world.link, &first, world.now);
    // The reply is lost, and the answer is retransmitted.
    world.now = world.terminal.deadline().unwrap();
    world.terminal.tick(world.now);
    let second = world.take_output();
    assert_eq!(frames(&first), frames(&second));
    assert_eq!(world.server.feed(world.link, &second, world.now), reply);
    assert_eq!(world.balance(), Amount::from_units(140).unwrap());
    world.receive(&reply);
    assert!(world.last_text().contains("Amount deposited: $40"));
}

#[test]
fn a_session_is_resumed_on_another_connection_under_new_keys() {
    let mut world = World::at_menu(LinkKind::Connection);
    world.types("1");
    world.reconnect();
    world.run();
    assert!(world.types("40").contains("Amount deposited: $40"), "at the prompt of the first connection");
    let welcomes: Vec<_> = world.down.iter().map(|frame| body(frame)).filter(|body| body[0] == 6).collect();
    assert_eq!(welcomes.len(), 2);
    assert_ne!(welcomes[0][1..17], welcomes[1][1..17]);
}

/// Its `taken-over` goes out under the keys that the older link has.
#[test]
fn a_greater_hello_elsewhere_ends_the_older_link() {
    let mut world = World::at_menu(LinkKind::Connection);
    let mut later = World::with(LinkKind::Connection, profile("a", 2, 12));
    let link = world.server.open(world.now);
    let hello = later.take_output();
    let welcome = world.server.feed(link, &hello, world.now);
    later.receive(&welcome);
    assert!(later.terminal.prompt().is_some());
    let notice = world.server.feed(world.link, &[], world.now);
    assert_eq!(body(&frames(&notice)[0])[0], 5);
    world.receive(&notice);
    assert_eq!(world.shown.last(), Some(&Shown::Notice(Notice::TakenOver { start: 1, attempt: 1 })));
    assert!(world.terminal.is_over());
}

#[test]
fn a_restarted_host_says_who_in_clear_and_the_outcome_follows() {
    for link in [LinkKind::Serial, LinkKind::Connection] {
        let mut world = World::at_menu(link);
        world.types("1");
        world.answer("40");
        let answer = world.take_output();
        let reply = world.server.feed(world.link, &answer, world.now);
        assert!(!reply.is_empty());
        world.server.restart(world.now);
        let who = world.server.feed(world.link, &answer, world.now);
        assert_eq!(frames(&who).iter().map(|frame| body(frame)).collect::<Vec<_>>(), [[3, 1]]);
        world.receive(&who);
        world.run();
        assert!(world.last_text().contains("Amount deposited: $40"), "{}", world.last_text());
        assert_eq!(world.balance(), Amount::from_units(140).unwrap());
    }
}

#[test]
fn an_idle_session_ends_with_a_sealed_notice() {
    let mut world = World::at_menu(LinkKind::Serial);
    world.wait(Duration::from_secs(301));
    assert_eq!(world.shown.last(), Some(&Shown::Notice(Notice::Idle)));
    assert_eq!(body(world.down.last().unwrap())[0], 5);
    assert!(world.server.host(world.link).conversation().is_none());
}

#[test]
fn a_terminal_with_a_key_sends_nothing_on_another_wire() {
    let mut config = terminal::Config::new(Wire::Raw, LinkKind::Connection);
    for wire in [Wire::Raw, Wire::Json] {
        config.wire = wire;
        config.profile = Some(profile("a", 1, 11));
        let terminal = Terminal::<1024, 512>::new(config.clone(), Default::default());
        assert!(terminal.is_over() && terminal.output().is_empty());
    }
}

#[test]
fn a_host_that_is_not_sealed_only_serves_both() {
    let mut world = World::new(LinkKind::Serial);
    world.server.config.sealed_only = false;
    world.link = world.server.open(world.now);
    world.run();
    assert!(world.terminal.prompt().is_some());
    let mut clear = profile("c", 1, 0);
    clear.key = None;
    let mut other = World::with(LinkKind::Serial, clear);
    let link = world.server.open(world.now);
    let hello = other.take_output();
    let welcome = world.server.feed(link, &hello, world.now);
    other.receive(&welcome);
    assert!(other.last_text().starts_with("Welcome"));
}
