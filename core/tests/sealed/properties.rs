//! An attacker who does anything: whatever is recorded, replayed, reflected, changed or spliced, each deposit is done at most
//! once, none is done that was not typed, none is shown that was not done, and when the attacker stops the session goes on.
use crate::world::*;
use atm_core::{host::LinkKind, money::Amount, terminal::Memory, time::Duration};
use proptest::{prelude::*, sample::Index};

#[derive(Clone, Debug)]
enum Step {
    /// The person types: the menu's choice, or the next amount.
    Type,
    /// Everything is carried in both directions.
    Carry,
    /// What the terminal sends reaches the host, whose answer is lost; or it is lost itself.
    LoseAnswer,
    LoseBoth,
    /// A recorded frame reaches either end; perhaps with a flipped bit of its body, and from another world.
    ToHost(Index, Option<Index>, u8),
    ToTerminal(Index, Option<Index>, u8),
    /// A recorded frame reaches the host on another link.
    Elsewhere(Index),
    Who,
    RestartHost,
    RestartTerminal,
    Reconnect,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let flip = || prop::option::weighted(0.3, any::<Index>());
    prop_oneof![
        6 => Just(Step::Type),
        6 => Just(Step::Carry),
        2 => Just(Step::LoseAnswer),
        1 => Just(Step::LoseBoth),
        4 => (any::<Index>(), flip(), 0..4u8).prop_map(|(at, flip, tape)| Step::ToHost(at, flip, tape)),
        4 => (any::<Index>(), flip(), 0..4u8).prop_map(|(at, flip, tape)| Step::ToTerminal(at, flip, tape)),
        2 => any::<Index>().prop_map(Step::Elsewhere),
        1 => Just(Step::Who),
        1 => Just(Step::RestartHost),
        1 => Just(Step::RestartTerminal),
        1 => Just(Step::Reconnect),
        2 => (0..2000u16).prop_map(Step::Wait),
    ]
}

struct Run {
    world: World,
    /// Frames of another terminal, and of this one on another ledger.
    foreign: [Vec<Vec<u8>>; 2],
    start: u64,
    stored: Memory,
    /// The amount that is typed next: a power of two, so that the balance says which deposits were done.
    next: u32,
}

impl Run {
    fn new(link: LinkKind, foreign: &[Vec<Vec<u8>>; 2]) -> Self {
        let world = World::at_menu(link);
        let stored = world.terminal.memory();
        Self { world, foreign: foreign.clone(), start: 1, stored, next: 0 }
    }

    fn type_next(&mut self) {
        let Some(prompt) = self.world.terminal.prompt() else { return };
        let asks = self.world.last_text().ends_with("(whole units, or back)");
        let text = if asks { (1u64 << self.next).to_string() } else { "1".into() };
        if asks {
            self.next += 1;
        }
        self.world.terminal.answer(prompt, &text, self.world.now).unwrap();
        self.stored = self.world.terminal.memory();
    }

