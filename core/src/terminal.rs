//! The terminal's endpoint: the person's side of the line as a byte-stream machine.
//!
//! It shows each reply of the host once and in order, takes an answer for the prompt that is open, and repeats what has
//! no reply where its line may lose it. Its driver holds the line, the clock and the person, by four kinds of methods:
//!
//! * what comes in: [`feed`](Terminal::feed), [`end`](Terminal::end), [`answer`](Terminal::answer),
//!   [`tick`](Terminal::tick), [`reconnect`](Terminal::reconnect);
//! * what goes out: [`output`](Terminal::output), then [`consume`](Terminal::consume);
//! * what is to be done: [`poll_event`](Terminal::poll_event), [`deadline`](Terminal::deadline);
//! * what is to be kept: [`memory`](Terminal::memory).
//!
//! The one invariant: after any method the driver drains events, stores the memory where it has changed and only then
//! drains output: an answer is stored before it is first sent.
use crate::{
    codec::{Said, Words},
    frame::Step,
    host::Link,
    ledger::{LedgerId, Name},
    message::{Answer, Fault, Hello, MAX_ANSWER, Notice, VERSION, Welcome},
    time::{Duration, Instant, earliest},
    wire::{Counters, Inbox, Outbox, Wire},
};
use core::fmt;
use heapless::String;

/// How a terminal repeats what has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repeat {
    /// After how long it repeats first: longer than the longest exchange takes on the line.
    pub first: Duration,
    /// The longest time between two repeats; each is twice the one before, up to this.
    pub most: Duration,
    /// After how long without a reply the line is down.
    pub down: Duration,
}

impl Repeat {
    /// What suits a serial line of `baud` bits a second, ten bits a byte: the first repeat comes no sooner than a
    /// message of [`OUT`](crate::host::OUT) bytes each way and a tenth of a second for the host need.
    pub const fn for_baud(baud: u32) -> Self {
        const BITS: u32 = 2 * 10 * crate::host::OUT as u32;
        let baud = if baud == 0 { 1 } else { baud };
        let exchange = (BITS.saturating_mul(1000) / baud).saturating_add(100);
        Self {
            first: Duration::from_millis(exchange),
            most: Duration::from_millis(exchange.saturating_mul(8)),
            down: Duration::from_millis(exchange.saturating_mul(16)),
        }
    }
}

/// What a terminal must not forget: what it would be a lie to say hello without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The ledger whose numbers it knows.
    pub ledger: Option<LedgerId>,
    /// The highest number of a reply that it has shown.
    pub shown: u64,
    /// The number of the prompt that it has answered without having shown the reply.
    pub pending: Option<u64>,
}

/// What a terminal says of itself when it says hello.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Its name; without one its operations are not remembered.
    pub name: Option<Name>,
    /// How often it has started, or anything else that grows with every start.
    pub start: u64,
    /// What it kept from its last life.
    pub memory: Memory,
}

/// What a terminal's endpoint is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// How messages cross the line.
    pub wire: Wire,
    /// What kind of line it is.
    pub link: Link,
    /// Who says hello. Without one the terminal waits to be greeted.
    pub profile: Option<Profile>,
    /// How to repeat; `None` on a line that loses nothing.
    pub repeat: Option<Repeat>,
    /// How long a frame may take from its first byte to its last.
    pub frame: Duration,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap to box it in, and it is used where it is made"
)]
pub enum Event<'a> {
    /// The host says this: show it, and ask for an answer if it is a prompt.
    Said(Said<'a>),
    /// What came is not a message; the session goes on.
    Fault(Fault),
    /// What came can be no stream of this wire: nothing more will be understood.
    Broken(Fault),
    /// Nothing has come for too long; the terminal goes on repeating.
    LineDown,
    /// The line is there again.
    LineUp,
}

/// Why an answer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerError {
    /// That prompt is not open.
    NotOpen,
    /// It is longer than [`MAX_ANSWER`] bytes after trimming.
    TooLong,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("there is no open prompt"),
            Self::TooLong => write!(f, "an answer has at most {MAX_ANSWER} bytes"),
        }
    }
}

impl core::error::Error for AnswerError {}

/// The number of a prompt; `None` on a wire without numbers.
pub type Prompt = Option<u64>;

