//! Tests of the host's endpoint, with a ledger in memory and a driver whose every step a test can hold back.
#![cfg(all(feature = "json", feature = "postcard"))]
use super::*;
use crate::{
    codec::BufferTooSmall,
    ledger::{
        Command, Ledger, LedgerId, Name, Numbers, Operation, Origin, Outcome, RamLedger, Receipt, Request,
    },
    message::{Fault, Notice, Reply, VERSION, Welcome},
    money::Amount,
    screen::{Screen, Screens},
    time::Duration,
    wire::Wire,
};
use std::{string::String, string::ToString, vec, vec::Vec};

mod admission;
#[cfg(feature = "cards")]
mod cards;
mod faults;
mod hello;
mod links;
mod numbers;
mod outstanding;
mod properties;
mod sizes;
mod time;

const LEDGER: LedgerId = LedgerId(0xbeef);

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn deposited(amount: u64, balance: u64) -> Outcome {
    Outcome::Done(Receipt::Deposited { amount: units(amount), balance: units(balance) })
}

/// A message of the host, as a terminal reads it.
#[derive(Clone, Debug, PartialEq)]
struct DecodedMessage {
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
struct TestDriver {
    wire: Wire,
    host: Host<IN, OUT>,
    ledger: RamLedger<4>,
    now: Instant,
    /// Input that the host has not taken yet.
    unfed: Vec<u8>,
    /// Output of the host.
    sent: Vec<u8>,
    /// Requests are held back, as by a slow ledger.
    hold_requests: bool,
    requests: Vec<Request>,
    /// Output is not sent, as to a peer that does not read.
    output_blocked: bool,
    /// The test admits or refuses hellos.
    manual_admit: bool,
    /// The host may have dropped a conversation with an outstanding request.
    allow_unexpected: bool,
    quit: bool,
    /// The key of the terminal.
    #[cfg(feature = "seal")]
    key: Option<crate::seal::TerminalKey>,
}

impl TestDriver {
    fn new(wire: Wire, link: LinkKind) -> Self {
        Self::with(Config::new(wire, link))
    }

    fn with(config: Config) -> Self {
        let now = Instant::from_millis(1000);
        let mut driver = Self {
            wire: config.wire,
            host: Host::new(config, SessionId::new(1), now),
            ledger: RamLedger::new(LEDGER, units(100)),
            now,
            unfed: vec![],
            sent: vec![],
            hold_requests: false,
            requests: vec![],
            output_blocked: false,
            manual_admit: false,
            allow_unexpected: false,
            quit: false,
            #[cfg(feature = "seal")]
            key: None,
        };
        driver.drive();
        driver
    }

    /// A named terminal at the menu: the driver and the number of the open prompt.
    fn at_menu(wire: Wire) -> (Self, u64) {
        let mut driver = Self::new(wire, LinkKind::Serial);
        let seq = driver.hello(&hello("a", 1, 1))[0].seq.unwrap();
        (driver, seq)
    }

    /// Drives the host until nothing changes.
    fn drive(&mut self) {
        for _ in 0..10_000 {
            let before = self.progress();
            while let Some(event) = self.host.poll_event() {
                match event {
                    Event::Request(request) if self.hold_requests => self.requests.push(request),
                    Event::Request(request) => self.settle(&request),
                    Event::Hello(_) if self.manual_admit => {}
                    Event::Hello(_) => self.host.admit(None, self.now),
                    Event::Quit => self.quit = true,
                    #[cfg(feature = "seal")]
                    Event::Key(_) => self.host.provide_key(self.key.as_ref(), self.now),
                }
            }
            if !self.output_blocked {
                self.sent.extend_from_slice(self.host.output());
                self.host.consume(self.host.output().len(), self.now);
            }
            let taken = self.host.feed(&self.unfed, self.now);
            self.unfed.drain(..taken);
            if before == self.progress() {
                return;
            }
        }
        panic!("the host changes for ever");
    }

    fn progress(&self) -> (usize, usize, Host<IN, OUT>) {
        (self.unfed.len(), self.sent.len(), self.host.clone())
    }

