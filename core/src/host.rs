//! The host's endpoint: a sans-IO state machine that turns the bytes of one link into ledger requests and
//! replies.
//!
//! A [`Host`] is the ATM's side of one link. It decodes frames, keeps the dialogue, numbers its replies,
//! answers a duplicate with the same reply, and emits at most one ledger request for each answer. It has no
//! socket, no clock and no money; its driver supplies them by four kinds of methods:
//!
//! * input: [`feed`](Host::feed), [`end`](Host::end), `provide_key` (with the feature `seal`), [`complete`](Host::complete), [`tick`](Host::tick),
//!   [`admit`](Host::admit), [`refuse`](Host::refuse), [`reject`](Host::reject), [`shut_down`](Host::shut_down);
//! * output: [`output`](Host::output), then [`consume`](Host::consume);
//! * work for the driver: [`poll_event`](Host::poll_event), [`deadline`](Host::deadline);
//! * state: [`is_finished`](Host::is_finished), [`conversation`](Host::conversation),
//!   [`counters`](Host::counters).
//!
//! The one invariant: after any call the driver drains events and output, and asks for the deadline again. No
//! method blocks, and none panics, whatever the bytes and the order of calls.
//!
//! # The run loop
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use atm_core::host::{Config, Event, Host, IN, LinkKind, OUT};
//! use atm_core::ledger::{Ledger, LedgerId, RamLedger, SessionId};
//! use atm_core::{money::Amount, time::Instant, wire::Wire};
//! use std::io::{Error, ErrorKind, Read, Write};
//!
//! /// Serves one connection. `session` is its number; the stream's reads time out when `host.deadline()` has come.
//! fn serve(
//!     stream: &mut (impl Read + Write),
//!     ledger: &mut RamLedger<4>,
//!     session: SessionId,
//!     clock: impl Fn() -> Instant,
//! ) -> Result<(), Error> {
//!     let mut host = Host::<IN, OUT>::new(Config::new(Wire::Json, LinkKind::Connection), session, clock());
//!     let (mut chunk, mut unread) = ([0; 512], 0..0);
//!     while !host.is_finished() {
//!         if let Some(event) = host.poll_event() {
//!             match event {
//!                 Event::Request(request) => {
//!                     let response = ledger.apply(&request).map_err(Error::other)?;
//!                     host.complete(request.ticket, response, clock());
//!                 }
//!                 // No other endpoint or table holds the terminal's conversation.
//!                 Event::Hello(_) => host.admit_new(clock()),
//!                 // No terminal has a key here.
//! #               #[cfg(feature = "seal")]
//!                 Event::Key(_) => host.provide_key(None, clock()),
//!                 Event::Quit => host.shut_down(clock()),
//!             }
//!         } else if !host.output().is_empty() {
//!             let count = stream.write(host.output())?;
//!             host.consume(count, clock());
//!         } else if !unread.is_empty() {
//!             unread.start += host.feed(&chunk[unread.clone()], clock());
//!         } else {
//!             match stream.read(&mut chunk) {
//!                 Ok(0) => host.end(clock()),
//!                 Ok(count) => unread = 0..count,
//!                 Err(error) if error.kind() == ErrorKind::WouldBlock => host.tick(clock()),
//!                 Err(error) => return Err(error),
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! # struct Stream<'a>(&'a [u8], Vec<u8>);
//! # impl Read for Stream<'_> {
//! #     fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> { self.0.read(buf) }
//! # }
//! # impl Write for Stream<'_> {
//! #     fn write(&mut self, buf: &[u8]) -> Result<usize, Error> { self.1.write(buf) }
//! #     fn flush(&mut self) -> Result<(), Error> { Ok(()) }
//! # }
//! # let mut ledger = RamLedger::new(LedgerId(7), Amount::from_units(100).unwrap());
//! # let mut stream = Stream(b"\0\0\0\x15{\"data\":\"deposit 40\"}", Vec::new());
//! # serve(&mut stream, &mut ledger, SessionId::new(1), Instant::default).unwrap();
//! # assert!(String::from_utf8_lossy(&stream.1).contains("Amount deposited: $40. Your balance is $140."));
//! # }
//! ```
//!
//! `core/examples/tcp_server.rs` is a complete driver, and `kiosk` (with the feature `embedded-io`) the same
//! loop for a serial port. A server with many connections also keeps the conversations of terminals that are
//! between two of them: see [`Event::Hello`], [`take_over`](Host::take_over) and [`park`](Host::park).
#[cfg(feature = "cards")]
use crate::ledger::card::CardKeys;
use crate::{
    frame::Decoded,
    ledger::{Response, SessionId, Ticket},
    message::Hello,
    time::Instant,
    wire::{Counters, Inbox, Outbox, Proof},
};

