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
    frame::Decoded,
    host::LinkKind,
    message::{Answer, Fault, Hello, MAX_ANSWER, VERSION},
    time::{Duration, Instant, earliest},
    wire::{Counters, Inbox, Outbox},
};
use heapless::String;

mod config;
mod input;
#[cfg(feature = "json")]
pub use crate::codec::JsonStr;
pub use crate::codec::{HostMessage, MessageText};
pub use config::{AnswerError, Config, Event, Memory, Profile, Prompt, Retransmit};
use input::FrameResult;

/// Where the terminal stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum TerminalState {
    /// It waits to be greeted.
    AwaitGreeting,
    /// It has said hello and waits for the welcome.
    AwaitWelcome,
    /// A prompt is open.
    PromptOpen(Prompt),
    /// The prompt was answered; the reply is to come.
    AwaitReply(Prompt),
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
    state: TerminalState,
    memory: Memory,
    attempt: u32,
    /// Is the person still there who was welcomed last?
    resume: bool,
    /// The answer that has no reply yet, for as long as this life may repeat it.
    answer: Option<String<MAX_ANSWER>>,
    /// The host has said that it cannot serve it.
    host_sent_fault: bool,
    /// What is to be sent waits for what is still on its way out.
    send_deferred: bool,
    /// The frame that is held was told; it is let go of at the next call.
    frame_reported: bool,
    link_down: bool,
    pending_event: Option<PendingEvent>,
    retransmit_at: Option<Instant>,
    backoff: Duration,
    frame_since: Option<Instant>,
    /// When the terminal began to wait, or last heard anything.
    last_contact: Instant,
    /// When the answer was given, or the host last said that it works on it.
    answered_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PendingEvent {
    LinkDown,
    LinkUp,
    Broken(Fault),
}

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// An endpoint for a line that was just opened.
    pub fn new(config: Config, now: Instant) -> Self {
        let memory = config.profile.as_ref().map(|profile| profile.memory).unwrap_or_default();
        let mut terminal = Self {
            inbox: Inbox::for_terminal(config.wire),
            outbox: Outbox::new(config.wire),
            state: TerminalState::AwaitGreeting,
            memory,
            attempt: 0,
            resume: false,
            answer: None,
            host_sent_fault: false,
            send_deferred: false,
            frame_reported: false,
            link_down: false,
            pending_event: None,
            retransmit_at: None,
            backoff: Duration::ZERO,
            frame_since: None,
            last_contact: now,
            answered_at: now,
            config,
        };
        terminal.say_hello(now);
        terminal
    }

    /// The line was opened anew, or the session is over and another may begin: says hello again, with the same session in
    /// mind if it is not over.
    pub fn reconnect(&mut self, now: Instant) {
        if self.state == TerminalState::Over {
            self.give_up();
        }
        self.inbox = Inbox::for_terminal(self.config.wire);
        self.outbox.clear();
        self.frame_since = None;
        self.frame_reported = false;
        self.state = TerminalState::AwaitGreeting;
        self.stop_retransmit_timer();
        // It is another line now: whether it is down is to be told anew.
        self.link_down = false;
        if self.config.profile.is_none() {
            // To the host this is somebody new, whose numbers begin again.
            self.memory = Memory::default();
            self.answer = None;
        }
        self.say_hello(now);
    }

    /// Takes bytes that came in; says how many. What it leaves is to be fed again after the events were taken.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.release_frame();
        let taken = self.inbox.push(bytes);
        if !self.inbox.is_partial() {
            self.frame_since = None;
        } else if self.frame_since.is_none() {
            self.frame_since = Some(now);
        }
        taken
    }

    /// The host will send nothing more; what it sent was all fed. What is not whole by then is shown where it may be
    /// text, and is lost otherwise.
    pub fn end(&mut self) {
        self.release_frame();
        if !self.config.wire.is_numbered() {
            self.inbox.end();
        }
    }

    /// Bytes to send. Store the memory first, where it has changed.
    pub fn output(&self) -> &[u8] {
        self.outbox.output()
    }

    /// `count` bytes of the output were sent.
    pub fn consume(&mut self, count: usize) {
        self.outbox.consume(count);
        if self.send_deferred && self.outbox.is_empty() {
            self.send();
        }
    }

    /// What must survive a loss of power.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// The open prompt.
    pub fn prompt(&self) -> Option<Prompt> {
        match self.state {
            TerminalState::PromptOpen(prompt) => Some(prompt),
            _ => None,
        }
    }

    /// Is an answer out that has no reply?
    pub fn is_awaiting_reply(&self) -> bool {
        matches!(self.state, TerminalState::AwaitReply(_)) || self.memory.pending.is_some()
    }

    /// Is the host still to greet it, on the line that was opened last?
    pub fn is_handshaking(&self) -> bool {
        matches!(self.state, TerminalState::AwaitGreeting | TerminalState::AwaitWelcome)
    }

    /// Is the session over?
    pub fn is_over(&self) -> bool {
        self.state == TerminalState::Over
    }

    /// Frames counted since the line was opened.
    pub fn counters(&self) -> Counters {
        self.inbox.counters()
    }

    /// Takes the frames counted so far; the count begins again.
    pub fn take_counters(&mut self) -> Counters {
        self.inbox.take_counters()
    }

    /// Takes what the person typed at `prompt`.
    ///
    /// # Errors
    /// [`AnswerError`] where that prompt is not open (any more) or the text is too long; nothing is sent then.
    pub fn answer(&mut self, prompt: Prompt, text: &str, now: Instant) -> Result<(), AnswerError> {
        if self.state != TerminalState::PromptOpen(prompt) {
            return Err(AnswerError::NotOpen);
        }
        let answer = Answer::new(text);
        let text = answer.text().and_then(|text| String::try_from(text).ok()).ok_or(AnswerError::TooLong)?;
        self.answer = Some(text);
        self.memory.pending = prompt;
        self.state = TerminalState::AwaitReply(prompt);
        self.answered_at = now;
        self.start_retransmit_timer(now);
        self.send();
        Ok(())
    }

    /// Gives up on the session and on the answer that is out: what became of it is only asked for, with the next hello,
    /// which settles it.
    pub fn give_up(&mut self) {
        self.resume = false;
        self.answer = None;
    }

    /// When [`tick`](Self::tick) is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(
            earliest(self.frame_deadline(), self.give_up_deadline()),
            earliest(self.retransmit_at, self.link_down_deadline()),
        )
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if passed(self.frame_deadline()) {
            self.frame_since = None;
            if !self.config.wire.is_numbered() {
                // It may be text that looks like the beginning of an object.
                self.inbox.end();
            } else {
                let fault = self.inbox.give_up();
                if self.config.link == LinkKind::Connection {
                    // What comes now would be taken for the start of a frame.
                    self.pending_event = Some(PendingEvent::Broken(fault));
                }
            }
        }
        if passed(self.link_down_deadline()) {
            self.link_down = true;
            self.pending_event = Some(PendingEvent::LinkDown);
        }
        if passed(self.give_up_deadline()) {
            // Nobody can be taken to be there any more: money must not move when the line comes back.
            self.give_up();
            self.say_hello(now);
        }
        if passed(self.retransmit_at) {
            self.backoff = self
                .backoff
                .doubled(self.config.retransmit.map_or(self.backoff, |retransmit| retransmit.max_wait));
            self.retransmit_at = Some(now + self.backoff);
            // What is still on its way out is not repeated.
            if self.outbox.is_empty() {
                self.send();
            }
        }
    }

    /// What has happened; `None` when there is nothing more until something comes in.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event<'_>> {
        loop {
            self.release_frame();
            if let Some(pending_event) = self.pending_event.take() {
                return Some(match pending_event {
                    PendingEvent::LinkDown => Event::LinkDown,
                    PendingEvent::LinkUp => Event::LinkUp,
                    PendingEvent::Broken(fault) => Event::Broken(fault),
                });
            }
            let result = self.handle_frame(now);
            self.frame_reported = !matches!(result, FrameResult::NoFrame);
            match result {
                FrameResult::NoFrame => return None,
                FrameResult::Skip => {}
                FrameResult::Fault(fault) => return Some(Event::Fault(fault)),
                FrameResult::Broken(fault) => return Some(Event::Broken(fault)),
                FrameResult::Show => break,
            }
        }
        let (found, body) = self.inbox.decoded();
        let read =
            if found == Decoded::Frame { self.config.wire.read_host(body).ok().flatten() } else { None };
        Some(Event::Message(read.unwrap_or(plain_message(body))))
    }

    fn release_frame(&mut self) {
        if core::mem::take(&mut self.frame_reported) {
            self.inbox.release();
        }
    }

    /// Says hello, where this terminal does.
    fn say_hello(&mut self, now: Instant) {
        if self.config.profile.is_none() || !self.config.wire.is_numbered() {
            return;
        }
        self.attempt = self.attempt.saturating_add(1);
        self.state = TerminalState::AwaitWelcome;
        self.start_retransmit_timer(now);
        self.send();
    }

    /// Sends what waits for a reply: the hello or the answer.
    fn send(&mut self) {
        self.send_deferred = !self.outbox.is_empty();
        if self.send_deferred {
            return;
        }
        let sent = match (&self.state, &self.config.profile, &self.answer) {
            (TerminalState::AwaitWelcome, Some(profile), _) => self.outbox.hello(&Hello {
                version: VERSION,
                terminal: profile.name.clone(),
                start: profile.start,
                attempt: self.attempt,
                ledger: self.memory.ledger,
                shown: self.memory.shown,
                pending: self.memory.pending,
                resume: self.resume,
            }),
            (TerminalState::AwaitReply(prompt), _, Some(answer)) => self.outbox.answer(*prompt, answer),
            _ => Ok(()),
        };
        if sent.is_err() {
            // The buffer is smaller than the longest message: no line would ever carry it.
            self.state = TerminalState::Over;
        }
    }

    fn start_retransmit_timer(&mut self, now: Instant) {
        self.host_sent_fault = false;
        self.last_contact = now;
        if let Some(retransmit) = self.config.retransmit {
            self.backoff = retransmit.first_wait;
            self.retransmit_at = Some(now + retransmit.first_wait);
        }
    }

    fn stop_retransmit_timer(&mut self) {
        self.retransmit_at = None;
    }

    fn frame_deadline(&self) -> Option<Instant> {
        self.frame_since.map(|since| since + self.config.frame_timeout)
    }

    fn give_up_deadline(&self) -> Option<Instant> {
        self.answer.as_ref()?;
        self.config.profile.as_ref()?;
        self.config.retransmit.map(|retransmit| self.answered_at + retransmit.give_up_after)
    }

    fn link_down_deadline(&self) -> Option<Instant> {
        let waits = self.retransmit_at.is_some() && !self.link_down;
        self.config.retransmit.filter(|_| waits).map(|retransmit| self.last_contact + retransmit.down_after)
    }
}

/// Bytes that are shown as they are.
fn plain_message(bytes: &[u8]) -> HostMessage<'_> {
    HostMessage {
        seq: None,
        re: None,
        prompt: false,
        ends: false,
        welcome: None,
        outcome: None,
        notice: None,
        text: MessageText::Plain(bytes),
    }
}

#[cfg(test)]
mod tests;
