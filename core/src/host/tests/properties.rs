//! Properties for any bytes, cut anywhere, and any order of calls.
use super::*;
use crate::few;
use proptest::{prelude::*, sample::Index};

/// Input of a peer: mostly messages.
fn piece(wire: Wire) -> impl Strategy<Value = Vec<u8>> {
    let text = "1|2|3|40|all|back|deposit 40|withdraw 7|exit|x{60,70}|[ -~é😀]{0,9}";
    let answers = (prop::option::of(0u64..12), text).prop_map(move |(re, text)| answer(wire, re, &text));
    let hellos = ("(a|b){0,1}", 0u64..3, 0u32..3, 0u64..6, prop::option::of(0u64..6), any::<bool>(), 0u64..3)
        .prop_map(move |(name, start, attempt, shown, pending, resume, ledger)| {
            let ledger = [None, Some(LEDGER), Some(LedgerId(1))][ledger as usize];
            let hello = Hello { ledger, shown, pending, resume, ..hello(&name, start, attempt) };
            frame(wire, |out| out.hello(&hello))
        });
    let notices = Just(frame(wire, |out| out.notice(Notice::Who, None)));
    let noise = prop::collection::vec(any::<u8>(), 0..20);
    let cut = (answers.clone(), any::<Index>()).prop_map(|(mut bytes, at)| {
        bytes.truncate(at.index(bytes.len() + 1));
        bytes
    });
    let long = Just(vec![0, 0, 0x10, 0]);
    prop_oneof![12 => answers, 6 => hellos, 1 => notices, 1 => noise, 1 => cut, 1 => long]
}

#[derive(Clone, Debug)]
enum EndpointCall {
    Feed(Vec<u8>),
    Tick(u32),
    Consume(Index),
    Respond,
    Poll,
    Park,
    TakeOver,
    Admit,
    Refuse,
    ShutDown,
    End,
    RejectBusy,
    Reject,
}

fn call(wire: Wire) -> impl Strategy<Value = EndpointCall> {
    prop_oneof![
        10 => piece(wire).prop_map(EndpointCall::Feed),
        6 => any::<Index>().prop_map(EndpointCall::Consume),
        6 => Just(EndpointCall::Poll),
        4 => Just(EndpointCall::Respond),
        2 => Just(EndpointCall::Admit),
        2 => (0u32..400_000).prop_map(EndpointCall::Tick),
        1 => prop_oneof![
            Just(EndpointCall::Park), Just(EndpointCall::TakeOver), Just(EndpointCall::Refuse), Just(EndpointCall::ShutDown), Just(EndpointCall::End),
            Just(EndpointCall::RejectBusy), Just(EndpointCall::Reject),
        ],
    ]
}

fn links() -> impl Strategy<Value = (Wire, LinkKind)> {
    (prop_oneof![Just(Wire::Json), Just(Wire::Raw), Just(Wire::Postcard)], any::<bool>())
        .prop_map(|(wire, serial)| (wire, if serial { LinkKind::Serial } else { LinkKind::Connection }))
}

