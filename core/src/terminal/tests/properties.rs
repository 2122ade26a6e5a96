//! Properties for any bytes, cut anywhere, and for a faulty link between two ends that lose power.
use super::*;
use crate::few;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Output of a host: messages, and noise.
fn stream(wire: Wire) -> impl Strategy<Value = Vec<u8>> {
    let replies = (0u64..6, prop::option::of(0u64..6), any::<bool>(), any::<bool>()).prop_map(
        move |(seq, re, menu, welcome)| {
            use crate::{message::Reply, screen::Screen};
            let screen = if menu { Screen::Menu } else { Screen::Goodbye };
            let welcome = welcome.then_some(Welcome { ledger: Some(LEDGER), start: 1, attempt: 1 });
            let mut outbox = Outbox::<1024>::new(wire);
            outbox.reply(&Reply { seq, re, screens: [screen].into_iter().collect(), welcome }).unwrap();
            outbox.output().to_vec()
        },
    );
    let notice = prop_oneof![
        Just(Notice::Who),
        Just(Notice::Working { re: Some(1) }),
        Just(Notice::TakenOver { start: 1, attempt: 1 }),
        Just(Notice::Idle),
        Just(Notice::Fault(Fault::NotOpen)),
    ];
    let notices = notice.prop_map(move |notice| {
        let mut outbox = Outbox::<1024>::new(wire);
        outbox.notice(notice, None).unwrap();
        outbox.output().to_vec()
    });
    let noise = prop::collection::vec(any::<u8>(), 0..20);
    prop::collection::vec(prop_oneof![6 => replies, 3 => notices, 1 => noise], 0..few(10))
        .prop_map(|pieces| pieces.concat())
}

/// One step of a run with faults.
#[derive(Clone, Copy, Debug)]
enum FaultStep {
    /// The person types a deposit.
    Type,
    Wait(u32),
    DropToHost(bool),
    DropToTerminal(bool),
    Duplicate(bool),
    HoldRequests,
    ReleaseRequests,
    Noise(bool),
    RestartTerminal,
    RestartHost,
}

fn step() -> impl Strategy<Value = FaultStep> {
    prop_oneof![
        6 => Just(FaultStep::Type),
        4 => (0u32..5_000).prop_map(FaultStep::Wait),
        1 => (50_000u32..90_000).prop_map(FaultStep::Wait),
        2 => any::<bool>().prop_map(FaultStep::DropToHost),
        2 => any::<bool>().prop_map(FaultStep::DropToTerminal),
        1 => any::<bool>().prop_map(FaultStep::Duplicate),
        1 => Just(FaultStep::HoldRequests),
        2 => Just(FaultStep::ReleaseRequests),
        1 => any::<bool>().prop_map(FaultStep::Noise),
        1 => Just(FaultStep::RestartTerminal),
        1 => Just(FaultStep::RestartHost),
    ]
}

/// What was shown about each request, by its amount.
#[derive(Default)]
struct PersonLog {
    done: BTreeMap<u64, usize>,
    not_done: usize,
    highest: Option<u64>,
}

