//! A terminal against a real host with a ledger in memory, over a line that the tests cut, copy and delay by hand.
use super::*;
use crate::{
    host::{self, Host, LinkKind},
    ledger::{Ledger, LedgerId, Outcome, RamLedger, Receipt, Request},
    message::{Notice, Welcome},
    money::Amount,
    time::earliest,
    wire::Wire,
};
use std::{string::String, string::ToString, vec, vec::Vec};

mod any;
mod exchange;
mod hello;
mod retransmit;
mod wires;

const LEDGER: LedgerId = LedgerId(0xbeef);
/// No whole exchange takes so long.
const RETRANSMIT: Retransmit = Retransmit::for_baud(115_200);

/// More steps than anything takes that comes to an end.
const MANY: usize = 10_000;

type Kiosk = Terminal<{ host::OUT }, OUT>;

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn deposited(amount: u64, balance: u64) -> Option<Outcome> {
    Some(Outcome::Done(Receipt::Deposited { amount: units(amount), balance: units(balance) }))
}

/// An event, as a person sees it.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Said { seq: Option<u64>, outcome: Option<Outcome>, notice: Option<Notice>, text: String },
    Fault(Fault),
    Broken(Fault),
    Down,
    Up,
}

impl Told {
    fn text(&self) -> &str {
        match self {
            Self::Said { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Said { outcome, .. } => *outcome,
            _ => None,
        }
    }

    fn notice(&self) -> Option<Notice> {
        match self {
            Self::Said { notice, .. } => *notice,
            _ => None,
        }
    }
}

/// What there is to tell.
fn drain(terminal: &mut Kiosk, now: Instant) -> Vec<Told> {
    let mut told = vec![];
    while let Some(event) = terminal.poll_event(now) {
        assert!(told.len() < MANY, "it never comes to rest");
        told.push(match event {
            Event::Message(said) => Told::Said {
                seq: said.seq,
                outcome: said.outcome,
                notice: said.notice,
                text: said.text.to_string(),
            },
            Event::Fault(fault) => Told::Fault(fault),
            Event::Broken(fault) => Told::Broken(fault),
            Event::LinkDown => Told::Down,
            Event::LinkUp => Told::Up,
        });
    }
    told
}

/// Feeds all of it, however little is taken at once.
fn feed(terminal: &mut Kiosk, mut bytes: &[u8], now: Instant) -> Vec<Told> {
    let mut told = vec![];
    while !bytes.is_empty() {
        let taken = terminal.feed(bytes, now);
        bytes = &bytes[taken..];
        let events = drain(terminal, now);
        assert!(taken > 0 || !events.is_empty(), "it makes progress");
        told.extend(events);
    }
    told
}

fn config(wire: Wire, link: LinkKind, name: Option<&str>, memory: Memory) -> Config {
    Config {
        wire,
        link,
        profile: Some(Profile { name: name.map(|name| name.parse().unwrap()), start: 1, memory }),
        retransmit: (link == LinkKind::Serial).then_some(RETRANSMIT),
        frame_timeout: Duration::from_secs(10),
    }
}

/// Both ends, and the line between them.
#[derive(Clone)]
struct Pair {
    terminal: Kiosk,
    host: Host<{ host::IN }, { host::OUT }>,
    ledger: RamLedger<4>,
    now: Instant,
    /// What the terminal sends, or the host, is lost.
    mute: bool,
    deaf: bool,
    /// Every message comes twice.
    twice: bool,
    /// The ledger answers nothing.
    slow: bool,
    requests: Vec<Request>,
    /// What the terminal has sent, and when.
    sent: Vec<(Instant, Vec<u8>)>,
    /// What was last stored: before anything was sent.
    stored: Memory,
    told: Vec<Told>,
}

impl Pair {
    fn new(config: Config) -> Self {
        let now = Instant::from_millis(5000);
        let host = Host::new(host::Config::new(config.wire, config.link), 1, now);
        let ledger = RamLedger::new(LEDGER, units(100));
        Self {
            terminal: Terminal::new(config, now),
            host,
            ledger,
            now,
            mute: false,
            deaf: false,
            twice: false,
            slow: false,
            requests: vec![],
            sent: vec![],
            stored: Memory::default(),
            told: vec![],
        }
    }

    /// A named terminal on a serial line, before its first byte.
    fn serial(wire: Wire) -> Self {
        Self::new(config(wire, LinkKind::Serial, Some("a"), Memory::default()))
    }

    /// The same, at the menu.
    fn at_menu(wire: Wire) -> Self {
        let mut pair = Self::serial(wire);
        assert!(pair.run()[0].text().starts_with("Welcome"));
        pair
    }