    /// Applies a request to the ledger and completes it.
    fn settle(&mut self, request: &Request) {
        let response = self.ledger.apply(request).unwrap();
        let expected = self.host.complete(request.ticket, response, self.now);
        assert!(expected || self.allow_unexpected, "{request:?} was outstanding");
    }

    /// Applies the requests that were held back.
    fn release_requests(&mut self) -> Vec<DecodedMessage> {
        self.hold_requests = false;
        for request in std::mem::take(&mut self.requests) {
            self.settle(&request);
        }
        self.received()
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<DecodedMessage> {
        self.unfed.extend_from_slice(bytes);
        self.received()
    }

    /// The messages that the host has sent since the last call.
    fn received(&mut self) -> Vec<DecodedMessage> {
        self.drive();
        decode(self.wire, &std::mem::take(&mut self.sent))
    }

    fn hello(&mut self, hello: &Hello) -> Vec<DecodedMessage> {
        self.send(&frame(self.wire, |out| out.hello(hello)))
    }

    fn answer(&mut self, re: impl Into<Option<u64>>, text: &str) -> Vec<DecodedMessage> {
        self.send(&answer(self.wire, re, text))
    }

    /// Sends an answer and returns the one message that it gets.
    #[track_caller]
    fn reply(&mut self, re: impl Into<Option<u64>>, text: &str) -> DecodedMessage {
        only(self.answer(re, text))
    }

    fn after(&mut self, span: Duration) -> Vec<DecodedMessage> {
        self.now = self.now + span;
        self.host.tick(self.now);
        self.received()
    }

    fn balance(&self) -> Amount {
        self.ledger.balance()
    }
}

#[track_caller]
fn only(received: Vec<DecodedMessage>) -> DecodedMessage {
    assert_eq!(received.len(), 1, "{received:?}");
    received.into_iter().next().unwrap()
}

/// The number of each reply, and the kind of each notice.
fn kinds(received: &[DecodedMessage]) -> Vec<Result<u64, Notice>> {
    received.iter().map(|received| received.seq.ok_or_else(|| received.notice.unwrap())).collect()
}

fn frame(wire: Wire, write: impl FnOnce(&mut Outbox<1024>) -> Result<(), BufferTooSmall>) -> Vec<u8> {
    let mut outbox = Outbox::new(wire);
    write(&mut outbox).unwrap();
    outbox.output().to_vec()
}

fn answer(wire: Wire, re: impl Into<Option<u64>>, text: &str) -> Vec<u8> {
    frame(wire, |out| out.answer(re.into(), text))
}

/// Decodes the output of a host, all of which must be messages.
#[track_caller]
fn decode(wire: Wire, mut bytes: &[u8]) -> Vec<DecodedMessage> {
    let mut inbox = Inbox::<OUT>::for_terminal(wire);
    let mut received = vec![];
    while !bytes.is_empty() {
        let taken = inbox.push(bytes);
        bytes = &bytes[taken..];
        let (found, body) = inbox.decoded();
        if found == Decoded::More {
            continue;
        }
        assert_eq!(found, Decoded::Frame, "{}", String::from_utf8_lossy(body));
        let message = wire.read_host(body).unwrap().unwrap();
        received.push(DecodedMessage {
            seq: message.seq,
            re: message.re,
            prompt: message.prompt,
            ends: message.ends,
            welcome: message.welcome,
            outcome: message.outcome,
            notice: message.notice,
            text: message.text.to_string(),
        });
        inbox.release();
    }
    assert!(!inbox.is_partial(), "the last message is complete");
    received
}

/// The number of the last reply.
fn last_seq(host: &Host<IN, OUT>) -> u64 {
    host.conversation().unwrap().next_seq() - 1
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The hello of a terminal without stored state; an empty name is none.
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
        ..Hello::EMPTY
    }
}

/// The hello of terminal `a` with stored state of this ledger.
fn knowing(start: u64, attempt: u32, shown: u64, pending: impl Into<Option<u64>>, resume: bool) -> Hello {
    Hello { ledger: Some(LEDGER), shown, pending: pending.into(), resume, ..hello("a", start, attempt) }
}
