//! A host with any number of links and its driver, a terminal with its driver, and the frames that crossed the link.
use atm_core::{
    frame::{Decoded, cobs},
    host::{self, Conversation, Host, LinkKind},
    ledger::{Ledger, LedgerId, Name, RamLedger, SessionId},
    message::Notice,
    money::Amount,
    seal::{Key, TerminalKey},
    terminal::{self, Memory, Profile, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

pub(crate) const LEDGER: LedgerId = LedgerId(0xbeef);
const BAUD: u32 = 115_200;

pub(crate) type TestTerminal = Terminal<{ host::OUT }, { terminal::OUT }>;
type TestHost = Host<{ host::POSTCARD_IN }, { host::OUT }>;

pub(crate) fn master() -> Key {
    Key::from([7; 32])
}

pub(crate) fn key(name: &str, series: u32) -> TerminalKey {
    TerminalKey::derive(&master(), series.try_into().unwrap(), &name.parse().unwrap())
}

pub(crate) fn profile(name: &str, start: u64, salt: u64) -> Profile {
    let key = Some(key(name, 1));
    Profile { name: Some(name.parse().unwrap()), start, key, salt, ..Profile::default() }
}

pub(crate) fn terminal(profile: Profile, link: LinkKind, now: Instant) -> TestTerminal {
    let config = terminal::Config { link, ..terminal::Config::for_serial(Wire::Postcard, BAUD) };
    Terminal::new(terminal::Config { profile: Some(profile), ..config }, now)
}

/// As from an operating system: never the same.
fn random() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A host and its driver.
pub(crate) struct Server {
    pub(crate) config: host::Config,
    pub(crate) ledger: RamLedger<8>,
    links: Vec<TestHost>,
    parked: HashMap<Name, Conversation>,
    /// The first key of each name that is enrolled.
    pub(crate) keys: HashMap<Name, TerminalKey>,
    /// Requests that the ledger was given.
    pub(crate) requests: usize,
    next_link: u64,
}

impl Server {
    pub(crate) fn new(link: LinkKind) -> Self {
        let config = match link {
            LinkKind::Serial => host::Config::for_serial(Wire::Postcard, BAUD),
            LinkKind::Connection => host::Config::new(Wire::Postcard, link),
        };
        let keys = ["a", "b"].map(|name| (name.parse().unwrap(), key(name, 1)));
        Self {
            config: host::Config { sealed_only: true, salt: random(), ..config },
            ledger: RamLedger::new(LEDGER, Amount::from_units(100).unwrap()),
            links: vec![],
            parked: HashMap::new(),
            keys: keys.into_iter().collect(),
            requests: 0,
            next_link: 0,
        }
    }

    /// Opens a link; returns its index.
    pub(crate) fn open(&mut self, now: Instant) -> usize {
        self.next_link += 1;
        self.links.push(Host::new(self.config, SessionId::new(self.next_link), now));
        self.links.len() - 1
    }

    /// Power is lost: only the ledger stays.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.parked.clear();
        self.config.salt = random();
        for index in 0..self.links.len() {
            self.next_link += 1;
            self.links[index] = Host::new(self.config, SessionId::new(self.next_link), now);
        }
    }

    /// The link is lost: the conversation is parked.
    pub(crate) fn lose(&mut self, link: usize) {
        if let Some(conversation) = self.links[link].park() {
            let name = conversation.origin().terminal().unwrap().clone();
            self.parked.insert(name, conversation);
        }
    }

    pub(crate) fn host(&self, link: usize) -> &TestHost {
        &self.links[link]
    }

    /// Feeds bytes and returns the output.
    pub(crate) fn feed(&mut self, link: usize, mut bytes: &[u8], now: Instant) -> Vec<u8> {
        let mut output = vec![];
        for _ in 0..1000 {
            let taken = self.links[link].feed(bytes, now);
            bytes = &bytes[taken..];
            let served = self.serve(link, now);
            let sent = self.links[link].output().to_vec();
            self.links[link].consume(sent.len(), now);
            if taken == 0 && sent.is_empty() && !served {
                break;
            }
            output.extend(sent);
        }
        assert!(bytes.is_empty(), "the host takes all input");
        output
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        for link in &mut self.links {
            link.tick(now);
        }
    }

    fn serve(&mut self, link: usize, now: Instant) -> bool {
        let mut served = false;
        while let Some(event) = self.links[link].poll_event() {
            served = true;
            match event {
                host::Event::Request(request) => {
                    self.requests += 1;
                    let response = self.ledger.apply(&request).unwrap();
                    self.links[link].complete(request.ticket, response, now);
                }
                host::Event::Key(claim) => {
                    let known = self.keys.get(&claim.terminal).and_then(|key| key.forward(claim.step, 4096));
                    self.links[link].provide_key(known.as_ref(), now);
                }
                host::Event::Hello(name) => self.admit(link, &name, now),
                host::Event::Quit => {}
            }
        }
        served
    }

    fn admit(&mut self, link: usize, name: &Name, now: Instant) {
        let hello = self.links[link].incoming_hello().unwrap().clone();
        let is_of = |conversation: &Conversation| conversation.origin().terminal() == Some(name);
        let elsewhere = (0..self.links.len())
            .find(|other| *other != link && self.links[*other].conversation().is_some_and(is_of));
        let held = match elsewhere {
            Some(other) => self.links[other].conversation(),
            None => self.parked.get(name),
        };
        if held.is_some_and(|conversation| !conversation.admits(&hello)) {
            return self.links[link].refuse(now);
        }
        let conversation = match elsewhere {
            Some(other) => self.links[other].take_over(now),
            None => self.parked.remove(name),
        };
        self.links[link].admit(conversation, now);
    }
}

/// Whole frames, each with its zero.
pub(crate) fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == 0).filter(|frame| frame.len() > 1).map(<[u8]>::to_vec).collect()
}

