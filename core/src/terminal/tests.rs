//! Tests of the terminal's endpoint against a real host with a ledger in memory, over a link whose faults a
//! test sets.
#![cfg(all(feature = "json", feature = "postcard"))]
use super::*;
use crate::{
    host::{self, Host, LinkKind},
    ledger::{Ledger, LedgerId, Numbers, Outcome, RamLedger, Receipt, Request, SessionId},
    message::{Fault, Notice, Welcome},
    money::Amount,
    time::earliest,
    wire::Wire,
};
use std::{string::String, string::ToString, vec, vec::Vec};

#[cfg(feature = "cards")]
mod card;
mod exchange;
mod hello;
mod noise;
mod numbers;
mod properties;
mod retransmit;
mod set_back;
mod wires;

const LEDGER: LedgerId = LedgerId(0xbeef);
/// A fast serial line.
const BAUD: u32 = 115_200;
const RETRANSMIT: Retransmit = Retransmit::for_baud(BAUD);

/// More steps than any exchange takes.
const MANY: usize = 10_000;

type TestTerminal = Terminal<{ host::OUT }, OUT>;

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn deposited(amount: u64, balance: u64) -> Option<Outcome> {
    Some(Outcome::Done(Receipt::Deposited { amount: units(amount), balance: units(balance) }))
}

/// An event that the terminal reports.
#[derive(Clone, Debug, PartialEq)]
enum Shown {
    Message { seq: Option<u64>, outcome: Option<Outcome>, notice: Option<Notice>, text: String },
    Fault(Fault),
    Broken(Fault),
    LinkDown,
    LinkUp,
    LedgerSetBack { pending: Option<u64> },
    Idle,
}

impl Shown {
    fn text(&self) -> &str {
        match self {
            Self::Message { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Message { outcome, .. } => *outcome,
            _ => None,
        }
    }

    fn notice(&self) -> Option<Notice> {
        match self {
            Self::Message { notice, .. } => *notice,
            _ => None,
        }
    }
}

/// All events that are pending.
fn drain(terminal: &mut TestTerminal, now: Instant) -> Vec<Shown> {
    let mut shown = vec![];
    while let Some(event) = terminal.poll_event(now) {
        assert!(shown.len() < MANY, "events come for ever");
        shown.push(match event {
            Event::Message(message) => Shown::Message {
                seq: message.seq,
                outcome: message.outcome,
                notice: message.notice,
                text: message.text.to_string(),
            },
            Event::Fault(fault) => Shown::Fault(fault),
            Event::Broken(fault) => Shown::Broken(fault),
            Event::LinkDown => Shown::LinkDown,
            Event::LinkUp => Shown::LinkUp,
            Event::LedgerSetBack { pending } => Shown::LedgerSetBack { pending },
            Event::Idle => Shown::Idle,
        });
    }
    shown
}

/// Feeds all of the bytes and drains the events between.
fn feed(terminal: &mut TestTerminal, mut bytes: &[u8], now: Instant) -> Vec<Shown> {
    let mut shown = vec![];
    while !bytes.is_empty() {
        let taken = terminal.feed(bytes, now);
        bytes = &bytes[taken..];
        let events = drain(terminal, now);
        assert!(taken > 0 || !events.is_empty(), "each call makes progress");
        shown.extend(events);
    }
    shown
}

fn config(wire: Wire, link: LinkKind, name: Option<&str>, memory: Memory) -> Config {
    let name = name.map(|name| name.parse().unwrap());
    let profile = Some(Profile { name, start: 1, memory, ..Profile::default() });
    let config = match link {
        LinkKind::Serial => Config::for_serial(wire, BAUD),
        LinkKind::Connection => Config::new(wire, link),
    };
    Config { profile, ..config }
}

/// A named terminal gets a key, if there are any in this build and on its wire.
fn sealed(config: Config) -> Config {
    #[cfg(feature = "seal")]
    if let Config { wire: Wire::Postcard, profile: Some(profile), .. } = &config
        && let Some(name) = &profile.name
    {
        let master = crate::seal::Key::from([7; 32]);
        let key = crate::seal::TerminalKey::derive(&master, core::num::NonZeroU32::MIN, name);
        return Config { profile: Some(Profile { key: Some(key), ..profile.clone() }), ..config };
    }
    config
}

fn host_config(wire: Wire, link: LinkKind) -> host::Config {
    match link {
        LinkKind::Serial => host::Config::for_serial(wire, BAUD),
        LinkKind::Connection => host::Config::new(wire, link),
    }
}

/// A terminal, a host and the link between them.
#[derive(Clone)]
struct Pair {
    terminal: TestTerminal,
    host: Host<{ host::IN }, { host::OUT }>,
    ledger: RamLedger<4>,
    now: Instant,
    /// Messages in this direction are lost.
    drop_to_host: bool,
    drop_to_terminal: bool,
    /// Every message is duplicated.
    duplicate: bool,
    /// Noise before and after every message.
    noise: &'static [u8],
    /// Requests are held back, as by a slow ledger.
    hold_requests: bool,
    requests: Vec<Request>,
    /// The output of the terminal, and when it was sent.
    sent: Vec<(Instant, Vec<u8>)>,
    /// The memory that was stored before the last output was sent.
    stored: Memory,
    shown: Vec<Shown>,
}

impl Pair {
    fn new(config: Config) -> Self {
        let now = Instant::from_millis(5000);
        let host = Host::new(host_config(config.wire, config.link), SessionId::new(1), now);
        let ledger = RamLedger::new(LEDGER, units(100));
        Self {
            terminal: Terminal::new(config, now),
            host,
            ledger,
            now,
            drop_to_host: false,
            drop_to_terminal: false,
            duplicate: false,
            noise: &[],
            hold_requests: false,
            requests: vec![],
            sent: vec![],
            stored: Memory::default(),
            shown: vec![],
        }
    }

