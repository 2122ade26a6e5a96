//! The terminal's endpoint over a line.
use super::{
    Options, Target,
    happening::{Happening, Said, Way},
    line::{Line, OpenError, Wake},
};
use crate::clock::Clock;
use atm_core::{
    host,
    message::Fault,
    terminal::{AnswerError, Config, Event, Memory, OUT, Profile, Prompt, Repeat, Terminal},
    time::{Duration, Instant},
    wire::{Counters, Wire},
};
use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

/// Bytes for a message of the host: another one than ours may say much at once.
const IN: usize = 64 * 1024;

/// What one read takes at the most.
const CHUNK: usize = 4096;

/// How long the host may leave an answer unread on a connection.
const STALL: Duration = Duration::from_secs(10);

/// How long a frame may take from its first byte to its last. The end of a COBS frame may have been eaten by noise, or
/// never come from a host that speaks another wire; other frames are only slow.
const fn frame_time(wire: Wire) -> Duration {
    Duration::from_secs(if matches!(wire, Wire::Postcard) { 10 } else { 60 })
}

/// What crossed the line, a message each, as it was on the wire.
#[derive(Default)]
struct Record {
    messages: Vec<(Way, Vec<u8>)>,
    /// The bytes of the message that is coming in.
    partial: Vec<u8>,
    /// How many bytes of the terminal's present output are among the messages.
    output: usize,
}

/// A conversation with a host: a [`Terminal`] and the line that it stands on.
pub struct Link {
    line: Line,
    wake: Wake,
    wire: Wire,
    clock: Clock,
    terminal: Box<Terminal<IN, OUT>>,
    /// What was read, and how much of it the terminal has taken.
    chunk: Box<[u8; CHUNK]>,
    taken: usize,
    read: usize,
    /// Has anything come at all?
    heard: bool,
    /// Set when the line has ended; the error is given out once.
    ended: Option<Option<io::Error>>,
    /// Does the terminal know?
    end_told: bool,
    /// Since when the line has taken no output.
    stalled: Option<Instant>,
    record: Option<Record>,
}

