//! The workload of the core's hot path: answers handled in one process, from the terminal's frame to the
//! frame of the reply.
//!
//! `counts` measures its instructions, the bench `times` its time, and the tests its bytes and allocations.
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
    ledger::{Ledger, LedgerId, Name, RamLedger, SessionId},
    money::Amount,
    seal::{Key, TerminalKey},
    terminal::{self, Profile, Terminal},
    time::Instant,
    wire::Wire,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU32,
    str::FromStr,
};

const NOW: Instant = Instant::from_millis(1);

/// The link of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// In clear, on this wire.
    Clear(Wire),
    /// Sealed, on the `postcard` wire.
    Sealed,
}

/// A wire's name, or `sealed`.
impl FromStr for Link {
    type Err = <Wire as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sealed" => Ok(Self::Sealed),
            _ => text.parse().map(Self::Clear),
        }
    }
}

/// The key of the workload's terminal.
fn key() -> TerminalKey {
    TerminalKey::new(Key::from([7; 32]), NonZeroU32::MIN, 0)
}

/// The host's endpoint with its ledger.
#[derive(Clone)]
struct HostWithLedger {
    endpoint: Host<{ host::IN }, { host::OUT }>,
    ledger: RamLedger<8>,
}

impl HostWithLedger {
    /// Handles a frame; its reply is the output then.
    fn handle(&mut self, frame: &[u8]) {
        let taken = self.endpoint.feed(frame, NOW);
        assert_eq!(taken, frame.len());
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request(request) => {
                    let response = self.ledger.apply(&request).unwrap();
                    self.endpoint.complete(request.ticket, response, NOW);
                }
                Event::Hello(_) => self.endpoint.admit(None, NOW),
                Event::Key(_) => self.endpoint.provide_key(Some(&key()), NOW),
                Event::Quit => panic!("no answer is `quit`"),
            }
        }
    }

    /// Consumes the output; returns its length.
    fn consume_output(&mut self) -> usize {
        let length = self.endpoint.output().len();
        self.endpoint.consume(length, NOW);
        length
    }
}

/// A terminal with a key at a server, over TCP.
#[derive(Debug)]
pub struct SealedClient {
    terminal: WorkloadTerminal,
    stream: TcpStream,
}

impl SealedClient {
    /// Connects, says hello, and waits for the first prompt.
    pub fn connect(address: SocketAddr, name: Name, key: TerminalKey) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(atm_e2e::TIMEOUT)).unwrap();
        let profile = Profile { name: Some(name), start: 1, key: Some(key), ..Profile::default() };
        let config = terminal::Config {
            profile: Some(profile),
            ..terminal::Config::new(Wire::Postcard, LinkKind::Connection)
        };
        let mut client = Self { terminal: Terminal::new(config, NOW), stream };
        client.exchange();
        client
    }

    /// Answers the open prompt, and waits for the next.
    pub fn answer(&mut self, text: &str) {
        let prompt = self.terminal.prompt().unwrap();
        self.terminal.answer(prompt, text, NOW).unwrap();
        self.exchange();
    }

    fn exchange(&mut self) {
        self.stream.write_all(self.terminal.output()).unwrap();
        self.terminal.consume(self.terminal.output().len());
        let mut bytes = [0; 1024];
        while self.terminal.prompt().is_none() {
            let count = self.stream.read(&mut bytes).unwrap();
            assert!(count > 0, "the server has closed the connection");
            let mut rest = &bytes[..count];
            while !rest.is_empty() {
                rest = &rest[self.terminal.feed(rest, NOW)..];
                while self.terminal.poll_event(NOW).is_some() {}
            }
        }
    }
}

type WorkloadTerminal = Terminal<{ host::OUT }, { terminal::OUT }>;

/// Transfers output both ways until there is none; returns the bytes that the terminal has sent.
fn exchange(terminal: &mut WorkloadTerminal, host: &mut HostWithLedger) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let sent = terminal.output().to_vec();
        terminal.consume(sent.len());
        host.handle(&sent);
        let reply = host.endpoint.output().to_vec();
        if sent.is_empty() && reply.is_empty() {
            return all;
        }
        host.consume_output();
        let mut rest = reply.as_slice();
        while !rest.is_empty() {
            rest = &rest[terminal.feed(rest, NOW)..];
            while terminal.poll_event(NOW).is_some() {}
        }
        all.extend(sent);
    }
}

/// The frames of a named terminal's answers, and the host that they are for.
#[derive(Clone)]
pub struct Workload {
    host: HostWithLedger,
    hello: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

impl Workload {
    /// Answers in a workload. A block of reserved numbers is enough for a few more.
    pub const ANSWERS: usize = 200;

    /// A workload of the answers `texts`, repeated in order, each to the prompt in the reply to the one
    /// before.
    pub fn new(link: Link, texts: &[&str]) -> Self {
        let (wire, key) = match link {
            Link::Clear(wire) => (wire, None),
            Link::Sealed => (Wire::Postcard, Some(key())),
        };
        let config =
            host::Config { sealed_only: key.is_some(), ..host::Config::new(wire, LinkKind::Connection) };
        let mut host = HostWithLedger {
            endpoint: Host::new(config, SessionId::new(1), NOW),
            ledger: RamLedger::new(LedgerId(1), Amount::from_units(1_000_000).unwrap()),
        };
        let profile = Profile { name: Some("kiosk-7".parse().unwrap()), key, ..Profile::default() };
        let mut terminal = WorkloadTerminal::new(
            terminal::Config {
                profile: Some(profile),
                frame_timeout: config.frame_timeout,
                ..terminal::Config::new(wire, LinkKind::Connection)
            },
            NOW,
        );
        let hello = exchange(&mut terminal, &mut host);
        let start = host.clone();
        let mut answer = |text: &&str| {
            let prompt = terminal.prompt().expect("the host has sent a prompt");
            terminal.answer(prompt, text, NOW).unwrap();
            exchange(&mut terminal, &mut host)
        };
        let frames = texts.iter().cycle().take(Self::ANSWERS).map(&mut answer).collect();
        Self { host: start, hello, frames }
    }

    /// The bytes that the terminal has sent: its hello (empty on the `raw` wire, which has none) and its
    /// answers.
    pub fn sent(&self) -> (&[u8], &[Vec<u8>]) {
        (&self.hello, &self.frames)
    }

    /// Handles all answers; returns the number of bytes of the replies.
    #[inline(never)]
    pub fn run(&mut self) -> usize {
        let Self { host, frames, .. } = self;
        let replies = frames.iter().map(|frame| {
            host.handle(frame);
            // A driver asks for the deadline after each call.
            std::hint::black_box(host.endpoint.deadline());
            host.consume_output()
        });
        replies.sum()
    }

    /// Bytes of the last answer and of its reply, frames included.
    pub fn sizes(mut self) -> (usize, usize) {
        let last = self.frames.pop().expect("a workload is not empty");
        self.run();
        self.host.handle(&last);
        (last.len(), self.host.consume_output())
    }
}
