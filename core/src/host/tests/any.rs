//! Anything at all: any bytes in any pieces, any order of calls.
use super::*;
use crate::few;
use proptest::{prelude::*, sample::Index};

/// What a peer may send: mostly messages.
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
enum Call {
    Feed(Vec<u8>),
    Tick(u32),
    Consume(Index),
    Respond,
    Poll,
    Park,
    HandOver,
    Admit,
    Refuse,
    ShutDown,
    End,
    TurnAway,
}

fn call(wire: Wire) -> impl Strategy<Value = Call> {
    prop_oneof![
        10 => piece(wire).prop_map(Call::Feed),
        6 => any::<Index>().prop_map(Call::Consume),
        6 => Just(Call::Poll),
        4 => Just(Call::Respond),
        2 => Just(Call::Admit),
        2 => (0u32..400_000).prop_map(Call::Tick),
        1 => prop_oneof![
            Just(Call::Park), Just(Call::HandOver), Just(Call::Refuse), Just(Call::ShutDown), Just(Call::End),
            Just(Call::TurnAway),
        ],
    ]
}

fn lines() -> impl Strategy<Value = (Wire, LinkKind)> {
    (prop_oneof![Just(Wire::Json), Just(Wire::Raw), Just(Wire::Postcard)], any::<bool>())
        .prop_map(|(wire, serial)| (wire, if serial { LinkKind::Serial } else { LinkKind::Connection }))
}

/// A conversation: one piece after the other.
fn stream(wire: Wire) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(wire), 0..few(12)).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_calls_in_any_order(
        ((wire, link), calls) in lines().prop_flat_map(|line| (Just(line), prop::collection::vec(call(line.0), 0..few(60)))),
        may_quit: bool,
    ) {
        let mut config = Config::new(wire, link);
        config.policy.may_quit = may_quit;
        let mut bench = Bench::with(config);
        // From here on the driver is not the bench's: it does things when it likes.
        let (mut host, mut ledger, mut now) = (bench.host.clone(), bench.ledger.clone(), bench.now);
        let (mut requests, mut parked, mut sent) = (Vec::new(), None, Vec::new());
        let mut whole = 0;
        for call in calls {
            let before = host.output().len();
            match call {
                Call::Feed(bytes) => prop_assert!(host.feed(&bytes, now) <= bytes.len()),
                Call::Tick(millis) => {
                    now = now + Duration::from_millis(millis);
                    host.tick(now);
                    prop_assert!(host.deadline().is_none_or(|at| at > now), "{:?} {:?}", host.deadline(), now);
                }
                Call::Consume(index) => {
                    let count = index.index(before + 1);
                    sent.extend_from_slice(&host.output()[..count]);
                    host.consume(count, now);
                }
                Call::Poll => {
                    if let Some(Event::Request(request)) = host.poll_event() {
                        requests.push(request);
                    }
                }
                Call::Respond => {
                    if let Some(request) = requests.pop() {
                        let response = ledger.apply(&request).unwrap();
                        host.complete(&request, response, now);
                    }
                }
                Call::Park => parked = host.park().or(parked),
                Call::HandOver => parked = host.take_over(now).or(parked),
                Call::Admit => host.admit(parked.take(), now),
                Call::Refuse => host.refuse(now),
                Call::ShutDown => host.shut_down(now),
                Call::End => host.end(now),
                Call::TurnAway => {
                    // What was on its way is cut off, as when the connection is closed.
                    sent.truncate(whole);
                    host.reject_busy(now);
                }
            }
            if host.output().is_empty() {
                whole = sent.len();
            }
        }

        // Whatever happened, the driver that does its duty gets it to rest, and what it said can be read.
        sent.extend_from_slice(host.output());
        bench.host = host;
        bench.host.consume(bench.host.output().len(), now);
        for request in requests {
            let response = ledger.apply(&request).unwrap();
            bench.host.complete(&request, response, now);
        }
        if bench.host.incoming_hello().is_some() {
            bench.host.admit(None, now);
        }
        (bench.ledger, bench.now) = (ledger, now);
        (bench.sent, bench.careless) = (sent, true);
        bench.drive();
        let stalled = bench.host.output().len();
        prop_assert_eq!(stalled, 0);
        // Where its time to be read ran out, the last message may be cut; then the line is closed.
        if whole == 0 || !bench.host.closing {
            decode(wire, &bench.sent);
        }
        let frame = frame(wire, |out| out.answer(Some(1), "3"));
        bench.unfed = frame;
        bench.drive();
        prop_assert!(bench.unfed.is_empty(), "a driver that drains everything can always feed");
    }

    #[test]
    fn every_cut_of_a_stream_gives_the_same_conversation(
        (wire, stream) in prop_oneof![Just(Wire::Json), Just(Wire::Postcard)]
            .prop_flat_map(|wire| (Just(wire), stream(wire))),
        cuts in prop::collection::vec(1usize..40, 1..6), connection: bool, slow: bool,
    ) {
        let link = if connection { LinkKind::Connection } else { LinkKind::Serial };
        let talk = |cuts: &[usize]| {
            let mut bench = Bench::new(wire, link);
            bench.slow = slow;
            let (mut rest, mut cuts, mut refused) = (&stream[..], cuts.iter().cycle(), 0);
            // Nothing is drained before the host takes no more: what a repeat gets depends on whether its reply is out.
            while !rest.is_empty() {
                let (mut piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                while !piece.is_empty() {
                    let taken = bench.host.feed(piece, bench.now);
                    piece = &piece[taken..];
                    refused = if taken == 0 { refused + 1 } else { 0 };
                    assert!(refused < 10, "what was drained and settled takes more");
                    if taken == 0 && !slow {
                        bench.drive();
                    } else if taken == 0 {
                        bench.drive();
                        let requests = std::mem::take(&mut bench.requests);
                        requests.iter().for_each(|request| bench.settle(request));
                    }
                }
                rest = behind;
            }
            bench.drive();
            for _ in 0..100 {
                for request in std::mem::take(&mut bench.requests) {
                    bench.settle(&request);
                    bench.drive();
                }
            }
            assert!(bench.requests.is_empty(), "what was asked comes to an end");
            bench.host.end(bench.now);
            bench.drive();
            (bench.sent, bench.ledger, bench.host.counters())
        };
        let whole = talk(&[usize::MAX]);
        prop_assert_eq!(&talk(&cuts), &whole);
        prop_assert_eq!(&talk(&[1]), &whole);
        decode(wire, &whole.0);
    }

    #[test]
    fn merged_lines_of_the_raw_wire_are_as_many_answers(
        lines in prop::collection::vec("1|2|3|40|all|back|[a-z]{0,70}", 1..few(12)), cuts in prop::collection::vec(1usize..20, 1..6),
    ) {
        let stream: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        // Lines are what a client sends that has sent one.
        let mut whole = Bench::new(Wire::Raw, LinkKind::Connection);
        whole.answer(None, "\n");
        let mut parts = whole.clone();
        let heard = whole.send(&stream);
        let ends = lines.iter().position(|line| line == "exit" || line == "quit").map_or(lines.len(), |at| at + 1);
        prop_assert!(heard.len() == ends);
        let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            parts.unfed.extend_from_slice(piece);
            parts.drive();
            rest = behind;
        }
        prop_assert_eq!(parts.heard(), heard);
    }
}
