//! Attacker on a sealed link: hears every frame, replays any of them to either end at any time, and forges messages in
//! clear.
use super::{
    action::ModelAction,
    channel::{self, Frame},
    driver::{Driver, TerminalPower},
    station::Station,
};
use crate::Bounds;
use atm_core::{
    codec::{BufferTooSmall, postcard},
    frame::cobs,
    ledger::{Outcome, Receipt},
    message::{Hello, Notice, Reply},
    money::Amount,
    screen::{Screen, Screens},
};

/// What an attacker has heard on the links of a terminal, and how often it may still act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Attacker {
    /// Every frame, once.
    tape: Vec<Frame>,
    pub(super) replays: u8,
    pub(super) forgeries: u8,
}

/// A message in clear that the attacker makes up. What the terminal has shown can be read in its hellos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forgery {
    /// To the terminal: say hello.
    Who,
    /// To the terminal: its answer is done.
    Reply,
    /// To the host: an answer to the open prompt.
    Answer,
    /// To the host: a hello with higher counters.
    Hello,
}

impl Forgery {
    const ALL: [Self; 4] = [Self::Who, Self::Reply, Self::Answer, Self::Hello];

    fn is_to_host(self) -> bool {
        matches!(self, Self::Answer | Self::Hello)
    }

    /// Writes the body of the message.
    fn write(self, station: &Station, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let shown = station.stored.shown;
        let open = station.stored.pending.unwrap_or(shown);
        match self {
            Self::Who => postcard::write_notice(Notice::Who, out),
            Self::Reply => {
                let amount = Amount::from_units(9).unwrap();
                let done = Outcome::Done(Receipt::Deposited { amount, balance: amount });
                let mut screens = Screens::new();
                screens.extend([Screen::Outcome(done), Screen::Menu]);
                postcard::write_reply(&Reply { seq: open + 1, re: Some(open), screens, welcome: None }, out)
            }
            Self::Answer => postcard::write_answer(Some(open), "deposit 9", out),
            Self::Hello => {
                let terminal = Some(station.name.clone());
                postcard::write_hello(&Hello { terminal, start: 9, attempt: 1, shown, ..Hello::EMPTY }, out)
            }
        }
    }
}

impl Attacker {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self { tape: Vec::new(), replays: bounds.replays, forgeries: bounds.forgeries }
    }

    /// Hears the output of either end.
    pub(super) fn hear(&mut self, output: &[u8]) {
        if self.replays == 0 {
            return;
        }
        for frame in channel::frames(output) {
            if !self.tape.iter().any(|known| **known == *frame) {
                self.tape.push(frame.into());
            }
        }
    }

    /// Stops.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    pub(super) fn heard(&self, frame: usize) -> Option<&Frame> {
        self.tape.get(frame)
    }

    /// Adds what the attacker can do at the station of this index.
    pub(super) fn possible(&self, at: usize, actions: &mut Vec<ModelAction>) {
        for frame in 0..self.tape.len() {
            actions.push(ModelAction::ReplayToHost(at, frame));
            actions.push(ModelAction::ReplayToTerminal(at, frame));
        }
        if self.forgeries > 0 {
            actions.extend(Forgery::ALL.map(|forgery| ModelAction::Forge(at, forgery)));
        }
    }
}

impl Driver {
    /// A frame that was heard reaches the host or the terminal on the newest link.
    pub(super) fn replay(&mut self, frame: usize, to_host: bool, bounds: &Bounds) -> bool {
        let Some(frame) = self.station.attacker.heard(frame).cloned() else { return false };
        self.station.attacker.replays -= 1;
        if self.station.attacker.replays == 0 {
            self.station.attacker.tape.clear();
        }
        self.inject(&frame, to_host, bounds)
    }

    /// A forged message reaches the host or the terminal on the newest link.
    pub(super) fn forge(&mut self, forgery: Forgery, bounds: &Bounds) -> bool {
        let mut out = [0; 128];
        let Ok(length) = cobs::encode(&mut out, |out| forgery.write(&self.station, out)) else {
            return false;
        };
        self.station.attacker.forgeries -= 1;
        self.inject(&Frame::from(&out[..length]), forgery.is_to_host(), bounds)
    }

    fn inject(&mut self, frame: &Frame, to_host: bool, bounds: &Bounds) -> bool {
        if to_host {
            return self.deliver_to_host(self.station.links.len().saturating_sub(1), frame);
        }
        self.deliver_to_terminal(frame, TerminalPower::Stays, bounds);
        true
    }
}