    /// A frame of a tape, perhaps changed.
    fn recorded(&self, tape: u8, at: &Index, flip: Option<&Index>) -> Option<Vec<u8>> {
        let tape = match tape {
            0 => &self.world.up,
            1 => &self.world.down,
            other => &self.foreign[usize::from(other - 2)],
        };
        let mut bytes = body(tape.get(at.index(tape.len().max(1)))?);
        if let Some(flip) = flip {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Some(frame(&bytes))
    }

    fn perform(&mut self, step: &Step) {
        let link = self.world.link;
        match step {
            Step::Type => self.type_next(),
            Step::Carry => self.world.run(),
            Step::LoseAnswer => {
                let bytes = self.world.take_output();
                let lost = self.world.server.feed(link, &bytes, self.world.now);
                self.world.down.extend(frames(&lost));
            }
            Step::LoseBoth => drop(self.world.take_output()),
            Step::ToHost(at, flip, tape) => {
                if let Some(frame) = self.recorded(*tape, at, flip.as_ref()) {
                    let answer = self.world.server.feed(link, &frame, self.world.now);
                    self.world.receive(&answer);
                }
            }
            Step::ToTerminal(at, flip, tape) => {
                if let Some(frame) = self.recorded(*tape, at, flip.as_ref()) {
                    self.world.inject(&frame);
                }
            }
            Step::Elsewhere(at) => {
                let other = self.world.server.open(self.world.now);
                if let Some(frame) = self.recorded(0, at, None) {
                    let answer = self.world.server.feed(other, &frame, self.world.now);
                    self.world.down.extend(frames(&answer));
                }
            }
            Step::Who => self.world.inject(&frame(&[3, 1])),
            Step::RestartHost => {
                self.world.server.restart(self.world.now);
                if self.world.server.config.link == LinkKind::Connection {
                    self.world.reconnect();
                }
            }
            Step::RestartTerminal => {
                self.start += 1;
                self.world.restart_terminal(profile("a", self.start, self.start + 10), self.stored);
            }
            Step::Reconnect => self.world.reconnect(),
            Step::Wait(millis) => {
                self.world.now = self.world.now + Duration::from_millis((*millis).into());
                self.world.terminal.tick(self.world.now);
                self.world.server.tick(self.world.now);
            }
        }
        self.stored = self.world.terminal.memory();
    }

    /// The deposits that were done, a bit each.
    fn done(&self) -> u64 {
        let gained = self.world.balance().checked_sub(Amount::from_units(100).unwrap());
        gained.unwrap().units()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let done = self.done();
        prop_assert_eq!(done >> self.next, 0, "only what was typed is done, and once");
        for shown in &self.world.shown {
            let Shown::Text(text) = shown else { continue };
            let Some((_, rest)) = text.split_once("Amount deposited: $") else { continue };
            let amount: u64 = rest[..rest.find('.').unwrap()].replace(',', "").parse().unwrap();
            prop_assert!(done & amount == amount && amount.is_power_of_two(), "{} of {:b}", amount, done);
        }
        Ok(())
    }
}

fn foreign(link: LinkKind) -> [Vec<Vec<u8>>; 2] {
    let mut other = World::with(link, profile("b", 1, 11));
    let mut elsewhere = World::with(link, profile("a", 1, 11));
    elsewhere.server.ledger =
        atm_core::ledger::RamLedger::new(atm_core::ledger::LedgerId(1), Amount::from_units(100).unwrap());
    for world in [&mut other, &mut elsewhere] {
        world.run();
        world.types("1");
        world.types("64");
    }
    [[other.up, other.down].concat(), [elsewhere.up, elsewhere.down].concat()]
}

proptest! {
    #[test]
    fn an_attacker_moves_no_money(serial: bool, steps in prop::collection::vec(step(), 1..60)) {
        let link = if serial { LinkKind::Serial } else { LinkKind::Connection };
        let mut run = Run::new(link, &foreign(link));
        for step in &steps {
            run.perform(step);
            run.check()?;
        }
        // The attacker has gone. A driver opens a lost connection again, and a new session after the end of one.
        for _ in 0..5 {
            run.world.wait(Duration::from_secs(70));
            if run.world.terminal.prompt().is_some() {
                break;
            }
            run.world.reconnect();
        }
        prop_assert!(run.world.terminal.prompt().is_some(), "{:?}", run.world.shown);
        let before = run.done();
        // The first answer may be settled by a host that restarted, or meet with silence: the attacker had another terminal
        // say hello on this link, where its session idles for 300 s.
        for _ in 0..8 {
            if run.done() == before {
                run.type_next();
                run.world.wait(Duration::from_secs(70));
                if run.world.server.host(run.world.link).is_finished() {
                    run.world.reconnect();
                    run.world.run();
                }
            }
        }
        run.check()?;
        prop_assert!(run.done() != before, "a deposit is done: {:?}", run.world.shown);
    }
}