    /// A named terminal on a serial line that has sent nothing yet.
    fn in_clear(wire: Wire) -> Self {
        Self::new(config(wire, LinkKind::Serial, Some("a"), Memory::default()))
    }

    /// The same, sealed where the feature and the wire have it.
    fn serial(wire: Wire) -> Self {
        Self::new(sealed(config(wire, LinkKind::Serial, Some("a"), Memory::default())))
    }

    /// A named terminal on a serial line, at the menu; sealed as well.
    fn at_menu(wire: Wire) -> Self {
        Self::serial(wire).go_to_menu()
    }

    fn go_to_menu(mut self) -> Self {
        assert!(self.run()[0].text().starts_with("Welcome"));
        self
    }

    /// Drives both endpoints until nothing changes, and returns the events.
    fn run(&mut self) -> Vec<Shown> {
        for _ in 0..MANY {
            let before = (self.terminal.clone(), self.host.clone());
            self.shown.extend(drain(&mut self.terminal, self.now));
            self.stored = self.terminal.memory();
            self.carry_to_host();
            self.serve_host();
            self.carry_to_terminal();
            if before == (self.terminal.clone(), self.host.clone()) {
                return std::mem::take(&mut self.shown);
            }
        }
        panic!("the endpoints change for ever");
    }

    fn copies(&self, lost: bool) -> usize {
        if lost { 0 } else { 1 + usize::from(self.duplicate) }
    }

    fn carry_to_host(&mut self) {
        let bytes = self.terminal.output().to_vec();
        if bytes.is_empty() {
            return;
        }
        self.terminal.consume(bytes.len());
        self.sent.push((self.now, bytes.clone()));
        let bytes = [self.noise, &bytes, self.noise].concat();
        for _ in 0..self.copies(self.drop_to_host) {
            let (mut rest, mut refused) = (&bytes[..], 0);
            while !rest.is_empty() {
                let taken = self.host.feed(rest, self.now);
                rest = &rest[taken..];
                if taken == 0 {
                    self.serve_host();
                    self.carry_to_terminal();
                    refused += 1;
                    assert!(refused < MANY, "a drained host takes input");
                }
            }
        }
    }

