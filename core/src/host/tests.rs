//! The host's endpoint with a ledger in memory behind it, as a driver that the tests can hold up at any point.
use super::*;
use crate::{
    codec::NoRoom,
    ledger::{Ledger, LedgerId, Name, Numbers, Outcome, RamLedger, Receipt},
    message::{Fault, Reply, VERSION, Welcome},
    money::Amount,
    screen::{Screen, Screens},
    time::Duration,
    wire::Wire,
};
use std::{string::String, string::ToString, vec, vec::Vec};

mod any;
mod faults;
mod hello;
mod lines;
mod numbers;
mod sizes;
mod time;
mod work;

const LEDGER: LedgerId = LedgerId(0xbeef);

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn deposited(amount: u64, balance: u64) -> Outcome {
    Outcome::Done(Receipt::Deposited { amount: units(amount), balance: units(balance) })
}

/// A message of the host, as a terminal reads it.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    seq: Option<u64>,
    re: Option<u64>,
    prompt: bool,
    ends: bool,
    welcome: Option<Welcome>,
    outcome: Option<Outcome>,
    notice: Option<Notice>,
    text: String,
}

/// A host and its driver.
#[derive(Clone)]
struct Bench {
    wire: Wire,
    host: Host<IN, OUT>,
    ledger: RamLedger<4>,
    now: Instant,
    /// Fed, but not taken yet.
    unfed: Vec<u8>,
    /// What the host sent.
    sent: Vec<u8>,
    /// Requests are held back, as by a slow ledger.
    slow: bool,
    requests: Vec<Request>,
    /// Output is not taken, as by a peer that does not read.
    stuck: bool,
    /// Terminals that come are left to the test.
    guarded: bool,
    /// The driver lets conversations go whose operation is out.
    careless: bool,
    quit: bool,
}

impl Bench {
    fn new(wire: Wire, link: LinkKind) -> Self {
        Self::with(Config::new(wire, link))
    }

    fn with(config: Config) -> Self {
        let now = Instant::from_millis(1000);
        let mut bench = Self {
            wire: config.wire,
            host: Host::new(config, 1, now),
            ledger: RamLedger::new(LEDGER, units(100)),
            now,
            unfed: vec![],
            sent: vec![],
            slow: false,
            requests: vec![],
            stuck: false,
            guarded: false,
            careless: false,
            quit: false,
        };
        bench.drive();
        bench
    }

    /// A named terminal at the menu: the bench and the number of the open prompt.
    fn at_menu(wire: Wire) -> (Self, u64) {
        let mut bench = Self::new(wire, LinkKind::Serial);
        let seq = bench.hello(&hello("a", 1, 1))[0].seq.unwrap();
        (bench, seq)
    }

    /// Moves everything that can move.
    fn drive(&mut self) {
        for _ in 0..10_000 {
            let before = self.clone_of_progress();
            while let Some(event) = self.host.poll_event() {
                match event {
                    Event::Request(request) if self.slow => self.requests.push(request),
                    Event::Request(request) => self.settle(&request),
                    Event::Arrival(_) if self.guarded => {}
                    Event::Arrival(_) => self.host.admit(None, self.now),
                    Event::Quit => self.quit = true,
                }
            }
            if !self.stuck {
                self.sent.extend_from_slice(self.host.output());
                self.host.consume(self.host.output().len(), self.now);
            }
            let taken = self.host.feed(&self.unfed, self.now);
            self.unfed.drain(..taken);
            if before == self.clone_of_progress() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn clone_of_progress(&self) -> (usize, usize, Host<IN, OUT>) {
        (self.unfed.len(), self.sent.len(), self.host.clone())
    }

    /// Carries out a request.
    fn settle(&mut self, request: &Request) {
        let response = self.ledger.apply(request).unwrap();
        let expected = self.host.complete(request, response, self.now);
        assert!(expected || self.careless, "{request:?} was waited for");
    }

    /// The slow ledger gets round to what it was asked.
    fn catch_up(&mut self) -> Vec<Heard> {
        self.slow = false;
        for request in std::mem::take(&mut self.requests) {
            self.settle(&request);
        }
        self.heard()
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<Heard> {
        self.unfed.extend_from_slice(bytes);
        self.heard()
    }

    /// What the host has sent since this was last asked.
    fn heard(&mut self) -> Vec<Heard> {
        self.drive();
        decode(self.wire, &std::mem::take(&mut self.sent))
    }

    fn hello(&mut self, hello: &Hello) -> Vec<Heard> {
        self.send(&frame(self.wire, |out| out.hello(hello)))
    }

    fn answer(&mut self, re: impl Into<Option<u64>>, text: &str) -> Vec<Heard> {
        self.send(&answer(self.wire, re, text))
    }

    /// The one message that an answer gets.
    #[track_caller]
    fn reply(&mut self, re: impl Into<Option<u64>>, text: &str) -> Heard {
        only(self.answer(re, text))
    }

    fn after(&mut self, span: Duration) -> Vec<Heard> {
        self.now = self.now + span;
        self.host.tick(self.now);
        self.heard()
    }

    fn balance(&self) -> Amount {
        self.ledger.balance()
    }
}

#[track_caller]
fn only(heard: Vec<Heard>) -> Heard {
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard.into_iter().next().unwrap()
}

/// The codes or kinds of what was heard: notices, and numbers of replies.
fn kinds(heard: &[Heard]) -> Vec<Result<u64, Notice>> {
    heard.iter().map(|heard| heard.seq.ok_or_else(|| heard.notice.unwrap())).collect()
}

fn frame(wire: Wire, write: impl FnOnce(&mut Outbox<1024>) -> Result<(), NoRoom>) -> Vec<u8> {
    let mut outbox = Outbox::new(wire);
    write(&mut outbox).unwrap();
    outbox.output().to_vec()
}

fn answer(wire: Wire, re: impl Into<Option<u64>>, text: &str) -> Vec<u8> {
    frame(wire, |out| out.answer(re.into(), text))
}

/// Reads all that a host sent; everything of it must be a message.
#[track_caller]
fn decode(wire: Wire, mut bytes: &[u8]) -> Vec<Heard> {
    let mut inbox = Inbox::<OUT>::for_terminal(wire);
    let mut heard = vec![];
    while !bytes.is_empty() {
        let taken = inbox.push(bytes);
        bytes = &bytes[taken..];
        let (found, body) = inbox.decoded();
        if found == Decoded::More {
            continue;
        }
        assert_eq!(found, Decoded::Frame, "{}", String::from_utf8_lossy(body));
        let said = wire.read_host(body).unwrap().unwrap();
        heard.push(Heard {
            seq: said.seq,
            re: said.re,
            prompt: said.prompt,
            ends: said.ends,
            welcome: said.welcome,
            outcome: said.outcome,
            notice: said.notice,
            text: said.text.to_string(),
        });
        inbox.release();
    }
    assert!(!inbox.is_partial(), "the last message is not whole");
    heard
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The hello of a terminal that knows nothing; an empty name is none.
fn hello(terminal: &str, start: u64, attempt: u32) -> Hello {
    Hello {
        version: VERSION,
        terminal: (!terminal.is_empty()).then(|| name(terminal)),
        start,
        attempt,
        ledger: None,
        shown: 0,
        pending: None,
        resume: false,
    }
}

/// The hello of a terminal that has shown up to `shown` of this ledger.
fn knowing(start: u64, attempt: u32, shown: u64, pending: impl Into<Option<u64>>, resume: bool) -> Hello {
    Hello { ledger: Some(LEDGER), shown, pending: pending.into(), resume, ..hello("a", start, attempt) }
}