    /// Everything that can happen without time passing; what the person was told.
    fn run(&mut self) -> Vec<Told> {
        for _ in 0..MANY {
            let before = (self.terminal.clone(), self.host.clone());
            self.told.extend(drain(&mut self.terminal, self.now));
            self.stored = self.terminal.memory();
            self.up();
            self.work();
            self.down();
            if before == (self.terminal.clone(), self.host.clone()) {
                return std::mem::take(&mut self.told);
            }
        }
        panic!("it never comes to rest");
    }

    fn copies(&self, lost: bool) -> usize {
        if lost { 0 } else { 1 + usize::from(self.twice) }
    }

    fn up(&mut self) {
        let bytes = self.terminal.output().to_vec();
        if bytes.is_empty() {
            return;
        }
        self.terminal.consume(bytes.len());
        self.sent.push((self.now, bytes.clone()));
        for _ in 0..self.copies(self.mute) {
            let (mut rest, mut refused) = (&bytes[..], 0);
            while !rest.is_empty() {
                let taken = self.host.feed(rest, self.now);
                rest = &rest[taken..];
                if taken == 0 {
                    self.work();
                    self.down();
                    refused += 1;
                    assert!(refused < MANY, "what was drained takes more");
                }
            }
        }
    }

    fn work(&mut self) {
        while let Some(event) = self.host.poll_event() {
            match event {
                host::Event::Request(request) if self.slow => self.requests.push(request),
                host::Event::Request(request) => self.settle(&request),
                host::Event::Arrival(_) => self.host.admit(None, self.now),
                host::Event::Quit => {}
            }
        }
    }

    fn settle(&mut self, request: &Request) {
        let response = self.ledger.apply(request).unwrap();
        self.host.complete(request, response, self.now);
    }

    fn catch_up(&mut self) -> Vec<Told> {
        self.slow = false;
        for request in std::mem::take(&mut self.requests) {
            self.settle(&request);
        }
        self.run()
    }

    fn down(&mut self) {
        let bytes = self.host.output().to_vec();
        self.host.consume(bytes.len(), self.now);
        for _ in 0..self.copies(self.deaf) {
            self.told.extend(feed(&mut self.terminal, &bytes, self.now));
        }
    }

    /// Lets time pass, with every deadline met on the way.
    fn wait(&mut self, span: Duration) -> Vec<Told> {
        let end = self.now + span;
        let (mut told, mut steps) = (self.run(), 0);
        while let Some(at) = earliest(self.terminal.deadline(), self.host.deadline()).filter(|at| *at <= end)
        {
            steps += 1;
            assert!(steps < MANY, "time passes");
            self.now = self.now.max(at);
            self.terminal.tick(self.now);
            self.host.tick(self.now);
            told.extend(self.run());
        }
        self.now = end;
        told
    }

    /// The person types at the open prompt.
    fn types(&mut self, text: &str) -> Vec<Told> {
        let prompt = self.terminal.prompt().expect("a prompt is open");
        self.terminal.answer(prompt, text, self.now).unwrap();
        self.run()
    }

    /// The terminal loses power and comes back with what was stored.
    fn restart_terminal(&mut self) {
        let mut config = self.terminal.config.clone();
        let profile = config.profile.as_mut().unwrap();
        (profile.start, profile.memory) = (profile.start + 1, self.stored);
        self.terminal = Terminal::new(config, self.now);
    }

    /// The host loses power; its ledger keeps what was committed.
    fn restart_host(&mut self) {
        let config = host::Config::new(self.terminal.config.wire, self.terminal.config.link);
        self.host = Host::new(config, 2, self.now);
        self.requests.clear();
    }

    /// The connection is lost and opened anew; the host's driver keeps the conversation.
    fn reconnect(&mut self) {
        let conversation = self.host.park();
        self.restart_host();
        self.terminal.reconnect(self.now);
        self.told.extend(drain(&mut self.terminal, self.now));
        // The hello comes, and meets the conversation.
        for _ in 0..MANY {
            if self.host.incoming_hello().is_some() {
                break;
            }
            let bytes = self.terminal.output().to_vec();
            self.down();
            let taken = self.host.feed(&bytes, self.now);
            self.terminal.consume(taken);
        }
        assert!(self.host.incoming_hello().is_some(), "the hello comes");
        self.host.poll_event();
        self.host.admit(conversation, self.now);
    }

    fn balance(&self) -> Amount {
        self.ledger.balance()
    }
}

#[track_caller]
fn only(told: Vec<Told>) -> Told {
    assert_eq!(told.len(), 1, "{told:?}");
    told.into_iter().next().unwrap()
}