mod admission;
mod buffers;
mod closing;
mod config;
mod conversation;
mod deadlines;
mod events;
mod input;
#[cfg(feature = "seal")]
mod sealing;
pub use buffers::{IN, OUT, POSTCARD_IN, POSTCARD_OUT};
#[cfg(feature = "seal")]
pub use config::KeyRequest;
pub(crate) use config::frame_timeout;
pub use config::{Config, Event, LinkKind};
pub use conversation::Conversation;
use conversation::Effect;

/// The ATM's endpoint of one link, with buffers for frame bodies of at most `IN` bytes and for `OUT` bytes of
/// output: [`IN`] and [`OUT`], or [`POSTCARD_IN`] and [`POSTCARD_OUT`]. The module's page has a run loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host<const IN: usize, const OUT: usize> {
    config: Config,
    /// Identifies this link's operations in the ledger, where the terminal has no name.
    session: SessionId,
    /// The ticket of the next request that a new conversation of this link makes.
    next_ticket: Ticket,
    inbox: Inbox<IN>,
    outbox: Outbox<OUT>,
    conversation: Option<Conversation>,
    /// The hello that the driver has to admit or refuse.
    incoming_hello: Option<Hello>,
    /// What proves that hello, or the one in the decoded frame.
    proof: Proof,
    /// The driver has to give the key of the hello in the decoded frame.
    #[cfg(feature = "seal")]
    wants_key: bool,
    /// `poll_event` has still to report that.
    #[cfg(feature = "seal")]
    report_key: bool,
    /// `poll_event` has still to report the hello.
    report_hello: bool,
    /// `poll_event` has still to report `quit`.
    report_quit: bool,
    /// The first number of the next conversation without a name.
    first_seq: u64,
    input_ended: bool,
    shutting_down: bool,
    /// Nothing more is read; the endpoint is finished when its output is sent.
    closing: bool,
    /// Every message is answered with `out-of-service`.
    out_of_service: bool,
    /// When the first byte of an unfinished frame came.
    frame_since: Option<Instant>,
    /// When output was last sent, or began to wait.
    stall_since: Instant,
    /// The keys of the cards, where access is by card.
    #[cfg(feature = "cards")]
    card_keys: Option<CardKeys>,
}

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// Creates the endpoint of a link that was just opened. On a [`LinkKind::Connection`] the greeting is in
    /// the output at once. `session` identifies the link's unnamed operations: no other link of the same
    /// ledger may have it. See the [run loop](self#the-run-loop).
    // Not inlined, nor are the functions that it calls: see `silent`.
    #[inline(never)]
    pub fn new(config: Config, session: SessionId, now: Instant) -> Self {
        match config.link {
            // Nothing is said in clear.
            #[cfg(feature = "seal")]
            _ if config.sealed_only => Self::silent(config, session, now),
            LinkKind::Serial => Self::silent(config, session, now),
            LinkKind::Connection => Self::greeting(config, session, now),
        }
    }

    /// Not inlined, so that the endpoint is built in its final place. `greeting` changes the value
    /// afterwards: inlined, it would take the stack for a second copy on a microcontroller that never greets.
    #[inline(never)]
    fn silent(config: Config, session: SessionId, now: Instant) -> Self {
        Self {
            config,
            session,
            next_ticket: session.first_ticket(),
            inbox: Inbox::for_host(config.wire),
            outbox: Outbox::new(config.wire),
            conversation: None,
            incoming_hello: None,
            proof: Proof::default(),
            #[cfg(feature = "seal")]
            wants_key: false,
            #[cfg(feature = "seal")]
            report_key: false,
            report_hello: false,
            report_quit: false,
            first_seq: 1,
            input_ended: false,
            shutting_down: false,
            closing: false,
            out_of_service: false,
            frame_since: None,
            stall_since: now,
            #[cfg(feature = "cards")]
            card_keys: None,
        }
    }

    /// Has access by card: sessions begin with a card's number, and only named terminals have one. There is no greeting. Call it
    /// before any input.
    #[cfg(feature = "cards")]
    pub fn serve_cards(&mut self, keys: CardKeys) {
        self.card_keys = Some(keys);
        self.drop_conversation();
        self.outbox.clear();
    }

    #[inline(never)]
    fn greeting(config: Config, session: SessionId, now: Instant) -> Self {
        let mut host = Self::silent(config, session, now);
        host.conversation = Some(Conversation::greeting(session, 1, host.next_ticket));
        host.apply(Effect::SendReply, now);
        host
    }

    /// Takes received bytes and returns how many it took. The rest must be fed again after output was sent, a
    /// request was completed, or a hello was admitted or refused. See the [run loop](self#the-run-loop).
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> usize {
        let mut taken = 0usize;
        loop {
            self.advance(now);
            let rest = bytes.get(taken..).unwrap_or(&[]);
            if rest.is_empty() || self.closing {
                break;
            }
            let count = self.inbox.push(rest);
            if count == 0 {
                break;
            }
            taken = taken.saturating_add(count);
            if !self.inbox.is_partial() {
                self.frame_since = None;
            } else if self.frame_since.is_none() {
                self.frame_since = Some(now);
            }
        }
        // Input of a closing link is discarded: what is not taken would keep its driver waiting.
        if self.closing { bytes.len() } else { taken }
    }

    /// Reports the end of the input (a read of 0 bytes), after all of it was fed. Complete messages are still
    /// served.
    pub fn end(&mut self, now: Instant) {
        self.input_ended = true;
        self.inbox.end();
        self.advance(now);
    }

    /// Bytes to send; [`consume`](Self::consume) removes those that were sent.
    pub fn output(&self) -> &[u8] {
        self.outbox.output()
    }

    /// Removes `count` bytes from the front of the output: they were sent.
    pub fn consume(&mut self, count: usize, now: Instant) {
        // A driver that sent nothing made no progress.
        if count > 0 {
            self.stall_since = now;
        }
        self.outbox.consume(count);
        self.advance(now);
    }

    /// Takes the ledger's response to the request with this ticket, and returns whether the endpoint was waiting for
    /// it. A server looks for the conversation elsewhere if not: the terminal may have moved to another connection, or
    /// is parked ([`Conversation::complete_parked`]).
    // Not inlined on a microcontroller: the reply's stack is not needed while the ledger works.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn complete(&mut self, ticket: Ticket, response: Response, now: Instant) -> bool {
        let Some(conversation) = &mut self.conversation else { return false };
        let effect = conversation.complete(ticket, response);
        let expected = !matches!(effect, Effect::Nothing);
        self.apply(effect, now);
        self.advance(now);
        expected
    }

    /// Whether nothing is left to do, so that the driver closes the link.
    pub fn is_finished(&self) -> bool {
        let idle = self.outbox.is_empty() && !self.has_event();
        let served = self.input_ended && !self.is_busy() && self.inbox.decoded().0 == Decoded::More;
        idle && (self.closing || served)
    }

    /// Frames received since the link was opened, or since [`take_counters`](Self::take_counters).
    pub fn counters(&self) -> Counters {
        self.inbox.counters()
    }

    /// Returns the counters and resets them to zero.
    pub fn take_counters(&mut self) -> Counters {
        self.inbox.take_counters()
    }

    /// Whether a request or a hello waits for the driver.
    #[inline(never)]
    fn is_busy(&self) -> bool {
        self.incoming_hello.is_some() || self.conversation.as_ref().is_some_and(Conversation::is_busy)
    }
}

#[cfg(test)]
mod tests;
