//! What is done most often, for whoever counts its instructions or takes its time: a whole answer in one process, from
//! the frame of a terminal to the frame of the reply.
#![forbid(unsafe_code)]
// A failure here is loud, as in a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

use atm_core::{
    host::{self, Event, Host, LinkKind},
    ledger::{Ledger, LedgerId, RamLedger},
    money::Amount,
    terminal::{self, Profile, Terminal},
    time::Instant,
    wire::Wire,
};

/// Answers in a round. The ledger gives numbers for a few more at once.
pub const ROUND: usize = 200;

const NOW: Instant = Instant::from_millis(1);

/// The host's side, and its ledger.
#[derive(Clone)]
struct Bank {
    host: Host<{ host::IN }, { host::OUT }>,
    ledger: RamLedger<8>,
}

impl Bank {
    /// Feeds a frame; what is said to it is then the output.
    fn hear(&mut self, frame: &[u8]) {
        let taken = self.host.feed(frame, NOW);
        assert_eq!(taken, frame.len());
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Request(request) => {
                    let response = self.ledger.apply(&request).unwrap();
                    self.host.complete(&request, response, NOW);
                }
                Event::Hello(_) => self.host.admit(None, NOW),
                Event::Quit => panic!("nobody has asked for that"),
            }
        }
    }

    /// Takes what is said.
    fn said(&mut self) -> usize {
        let said = self.host.output().len();
        self.host.consume(said, NOW);
        said
    }
}

type Person = Terminal<{ host::OUT }, { terminal::OUT }>;

/// Carries what is to be said across until both are silent; returns what the terminal has sent.
fn exchange(terminal: &mut Person, bank: &mut Bank) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let sent = terminal.output().to_vec();
        terminal.consume(sent.len());
        bank.hear(&sent);
        let said = bank.host.output().to_vec();
        if sent.is_empty() && said.is_empty() {
            return all;
        }
        bank.said();
        let mut rest = said.as_slice();
        while !rest.is_empty() {
            rest = &rest[terminal.feed(rest, NOW)..];
            while terminal.poll_event(NOW).is_some() {}
        }
        all.extend(sent);
    }
}

/// A round of answers, as a terminal with a name has sent them, and those whom they are for.
#[derive(Clone)]
pub struct Round {
    bank: Bank,
    hello: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

impl Round {
    /// `texts` again and again, each at the prompt that the reply to the last one has asked.
    pub fn new(wire: Wire, texts: &[&str]) -> Self {
        let config = host::Config::new(wire, LinkKind::Connection);
        let mut bank = Bank {
            host: Host::new(config, 1, NOW),
            ledger: RamLedger::new(LedgerId(1), Amount::from_units(1_000_000).unwrap()),
        };
        let profile = Profile { name: Some("kiosk-7".parse().unwrap()), ..Profile::default() };
        let mut terminal = Person::new(
            terminal::Config {
                wire,
                link: LinkKind::Connection,
                profile: Some(profile),
                retransmit: None,
                frame_timeout: config.frame_timeout,
            },
            NOW,
        );
        let hello = exchange(&mut terminal, &mut bank);
        let begun = bank.clone();
        let mut answer = |text: &&str| {
            let prompt = terminal.prompt().expect("it is asked something");
            terminal.answer(prompt, text, NOW).unwrap();
            exchange(&mut terminal, &mut bank)
        };
        let frames = texts.iter().cycle().take(ROUND).map(&mut answer).collect();
        Self { bank: begun, hello, frames }
    }

    /// What the terminal has sent: its hello, which is empty on a wire that has none, and its answers.
    pub fn sent(&self) -> (&[u8], &[Vec<u8>]) {
        (&self.hello, &self.frames)
    }

    /// Answers all prompts; returns how many bytes the replies have.
    #[inline(never)]
    pub fn run(&mut self) -> usize {
        let Self { bank, frames, .. } = self;
        let replies = frames.iter().map(|frame| {
            bank.hear(frame);
            // As a driver does after each call.
            std::hint::black_box(bank.host.deadline());
            bank.said()
        });
        replies.sum()
    }

    /// Bytes of the answer and of the reply, at the end of a round.
    pub fn sizes(mut self) -> (usize, usize) {
        let last = self.frames.pop().expect("a round is not empty");
        self.run();
        self.bank.hear(&last);
        (last.len(), self.bank.said())
    }
}
