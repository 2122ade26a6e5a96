//! A terminal, its link and the person in front of it.
use super::{auditor::Auditor, link::SimulatedLink};
use atm_core::{
    host::LinkKind,
    ledger::Name,
    terminal::{self, Config, Event, Memory, Profile, Retransmit, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};
use fastrand::Rng;
use firmware_sim::fault_injector::Chances;

type Endpoint = Terminal<1024, { terminal::OUT }>;

/// A place where people do their business.
pub(super) struct Station {
    pub(super) name: Name,
    pub(super) link_kind: LinkKind,
    wire: Wire,
    baud: u32,
    /// `None` while it is without power.
    terminal: Option<Endpoint>,
    held: Vec<u8>,
    /// What survives a loss of power.
    stored: Memory,
    /// A copy of it that somebody made some time ago.
    copy: Memory,
    life: u64,
    /// When the person answers the open prompt, or the next one comes.
    acts_at: Option<Instant>,
    /// When the power comes back, or the link is plugged in again.
    pub(super) back_at: Option<Instant>,
    pub(super) links: Vec<SimulatedLink>,
    pub(super) answers: u64,
    pub(super) sessions: u64,
    /// Set for the end of the day: the person asks for the balance once, and is done.
    last: bool,
    done: bool,
}

impl Station {
    pub(super) fn new(name: Name, link_kind: LinkKind, baud: u32) -> Self {
        let wire = if link_kind == LinkKind::Serial { Wire::Postcard } else { Wire::Json };
        Self {
            name,
            link_kind,
            wire,
            baud,
            terminal: None,
            held: Vec::new(),
            stored: Memory::default(),
            copy: Memory::default(),
            life: 0,
            acts_at: None,
            back_at: Some(Instant::default()),
            links: Vec::new(),
            answers: 0,
            sessions: 0,
            last: false,
            done: false,
        }
    }

    pub(super) fn wire(&self) -> Wire {
        self.wire
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    fn retransmit(&self) -> Retransmit {
        match self.link_kind {
            LinkKind::Serial => Retransmit::for_baud(self.baud),
            LinkKind::Connection => Retransmit {
                first_wait: Duration::from_secs(1),
                max_wait: Duration::from_secs(4),
                down_after: Duration::from_secs(8),
                give_up_after: Duration::from_secs(30),
            },
        }
    }

    /// A new link, in front of what may be left of the old ones.
    pub(super) fn plug(&mut self, number: u64, chances: Chances, seed: u64) {
        let link = match self.link_kind {
            LinkKind::Serial => SimulatedLink::new(number, chances, self.baud, seed),
            LinkKind::Connection => {
                // `json` has no check sum: it promises nothing of bytes that were changed.
                let whole = Chances { corrupt: 0.0, truncate: 0.0, burst: 0.0, ..chances };
                SimulatedLink::new(number, whole, 0, seed)
            }
        };
        self.links.push(link);
        self.held.clear();
    }

    /// The power comes (back).
    pub(super) fn start(&mut self, now: Instant, rng: &mut Rng, auditor: &mut Auditor) {
        self.life += 1;
        if !self.last && rng.u32(0..40) == 0 {
            // Its memory was damaged, and somebody has put an old copy in.
            auditor.restored(&self.name, self.life);
            self.stored = self.copy;
        }
        if rng.u32(0..10) == 0 {
            self.copy = self.stored;
        }
        auditor.trace(now, || format!("{} starts with {:?}", self.name, self.stored));
        let profile = Profile { name: Some(self.name.clone()), start: self.life, memory: self.stored };
        let config = Config {
            wire: self.wire,
            link: self.link_kind,
            profile: Some(profile),
            retransmit: Some(self.retransmit()),
            frame_timeout: Duration::from_secs(2),
        };
        self.terminal = Some(Terminal::new(config, now));
        self.acts_at = None;
    }

    pub(super) fn has_power(&self) -> bool {
        self.terminal.is_some()
    }

    /// The power goes: what was not stored is lost.
    pub(super) fn crash(&mut self) {
        self.terminal = None;
        self.held.clear();
        self.acts_at = None;
    }

    /// The link was plugged in again.
    pub(super) fn reconnect(&mut self, now: Instant, auditor: &Auditor) {
        auditor.trace(now, || format!("{} connects again", self.name));
        if let Some(terminal) = &mut self.terminal {
            terminal.reconnect(now);
        }
    }

    /// The day ends: one more question, and that is it.
    pub(super) fn wind_up(&mut self, now: Instant) {
        self.last = true;
        self.acts_at = self.acts_at.map(|_| now);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(SimulatedLink::due).min();
        let terminal = self.terminal.as_ref().and_then(Terminal::deadline);
        [links, terminal, self.acts_at, self.back_at].into_iter().flatten().min()
    }

    /// Moves bytes into the terminal and out of it, and lets the person act; true where anything moved.
    pub(super) fn pump(&mut self, now: Instant, rng: &mut Rng, auditor: &mut Auditor) -> bool {
        let mut moved = false;
        let present = self.links.len().saturating_sub(1);
        for (index, link) in self.links.iter_mut().enumerate() {
            while let Some(chunk) = link.down.receive(now) {
                // Only the present link is plugged in.
                if index == present && self.terminal.is_some() {
                    self.held.extend(chunk);
                }
                moved = true;
            }
        }
        if self.terminal.is_none() {
            return moved;
        }
        moved |= self.take_in(now, rng, auditor);
        moved |= self.act(now, rng, auditor);
        let Some(terminal) = &mut self.terminal else { return moved };
        if terminal.deadline().is_some_and(|deadline| deadline <= now) {
            terminal.tick(now);
            moved = true;
        }
        // What must survive is stored before anything is sent.
        self.stored = terminal.memory();
        if !terminal.output().is_empty() {
            let output = terminal.output().to_vec();
            terminal.consume(output.len());
            if let Some(link) = self.links.last_mut() {
                link.up.send(&output, now);
            }
            moved = true;
        }
        moved
    }

    fn take_in(&mut self, now: Instant, rng: &mut Rng, auditor: &mut Auditor) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        let mut moved = false;
        loop {
            let taken = terminal.feed(&self.held, now);
            self.held.drain(..taken);
            moved |= taken > 0;
            let mut events = false;
            while let Some(event) = terminal.poll_event(now) {
                events = true;
                auditor.trace(now, || format!("{} sees {event:?}", self.name));
                match event {
                    Event::Message(said) => {
                        if let Some(number) = said.seq {
                            auditor.shown(&self.name, self.life, number, said.re, said.outcome);
                        }
                        if said.prompt && self.last && said.outcome.is_some() {
                            self.done = true;
                        } else if said.prompt {
                            self.acts_at = Some(now + Duration::from_millis(rng.u32(10..3000)));
                        } else if said.ends {
                            self.sessions += 1;
                            self.acts_at = Some(now + Duration::from_millis(rng.u32(10..3000)));
                        }
                    }
                    // A link that stays silent is plugged out and in again, where that helps.
                    Event::LinkDown if self.link_kind == LinkKind::Connection => {
                        self.back_at = Some(now + Duration::from_millis(rng.u32(1..500)));
                    }
                    Event::LinkDown | Event::LinkUp | Event::Fault(_) | Event::Broken(_) => {}
                }
            }
            if taken == 0 && !events {
                return moved;
            }
        }
    }

    /// The person answers the open prompt, or the next person comes.
    fn act(&mut self, now: Instant, rng: &mut Rng, auditor: &mut Auditor) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        // A prompt may have been opened again without a word (after a reconnect): the person is still there.
        if self.acts_at.is_none() && !self.done && terminal.prompt().is_some() {
            self.acts_at = Some(now + Duration::from_millis(rng.u32(10..3000)));
        }
        if self.acts_at.is_none_or(|at| at > now) {
            return false;
        }
        self.acts_at = None;
        if terminal.is_over() {
            if self.link_kind == LinkKind::Serial {
                terminal.reconnect(now);
            } else {
                self.back_at = Some(now);
            }
            return true;
        }
        let Some(Some(number)) = terminal.prompt() else { return true };
        let text = if self.last { "3".to_owned() } else { answer(rng) };
        if terminal.answer(Some(number), &text, now).is_ok() {
            auditor.trace(now, || format!("{} types {text:?} at {number}", self.name));
            auditor.typed(&self.name, self.life, number, &text);
            self.answers += 1;
            // The power may go before anything was stored.
            if !self.last && rng.u32(0..400) == 0 {
                self.crash();
                self.back_at = Some(now + Duration::from_millis(rng.u32(10..3000)));
            }
        }
        true
    }
}

/// What a random person types.
fn answer(rng: &mut Rng) -> String {
    let amount = rng.u32(1..200);
    match rng.u32(0..100) {
        0..25 => format!("deposit {amount}"),
        25..50 => format!("withdraw {amount}"),
        50..60 => format!("{amount}"),
        60..64 => "1".to_owned(),
        64..70 => "2".to_owned(),
        70..76 => "3".to_owned(),
        76..80 => "withdraw all".to_owned(),
        80..84 => "all".to_owned(),
        84..88 => "back".to_owned(),
        88..92 => "deposit 0".to_owned(),
        92..95 => "quit".to_owned(),
        _ => "exit".to_owned(),
    }
}
