//! Anything at all: any bytes in any pieces; and a line that loses, copies and cuts, with both ends losing power.
use super::*;
use crate::few;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What a host may send: messages, and noise.
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

/// What happens next on a bad day.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The person types; which money it would move is the index of the act.
    Type,
    Wait(u32),
    Mute(bool),
    Deaf(bool),
    Twice(bool),
    Slow,
    CatchUp,
    Noise(bool),
    RestartTerminal,
    RestartHost,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Type),
        4 => (0u32..5_000).prop_map(Act::Wait),
        1 => (50_000u32..90_000).prop_map(Act::Wait),
        2 => any::<bool>().prop_map(Act::Mute),
        2 => any::<bool>().prop_map(Act::Deaf),
        1 => any::<bool>().prop_map(Act::Twice),
        1 => Just(Act::Slow),
        2 => Just(Act::CatchUp),
        1 => any::<bool>().prop_map(Act::Noise),
        1 => Just(Act::RestartTerminal),
        1 => Just(Act::RestartHost),
    ]
}

/// What the person has read of each of their requests, by its amount.
#[derive(Default)]
struct Diary {
    done: BTreeMap<u64, usize>,
    not_done: usize,
    highest: Option<u64>,
}

impl Diary {
    fn read(&mut self, told: Vec<Told>) {
        for told in told {
            let Told::Said { seq, outcome, .. } = told else { continue };
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
    fn any_bytes_are_taken_and_every_cut_is_told_the_same(
        (wire, stream) in prop_oneof![Just(Wire::Json), Just(Wire::Postcard)]
            .prop_flat_map(|wire| (Just(wire), stream(wire))),
        cuts in prop::collection::vec(1usize..40, 1..6), serial: bool, greeted: bool,
    ) {
        let link = if serial { LinkKind::Serial } else { LinkKind::Connection };
        let mut config = config(wire, link, Some("a"), Memory::default());
        config.profile = config.profile.filter(|_| !greeted);
        let now = Instant::default();
        let listen = |cuts: &[usize]| {
            let mut terminal = Kiosk::new(config.clone(), now);
            let (mut rest, mut cuts, mut told) = (&stream[..], cuts.iter().cycle(), vec![]);
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                told.extend(feed(&mut terminal, piece, now));
                rest = behind;
            }
            terminal.end();
            told.extend(drain(&mut terminal, now));
            (told, terminal.memory(), terminal.prompt(), terminal.counters())
        };
        let whole = listen(&[usize::MAX]);
        prop_assert_eq!(&listen(&cuts), &whole);
        prop_assert_eq!(&listen(&[1]), &whole);
    }

    #[test]
    fn raw_shows_the_same_text_however_it_is_cut(stream in prop::collection::vec(1u8.., 0..few(80)), cut in 1usize..20) {
        let text = |cut: usize| {
            let config = Config { profile: None, ..config(Wire::Raw, LinkKind::Connection, None, Memory::default()) };
            let (mut terminal, now) = (Kiosk::new(config, Instant::default()), Instant::default());
            let mut told: Vec<_> = stream.chunks(cut).flat_map(|piece| feed(&mut terminal, piece, now)).collect();
            terminal.end();
            told.extend(drain(&mut terminal, now));
            told.iter().flat_map(|told| told.text().chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>()).collect::<String>()
        };
        prop_assert_eq!(text(cut), text(usize::MAX));
    }

    #[test]
    fn on_the_worst_line_money_moves_once_and_is_told(
        postcard: bool, acts in prop::collection::vec(act(), 1..few(40)),
    ) {
        let mut pair = Pair::serial(if postcard { Wire::Postcard } else { Wire::Json });
        let mut diary = Diary::default();
        let mut asked = vec![];
        for (index, act) in acts.into_iter().enumerate() {
            let told = match act {
                Act::Type => match pair.terminal.prompt() {
                    // Every request has an amount of its own, so that the balance tells which were done.
                    Some(prompt) if asked.len() < 40 => {
                        let amount = 1u64 << asked.len();
                        asked.push(amount);
                        pair.terminal.answer(prompt, &std::format!("deposit {amount}"), pair.now).unwrap();
                        pair.run()
                    }
                    _ => vec![],
                },
                Act::Wait(millis) => pair.wait(Duration::from_millis(millis)),
                Act::Mute(mute) => { pair.mute = mute; vec![] }
                Act::Deaf(deaf) => { pair.deaf = deaf; vec![] }
                Act::Twice(twice) => { pair.twice = twice; vec![] }
                Act::Slow => { pair.slow = true; vec![] }
                Act::CatchUp => pair.catch_up(),
                Act::Noise(up) if postcard => {
                    let noise = [index as u8 | 1, 7, 9, 0];
                    if up {
                        pair.host.feed(&noise, pair.now);
                        vec![]
                    } else {
                        feed(&mut pair.terminal, &noise, pair.now)
                    }
                }
                Act::Noise(_) => vec![],
                Act::RestartTerminal => { pair.restart_terminal(); diary.highest = None; pair.run() }
                Act::RestartHost => {
                    // What the ledger had under way is done or not, as it likes; the host hears nothing of it.
                    if index % 2 == 0 {
                        for request in std::mem::take(&mut pair.requests) {
                            pair.ledger.apply(&request).unwrap();
                        }
                    }
                    pair.restart_host();
                    pair.run()
                }
            };
            diary.read(told);
        }

        // The faults stop: it comes to rest at a prompt, with everything told.
        (pair.mute, pair.deaf, pair.twice) = (false, false, false);
        diary.read(pair.catch_up());
        diary.read(pair.wait(Duration::from_secs(200)));
        if pair.terminal.is_over() {
            pair.terminal.reconnect(pair.now);
            diary.read(pair.run());
        }
        prop_assert!(pair.terminal.prompt().is_some() && !pair.terminal.is_awaiting_reply());
        let moved = pair.balance().minor() / 100 - 100;
        let mut done = 0;
        for amount in asked.iter().copied() {
            let happened = moved & amount != 0;
            let told = diary.done.get(&amount).copied().unwrap_or(0);
            // Told twice only where the terminal lost power between the two.
            prop_assert_eq!(happened, told > 0, "{} of {:b}", amount, moved);
            done += u64::from(happened) * amount;
        }
        prop_assert_eq!(moved, done, "each at most once, and none that nobody asked for");
        let undone = asked.iter().filter(|amount| moved & **amount == 0).count();
        prop_assert!(diary.not_done >= undone, "{} are told of {undone}", diary.not_done);
    }
}