/// The body of a frame.
pub(crate) fn body(frame: &[u8]) -> Vec<u8> {
    let mut decoder = cobs::Decoder::default();
    let mut body = heapless::Vec::<u8, 1024>::new();
    assert_eq!(decoder.push(&mut body, frame), (frame.len(), Decoded::Frame));
    body.to_vec()
}

/// The frame of a body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = [0; 1024];
    let length = cobs::encode(&mut out, |out| {
        out[..body.len()].copy_from_slice(body);
        Ok(body.len())
    })
    .unwrap();
    out[..length].to_vec()
}

/// What the terminal reported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Text(String),
    Notice(Notice),
    SetBack,
    Other,
}

/// A terminal on a link of a server, and what has crossed the link.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) terminal: TestTerminal,
    pub(crate) link: usize,
    pub(crate) now: Instant,
    /// Frames of the terminal, and of the host.
    pub(crate) up: Vec<Vec<u8>>,
    pub(crate) down: Vec<Vec<u8>>,
    pub(crate) shown: Vec<Shown>,
}

impl World {
    pub(crate) fn with(link: LinkKind, profile: Profile) -> Self {
        let now = Instant::from_millis(5000);
        let mut server = Server::new(link);
        let index = server.open(now);
        let terminal = terminal(profile, link, now);
        Self { server, terminal, link: index, now, up: vec![], down: vec![], shown: vec![] }
    }

    pub(crate) fn new(link: LinkKind) -> Self {
        Self::with(link, profile("a", 1, 11))
    }

    /// At the menu.
    pub(crate) fn at_menu(link: LinkKind) -> Self {
        let mut world = Self::new(link);
        world.run();
        assert!(world.terminal.prompt().is_some());
        world
    }

    /// Carries everything until nothing moves.
    pub(crate) fn run(&mut self) {
        for _ in 0..100 {
            self.drain();
            let bytes = self.take_output();
            if bytes.is_empty() {
                return;
            }
            let answer = self.server.feed(self.link, &bytes, self.now);
            self.receive(&answer);
        }
        panic!("the terminal sends for ever");
    }

    /// What the terminal sends, which only the tape gets.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        let bytes = self.terminal.output().to_vec();
        self.terminal.consume(bytes.len());
        self.up.extend(frames(&bytes));
        bytes
    }

    /// The terminal receives bytes, which go on the tape.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.down.extend(frames(bytes));
        self.inject(bytes);
    }

    /// The terminal receives bytes of an attacker.
    pub(crate) fn inject(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.terminal.feed(bytes, self.now);
            bytes = &bytes[taken..];
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.terminal.poll_event(self.now) {
            self.shown.push(match event {
                terminal::Event::Message(message) => match message.notice {
                    Some(notice) => Shown::Notice(notice),
                    None => Shown::Text(message.text.to_string()),
                },
                terminal::Event::LedgerSetBack { .. } => Shown::SetBack,
                _ => Shown::Other,
            });
        }
    }

    pub(crate) fn types(&mut self, text: &str) -> String {
        self.answer(text);
        self.run();
        self.last_text()
    }

    /// The person types, and nothing is carried yet.
    pub(crate) fn answer(&mut self, text: &str) {
        let prompt = self.terminal.prompt().expect("a prompt is open");
        self.terminal.answer(prompt, text, self.now).unwrap();
    }

    /// The text that was shown last, before any news of the link.
    pub(crate) fn last_text(&self) -> String {
        match self.shown.iter().rfind(|shown| **shown != Shown::Other) {
            Some(Shown::Text(text)) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Time passes at both ends, in steps of the terminal's and the host's deadlines.
    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..10_000 {
            self.run();
            let deadlines = [self.terminal.deadline(), self.server.links[self.link].deadline()];
            let Some(at) = deadlines.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.terminal.tick(self.now);
            self.server.tick(self.now);
            let answer = self.server.feed(self.link, &[], self.now);
            self.receive(&answer);
        }
        panic!("time does not pass");
    }

    /// The terminal loses power; its memory is `memory` at the next start.
    pub(crate) fn restart_terminal(&mut self, profile: Profile, memory: Memory) {
        self.terminal = terminal(Profile { memory, ..profile }, self.server.config.link, self.now);
    }

    /// The connection is lost, and the terminal opens another.
    pub(crate) fn reconnect(&mut self) {
        self.server.lose(self.link);
        self.link = self.server.open(self.now);
        self.terminal.reconnect(self.now);
    }

    pub(crate) fn balance(&self) -> Amount {
        self.server.ledger.balance()
    }

    /// How many frames the host has met with silence.
    pub(crate) fn refused(&self) -> u32 {
        self.server.host(self.link).counters().unauthentic
    }
}