impl Link {
    /// Opens the line, and says hello on it if that is usual there.
    ///
    /// # Errors
    /// Why the line could not be opened.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let (line, wake) = Line::open(options)?;
        let wire = options.wire;
        let config = match options.target {
            Target::Tcp(_) => Config {
                wire,
                link: host::Link::Connection,
                profile: options.profile.clone(),
                repeat: None,
                frame: frame_time(wire),
            },
            Target::Serial { baud, .. } => Config {
                wire,
                link: host::Link::Serial,
                profile: Some(options.profile.clone().unwrap_or_else(unnamed)),
                repeat: Some(Repeat::for_baud(baud)),
                frame: frame_time(wire),
            },
        };
        let clock = Clock::start();
        Ok(Self {
            line,
            wake,
            wire,
            terminal: Box::new(Terminal::new(config, clock.now())),
            clock,
            chunk: Box::new([0; CHUNK]),
            taken: 0,
            read: 0,
            heard: false,
            ended: None,
            end_told: false,
            stalled: None,
            record: None,
        })
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
        self.line.is_connection()
    }

    /// The open prompt.
    pub fn prompt(&self) -> Option<Prompt> {
        self.terminal.prompt()
    }

    /// Is an answer out that has no reply?
    pub fn is_waiting(&self) -> bool {
        self.terminal.is_waiting()
    }

    /// What a named terminal must store before it says anything again.
    pub fn memory(&self) -> Memory {
        self.terminal.memory()
    }

    /// Frames counted since the line was opened.
    pub fn counters(&self) -> Counters {
        self.terminal.counters()
    }

    /// Keeps every message from now on for [`recorded`](Self::recorded), which must be called now and then.
    pub fn record(&mut self) {
        self.record.get_or_insert_default();
        self.keep_output();
    }

    /// The messages since the last call, in order.
    pub fn recorded(&mut self) -> Vec<(Way, Vec<u8>)> {
        self.record.as_mut().map(|record| std::mem::take(&mut record.messages)).unwrap_or_default()
    }

    /// Answers `prompt`.
    ///
    /// # Errors
    /// [`AnswerError`] where that prompt is not open, or the answer is too long; nothing is sent then.
    pub fn answer(&mut self, prompt: Prompt, text: &str) -> Result<(), AnswerError> {
        let now = self.now();
        self.terminal.answer(prompt, text, now)?;
        self.keep_output();
        self.send(now);
        Ok(())
    }

    /// Waits for the next thing to happen, at most until `deadline`.
    pub fn next(&mut self, deadline: Option<Instant>) -> Happening {
        loop {
            let now = self.now();
            if let Some(happening) = self.event(now) {
                return happening;
            }
            self.send(now);
            let moved = self.receive(now);
            if self.terminal.deadline().is_some_and(|due| due <= now) {
                self.terminal.tick(now);
                self.keep_output();
            }
            if let Some(happening) = self.event(now) {
                return happening;
            }
            if let Some(error) = &mut self.ended
                && !moved
            {
                return Happening::Closed(error.take());
            }
            if self.wake.take() {
                return Happening::Woken;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Happening::Timeout;
            }
            if !moved {
                let stall = self.stalled.filter(|_| self.is_connection()).map(|since| since + STALL);
                let due = [deadline, self.terminal.deadline(), stall].into_iter().flatten().min();
                if let Err(error) = self.line.wait(due.map(|due| self.clock.until(due))) {
                    self.end(Some(error));
                }
            }
        }
    }

    /// What the terminal has to tell.
    fn event(&mut self, now: Instant) -> Option<Happening> {
        let happening = match self.terminal.poll_event(now) {
            None => return self.is_other_wire().then_some(Happening::Broken(Fault::WrongWire)),
            Some(Event::Said(said)) => Happening::Said(Said::from(&said)),
            Some(Event::Fault(fault)) => Happening::Fault(fault),
            Some(Event::Broken(fault)) => Happening::Broken(fault),
            Some(Event::LineDown) => Happening::LineDown,
            Some(Event::LineUp) => Happening::LineUp,
        };
        // A reply may have made the terminal say something.
        self.keep_output();
        let first = !std::mem::replace(&mut self.heard, true);
        Some(match happening {
            // Other wires begin with a length or end with a zero; no text that is meant for a person has one.
            Happening::Said(said) if first && said.plain && said.text.contains('\0') => {
                Happening::Broken(Fault::WrongWire)
            }
            Happening::Said(mut said) => {
                said.prompt = said.prompt.and(self.terminal.prompt());
                Happening::Said(said)
            }
            happening => happening,
        })
    }

    /// On a connection nothing is damaged on its way: what cannot be read was never meant for this wire.
    fn is_other_wire(&self) -> bool {
        self.is_connection() && self.terminal.counters().discarded > 0 && self.wire == Wire::Postcard
    }

    /// Sends what is to be sent, as far as the line takes it.
    fn send(&mut self, now: Instant) {
        while !self.terminal.output().is_empty() {
            match self.line.write(self.terminal.output()) {
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
        if let Some(record) = &mut self.record {
            record.output = record.output.saturating_sub(count);
        }
        // There may have been no room for all of it before.
        self.keep_output();
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
            match self.line.read(&mut *self.chunk) {
                Ok(None) => return false,
                Ok(Some(0)) => self.end(None),
                Ok(Some(count)) => self.read = count,
                Err(error) => self.end(Some(error)),
            }
        }
        let piece = self.chunk.get(self.taken..self.read).unwrap_or_default();
        let before = self.terminal.counters();
        let count = self.terminal.feed(piece, now);
        if let Some(record) = &mut self.record {
            record.partial.extend(piece.iter().take(count));
            if self.terminal.counters() != before {
                record.messages.push((Way::In, std::mem::take(&mut record.partial)));
            }
        }
        self.taken = self.taken.saturating_add(count);
        true
    }

    /// The line has ended.
    fn end(&mut self, error: Option<io::Error>) {
        self.ended.get_or_insert(error);
    }

    /// Records what the terminal has begun to say.
    fn keep_output(&mut self) {
        let output = self.terminal.output();
        if let Some(record) = &mut self.record
            && let Some(message @ [_, ..]) = output.get(record.output..)
        {
            record.messages.push((Way::Out, message.to_vec()));
            record.output = output.len();
        }
    }
}

/// A terminal without a name. The time tells its hello from those of whoever was on this line before.
fn unnamed() -> Profile {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Profile { start: u64::try_from(since.as_millis()).unwrap_or(0), ..Profile::default() }
}
