//! The terminal's endpoint: a sans-IO state machine that shows each reply once and sends each answer until it
//! has a reply.
//!
//! A [`Terminal`] is the person's side of one link. It shows the host's replies in the order of their numbers
//! and drops duplicates; it takes an answer for the open prompt; it does the handshake (hello and welcome);
//! and where the link may lose messages it retransmits what has no reply, with exponential backoff. Its
//! driver supplies the link, the clock, the storage and the person by four kinds of methods:
//!
//! * input: [`feed`](Terminal::feed), [`end`](Terminal::end), [`answer`](Terminal::answer),
//!   [`tick`](Terminal::tick), [`reconnect`](Terminal::reconnect), [`give_up`](Terminal::give_up);
//! * output: [`output`](Terminal::output), then [`consume`](Terminal::consume);
//! * work for the driver: [`poll_event`](Terminal::poll_event), [`deadline`](Terminal::deadline);
//! * state: [`memory`](Terminal::memory) (to be stored), [`prompt`](Terminal::prompt),
//!   [`is_awaiting_reply`](Terminal::is_awaiting_reply), [`is_over`](Terminal::is_over).
//!
//! The one invariant: after any call the driver drains events, stores the memory if it has changed, and only
//! then sends output, so that the number of an answered prompt is stored before its answer is sent. No method
//! blocks or panics.
//!
//! # The run loop
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use atm_core::{host::{self, LinkKind}, terminal::{self, Config, Event, Memory, Profile, Terminal}};
//! use atm_core::{time::Instant, wire::Wire};
//! use std::io::{Error, ErrorKind, Read, Write};
//!
//! /// Runs one session. `store` writes to an EEPROM or a file; the stream's reads time out at `terminal.deadline()`.
//! fn run(
//!     stream: &mut (impl Read + Write),
//!     config: Config,
//!     mut type_answer: impl FnMut() -> String,
//!     mut store: impl FnMut(Memory),
//!     clock: impl Fn() -> Instant,
//! ) -> Result<(), Error> {
//!     let mut terminal = Terminal::<{ host::OUT }, { terminal::OUT }>::new(config, clock());
//!     let (mut chunk, mut unread, mut stored) = ([0; 512], 0..0, terminal.memory());
//!     loop {
//!         if let Some(event) = terminal.poll_event(clock()) {
//!             match event {
//!                 Event::Message(message) => println!("{}", message.text),
//!                 Event::Fault(fault) => eprintln!("{fault}"),
//!                 Event::Broken(fault) => return Err(Error::other(fault.text())),
//!                 Event::LinkDown => println!("No connection. Please wait."),
//!                 Event::LinkUp => println!("Connected again."),
//!                 Event::LedgerSetBack { .. } => println!("The ATM has lost records: check the balance."),
//!                 Event::Idle => print!("\x1b[2J\x1b[H"), // and a line that was begun is dropped
//!             }
//!         } else if terminal.memory() != stored {
//!             stored = terminal.memory();
//!             store(stored);
//!         } else if !terminal.output().is_empty() {
//!             let count = stream.write(terminal.output())?;
//!             terminal.consume(count);
//!         } else if terminal.is_over() {
//!             return Ok(());
//!         } else if !unread.is_empty() {
//!             unread.start += terminal.feed(&chunk[unread.clone()], clock());
//!         } else if let Some(prompt) = terminal.prompt() {
//!             terminal.answer(prompt, &type_answer(), clock()).map_err(Error::other)?;
//!         } else {
//!             match stream.read(&mut chunk) {
//!                 // The connection is lost: open another and call `terminal.reconnect`.
//!                 Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
//!                 Ok(count) => unread = 0..count,
//!                 Err(error) if error.kind() == ErrorKind::WouldBlock => terminal.tick(clock()),
//!                 Err(error) => return Err(error),
//!             }
//!         }
//!     }
//! }
//!
//! let profile = Profile { name: Some("kiosk-7".parse()?), start: 1, ..Profile::default() };
//! let config = Config { profile: Some(profile), ..Config::new(Wire::Json, LinkKind::Connection) };
//! # use atm_core::{host::{Event as HostEvent, Host}, ledger::{Ledger, LedgerId, RamLedger, SessionId}, money::Amount};
//! # struct Link(Host<{ host::IN }, { host::OUT }>, RamLedger<1>);
//! # impl Write for Link {
//! #     fn write(&mut self, buf: &[u8]) -> Result<usize, Error> { Ok(self.0.feed(buf, Instant::default())) }
//! #     fn flush(&mut self) -> Result<(), Error> { Ok(()) }
//! # }
//! # impl Read for Link {
//! #     fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
//! #         while let Some(event) = self.0.poll_event() {
//! #             match event {
//! #                 HostEvent::Request(request) => {
//! #                     let response = self.1.apply(&request).unwrap();
//! #                     self.0.complete(request.ticket, response, Instant::default());
//! #                 }
//! #                 _ => self.0.admit_new(Instant::default()),
//! #             }
//! #         }
//! #         let count = self.0.output().read(buf)?;
//! #         self.0.consume(count, Instant::default());
//! #         Ok(count)
//! #     }
//! # }
//! # let host = Host::new(host::Config::new(Wire::Json, LinkKind::Connection), SessionId::new(1), Instant::default());
//! # let mut link = Link(host, RamLedger::new(LedgerId(7), Amount::from_units(100).unwrap()));
//! # let mut answers = ["deposit 40", "exit"].into_iter();
//! # let mut stored = vec![];
//! # run(&mut link, config, || answers.next().unwrap().into(), |memory| stored.push(memory), Instant::default).unwrap();
//! # assert_eq!(link.1.balance(), Amount::from_units(140).unwrap());
//! # assert!(stored.iter().any(|memory| memory.pending.is_some()) && stored.last().unwrap().pending.is_none());
//! # }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! `core/examples/tcp_client.rs` and `core/examples/in_memory.rs` are complete drivers.
use crate::{
    frame::Decoded,
    message::Answer,
    time::{Duration, Instant},
    wire::{Inbox, Keys, Outbox},
};

