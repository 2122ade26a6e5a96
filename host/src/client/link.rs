//! Link: a terminal's endpoint over a transport, with retransmission, reconnecting and a stored memory.
//!
//! [`Link::next`] runs the endpoint until there is a [`LinkEvent`] for the caller:
//!
//! * `stream` moves bytes between transport and endpoint;
//! * `events` turns the endpoint's events into link events;
//! * `opening` recognises a host of another wire;
//! * `recovery` handles a connection that was lost;
//! * `config` chooses the endpoint's timeouts.
use super::{
    Options, Target,
    connect::connect,
    event::{Direction, LinkEvent},
    hosts::Move,
    memory_store::MemoryStore,
    reconnect::Reconnector,
    transcript::Transcript,
    transport::{OpenError, Opened, Transport, Wake},
};
use crate::clock::Clock;
use atm_core::{
    ledger::Name,
    terminal::{AnswerError, Memory, OUT, Prompt, Terminal},
    time::{Duration, Instant},
    wire::{Counters, Wire},
};
use config::config;
use std::{io, num::NonZeroU32};

mod config;
mod events;
mod opening;
mod recovery;
mod stream;

/// Bytes for one message of the host: hosts other than ours may send long ones.
const MAX_MESSAGE: usize = 64 * 1024;

/// The most bytes taken from the transport by one read.
const CHUNK: usize = 4096;

/// How long a host may owe a greeting or a reply before the link counts as down, where nothing is retransmitted.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a connection may take no output before it counts as lost.
const STALL: Duration = Duration::from_secs(10);

/// Whether the link goes on to the next person's session, on a connection that has to be opened anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextPerson {
    No,
    /// The host has ended the session, and ends the connection.
    SessionEnded,
    /// The next connection is open, and its session awaited.
    Connected,
}

/// A [`Terminal`] and the transport that it runs on.
pub struct Link {
    transport: Transport,
    wake: Wake,
    wire: Wire,
    clock: Clock,
    terminal: Box<Terminal<MAX_MESSAGE, OUT>>,
    /// The last bytes read: the terminal has consumed `input[..consumed]` of `input[..filled]`.
    input: Box<[u8; CHUNK]>,
    consumed: usize,
    filled: usize,
    says_hello: bool,
    /// The name and the series of the terminal's key, if the link is sealed.
    pub(super) sealed: Option<(Name, NonZeroU32)>,
    in_clear: bool,
    /// How long a prompt may be open without an answer, and since when it is.
    idle_timeout: Option<Duration>,
    idle_since: Option<Instant>,
    /// Has the host served a session by card? Then the terminal has an idle time of its own.
    by_card: bool,
    /// Is the answer to the last prompt a secret, or the number of a card?
    hides_answer: bool,
    /// Has the host ended a session whose person may have left?
    next_person: NextPerson,
    /// Has the terminal had any event at all?
    has_received: bool,
    /// The first bytes from the host.
    opening: Vec<u8>,
    /// Since when the host has owed a greeting or a reply, and whether the caller was notified that it is silent.
    owed_since: Instant,
    silence_reported: bool,
    /// Set when the connection or the port has ended; the error is returned once.
    ended: Option<Option<io::Error>>,
    /// Was the end passed to the terminal?
    end_fed: bool,
    /// Since when the transport has taken no output.
    stalled_since: Option<Instant>,
    transcript: Option<Transcript>,
    /// Where the terminal's memory is stored, and what was stored last: the memory, and whether the host has welcomed it.
    memory_store: Option<Box<dyn MemoryStore>>,
    stored: (Memory, bool),
    /// Does the answer without a reply only end the session?
    leaving: bool,
    /// Set if a lost connection is to be replaced by a new one.
    reconnector: Option<Reconnector>,
    /// Does the host stop, and another one of the list is next?
    moves_on: bool,
    /// The last move to another host, until it is taken.
    moved: Option<Move>,
    /// The event that follows [`LinkEvent::Reconnected`].
    deferred_event: Option<LinkEvent>,
}