/// A stream of such pieces.
fn stream(wire: Wire) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(wire), 0..few(12)).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_order_of_calls_leaves_a_usable_endpoint(
        ((wire, link), calls) in links().prop_flat_map(|link| (Just(link), prop::collection::vec(call(link.0), 0..few(60)))),
        may_quit: bool,
    ) {
        let mut config = Config::new(wire, link);
        config.policy.may_quit = may_quit;
        let mut driver = TestDriver::with(config);
        // From here on `calls` decides what the driver does.
        let (mut host, mut ledger, mut now) = (driver.host.clone(), driver.ledger.clone(), driver.now);
        let (mut requests, mut parked, mut sent) = (Vec::new(), None, Vec::new());
        let mut whole = 0;
        for call in calls {
            let before = host.output().len();
            match call {
                EndpointCall::Feed(bytes) => prop_assert!(host.feed(&bytes, now) <= bytes.len()),
                EndpointCall::Tick(millis) => {
                    now = now + Duration::from_millis(millis);
                    host.tick(now);
                    prop_assert!(host.deadline().is_none_or(|at| at > now), "{:?} {:?}", host.deadline(), now);
                }
                EndpointCall::Consume(index) => {
                    let count = index.index(before + 1);
                    sent.extend_from_slice(&host.output()[..count]);
                    host.consume(count, now);
                }
                EndpointCall::Poll => {
                    if let Some(Event::Request(request)) = host.poll_event() {
                        requests.push(request);
                    }
                }
                EndpointCall::Respond => {
                    if let Some(request) = requests.pop() {
                        let response = ledger.apply(&request).unwrap();
                        host.complete(request.ticket, response, now);
                    }
                }
                EndpointCall::Park => parked = host.park().or(parked),
                EndpointCall::TakeOver => parked = host.take_over(now).or(parked),
                EndpointCall::Admit => host.admit(parked.take(), now),
                EndpointCall::Refuse => host.refuse(now),
                EndpointCall::ShutDown => host.shut_down(now),
                EndpointCall::End => host.end(now),
                EndpointCall::RejectBusy => {
                    // Unsent output is discarded, as when the connection is closed.
                    sent.truncate(whole);
                    host.reject_busy(now);
                }
                EndpointCall::Reject => {
                    host.reject(Notice::Fault(Fault::WrongWire), now);
                    if host.output().is_empty() {
                        sent.truncate(whole);
                    }
                }
            }
            if host.output().is_empty() {
                whole = sent.len();
            }
        }

        // A correct driver then brings the endpoint to rest, and its output can be decoded.
        sent.extend_from_slice(host.output());
        driver.host = host;
        driver.host.consume(driver.host.output().len(), now);
        for request in requests {
            let response = ledger.apply(&request).unwrap();
            driver.host.complete(request.ticket, response, now);
        }
        if driver.host.incoming_hello().is_some() {
            driver.host.admit(None, now);
        }
        (driver.ledger, driver.now) = (ledger, now);
        (driver.sent, driver.allow_unexpected) = (sent, true);
        driver.drive();
        let stalled = driver.host.output().len();
        prop_assert_eq!(stalled, 0);
        // After a stall the last message may be cut; the endpoint is closing then.
        if whole == 0 || !driver.host.closing {
            decode(wire, &driver.sent);
        }
        let frame = frame(wire, |out| out.answer(Some(1), "3"));
        driver.unfed = frame;
        driver.drive();
        prop_assert!(driver.unfed.is_empty(), "a driver that drains everything can always feed");
    }

    #[test]
    fn every_cut_of_a_stream_gives_the_same_output(
        (wire, stream) in prop_oneof![Just(Wire::Json), Just(Wire::Postcard)]
            .prop_flat_map(|wire| (Just(wire), stream(wire))),
        cuts in prop::collection::vec(1usize..40, 1..6), connection: bool, hold_requests: bool,
    ) {
        let link = if connection { LinkKind::Connection } else { LinkKind::Serial };
        let converse = |cuts: &[usize]| {
            let mut driver = TestDriver::new(wire, link);
            driver.hold_requests = hold_requests;
            let (mut rest, mut cuts, mut refused) = (&stream[..], cuts.iter().cycle(), 0);
            // The driver drains only when the host takes no more, since a duplicate is dropped while its
            // reply is unsent.
            while !rest.is_empty() {
                let (mut piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                while !piece.is_empty() {
                    let taken = driver.host.feed(piece, driver.now);
                    piece = &piece[taken..];
                    refused = if taken == 0 { refused + 1 } else { 0 };
                    assert!(refused < 10, "a drained host takes input");
                    if taken == 0 && !hold_requests {
                        driver.drive();
                    } else if taken == 0 {
                        driver.drive();
                        let requests = std::mem::take(&mut driver.requests);
                        requests.iter().for_each(|request| driver.settle(request));
                    }
                }
                rest = behind;
            }
            driver.drive();
            for _ in 0..100 {
                for request in std::mem::take(&mut driver.requests) {
                    driver.settle(&request);
                    driver.drive();
                }
            }
            assert!(driver.requests.is_empty(), "requests come to an end");
            driver.host.end(driver.now);
            driver.drive();
            (driver.sent, driver.ledger, driver.host.counters())
        };
        let whole = converse(&[usize::MAX]);
        prop_assert_eq!(&converse(&cuts), &whole);
        prop_assert_eq!(&converse(&[1]), &whole);
        decode(wire, &whole.0);
    }

    #[test]
    fn merged_lines_of_the_raw_wire_get_a_reply_each(
        lines in prop::collection::vec("1|2|3|40|all|back|[a-z]{0,70}", 1..few(12)), cuts in prop::collection::vec(1usize..20, 1..6),
    ) {
        let stream: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        // The first line break shows the decoder that the client sends lines.
        let mut whole = TestDriver::new(Wire::Raw, LinkKind::Connection);
        whole.answer(None, "\n");
        let mut parts = whole.clone();
        let received = whole.send(&stream);
        let ends = lines.iter().position(|line| line == "exit" || line == "quit").map_or(lines.len(), |at| at + 1);
        prop_assert!(received.len() == ends);
        let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            parts.unfed.extend_from_slice(piece);
            parts.drive();
            rest = behind;
        }
        prop_assert_eq!(parts.received(), received);
    }
}