#[cfg(feature = "cards")]
mod card;
mod config;
#[cfg(test)]
pub(crate) use config::EXCHANGE;
mod deadlines;
mod input;
mod output;
#[cfg(feature = "seal")]
mod sealing;
mod state;
#[cfg(feature = "json")]
pub use crate::codec::JsonStr;
pub use crate::codec::{HostMessage, MessageText};
pub use config::{AnswerError, Config, Event, Memory, Profile, Prompt, Retransmit};
use input::{FrameResult, plain_message};
use state::{PendingEvent, TerminalState};

/// Size in bytes of the output buffer: the longest hello or answer in JSON, with its frame.
pub const OUT: usize = 512;

/// The person's endpoint of one link, with buffers for frame bodies of at most `IN` bytes (the host's
/// [`OUT`](crate::host::OUT)) and for `OUT` bytes of output. The module's page has a run loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terminal<const IN: usize, const OUT: usize> {
    config: Config,
    inbox: Inbox<IN>,
    outbox: Outbox<OUT>,
    state: TerminalState,
    memory: Memory,
    /// How often this life has said hello.
    attempt: u32,
    /// Whether the next hello asks to resume: the person who was welcomed last is still there.
    resume: bool,
    /// The answer that has no reply yet, while this life may retransmit it.
    answer: Option<Answer>,
    /// The session's idle timer, where it is by card.
    #[cfg(feature = "cards")]
    card: card::CardTimer,
    /// The host has sent a fault since the answer.
    host_sent_fault: bool,
    /// A message has to be sent when the output is empty.
    send_deferred: bool,
    /// The decoded frame was handled and is released by the next call.
    frame_reported: bool,
    link_down: bool,
    pending_event: Option<PendingEvent>,
    retransmit_at: Option<Instant>,
    /// The present wait between two retransmissions.
    backoff: Duration,
    frame_since: Option<Instant>,
    /// When the terminal began to wait, or the last message came.
    last_contact: Instant,
    /// When the answer was given, or the host last reported that it works on it.
    answered_at: Instant,
    /// The keys of the latest hello.
    keys: Keys,
    /// Until then a `who` in clear, which any peer can send, has no effect.
    #[cfg(feature = "seal")]
    no_who_until: Instant,
    /// A hello of this life was welcomed under its key.
    #[cfg(feature = "seal")]
    welcomed: bool,
}

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// Creates the endpoint of a link that was just opened. With a [`Profile`], a hello is in the output at
    /// once. See the [run loop](self#the-run-loop).
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
            #[cfg(feature = "cards")]
            card: card::CardTimer::default(),
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
            keys: Keys::default(),
            #[cfg(feature = "seal")]
            no_who_until: now,
            #[cfg(feature = "seal")]
            welcomed: false,
            config,
        };
        terminal.say_hello(now);
        terminal
    }

    /// Starts again on a link that was opened anew, or for another session on the same link: says hello, and
    /// asks to resume the session if it is not over.
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
        // The state of the new link is not known yet.
        self.link_down = false;
        if self.config.profile.is_none() {
            // To the host this is a new unnamed session, with numbers from 1.
            self.memory = Memory::default();
            self.answer = None;
        }
        self.say_hello(now);
    }

    /// Takes received bytes and returns how many it took. The rest must be fed again after
    /// [`poll_event`](Self::poll_event) has returned `None`.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.release_frame();
        let taken = self.inbox.push(bytes);
        self.time_frame(now);
        taken
    }

    /// Reports the end of the input (a read of 0 bytes), after all of it was fed. An unfinished message is
    /// shown as text on the `raw` wire, and discarded on the others.
    pub fn end(&mut self) {
        self.release_frame();
        if !self.config.wire.is_numbered() {
            self.inbox.end();
        }
    }

    /// Bytes to send; [`consume`](Self::consume) removes those that were sent. Store the
    /// [`memory`](Self::memory) first if it has changed.
    pub fn output(&self) -> &[u8] {
        self.outbox.output()
    }

    /// Removes `count` bytes from the front of the output: they were sent.
    pub fn consume(&mut self, count: usize) {
        self.outbox.consume(count);
        if self.send_deferred && self.outbox.is_empty() {
            self.send();
        }
    }

    /// Sends what the person typed at `prompt`: at most [`MAX_ANSWER`](crate::message::MAX_ANSWER) bytes of UTF-8, after trimming.
    ///
    /// # Errors
    /// [`AnswerError`] if that prompt is not open (any more) or the text is too long. Nothing is sent then.
    pub fn answer(&mut self, prompt: Prompt, text: &str, now: Instant) -> Result<(), AnswerError> {
        if self.state != TerminalState::PromptOpen(prompt) {
            return Err(AnswerError::NotOpen);
        }
        let answer = Answer::new(text);
        if answer.text().is_none() {
            return Err(AnswerError::TooLong);
        }
        self.answer = Some(answer);
        #[cfg(feature = "cards")]
        self.card.on_answer();
        self.memory.pending = prompt;
        self.state = TerminalState::AwaitReply(prompt);
        self.answered_at = now;
        self.start_retransmit_timer(now);
        self.send();
        Ok(())
    }

    /// Gives up the session, because the person has left. An answer without a reply is not sent again; the
    /// next hello asks only for its outcome, which voids it if it was not done.
    pub fn give_up(&mut self) {
        #[cfg(feature = "cards")]
        self.drop_unsent_answer();
        self.resume = false;
        self.answer = None;
    }

    /// Handles the received frames up to the next event, as in the [run loop](self#the-run-loop); `None`
    /// until another call changes the endpoint.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event<'_>> {
        loop {
            self.release_frame();
            // A broken stream stays partial behind the frame that was released.
            self.time_frame(now);
            if let Some(pending_event) = self.pending_event.take() {
                return Some(match pending_event {
                    PendingEvent::LinkDown => Event::LinkDown,
                    PendingEvent::LinkUp => Event::LinkUp,
                    PendingEvent::Broken(fault) => Event::Broken(fault),
                    #[cfg(feature = "cards")]
                    PendingEvent::Idle => Event::Idle,
                });
            }
            let pending = self.memory.pending;
            let result = self.handle_frame(now);
            #[cfg(feature = "cards")]
            self.time_prompt(now);
            self.frame_reported = !matches!(result, FrameResult::NoFrame | FrameResult::LedgerSetBack);
            match result {
                FrameResult::NoFrame => return None,
                FrameResult::Skip => {}
                FrameResult::LedgerSetBack => return Some(Event::LedgerSetBack { pending }),
                FrameResult::Fault(fault) => return Some(Event::Fault(fault)),
                FrameResult::Broken(fault) => return Some(Event::Broken(fault)),
                FrameResult::Show => break,
            }
        }
        let (decoded, body) = self.inbox.decoded();
        let read =
            if decoded == Decoded::Frame { self.config.wire.read_host(body).ok().flatten() } else { None };
        Some(Event::Message(read.unwrap_or(plain_message(body))))
    }

    fn release_frame(&mut self) {
        if core::mem::take(&mut self.frame_reported) {
            self.inbox.release();
        }
    }
}

#[cfg(test)]
mod tests;
