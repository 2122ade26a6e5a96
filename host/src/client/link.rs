//! The terminal's endpoint over a line.
use super::{
    Options, Target,
    event::{Direction, LinkEvent, ReceivedMessage},
    reconnect::Reconnector,
    state_file::MemoryStore,
    transcript::Transcript,
    transport::{OpenError, Transport, Wake},
};
use crate::clock::Clock;
use atm_core::{
    message::Fault,
    terminal::{AnswerError, Event, Memory, OUT, Prompt, Terminal},
    time::{Duration, Instant},
    wire::{Counters, Wire},
};
use config::config;
use std::io;

mod config;
mod recovery;

/// Bytes for a message of the host: another one than ours may say much at once.
const IN: usize = 64 * 1024;

/// What one read takes at the most.
const CHUNK: usize = 4096;

/// How long a host may be silent that owes a greeting or a reply, where nothing is repeated.
const SILENCE: Duration = Duration::from_secs(10);

/// How long the host may leave an answer unread on a connection.
const STALL: Duration = Duration::from_secs(10);

/// A conversation with a host: a [`Terminal`] and the line that it stands on.
pub struct Link {
    transport: Transport,
    wake: Wake,
    wire: Wire,
    clock: Clock,
    terminal: Box<Terminal<IN, OUT>>,
    /// What was read, and how much of it the terminal has taken.
    chunk: Box<[u8; CHUNK]>,
    taken: usize,
    read: usize,
    says_hello: bool,
    /// Has anything come at all?
    heard: bool,
    /// Since when a host that cannot be said hello to owes something, and whether it was told that it is silent.
    owes_since: Instant,
    silent: bool,
    /// Set when the line has ended; the error is given out once.
    ended: Option<Option<io::Error>>,
    /// Does the terminal know?
    end_told: bool,
    /// Since when the line has taken no output.
    stalled: Option<Instant>,
    transcript: Option<Transcript>,
    /// Who stores the memory, and what was stored last.
    memory_store: Option<Box<dyn MemoryStore>>,
    stored: Memory,
    /// The answer that is out only ends the session.
    leaving: bool,
    /// Set where a connection that was lost is opened again.
    reconnector: Option<Reconnector>,
    /// What came together with the news that the connection is back.
    later: Option<LinkEvent>,
}

