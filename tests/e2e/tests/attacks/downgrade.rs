//! Attack 11: the link is taken down to clear, or to version 1.
use crate::bank::{Bank, LINKS, Link, hellos, moved};
use atm_core::{codec::postcard, seal};
use atm_e2e::{Direction, FrameProxy, Program, Server, exchange_frames};

/// The hello of a terminal as it would be in clear, in version 1 and 2.
fn in_clear(hello: &[u8]) -> [Vec<u8>; 2] {
    let mut read = postcard::read_sealed_hello(&hello[..hello.len() - seal::TAG]).unwrap();
    read.key = None;
    [1, 2].map(|version| {
        read.version = version;
        let mut body = vec![0; 200];
        let length = postcard::write_hello(&read, &mut body).unwrap();
        body.truncate(length);
        body
    })
}

/// He takes the seal off the terminal's hello, and says to the server what a terminal in clear says.
#[test]
fn a_server_of_sealed_links_serves_nothing_in_clear() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    let hello = &hellos(&bank.proxy)[0];
    let mut version_1 = hello.clone();
    version_1[1] = 1;
    let mut withdrawal = vec![0; 32];
    let length = postcard::write_answer(Some(1), "withdraw 50", &mut withdrawal).unwrap();
    withdrawal.truncate(length);
    let mut unnumbered = vec![0; 32];
    let length = postcard::write_answer(None, "withdraw 50", &mut unnumbered).unwrap();
    unnumbered.truncate(length);
    let [first, second] = in_clear(hello);
    let clear = [first, second, version_1, withdrawal, unnumbered];
    let replies = exchange_frames(bank.address(), &clear);
    assert!(replies.is_empty(), "no greeting, no welcome, no fault: {replies:?}");
    for body in &clear {
        bank.proxy.inject(Direction::Up, body);
    }
    assert!(person.types(&["deposit 40"]).contains("Your balance is $140."));
    person.leaves();
    assert_eq!(bank.movements(), [moved("deposit", 40)]);
}

/// The same at a server that serves other terminals in clear: an enrolled name is refused there.
#[test]
fn a_name_with_a_key_is_not_served_in_clear() {
    for link in LINKS {
        let mut bank = Bank::new(Link::Sealed);
        let mut person = bank.at_menu("kiosk-7");
        let hello = hellos(&bank.proxy)[0].clone();
        person.types(&["balance"]);
        person.leaves();
        bank.stop();
        let (data, secrets) = (bank.path("data"), bank.path("secrets"));
        let mut options = vec!["--wire", "postcard", "--data", data.to_str().unwrap()];
        if link == Link::Sealed {
            options.extend(["--secrets", secrets.to_str().unwrap()]);
        }
        let server = Server::start(&options);
        let shown = server.program.stdout().contains("(postcard, sealed and in clear)");
        assert_eq!(shown, link == Link::Sealed);
        for hello in in_clear(&hello) {
            let replies = exchange_frames(server.address, &[hello]);
            let replies: Vec<_> =
                replies.iter().map(|body| postcard::read_host(body).unwrap().unwrap()).collect();
            assert!(replies.iter().all(|reply| reply.welcome.is_none()), "{replies:?}");
            assert!(replies.iter().any(|reply| reply.notice.is_some()), "name-in-use: {replies:?}");
        }
        drop(server);
        assert_eq!(bank.movements(), []);
    }
}

/// He is the host: a true server in clear stands behind him, which would take what the person types.
#[test]
fn a_terminal_with_a_key_shows_and_says_nothing_in_clear() {
    let bank = Bank::new(Link::Sealed);
    let clear = Server::start(&["--wire", "postcard", "--balance", "999999"]);
    let relay = FrameProxy::to(clear.address);
    // He gives the server the hello that it understands.
    relay.set_rule(|frame| match (frame.direction, frame.body[0]) {
        (Direction::Up, seal::HELLO) => {
            let [first, second] = in_clear(&frame.body);
            vec![frame.with_body(first), frame.with_body(second)]
        }
        _ => frame.forward(),
    });
    bank.proxy.set_target(relay.address);
    let done = Program::run(bank.client("kiosk-7", &["--reply-timeout", "3"]), "deposit 40\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    let up = bank.proxy.bodies(Direction::Up);
    assert!(!up.is_empty() && up.iter().all(|body| body[0] == seal::HELLO), "{up:?}");
    // It was welcomed in clear.
    let welcomes = relay.bodies(Direction::Down);
    assert!(welcomes.iter().any(|body| {
        postcard::read_host(body).is_ok_and(|read| read.is_some_and(|read| read.welcome.is_some()))
    }));
}