/// Where the terminal stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// It waits to be greeted.
    Greeted,
    /// It has said hello and waits for the welcome.
    Hello,
    /// A prompt is open.
    Open(Prompt),
    /// The prompt was answered; the reply is to come.
    Waiting(Prompt),
    /// The session is over.
    Over,
}

/// Bytes for what goes out: the longest hello in JSON, with its frame.
pub const OUT: usize = 512;

/// The person's side of one line, for messages of at most `IN` bytes and output of at most `OUT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terminal<const IN: usize, const OUT: usize> {
    config: Config,
    inbox: Inbox<IN>,
    outbox: Outbox<OUT>,
    state: State,
    memory: Memory,
    attempt: u32,
    /// The answer that has no reply yet, for as long as this life may repeat it.
    answer: Option<String<MAX_ANSWER>>,
    /// The frame that is held was told; it is let go of at the next call.
    spent: bool,
    down: bool,
    signal: Option<Signal>,
    repeat_at: Option<Instant>,
    interval: Duration,
    frame_since: Option<Instant>,
    /// When the terminal began to wait, or last heard anything.
    heard: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Signal {
    Down,
    Up,
}

/// What is to be done with the frame that is held.
enum Verdict {
    Nothing,
    Skip,
    Show,
    Fault(Fault),
    Broken(Fault),
}

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// An endpoint for a line that was just opened.
    pub fn new(config: Config, now: Instant) -> Self {
        let memory = config.profile.as_ref().map(|profile| profile.memory).unwrap_or_default();
        let mut terminal = Self {
            inbox: Inbox::for_terminal(config.wire),
            outbox: Outbox::new(config.wire),
            state: State::Greeted,
            memory,
            attempt: 0,
            answer: None,
            spent: false,
            down: false,
            signal: None,
            repeat_at: None,
            interval: Duration::ZERO,
            frame_since: None,
            heard: now,
            config,
        };
        terminal.say_hello(now);
        terminal
    }

    /// The line was opened anew: says hello again, with the same session in mind.
    pub fn reconnect(&mut self, now: Instant) {
        self.inbox = Inbox::for_terminal(self.config.wire);
        self.outbox.clear();
        self.frame_since = None;
        self.spent = false;
        self.state = State::Greeted;
        self.say_hello(now);
    }

    /// Takes bytes that came in; says how many. What it leaves is to be fed again after the events were taken.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.release();
        let taken = self.inbox.push(bytes);
        if !self.inbox.is_partial() {
            self.frame_since = None;
        } else if self.frame_since.is_none() {
            self.frame_since = Some(now);
        }
        taken
    }

    /// The host will send nothing more.
    pub fn end(&mut self) {
        self.release();
        self.inbox.end();
    }

    /// Bytes to send. Store the memory first, where it has changed.
    pub fn output(&self) -> &[u8] {
        self.outbox.output()
    }

    /// `count` bytes of the output were sent.
    pub fn consume(&mut self, count: usize) {
        self.outbox.consume(count);
    }

    /// What must survive a loss of power.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// The open prompt.
    pub fn prompt(&self) -> Option<Prompt> {
        match self.state {
            State::Open(prompt) => Some(prompt),
            _ => None,
        }
    }

    /// Is an answer out that has no reply?
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_)) || self.memory.pending.is_some()
    }

    /// Is the session over?
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Frames counted since the line was opened.
    pub fn counters(&self) -> Counters {
        self.inbox.counters()
    }

    /// Takes what the person typed at `prompt`.
    ///
    /// # Errors
    /// [`AnswerError`] where that prompt is not open (any more) or the text is too long; nothing is sent then.
    pub fn answer(&mut self, prompt: Prompt, text: &str, now: Instant) -> Result<(), AnswerError> {
        if self.state != State::Open(prompt) {
            return Err(AnswerError::NotOpen);
        }
        let answer = Answer::new(text);
        let text = answer.text().and_then(|text| String::try_from(text).ok()).ok_or(AnswerError::TooLong)?;
        self.answer = Some(text);
        self.memory.pending = prompt;
        self.state = State::Waiting(prompt);
        self.begin_to_wait(now);
        self.send();
        Ok(())
    }

    /// When [`tick`](Self::tick) is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let frame = self.frame_since.map(|since| since + self.config.frame);
        let down = self.down_at();
        earliest(frame, earliest(self.repeat_at, down))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        if self.frame_since.is_some_and(|since| since + self.config.frame <= now) {
            self.frame_since = None;
            self.inbox.drop_partial();
        }
        if self.down_at().is_some_and(|at| at <= now) {
            self.down = true;
            self.signal = Some(Signal::Down);
        }
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.interval =
                self.interval.doubled(self.config.repeat.map_or(self.interval, |repeat| repeat.most));
            self.repeat_at = Some(now + self.interval);
            // What is still on its way out is not repeated.
            if self.outbox.is_empty() {
                self.send();
            }
        }
    }

    /// What has happened; `None` when there is nothing more until something comes in.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event<'_>> {
        loop {
            self.release();
            if let Some(signal) = self.signal.take() {
                return Some(match signal {
                    Signal::Down => Event::LineDown,
                    Signal::Up => Event::LineUp,
                });
            }
            let verdict = self.judge(now);
            self.spent = !matches!(verdict, Verdict::Nothing);
            match verdict {
                Verdict::Nothing => return None,
                Verdict::Skip => {}
                Verdict::Fault(fault) => return Some(Event::Fault(fault)),
                Verdict::Broken(fault) => return Some(Event::Broken(fault)),
                Verdict::Show => break,
            }
        }
        let (found, body) = self.inbox.found();
        let read = if found == Step::Frame { self.config.wire.read_host(body).ok().flatten() } else { None };
        Some(Event::Said(read.unwrap_or(plain(body))))
    }

    fn release(&mut self) {
        if core::mem::take(&mut self.spent) {
            self.inbox.release();
        }
    }

    /// Decides about the frame that is held, and takes the step that it means.
    fn judge(&mut self, now: Instant) -> Verdict {
        let (found, body) = self.inbox.found();
        let numbered = self.config.wire.is_numbered();
        let said = match found {
            Step::More => return Verdict::Nothing,
            Step::Plain => return Verdict::Show,
            Step::Broken(fault) => return Verdict::Broken(fault),
            Step::Fault(fault) if self.config.wire.discards(fault) => return Verdict::Skip,
            Step::Fault(fault) => return Verdict::Fault(fault),
            Step::Frame => match self.config.wire.read_host(body) {
                Ok(Some(said)) => said,
                Ok(None) if numbered => return Verdict::Skip,
                Err(fault) if numbered => return Verdict::Fault(fault),
                // An object that is no message is text like any other.
                Ok(None) | Err(_) => return Verdict::Show,
            },
        };
        let heading = Heading {
            seq: said.seq,
            re: said.re,
            prompt: said.prompt,
            ends: said.ends,
            welcome: said.welcome,
            notice: said.notice,
        };
        self.hear(now);
        match heading.notice {
            Some(notice) => self.on_notice(notice, now),
            None => self.on_reply(&heading, now),
        }
    }

    fn on_notice(&mut self, notice: Notice, now: Instant) -> Verdict {
        let mine = |start, attempt| {
            self.config.profile.as_ref().is_some_and(|profile| profile.start == start)
                && self.attempt == attempt
        };
        match notice {
            // It will come: there is no need to ask again soon.
            Notice::Working { .. } => {
                self.begin_to_wait(now);
                Verdict::Skip
            }
            Notice::Who if self.config.profile.is_some() => {
                if self.state != State::Hello {
                    self.say_hello(now);
                }
                Verdict::Skip
            }
            Notice::TakenOver { start, attempt } | Notice::NameInUse { start, attempt }
                if !mine(start, attempt) =>
            {
                Verdict::Skip
            }
            notice if notice.ends() => {
                self.state = State::Over;
                self.stop_waiting();
                Verdict::Show
            }
            _ => Verdict::Show,
        }
    }

    fn on_reply(&mut self, said: &Heading, now: Instant) -> Verdict {
        let Some(seq) = said.seq else {
            // A host without numbers: what it says is shown, and its last prompt is open.
            if said.ends {
                self.state = State::Over;
            } else if said.prompt {
                self.state = State::Open(None);
                self.answer = None;
            }
            return Verdict::Show;
        };
        match self.state {
            State::Hello => match said.welcome.filter(|welcome| self.is_mine(welcome)) {
                Some(welcome) => self.welcomed(welcome, seq, said, now),
                // The greeting of a host that has not read the hello, or a reply of an earlier life.
                None => Verdict::Skip,
            },
            State::Greeted => self.show(seq, said),
            State::Waiting(Some(pending)) if said.re == Some(pending) && seq > self.memory.shown => {
                self.show(seq, said)
            }
            // After a fault the host asks again. Where the line loses nothing, the fault was about this answer, which is
            // void then; where it may, the answer is repeated when it is time.
            State::Waiting(Some(pending)) if seq == pending && self.config.repeat.is_none() => {
                self.show(seq, said)
            }
            _ => Verdict::Skip,
        }
    }

    fn is_mine(&self, welcome: &Welcome) -> bool {
        let start = self.config.profile.as_ref().map_or(0, |profile| profile.start);
        welcome.start == start && welcome.attempt == self.attempt
    }

    /// The host has read the hello: what has it to say of what the terminal knows?
    fn welcomed(&mut self, welcome: Welcome, seq: u64, said: &Heading, now: Instant) -> Verdict {
        if welcome.ledger != self.memory.ledger {
            // Numbers of another ledger say nothing about this one's.
            self.memory = Memory { ledger: welcome.ledger, shown: 0, pending: None };
            return self.show(seq, said);
        }
        if self.memory.pending == Some(seq) && self.answer.is_some() {
            // The prompt is still open: the answer has not come. It is sent again, and no other in its place.
            self.state = State::Waiting(Some(seq));
            self.begin_to_wait(now);
            self.send();
            return Verdict::Skip;
        }
        if seq <= self.memory.shown {
            // The prompt that was open before is open again.
            self.stop_waiting();
            self.state = if said.prompt { State::Open(Some(seq)) } else { State::Over };
            return Verdict::Skip;
        }
        self.show(seq, said)
    }

    /// Shows a reply and opens its prompt.
    fn show(&mut self, seq: u64, said: &Heading) -> Verdict {
        self.memory.shown = self.memory.shown.max(seq);
        self.stop_waiting();
        self.memory.pending = None;
        self.answer = None;
        if said.prompt {
            self.state = State::Open(Some(seq));
        } else if said.ends {
            self.state = State::Over;
        }
        Verdict::Show
    }

    /// Says hello, where this terminal does.
    fn say_hello(&mut self, now: Instant) {
        if self.config.profile.is_none() || !self.config.wire.is_numbered() {
            return;
        }
        self.attempt = self.attempt.saturating_add(1);
        self.state = State::Hello;
        self.begin_to_wait(now);
        self.send();
    }

    /// Sends what waits for a reply: the hello or the answer.
    fn send(&mut self) {
        let sent = match (&self.state, &self.config.profile, &self.answer) {
            (State::Hello, Some(profile), _) => self.outbox.hello(&Hello {
                version: VERSION,
                terminal: profile.name.clone(),
                start: profile.start,
                attempt: self.attempt,
                ledger: self.memory.ledger,
                shown: self.memory.shown,
                pending: self.memory.pending,
                resume: self.attempt > 1,
            }),
            (State::Waiting(prompt), _, Some(answer)) => self.outbox.answer(*prompt, answer),
            _ => Ok(()),
        };
        if sent.is_err() {
            // The buffer is smaller than the longest message: no line would ever carry it.
            self.state = State::Over;
        }
    }

    fn begin_to_wait(&mut self, now: Instant) {
        self.heard = now;
        if let Some(repeat) = self.config.repeat {
            self.interval = repeat.first;
            self.repeat_at = Some(now + repeat.first);
        }
    }

    fn stop_waiting(&mut self) {
        self.repeat_at = None;
    }

    fn hear(&mut self, now: Instant) {
        self.heard = now;
        if core::mem::take(&mut self.down) {
            self.signal = Some(Signal::Up);
        }
    }

    fn down_at(&self) -> Option<Instant> {
        let waits = self.repeat_at.is_some() && !self.down;
        self.config.repeat.filter(|_| waits).map(|repeat| self.heard + repeat.down)
    }
}

/// What of a message decides what it means.
struct Heading {
    seq: Option<u64>,
    re: Option<u64>,
    prompt: bool,
    ends: bool,
    welcome: Option<Welcome>,
    notice: Option<Notice>,
}

/// Bytes that are shown as they are.
fn plain(bytes: &[u8]) -> Said<'_> {
    Said {
        seq: None,
        re: None,
        prompt: false,
        ends: false,
        welcome: None,
        outcome: None,
        notice: None,
        text: Words::Plain(bytes),
    }
}

#[cfg(test)]
mod tests;