impl Link {
    /// Opens the line, and says hello on it if that is usual there.
    ///
    /// # Errors
    /// Why the line could not be opened.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let (transport, wake) = Transport::open(options)?;
        let clock = Clock::start();
        let config = config(options);
        let says_hello = config.profile.is_some();
        let terminal = Box::new(Terminal::new(config, clock.now()));
        let reconnector = match &options.target {
            Target::Tcp(address) if options.reconnect && options.is_named() => {
                Some(Reconnector::new(address.clone(), options.wire, wake.clone()))
            }
            _ => None,
        };
        Ok(Self {
            transport,
            wake,
            wire: options.wire,
            stored: terminal.memory(),
            terminal,
            clock,
            chunk: Box::new([0; CHUNK]),
            taken: 0,
            read: 0,
            says_hello,
            owes_since: clock.now(),
            silent: false,
            heard: false,
            ended: None,
            end_told: false,
            stalled: None,
            transcript: None,
            memory_store: None,
            leaving: false,
            reconnector,
            later: None,
        })
    }

    /// Lets `memory_store` store the terminal's memory from now on; it has stored what the profile said.
    pub fn store_memory_in(&mut self, memory_store: impl MemoryStore + 'static) {
        self.memory_store = Some(Box::new(memory_store));
    }

    /// Is the terminal's memory stored for its next life?
    pub fn stores_memory(&self) -> bool {
        self.memory_store.is_some()
    }

    /// Stores the terminal's memory where it has changed: what [`next`](Self::next) gave out before was shown.
    /// It does so by itself whenever it is called again; after the last time this must be.
    ///
    /// # Errors
    /// Why the memory could not be stored.
    pub fn store_memory(&mut self) -> io::Result<()> {
        let memory = self.terminal.memory();
        if let Some(memory_store) = &mut self.memory_store
            && memory != self.stored
            && !(self.leaving && memory.pending.is_some())
        {
            memory_store.store(&memory)?;
            self.stored = memory;
        }
        Ok(())
    }

    /// What makes [`next`](Self::next) return from another thread.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// The time, for deadlines.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How messages cross the line.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// Does the line end with the session?
    pub fn is_connection(&self) -> bool {
        self.transport.is_connection()
    }

    /// The open prompt, once [`next`](Self::next) has given out what it asks.
    pub fn prompt(&self) -> Option<Prompt> {
        self.terminal.prompt().filter(|_| self.later.is_none())
    }

    /// Is an answer out that has no reply?
    pub fn is_waiting(&self) -> bool {
        self.terminal.is_waiting()
    }

    /// Does the terminal say hello?
    pub fn says_hello(&self) -> bool {
        self.says_hello
    }

    /// Frames counted since the line was opened.
    pub fn counters(&self) -> Counters {
        self.terminal.counters()
    }

    /// Keeps every message from now on for [`take_transcript`](Self::take_transcript), which must be called now and then.
    pub fn start_transcript(&mut self) {
        self.transcript.get_or_insert_default();
        self.transcribe_output();
    }

    /// The messages since the last call, in order.
    pub fn take_transcript(&mut self) -> Vec<(Direction, Vec<u8>)> {
        self.transcript.as_mut().map(Transcript::take).unwrap_or_default()
    }

    /// Answers `prompt`.
    ///
    /// # Errors
    /// [`AnswerError`] where that prompt is not open, or the answer is too long; nothing is sent then.
    pub fn answer(&mut self, prompt: Prompt, text: &str) -> Result<(), AnswerError> {
        self.say(prompt, text, false)
    }

    fn say(&mut self, prompt: Prompt, text: &str, leaving: bool) -> Result<(), AnswerError> {
        let now = self.now();
        self.terminal.answer(prompt, text, now)?;
        self.leaving = leaving;
        (self.owes_since, self.silent) = (now, false);
        self.transcribe_output();
        // Where it cannot be stored it is not sent; `next` tries again, and tells.
        if self.store_memory().is_ok() {
            self.send(now);
        }
        Ok(())
    }

    /// Answers `prompt` with what ends the session. It moves no money: where its reply is lost, there is nothing to be told at
    /// the next start, and so it is not stored.
    ///
    /// # Errors
    /// As those of [`answer`](Self::answer).
    pub fn leave(&mut self, prompt: Prompt) -> Result<(), AnswerError> {
        // What was shown before is; where that cannot be, an outcome is told once more.
        let _ = self.store_memory();
        self.say(prompt, "exit", true)
    }

    /// Waits for the next thing to happen, at most until `deadline`. What it gave out before is taken to be shown.
    pub fn next(&mut self, deadline: Option<Instant>) -> LinkEvent {
        loop {
            let now = self.now();
            if let Some(event) = self.event(now) {
                return event;
            }
            if let Err(error) = self.store_memory() {
                return LinkEvent::NotStored(error);
            }
            self.send(now);
            let mut moved = self.receive(now);
            if self.terminal.deadline().is_some_and(|due| due <= now) {
                self.terminal.tick(now);
                self.transcribe_output();
                // What it repeats is sent before there is a rest.
                moved = true;
            }
            if let Some(event) = self.event(now) {
                return event;
            }
            if !moved && let Some(event) = self.recover(now) {
                return event;
            }
            if self.silent_at().is_some_and(|at| at <= now) {
                self.silent = true;
                return LinkEvent::LinkDown;
            }
            if self.wake.take() {
                return LinkEvent::Woken;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return LinkEvent::Timeout;
            }
            if !moved && self.ended.is_none() {
                self.rest(deadline);
            }
        }
    }

    /// When a host on a connection, of which nothing is repeated, has been silent for too long.
    fn silent_at(&self) -> Option<Instant> {
        let owes = self.terminal.prompt().is_none() && !self.terminal.is_over() && !self.silent;
        let plain = self.is_connection() && !self.says_hello && self.ended.is_none();
        (plain && owes).then(|| self.owes_since + SILENCE)
    }

    /// Waits until there may be something to do.
    fn rest(&mut self, deadline: Option<Instant>) {
        let stall = self.stalled.filter(|_| self.is_connection()).map(|since| since + STALL);
        let reconnect =
            self.reconnector.as_ref().filter(|_| !self.transport.is_open()).and_then(Reconnector::deadline);
        let due = [deadline, self.terminal.deadline(), stall, reconnect, self.silent_at()]
            .into_iter()
            .flatten()
            .min();
        if let Err(error) = self.transport.wait(due.map(|due| self.clock.until(due))) {
            self.end(Some(error));
        }
    }

    /// What there is to tell.
    fn event(&mut self, now: Instant) -> Option<LinkEvent> {
        if self.later.is_some() {
            return self.later.take();
        }
        let told = self.told(now);
        let served = self.transport.is_open() && !self.terminal.is_greeting() && !self.terminal.is_over();
        match &mut self.reconnector {
            Some(reconnector) if served && reconnector.is_lost() => {
                reconnector.mend(now);
                self.later = told;
                Some(LinkEvent::Reconnected)
            }
            _ => told,
        }
    }

    /// What the terminal has to tell.
    fn told(&mut self, now: Instant) -> Option<LinkEvent> {
        let (connection, mends) = (self.is_connection(), self.reconnector.is_some() && self.heard);
        let event = loop {
            break match self.terminal.poll_event(now) {
                None => return self.is_other_wire().then_some(LinkEvent::Broken(Fault::WrongWire)),
                // Nobody stands between the two ends of a connection: one that is silent is lost.
                Some(Event::LineDown) if connection => {
                    self.fail(io::ErrorKind::TimedOut);
                    continue;
                }
                Some(Event::LineUp) if connection => continue,
                // It was understood before: something has lost a piece of it.
                Some(Event::Broken(_)) if mends => {
                    self.fail(io::ErrorKind::InvalidData);
                    continue;
                }
                Some(Event::Said(said)) => LinkEvent::Message(ReceivedMessage::from(&said)),
                Some(Event::Fault(fault)) => LinkEvent::Fault(fault),
                Some(Event::Broken(fault)) => LinkEvent::Broken(fault),
                Some(Event::LineDown) => LinkEvent::LinkDown,
                Some(Event::LineUp) => LinkEvent::LinkUp,
            };
        };
        // A reply may have made the terminal say something.
        self.transcribe_output();
        let first = !std::mem::replace(&mut self.heard, true);
        (self.owes_since, self.silent) = (now, false);
        Some(match event {
            // Other wires begin with a length or end with a zero; no text that is meant for a person has one.
            LinkEvent::Message(said) if first && said.plain && said.text.contains('\0') => {
                LinkEvent::Broken(Fault::WrongWire)
            }
            LinkEvent::Message(mut said) => {
                said.prompt = said.prompt.and(self.terminal.prompt());
                said.ends |= self.terminal.is_over();
                LinkEvent::Message(said)
            }
            event => event,
        })
    }

    /// On a connection nothing is damaged on its way: what cannot be read was never meant for this wire.
    fn is_other_wire(&self) -> bool {
        let garbled = self.is_connection() && self.terminal.counters().discarded > 0;
        garbled && self.wire == Wire::Postcard && !(self.reconnector.is_some() && self.heard)
    }

    /// Sends what is to be sent, as far as the line takes it.
    fn send(&mut self, now: Instant) {
        while self.transport.is_open() && !self.terminal.output().is_empty() {
            match self.transport.write(self.terminal.output()) {
                Ok(0) => {
                    let since = *self.stalled.get_or_insert(now);
                    if self.is_connection() && since + STALL <= now {
                        self.end(Some(io::ErrorKind::TimedOut.into()));
                    }
                    return;
                }
                Ok(count) => self.consume(count),
                // What the peer said before it went is still to be read; then reading says that it is gone.
                Err(_) if self.is_connection() => self.consume(self.terminal.output().len()),
                Err(error) => return self.end(Some(error)),
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.stalled = None;
        self.terminal.consume(count);
        if let Some(transcript) = &mut self.transcript {
            transcript.sent(count);
        }
        // There may have been no room for all of it before.
        self.transcribe_output();
    }

    /// Hands the terminal a piece of what came, or the end; false where there was nothing.
    fn receive(&mut self, now: Instant) -> bool {
        if self.taken == self.read {
            if self.ended.is_some() {
                if !self.end_told {
                    // What has begun is told as it is.
                    self.terminal.end();
                }
                return !std::mem::replace(&mut self.end_told, true);
            }
            (self.taken, self.read) = (0, 0);
            match self.transport.read(&mut *self.chunk) {
                Ok(None) => return false,
                Ok(Some(0)) => self.end(None),
                Ok(Some(count)) => self.read = count,
                Err(error) => self.end(Some(error)),
            }
        }
        let piece = self.chunk.get(self.taken..self.read).unwrap_or_default();
        let before = self.terminal.counters();
        let count = self.terminal.feed(piece, now);
        if let Some(transcript) = &mut self.transcript {
            transcript.received(piece.get(..count).unwrap_or(piece), self.terminal.counters() != before);
        }
        self.taken = self.taken.saturating_add(count);
        true
    }

    /// The line has ended.
    fn end(&mut self, error: Option<io::Error>) {
        self.ended.get_or_insert(error);
    }

    /// Records what the terminal has begun to say.
    fn transcribe_output(&mut self) {
        if let Some(transcript) = &mut self.transcript {
            transcript.queued(self.terminal.output());
        }
    }
}

#[cfg(test)]
mod tests;