impl PersonLog {
    fn read(&mut self, shown: Vec<Shown>) {
        for shown in shown {
            let Shown::Message { seq, outcome, .. } = shown else { continue };
            if let Some(seq) = seq {
                assert!(self.highest < Some(seq), "{seq} is shown after {:?}", self.highest);
                self.highest = Some(seq);
            }
            match outcome {
                Some(Outcome::Done(Receipt::Deposited { amount, .. })) => {
                    *self.done.entry(amount.minor() / 100).or_default() += 1;
                }
                Some(Outcome::NotDone) => self.not_done += 1,
                _ => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn every_cut_of_a_stream_gives_the_same_events(
        (wire, stream) in prop_oneof![Just(Wire::Json), Just(Wire::Postcard)]
            .prop_flat_map(|wire| (Just(wire), stream(wire))),
        cuts in prop::collection::vec(1usize..40, 1..6), serial: bool, greeted: bool,
    ) {
        let link = if serial { LinkKind::Serial } else { LinkKind::Connection };
        let mut config = sealed(config(wire, link, Some("a"), Memory::default()));
        config.profile = config.profile.filter(|_| !greeted);
        let now = Instant::default();
        let listen = |cuts: &[usize]| {
            let mut terminal = TestTerminal::new(config.clone(), now);
            let (mut rest, mut cuts, mut shown) = (&stream[..], cuts.iter().cycle(), vec![]);
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                shown.extend(feed(&mut terminal, piece, now));
                rest = behind;
            }
            terminal.end();
            shown.extend(drain(&mut terminal, now));
            (shown, terminal.memory(), terminal.prompt(), terminal.counters())
        };
        let whole = listen(&[usize::MAX]);
        prop_assert_eq!(&listen(&cuts), &whole);
        prop_assert_eq!(&listen(&[1]), &whole);
    }

    #[test]
    fn raw_shows_the_same_text_however_it_is_cut(stream in prop::collection::vec(1u8.., 0..few(80)), cut in 1usize..20) {
        let text = |cut: usize| {
            let config = Config { profile: None, ..config(Wire::Raw, LinkKind::Connection, None, Memory::default()) };
            let (mut terminal, now) = (TestTerminal::new(config, Instant::default()), Instant::default());
            let mut shown: Vec<_> = stream.chunks(cut).flat_map(|piece| feed(&mut terminal, piece, now)).collect();
            terminal.end();
            shown.extend(drain(&mut terminal, now));
            shown.iter().flat_map(|shown| shown.text().chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>()).collect::<String>()
        };
        prop_assert_eq!(text(cut), text(usize::MAX));
    }

    #[test]
    fn on_a_faulty_link_money_moves_once_and_its_outcome_is_shown(
        postcard: bool, steps in prop::collection::vec(step(), 1..few(40)),
    ) {
        let mut pair = Pair::serial(if postcard { Wire::Postcard } else { Wire::Json });
        let mut log = PersonLog::default();
        let mut asked = vec![];
        for (index, step) in steps.into_iter().enumerate() {
            let shown = match step {
                FaultStep::Type => match pair.terminal.prompt() {
                    // Every request has its own bit in the balance, which shows the requests that were done.
                    Some(prompt) if asked.len() < 40 => {
                        let amount = 1u64 << asked.len();
                        asked.push(amount);
                        pair.terminal.answer(prompt, &std::format!("deposit {amount}"), pair.now).unwrap();
                        pair.run()
                    }
                    _ => vec![],
                },
                FaultStep::Wait(millis) => pair.wait(Duration::from_millis(millis)),
                FaultStep::DropToHost(drop_to_host) => { pair.drop_to_host = drop_to_host; vec![] }
                FaultStep::DropToTerminal(drop_to_terminal) => { pair.drop_to_terminal = drop_to_terminal; vec![] }
                FaultStep::Duplicate(duplicate) => { pair.duplicate = duplicate; vec![] }
                FaultStep::HoldRequests => { pair.hold_requests = true; vec![] }
                FaultStep::ReleaseRequests => pair.release_requests(),
                FaultStep::Noise(to_host) if postcard => {
                    let noise = [index as u8 | 1, 7, 9, 0];
                    if to_host {
                        pair.host.feed(&noise, pair.now);
                        vec![]
                    } else {
                        feed(&mut pair.terminal, &noise, pair.now)
                    }
                }
                FaultStep::Noise(_) => vec![],
                FaultStep::RestartTerminal => { pair.restart_terminal(); log.highest = None; pair.run() }
                FaultStep::RestartHost => {
                    // The ledger may have applied an outstanding request; the host does not get the response.
                    if index % 2 == 0 {
                        for request in std::mem::take(&mut pair.requests) {
                            pair.ledger.apply(&request).unwrap();
                        }
                    }
                    pair.restart_host();
                    pair.run()
                }
            };
            log.read(shown);
        }

        // Without faults the terminal reaches a prompt, and every outcome is shown.
        (pair.drop_to_host, pair.drop_to_terminal, pair.duplicate) = (false, false, false);
        log.read(pair.release_requests());
        log.read(pair.wait(Duration::from_secs(200)));
        if pair.terminal.is_over() {
            pair.terminal.reconnect(pair.now);
            log.read(pair.run());
        }
        prop_assert!(pair.terminal.prompt().is_some() && !pair.terminal.is_awaiting_reply());
        let moved = pair.balance().minor() / 100 - 100;
        let mut done = 0;
        for amount in asked.iter().copied() {
            let happened = moved & amount != 0;
            let shown = log.done.get(&amount).copied().unwrap_or(0);
            // It may be shown twice if the terminal lost power between.
            prop_assert_eq!(happened, shown > 0, "{} of {:b}", amount, moved);
            done += u64::from(happened) * amount;
        }
        prop_assert_eq!(moved, done, "each request at most once, and nothing else");
        let undone = asked.iter().filter(|amount| moved & **amount == 0).count();
        prop_assert!(log.not_done >= undone, "{} of {undone} are shown", log.not_done);
    }
}
