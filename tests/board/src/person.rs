//! A terminal of the kiosk's, on a desktop, and the person who types at it.
use super::qemu::is_ready;
use crate::PATIENCE;
use atm_core::{
    host::LinkKind,
    ledger::{Name, Outcome},
    message::Notice,
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

/// What the host has said.
#[derive(Debug)]
pub struct Told {
    /// The number of its prompt; `None` at the end of a session, and in a notice.
    pub prompt: Option<u64>,
    /// What became of an operation.
    pub outcome: Option<Outcome>,
    /// A notice.
    pub notice: Option<Notice>,
}

/// How the line between the two lies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lie {
    /// By what chance.
    pub chances: Chances,
    /// From what it is drawn.
    pub seed: u64,
}

/// Some terminals, one of which is at the line.
pub struct Person {
    wire: Wire,
    began: time::Instant,
    stored: HashMap<Name, (u64, Memory)>,
    present: Option<(Name, Terminal<1024, { terminal::OUT }>)>,
    line: Option<UnixStream>,
    held: Vec<u8>,
    lie: Lie,
    up: FaultyLink,
    down: FaultyLink,
    /// Bytes sent and received.
    pub bytes: (u64, u64),
}

impl Person {
    /// Nobody yet.
    pub fn new(wire: Wire, lie: Lie) -> Self {
        Self {
            wire,
            began: time::Instant::now(),
            stored: HashMap::new(),
            present: None,
            line: None,
            held: Vec::new(),
            lie,
            up: FaultyLink::new(lie.chances, 0, lie.seed),
            down: FaultyLink::new(lie.chances, 0, lie.seed.rotate_left(17)),
            bytes: (0, 0),
        }
    }

    fn now(&self) -> Instant {
        Instant::from_millis(self.began.elapsed().as_millis().try_into().unwrap())
    }

    /// A terminal comes to the line: in another life, with what it stored in the last one.
    pub fn come(&mut self, name: &str, line: UnixStream) {
        let (name, now) = (name.parse::<Name>().unwrap(), self.now());
        let (life, memory) = self.stored.entry(name.clone()).or_default();
        *life += 1;
        let config = Config {
            wire: self.wire,
            link: LinkKind::Serial,
            profile: Some(Profile { name: Some(name.clone()), start: *life, memory: *memory }),
            retransmit: Some(Retransmit::for_baud(115_200)),
            frame_timeout: Duration::from_secs(2),
        };
        self.present = Some((name, Terminal::new(config, now)));
        self.plug(line);
    }

    /// The same terminal in the same life, at a line that is new.
    pub fn reconnect(&mut self, line: UnixStream) {
        let now = self.now();
        if let Some((_, terminal)) = &mut self.present {
            terminal.reconnect(now);
        }
        self.plug(line);
    }

    fn plug(&mut self, line: UnixStream) {
        self.line = Some(line);
        self.held.clear();
        let seed = self.lie.seed.wrapping_add(self.bytes.0);
        self.up = FaultyLink::new(self.lie.chances, 0, seed);
        self.down = FaultyLink::new(self.lie.chances, 0, seed.rotate_left(17));
    }

    /// Types an answer at the open prompt and sends it, but hears nothing yet.
    pub fn type_in(&mut self, text: &str) {
        let now = self.now();
        let (_, terminal) = self.present.as_mut().expect("a terminal has come");
        let prompt = terminal.prompt().expect("a prompt is open");
        terminal.answer(prompt, text, now).unwrap();
        self.send();
    }

    /// Types an answer and hears what follows.
    pub fn answer(&mut self, text: &str) -> Told {
        self.type_in(text);
        self.hear()
    }

    /// Waits for what is said next.
    pub fn hear(&mut self) -> Told {
        let until = time::Instant::now() + 3 * PATIENCE;
        loop {
            if let Some(told) = self.listen() {
                return told;
            }
            assert!(time::Instant::now() < until, "nothing was said for too long");
            self.wait();
        }
    }

    /// Waits until the first byte of something has come, at most so long.
    pub fn hear_a_byte(&mut self, patience: time::Duration) {
        if let Some(line) = &self.line {
            is_ready(line, patience);
        }
    }

    fn wait(&mut self) {
        let now = self.now();
        let deadline = self.present.as_ref().and_then(|(_, terminal)| terminal.deadline());
        let due = [deadline, self.up.due(), self.down.due()].into_iter().flatten().min();
        let millis = due.map_or(1000, |due| now.until(due).millis().clamp(1, 1000));
        if let Some(line) = &self.line {
            is_ready(line, time::Duration::from_millis(millis.into()));
        }
    }

    /// Stores what must be stored, and sends.
    fn send(&mut self) {
        let now = self.now();
        let (Some((name, terminal)), Some(line)) = (&mut self.present, &mut self.line) else { return };
        if let Some((_, memory)) = self.stored.get_mut(name) {
            *memory = terminal.memory();
        }
        let output = terminal.output().to_vec();
        if !output.is_empty() {
            self.up.send(&output, now);
            terminal.consume(output.len());
        }
        while let Some(chunk) = self.up.receive(now) {
            self.bytes.0 += chunk.len() as u64;
            // A board without power reads nothing.
            let _ = line.write_all(&chunk);
        }
    }

    fn listen(&mut self) -> Option<Told> {
        let now = self.now();
        let mut chunk = [0; 1024];
        if let Some(line) = &mut self.line {
            match line.read(&mut chunk) {
                Ok(count) => {
                    self.bytes.1 += count as u64;
                    self.down.send(&chunk[..count], now);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => {}
            }
        }
        while let Some(chunk) = self.down.receive(now) {
            self.held.extend(chunk);
        }
        let mut told = None;
        if let Some((_, terminal)) = &mut self.present {
            if terminal.deadline().is_some_and(|deadline| deadline <= now) {
                terminal.tick(now);
            }
            while told.is_none() {
                let taken = terminal.feed(&self.held, now);
                self.held.drain(..taken);
                match terminal.poll_event(now) {
                    Some(Event::Message(said)) => {
                        let prompt = said.seq.filter(|_| said.prompt);
                        told = Some(Told { prompt, outcome: said.outcome, notice: said.notice });
                    }
                    Some(_) => {}
                    // The prompt that was open before is open again.
                    None if taken == 0 => break,
                    None => {}
                }
            }
        }
        self.send();
        told
    }

    /// The open prompt.
    pub fn prompt(&self) -> Option<u64> {
        self.present.as_ref().and_then(|(_, terminal)| terminal.prompt()).flatten()
    }

    /// Waits until a prompt is open; what was said on the way there.
    pub fn settle(&mut self) -> Vec<Told> {
        let until = time::Instant::now() + 3 * PATIENCE;
        let mut said = Vec::new();
        while self.prompt().is_none() {
            said.extend(self.listen());
            assert!(time::Instant::now() < until, "no prompt was opened for too long");
            if said
                .iter()
                .any(|told| told.prompt.is_none() && told.notice.is_some_and(|notice| notice.ends_session()))
            {
                break;
            }
            if self.prompt().is_none() {
                self.wait();
            }
        }
        said
    }
}
