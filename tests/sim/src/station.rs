//! A station: one terminal with its links and the random person in front of it.
use super::{attacker, auditor::Auditor, link::SimulatedLink};
use atm_core::{
    host::LinkKind,
    ledger::{Name, Outcome, Receipt},
    message::Capabilities,
    terminal::{self, Config, Event, Memory, Profile, Retransmit, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};
use fastrand::Rng;
use firmware_sim::fault_injector::Chances;
use sealing::Sealing;

mod card_person;
mod customer;
mod person;
mod sealing;
use card_person::CardPerson;
pub(super) use person::Person;

type Endpoint = Terminal<1024, { terminal::OUT }>;

/// A terminal with its links and its person.
pub(super) struct Station {
    pub(super) name: Name,
    pub(super) link_kind: LinkKind,
    wire: Wire,
    /// Its key, where links are sealed.
    sealing: Option<Sealing>,
    baud: u32,
    person: Person,
    /// Where access is by card.
    card_person: Option<CardPerson>,
    /// May an old copy replace its memory?
    may_restore: bool,
    /// `None` while it has no power.
    terminal: Option<Endpoint>,
    /// Bytes that arrived and that the endpoint has not taken yet.
    unread: Vec<u8>,
    /// The bytes that it has taken since the last frame that was whole.
    taken: Vec<u8>,
    /// What survives a power loss.
    stored: Memory,
    /// An old copy of it, which may replace it at a start.
    copy: Memory,
    life: u64,
    /// When the person answers the open prompt, or the next person comes.
    person_acts_at: Option<Instant>,
    /// When the terminal gets power again, or opens a new link.
    pub(super) returns_at: Option<Instant>,
    /// The terminal uses the last one.
    pub(super) links: Vec<SimulatedLink>,
    /// The next output is a hello that the first link gets too.
    duplicates_hello: bool,
    pub(super) answers: u64,
    pub(super) sessions: u64,
    /// The faults have stopped: the person asks for the balance, and is done with the answer.
    is_last_inquiry: bool,
    done: bool,
}

impl Station {
    pub(super) fn new(
        name: Name,
        (link_kind, baud): (LinkKind, u32),
        person: Person,
        may_restore: bool,
        is_sealed: bool,
    ) -> Self {
        let is_postcard = is_sealed || link_kind == LinkKind::Serial;
        Self {
            sealing: Sealing::new(&name).filter(|_| is_sealed),
            name,
            link_kind,
            wire: if is_postcard { Wire::Postcard } else { Wire::Json },
            baud,
            person,
            card_person: None,
            may_restore,
            terminal: None,
            unread: Vec::new(),
            taken: Vec::new(),
            stored: Memory::default(),
            copy: Memory::default(),
            life: 0,
            person_acts_at: None,
            returns_at: Some(Instant::default()),
            links: Vec::new(),
            duplicates_hello: false,
            answers: 0,
            sessions: 0,
            is_last_inquiry: false,
            done: false,
        }
    }

    pub(super) fn wire(&self) -> Wire {
        self.wire
    }

    /// The highest series of its keys; 0 in clear.
    pub(super) fn series(&self) -> u32 {
        self.sealing.as_ref().map_or(0, |sealing| sealing.series)
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

    /// Connects the terminal to a new link.
    pub(super) fn open_link(&mut self, number: u64, host: usize, chances: Chances, seed: u64) {
        let link = match self.link_kind {
            LinkKind::Serial => SimulatedLink::new(number, host, chances, self.baud, seed),
            LinkKind::Connection => {
                // The json wire has no checksum: it promises nothing if bytes are changed.
                let unchanged = Chances {
                    corrupt: 0.0,
                    truncate: 0.0,
                    burst: 0.0,
                    noise: 0.0,
                    noise_interval: 0,
                    ..chances
                };
                SimulatedLink::new(number, host, unchanged, 0, seed)
            }
        };
        self.links.push(link);
    }

    /// The hello on the link that was opened before the newest reaches the host of the newest too, which becomes an
    /// older link.
    pub(super) fn duplicate_hello(&mut self) {
        let duplicate = self.links.pop();
        self.links.splice(0..0, duplicate);
        self.duplicates_hello = true;
    }

    /// The terminal gets power: it starts a new life.
    pub(super) fn start(&mut self, now: Instant, rng: &mut Rng, auditor: &mut Auditor) {
        self.life += 1;
        if self.may_restore && !self.is_last_inquiry && rng.u32(0..40) == 0 {
            // The memory was restored from an old copy.
            auditor.restored(&self.name, self.life);
            self.stored = self.copy;
            self.sealing.iter_mut().filter(|_| rng.bool()).for_each(Sealing::restore);
        }
        if rng.u32(0..10) == 0 {
            self.copy = self.stored;
            self.sealing.iter_mut().for_each(Sealing::copy);
        }
        auditor.trace(now, || format!("{} starts with {:?}", self.name, self.stored));
        self.forget_received();
        let (name, start, memory) = (Some(self.name.clone()), self.life, self.stored);
        let capabilities =
            if self.card_person.is_some() { Capabilities::SECRET_PROMPTS } else { Capabilities::NONE };
        let mut profile = Profile { name, start, memory, capabilities, ..Profile::default() };
        if let Some(sealing) = &mut self.sealing {
            let is_issued =
                rng.u32(0..50) == 0 || (sealing.needs_key() && (self.is_last_inquiry || rng.u32(0..4) == 0));
            profile = sealing.start(profile, &self.name, is_issued, rng);
            auditor.trace(now, || format!("{} has {:?}", self.name, profile.key));
        }
        let config = Config {
            profile: Some(profile),
            retransmit: Some(self.retransmit()),
            frame_timeout: Duration::from_secs(2),
            ..Config::new(self.wire, self.link_kind)
        };
        self.terminal = Some(Terminal::new(config, now));
        self.person_acts_at = None;
    }

    pub(super) fn has_power(&self) -> bool {
        self.terminal.is_some()
    }

    /// The terminal loses power, and everything that is not stored.
    pub(super) fn crash(&mut self) {
        self.terminal = None;
        self.forget_received();
        self.person_acts_at = None;
    }

    fn forget_received(&mut self) {
        self.unread.clear();
        self.taken.clear();
    }

    /// The terminal says hello again.
    pub(super) fn reconnect(&mut self, now: Instant, auditor: &Auditor) {
        self.forget_received();
        auditor.trace(now, || format!("{} reconnects", self.name));
        if let Some(terminal) = &mut self.terminal {
            terminal.reconnect(now);
        }
    }

    /// The faults have stopped: the next answer is the balance inquiry.
    pub(super) fn start_last_inquiry(&mut self, now: Instant) {
        self.is_last_inquiry = true;
        self.person_acts_at = self.person_acts_at.map(|_| now);
        if self.sealing.as_ref().is_some_and(Sealing::needs_key) {
            self.crash();
            self.returns_at = Some(now);
        }
    }

    /// When something happens at the station next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(SimulatedLink::deadline).min();
        let terminal = self.terminal.as_ref().and_then(Terminal::deadline);
        [links, terminal, self.person_acts_at, self.returns_at].into_iter().flatten().min()
    }

    /// Moves bytes into the terminal and out of it, and lets the person act; true if anything happened.
    pub(super) fn pump(&mut self, now: Instant, rng: &mut Rng, auditor: &mut Auditor) -> bool {
        let mut progress = false;
        let newest = self.links.len().saturating_sub(1);
        for (index, link) in self.links.iter_mut().enumerate() {
            while let Some(chunk) = link.to_terminal.receive(now) {
                // The terminal reads only the newest link.
                if index == newest && self.terminal.is_some() {
                    self.unread.extend(chunk);
                }
                progress = true;
            }
        }
        if self.terminal.is_none() {
            return progress;
        }
        progress |= self.receive(now, rng, auditor);
        progress |= self.act(now, rng, auditor);
        let Some(terminal) = &mut self.terminal else { return progress };
        if terminal.deadline().is_some_and(|deadline| deadline <= now) {
            terminal.tick(now);
            progress = true;
        }
        // The memory is stored before anything is sent.
        self.stored = terminal.memory();
        self.sealing.iter_mut().for_each(|sealing| sealing.note_welcome(terminal.was_welcomed()));
        if !terminal.output().is_empty() {
            let output = terminal.output().to_vec();
            terminal.consume(output.len());
            attacker::hellos(&output).for_each(|hello| auditor.said_hello(&self.name, self.life, &hello));
            if std::mem::take(&mut self.duplicates_hello)
                && let [duplicate, _, ..] = self.links.as_mut_slice()
            {
                duplicate.send_to_host(output.clone(), now);
            }
            if self.sealing.is_some() {
                auditor.sent_bytes(&output);
            }
            if let Some(link) = self.links.last_mut() {
                link.send_to_host(output, now);
            }
            progress = true;
        }
        progress
    }

    /// Feeds the terminal what has arrived, and shows its events; true if there was anything.
    fn receive(&mut self, now: Instant, rng: &mut Rng, auditor: &mut Auditor) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        let mut progress = false;
        loop {
            let taken = terminal.feed(&self.unread, now);
            self.taken.extend(self.unread.drain(..taken));
            progress |= taken > 0;
            let mut has_events = false;
            while let Some(event) = terminal.poll_event(now) {
                has_events = true;
                auditor.trace(now, || format!("{} sees {event:?}", self.name));
                match event {
                    Event::Message(message) => {
                        auditor.shown_frame(&self.name, self.life, &self.taken, message.seq.is_some());
                        if let Some(number) = message.seq {
                            auditor.shown(&self.name, self.life, number, message.re, message.outcome);
                        }
                        if let Some(person) = &mut self.card_person {
                            person.read((&self.name, self.life), &message, now, auditor);
                        }
                        let is_answered = match message.outcome {
                            Some(Outcome::Done(Receipt::Balance { .. })) => true,
                            outcome => outcome.is_some() && self.card_person.is_none(),
                        };
                        if message.prompt && self.is_last_inquiry && is_answered {
                            self.done = true;
                        } else if message.prompt {
                            let with_card = self.card_person.as_ref().filter(|_| !self.is_last_inquiry);
                            self.person_acts_at = Some(now + card_person::delay(with_card, self.person, rng));
                        } else if message.ends {
                            self.sessions += 1;
                            self.person_acts_at = Some(now + Duration::from_millis(rng.u32(10..3000)));
                        }
                    }
                    // A silent connection is replaced by a new one; a serial line cannot be.
                    Event::LinkDown if self.link_kind == LinkKind::Connection => {
                        self.returns_at = Some(now + Duration::from_millis(rng.u32(1..500)));
                    }
                    Event::LedgerSetBack { .. } => auditor.ledger_set_back(&self.name),
                    Event::LinkDown | Event::LinkUp | Event::Fault(_) | Event::Broken(_) | Event::Idle => {}
                }
            }
            if self.taken.ends_with(&[0]) {
                self.taken.clear();
            }
            if taken == 0 && !has_events {
                return progress;
            }
        }
    }

    /// The person answers the open prompt, or the next person comes; true if the time for it has come.
    fn act(&mut self, now: Instant, rng: &mut Rng, auditor: &mut Auditor) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        // A reconnect may open the prompt again without a message: the person is still there.
        if self.person_acts_at.is_none() && !self.done && terminal.prompt().is_some() {
            let with_card = self.card_person.as_ref().filter(|_| !self.is_last_inquiry);
            self.person_acts_at = Some(now + card_person::delay(with_card, self.person, rng));
        }
        if self.person_acts_at.is_none_or(|at| at > now) {
            return false;
        }
        self.person_acts_at = None;
        if terminal.is_over() {
            if self.link_kind == LinkKind::Serial {
                terminal.reconnect(now);
                self.forget_received();
            } else {
                self.returns_at = Some(now);
            }
            return true;
        }
        let Some(Some(number)) = terminal.prompt() else { return true };
        let text = self.answer(rng, auditor);
        let Some(terminal) = &mut self.terminal else { return true };
        if terminal.answer(Some(number), &text, now).is_ok() {
            auditor.trace(now, || format!("{} types {text:?} at {number}", self.name));
            auditor.typed(&self.name, self.life, number, &text);
            self.answers += 1;
            // The terminal may lose power before it has stored anything.
            if !self.is_last_inquiry && rng.u32(0..400) == 0 {
                self.crash();
                self.returns_at = Some(now + Duration::from_millis(rng.u32(10..3000)));
            }
        }
        true
    }
}