    fn serve_host(&mut self) {
        while let Some(event) = self.host.poll_event() {
            match event {
                host::Event::Request(request) if self.hold_requests => self.requests.push(request),
                host::Event::Request(request) => self.settle(&request),
                host::Event::Hello(_) => self.host.admit(None, self.now),
                host::Event::Quit => {}
                #[cfg(feature = "seal")]
                host::Event::Key(_) => {
                    let profile = self.terminal.config.profile.as_ref();
                    self.host.provide_key(profile.and_then(|profile| profile.key.as_ref()), self.now);
                }
            }
        }
    }

    fn settle(&mut self, request: &Request) {
        let response = self.ledger.apply(request).unwrap();
        self.host.complete(request.ticket, response, self.now);
    }

    fn release_requests(&mut self) -> Vec<Shown> {
        self.hold_requests = false;
        for request in std::mem::take(&mut self.requests) {
            self.settle(&request);
        }
        self.run()
    }

    fn carry_to_terminal(&mut self) {
        let bytes = self.host.output().to_vec();
        if bytes.is_empty() {
            return;
        }
        self.host.consume(bytes.len(), self.now);
        let bytes = [self.noise, &bytes, self.noise].concat();
        for _ in 0..self.copies(self.drop_to_terminal) {
            self.shown.extend(feed(&mut self.terminal, &bytes, self.now));
        }
    }

    /// Lets time pass, and ticks at every deadline.
    fn wait(&mut self, span: Duration) -> Vec<Shown> {
        let end = self.now + span;
        let (mut shown, mut steps) = (self.run(), 0);
        while let Some(at) = earliest(self.terminal.deadline(), self.host.deadline()).filter(|at| *at <= end)
        {
            steps += 1;
            assert!(steps < MANY, "time passes");
            self.now = self.now.max(at);
            self.terminal.tick(self.now);
            self.host.tick(self.now);
            shown.extend(self.run());
        }
        self.now = end;
        shown
    }

    /// The person types at the open prompt.
    fn types(&mut self, text: &str) -> Vec<Shown> {
        let prompt = self.terminal.prompt().expect("a prompt is open");
        self.terminal.answer(prompt, text, self.now).unwrap();
        self.run()
    }

    /// The terminal loses power and starts with its stored memory.
    fn restart_terminal(&mut self) {
        let mut config = self.terminal.config.clone();
        let profile = config.profile.as_mut().unwrap();
        (profile.start, profile.memory) = (profile.start + 1, self.stored);
        self.terminal = Terminal::new(config, self.now);
    }

    /// The host loses power; the ledger keeps what was committed.
    fn restart_host(&mut self) {
        let config = host_config(self.terminal.config.wire, self.terminal.config.link);
        self.host = Host::new(config, SessionId::new(2), self.now);
        self.requests.clear();
    }

    /// The connection is lost and opened anew; the host's driver parks the conversation.
    fn reconnect(&mut self) {
        let conversation = self.host.park();
        self.restart_host();
        self.terminal.reconnect(self.now);
        self.shown.extend(drain(&mut self.terminal, self.now));
        // The host receives the hello and is given the conversation.
        for _ in 0..MANY {
            if self.host.incoming_hello().is_some() {
                break;
            }
            let bytes = self.terminal.output().to_vec();
            self.carry_to_terminal();
            let taken = self.host.feed(&bytes, self.now);
            self.terminal.consume(taken);
        }
        assert!(self.host.incoming_hello().is_some(), "the host received the hello");
        self.host.poll_event();
        self.host.admit(conversation, self.now);
    }

    fn balance(&self) -> Amount {
        self.ledger.balance()
    }
}

#[track_caller]
fn only(shown: Vec<Shown>) -> Shown {
    assert_eq!(shown.len(), 1, "{shown:?}");
    shown.into_iter().next().unwrap()
}