impl Link {
    /// Opens the transport, and starts the handshake if the terminal says hello.
    ///
    /// # Errors
    /// [`OpenError`] if the transport could not be opened.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let mut hosts = options.hosts();
        let (transport, wake) = Transport::open(options, &mut hosts)?;
        let clock = Clock::start();
        let moved = hosts.on_served(clock.now());
        let config = config(options);
        let says_hello = config.profile.is_some();
        let sealed = options.sealed();
        let in_clear = sealed.is_none() && options.tls.is_none();
        let terminal = Box::new(Terminal::new(config, clock.now()));
        let reconnector = match &options.target {
            Target::Tcp(_) if options.reconnect && options.is_named() => {
                let tls = options.tls.clone();
                let open = move |host: &str| connect(host, "", tls.as_ref()).ok().map(Opened::Connection);
                Some(Reconnector::new(hosts, open, wake.clone()))
            }
            Target::Tcp(_) => None,
            Target::Serial { .. } => transport.port_name().map(|name| {
                let open = move |_: &str| name.open().ok().map(|port| Opened::Port(Box::new(port)));
                Reconnector::new(hosts, open, wake.clone())
            }),
        };
        Ok(Self {
            transport,
            wake,
            wire: options.wire,
            stored: (terminal.memory(), false),
            terminal,
            clock,
            input: Box::new([0; CHUNK]),
            consumed: 0,
            filled: 0,
            says_hello,
            sealed,
            in_clear,
            idle_timeout: options.idle_timeout,
            idle_since: None,
            by_card: false,
            hides_answer: false,
            next_person: NextPerson::No,
            owed_since: clock.now(),
            silence_reported: false,
            has_received: false,
            opening: Vec::new(),
            ended: None,
            end_fed: false,
            stalled_since: None,
            transcript: None,
            memory_store: None,
            leaving: false,
            reconnector,
            moves_on: false,
            moved,
            deferred_event: None,
        })
    }

    /// Stores the terminal's memory in `memory_store` from now on; the store must already have the
    /// profile's memory.
    pub fn store_memory_in(&mut self, memory_store: impl MemoryStore + 'static) {
        self.memory_store = Some(Box::new(memory_store));
    }

    /// Is the terminal's memory stored for its next start?
    pub fn stores_memory(&self) -> bool {
        self.memory_store.is_some()
    }

    /// Stores the terminal's memory if it has changed, and so confirms that the events returned so far were shown.
    /// [`next`](Self::next) does this at each call before [`leave`](Self::leave); after the last one the caller must.
    ///
    /// # Errors
    /// Why the memory could not be stored.
    pub fn store_memory(&mut self) -> io::Result<()> {
        let mut memory = self.terminal.memory();
        if self.leaving {
            memory.pending = None;
        }
        let current = (memory, self.terminal.was_welcomed());
        if let Some(memory_store) = &mut self.memory_store
            && current != self.stored
        {
            memory_store.store(&memory, current.1)?;
            self.stored = current;
        }
        Ok(())
    }

    /// A handle that makes [`next`](Self::next) return, from another thread.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// The time, for deadlines.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The wire that the link speaks.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// Is the transport a connection, which closes at the end of the session?
    pub fn is_connection(&self) -> bool {
        self.transport.is_connection()
    }

    /// The move to another host, if there was one since the last call. At the link's opening it is that from the terminal's first host.
    pub fn take_move(&mut self) -> Option<Move> {
        self.moved.take()
    }

    /// The open prompt, once [`next`](Self::next) has returned the message that opened it.
    pub fn prompt(&self) -> Option<Prompt> {
        self.terminal.prompt().filter(|_| self.deferred_event.is_none())
    }

    /// Is there an answer without a reply?
    pub fn is_waiting(&self) -> bool {
        self.terminal.is_awaiting_reply()
    }

    /// Does the terminal say hello?
    pub fn says_hello(&self) -> bool {
        self.says_hello
    }

    /// The name and the series of the terminal's key, if it waits for the first answer under that key.
    pub fn unanswered_key(&self) -> Option<&(Name, NonZeroU32)> {
        self.sealed.as_ref().filter(|_| self.terminal.is_handshaking())
    }

    /// Is it a connection in clear on which the host has not sent a byte?
    pub fn is_unheard_in_clear(&self) -> bool {
        self.in_clear && self.is_connection() && self.opening.is_empty()
    }

    /// The frames counted since the link was opened.
    pub fn counters(&self) -> Counters {
        self.terminal.counters()
    }

    /// Starts a transcript; [`take_transcript`](Self::take_transcript) must then be called now and then to empty it.
    pub fn start_transcript(&mut self) {
        self.transcript.get_or_insert_default();
        self.transcribe_output();
    }

    /// The messages since the last call, in order.
    pub fn take_transcript(&mut self) -> Vec<(Direction, Vec<u8>)> {
        self.transcript.as_mut().map(Transcript::take).unwrap_or_default()
    }

    /// Answers `prompt`. A named terminal stores the prompt's number, its idempotency key, before the answer is sent.
    ///
    /// # Errors
    /// [`AnswerError`] where that prompt is not open, or the answer is too long; nothing is sent then.
    pub fn answer(&mut self, prompt: Prompt, text: &str) -> Result<(), AnswerError> {
        self.send_answer(prompt, text, false)
    }

    /// Answers `prompt` with `exit`. That moves no money, so a lost reply leaves no outcome to report at the next start,
    /// and the answer is not stored as pending. What was shown before is confirmed by [`store_memory`](Self::store_memory) alone.
    ///
    /// # Errors
    /// As those of [`answer`](Self::answer).
    pub fn leave(&mut self, prompt: Prompt) -> Result<(), AnswerError> {
        self.send_answer(prompt, "exit", true)
    }

    fn send_answer(&mut self, prompt: Prompt, text: &str, leaving: bool) -> Result<(), AnswerError> {
        let now = self.now();
        self.terminal.answer(prompt, text, now)?;
        self.leaving = leaving;
        self.idle_since = None;
        (self.owed_since, self.silence_reported) = (now, false);
        self.transcribe_output();
        // An answer that cannot be stored is not sent: `next` tries to store it again and returns the error.
        if leaving || self.store_memory().is_ok() {
            self.send(now);
        }
        Ok(())
    }

    /// Waits for the next event, at most until `deadline`. A call confirms that the events returned before were shown.
    pub fn next(&mut self, deadline: Option<Instant>) -> LinkEvent {
        loop {
            let now = self.now();
            if self.terminal.prompt().is_some() {
                // Another prompt without an answer between, or a resumed one, does not extend it.
                self.idle_since.get_or_insert(now);
            }
            if self.idle_deadline().is_some_and(|at| at <= now) {
                self.idle_timeout = None;
                return LinkEvent::Idle;
            }
            if let Some(event) = self.poll_event(now) {
                return event;
            }
            if !self.leaving
                && let Err(error) = self.store_memory()
            {
                return LinkEvent::NotStored(error);
            }
            self.send(now);
            let mut progress = self.receive(now);
            if self.terminal.deadline().is_some_and(|due| due <= now) {
                self.terminal.tick(now);
                self.transcribe_output();
                // A retransmission is sent before the link waits.
                progress = true;
            }
            if let Some(event) = self.poll_event(now) {
                return event;
            }
            if !progress && let Some(event) = self.recover(now) {
                return event;
            }
            if self.silence_deadline().is_some_and(|at| at <= now) {
                self.silence_reported = true;
                return LinkEvent::LinkDown;
            }
            if self.wake.take() {
                return LinkEvent::Woken;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return LinkEvent::Timeout;
            }
            if !progress && self.ended.is_none() {
                self.wait(deadline);
            }
        }
    }

    /// When the idle time ends. Nothing that arrives on the link extends it.
    fn idle_deadline(&self) -> Option<Instant> {
        Some(self.idle_since? + self.idle_timeout.filter(|_| !self.by_card)?)
    }

    /// When a host that owes something has been silent for too long, on a connection where nothing is retransmitted.
    fn silence_deadline(&self) -> Option<Instant> {
        let owes = self.terminal.prompt().is_none() && !self.terminal.is_over() && !self.silence_reported;
        let plain = self.is_connection() && !self.says_hello && self.ended.is_none();
        (plain && owes).then(|| self.owed_since + SILENCE)
    }

    /// Waits until there may be work to do.
    fn wait(&mut self, deadline: Option<Instant>) {
        let stall = self.stalled_since.filter(|_| self.is_connection()).map(|since| since + STALL);
        let reconnect =
            self.reconnector.as_ref().filter(|_| !self.transport.is_open()).and_then(Reconnector::deadline);
        let due = [
            deadline,
            self.terminal.deadline(),
            stall,
            reconnect,
            self.silence_deadline(),
            self.idle_deadline(),
        ]
        .into_iter()
        .flatten()
        .min();
        if let Err(error) = self.transport.wait(due.map(|due| self.clock.until(due))) {
            self.end(Some(error));
        }
    }
}

#[cfg(feature = "server")]
#[cfg(test)]
mod tests;
