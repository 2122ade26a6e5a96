//! Terminal driver: named terminals on the desktop, one at a time connected to the kiosk's serial port, over
//! a link with faults.
use super::qemu::is_ready;
use crate::TIMEOUT;
use atm_core::{
    host::LinkKind,
    ledger::{Name, Outcome},
    message::Notice,
    seal::TerminalKey,
    terminal::{self, Config, Event, Memory, Profile, Retransmit, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};
use firmware_sim::fault_injector::{Chances, FaultyLink};
use std::{
    collections::HashMap,
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time,
};

/// A message of the kiosk.
#[derive(Debug)]
pub struct KioskMessage {
    /// The number of the prompt that it opens; `None` for a notice, and at the end of a session.
    pub prompt: Option<u64>,
    /// The outcome of an operation.
    pub outcome: Option<Outcome>,
    /// Its notice.
    pub notice: Option<Notice>,
}

/// The faults of the link between terminal and kiosk.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkFaults {
    /// The chance of each fault.
    pub chances: Chances,
    /// The seed of all random numbers.
    pub seed: u64,
}

/// Named terminals, at most one of which is connected.
pub struct TerminalDriver {
    wire: Wire,
    start: time::Instant,
    /// The start counter and the memory that each terminal keeps without power.
    stored: HashMap<Name, (u64, Memory)>,
    connected: Option<(Name, Terminal<1024, { terminal::OUT }>)>,
    /// The key of the one terminal on a sealed link. A start after a life that was welcomed steps it.
    key: Option<TerminalKey>,
    serial_port: Option<UnixStream>,
    /// Received bytes that the terminal has not taken yet.
    kept: Vec<u8>,
    faults: LinkFaults,
    to_kiosk: FaultyLink,
    to_terminal: FaultyLink,
    /// Bytes sent and received.
    pub bytes: (u64, u64),
}

impl TerminalDriver {
    /// A driver without a terminal yet.
    pub fn new(wire: Wire, faults: LinkFaults) -> Self {
        Self {
            wire,
            start: time::Instant::now(),
            stored: HashMap::new(),
            connected: None,
            key: None,
            serial_port: None,
            kept: Vec::new(),
            faults,
            to_kiosk: FaultyLink::new(faults.chances, 0, faults.seed),
            to_terminal: FaultyLink::new(faults.chances, 0, faults.seed.rotate_left(17)),
            bytes: (0, 0),
        }
    }

    /// A driver of one terminal with this key.
    pub fn sealed(key: TerminalKey, faults: LinkFaults) -> Self {
        Self { key: Some(key), ..Self::new(Wire::Postcard, faults) }
    }

    fn now(&self) -> Instant {
        Instant::from_millis(self.start.elapsed().as_millis().try_into().unwrap())
    }

    /// Starts a terminal and connects it. It has the memory that it stored before its last power loss, and
    /// the next start counter.
    pub fn connect(&mut self, name: &str, serial_port: UnixStream) {
        let (name, now) = (name.parse::<Name>().unwrap(), self.now());
        let (start, memory) = self.stored.entry(name.clone()).or_default();
        *start += 1;
        if self.connected.as_ref().is_some_and(|(_, terminal)| terminal.was_welcomed()) {
            self.key = self.key.as_ref().and_then(TerminalKey::next);
        }
        let config = Config {
            profile: Some(Profile {
                name: Some(name.clone()),
                start: *start,
                memory: *memory,
                key: self.key.clone(),
                salt: *start,
                ..Profile::default()
            }),
            retransmit: Some(Retransmit::for_baud(115_200)),
            frame_timeout: Duration::from_secs(2),
            ..Config::new(self.wire, LinkKind::Serial)
        };
        self.connected = Some((name, Terminal::new(config, now)));
        self.attach(serial_port);
    }

    /// Connects the running terminal to another serial port.
    pub fn reconnect(&mut self, serial_port: UnixStream) {
        let now = self.now();
        if let Some((_, terminal)) = &mut self.connected {
            terminal.reconnect(now);
        }
        self.attach(serial_port);
    }

    fn attach(&mut self, serial_port: UnixStream) {
        self.serial_port = Some(serial_port);
        self.kept.clear();
        let seed = self.faults.seed.wrapping_add(self.bytes.0);
        self.to_kiosk = FaultyLink::new(self.faults.chances, 0, seed);
        self.to_terminal = FaultyLink::new(self.faults.chances, 0, seed.rotate_left(17));
    }

    /// Sends an answer to the open prompt, without waiting for the reply.
    pub fn send_answer(&mut self, text: &str) {
        let now = self.now();
        let (_, terminal) = self.connected.as_mut().expect("a terminal is connected");
        let prompt = terminal.prompt().expect("a prompt is open");
        terminal.answer(prompt, text, now).unwrap();
        self.send();
    }

    /// Sends an answer and waits for the next message.
    pub fn answer(&mut self, text: &str) -> KioskMessage {
        self.send_answer(text);
        self.receive()
    }

    /// Waits for the next message.
    pub fn receive(&mut self) -> KioskMessage {
        let until = time::Instant::now() + 3 * TIMEOUT;
        loop {
            if let Some(message) = self.poll_message() {
                return message;
            }
            assert!(time::Instant::now() < until, "no message within the timeout");
            self.wait();
        }
    }

    /// Waits until a byte can be read, at most for `timeout`.
    pub fn wait_for_byte(&mut self, timeout: time::Duration) {
        if let Some(serial_port) = &self.serial_port {
            is_ready(serial_port, timeout);
        }
    }

    /// Waits for a byte or the next deadline, at most for a second.
    fn wait(&mut self) {
        let now = self.now();
        let deadline = self.connected.as_ref().and_then(|(_, terminal)| terminal.deadline());
        let due = [deadline, self.to_kiosk.due(), self.to_terminal.due()].into_iter().flatten().min();
        let millis = due.map_or(1000, |due| now.until(due).millis().clamp(1, 1000));
        if let Some(serial_port) = &self.serial_port {
            is_ready(serial_port, time::Duration::from_millis(millis.into()));
        }
    }

    /// Stores the terminal's memory, then sends its output.
    fn send(&mut self) {
        let now = self.now();
        let (Some((name, terminal)), Some(serial_port)) = (&mut self.connected, &mut self.serial_port) else {
            return;
        };
        if let Some((_, memory)) = self.stored.get_mut(name) {
            *memory = terminal.memory();
        }
        let output = terminal.output().to_vec();
        if !output.is_empty() {
            self.to_kiosk.send(&output, now);
            terminal.consume(output.len());
        }
        while let Some(chunk) = self.to_kiosk.receive(now) {
            self.bytes.0 += chunk.len() as u64;
            // This fails if the board has no power.
            let _ = serial_port.write_all(&chunk);
        }
    }

    /// Reads what there is, runs the terminal, and returns its next message.
    fn poll_message(&mut self) -> Option<KioskMessage> {
        let now = self.now();
        let mut chunk = [0; 1024];
        if let Some(serial_port) = &mut self.serial_port {
            match serial_port.read(&mut chunk) {
                Ok(count) => {
                    self.bytes.1 += count as u64;
                    self.to_terminal.send(&chunk[..count], now);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => {}
            }
        }
        while let Some(chunk) = self.to_terminal.receive(now) {
            self.kept.extend(chunk);
        }
        let mut received = None;
        if let Some((_, terminal)) = &mut self.connected {
            if terminal.deadline().is_some_and(|deadline| deadline <= now) {
                terminal.tick(now);
            }
            while received.is_none() {
                let taken = terminal.feed(&self.kept, now);
                self.kept.drain(..taken);
                match terminal.poll_event(now) {
                    Some(Event::Message(message)) => {
                        let prompt = message.seq.filter(|_| message.prompt);
                        received =
                            Some(KioskMessage { prompt, outcome: message.outcome, notice: message.notice });
                    }
                    Some(_) => {}
                    None if taken == 0 => break,
                    // Bytes were taken without an event: there may be more.
                    None => {}
                }
            }
        }
        self.send();
        received
    }

    /// The number of the open prompt.
    pub fn prompt(&self) -> Option<u64> {
        self.connected.as_ref().and_then(|(_, terminal)| terminal.prompt()).flatten()
    }

    /// Waits until a prompt is open or a notice ends the session; returns the messages until then.
    pub fn wait_for_prompt(&mut self) -> Vec<KioskMessage> {
        let until = time::Instant::now() + 3 * TIMEOUT;
        let mut messages = Vec::new();
        while self.prompt().is_none() {
            messages.extend(self.poll_message());
            assert!(time::Instant::now() < until, "no prompt within the timeout");
            let is_end = |message: &KioskMessage| {
                message.prompt.is_none() && message.notice.is_some_and(|notice| notice.ends_session())
            };
            if messages.iter().any(is_end) {
                break;
            }
            if self.prompt().is_none() {
                self.wait();
            }
        }
        messages
    }
}
