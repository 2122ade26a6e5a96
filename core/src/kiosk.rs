//! The run loop of a microcontroller: drives the host's endpoint and a ledger over any [`embedded_io`] port,
//! without blocking.
//!
//! ```no_run
//! # use atm_core::{host::*, kiosk::*, ledger::*, money::Amount, time::Instant, wire::Wire};
//! # #[cfg(feature = "postcard")]
//! # fn example<P>(mut port: P, clock: fn() -> Instant, sleep_until: fn(Option<Instant>)) -> Result<(), KioskError<P::Error>>
//! # where P: embedded_io::Read + embedded_io::Write + embedded_io::ReadReady + embedded_io::WriteReady {
//! let ledger = RamLedger::<4>::new(LedgerId(1), Amount::ZERO);
//! let config = Config::for_serial(Wire::Postcard, 115_200);
//! let mut kiosk = Kiosk::<_, IN, OUT>::new(config, Some(ledger), clock());
//! while !kiosk.is_finished() {
//!     if !kiosk.turn(&mut port, clock())? {
//!         sleep_until(kiosk.deadline()); // or until the port's interrupt
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#[cfg(feature = "cards")]
use crate::ledger::card::CardKeys;
#[cfg(feature = "seal")]
use crate::{host::KeyRequest, ledger::Name, seal::TerminalKey};
use crate::{
    host::{Config, Host},
    ledger::{Command, InDoubt, Ledger, Operation, Origin, Outcome, Request, Response, SessionId},
    message::Notice,
    time::{Duration, Instant, earliest},
};
use core::fmt;
use embedded_io::{Read, ReadReady, Write, WriteReady};

#[cfg(feature = "embedded-io-async")]
mod task;

/// Size in bytes of one read: twice the 16-byte FIFO of a PL011 UART (ARM DDI 0183).
const CHUNK: usize = 32;

/// The most steps of one turn, so that endless input cannot keep the caller.
const MAX_STEPS: usize = 16;

/// The wait before a request is retried, after the ledger was in doubt.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The retries before the ATM is out of service: 30 s.
const MAX_RETRIES: u8 = 60;

/// How many hellos, reserves of numbers and steps of a key may cost commits of the ledger at once, and the time after which one more may.
/// One that may cost another is answered with `busy` until then. So a peer that moves no money wears a page of an EEPROM by a few
/// write cycles an hour.
pub const HELLO_COMMITS: u32 = 16;
/// See [`HELLO_COMMITS`].
pub const HELLO_COMMIT_INTERVAL: Duration = Duration::from_secs(600);

/// How many steps ahead of the stored key a hello may be. Each costs the time of an Ascon-XOF128 of 33 bytes.
#[cfg(feature = "seal")]
const MAX_KEY_STEPS: u32 = 8;

/// The session's number for the ledger: there is one link.
const SESSION: SessionId = SessionId::new(1);

/// Why a turn of the loop failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KioskError<E> {
    /// The port failed.
    Port(E),
    /// The ledger is in doubt, and no outcome is sent. If the driver continues, the request is retried after
    /// 500 ms, and after 30 s without success the ATM is out of service.
    Ledger(InDoubt),
}

impl<E: fmt::Display> fmt::Display for KioskError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(error) => write!(f, "the serial port failed: {error}"),
            Self::Ledger(error) => write!(f, "{error}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for KioskError<E> {}

/// An ATM with its ledger, with buffers for frame bodies of at most `IN` bytes and for `OUT` bytes of output
/// (see [`Host`]). The module's page has an example.
pub struct Kiosk<L, const IN: usize, const OUT: usize> {
    host: Host<IN, OUT>,
    ledger: Option<L>,
    /// When to retry the outstanding request.
    retry_at: Option<Instant>,
    /// When so many intervals have passed as hellos, reserves of numbers and steps of a key have cost commits.
    paid_until: Instant,
    /// How many requests in a row have left the ledger in doubt.
    failures: u8,
    /// The terminal that has a key.
    #[cfg(feature = "seal")]
    terminal: Option<(Name, TerminalKey)>,
    /// The driver finds the keys that hellos claim.
    #[cfg(feature = "seal")]
    keys_by_driver: bool,
    /// The key has stepped and is not stored yet.
    #[cfg(feature = "seal")]
    key_stepped: bool,
    /// The last read; the bytes from `start` to `end` were not fed yet.
    chunk: [u8; CHUNK],
    start: usize,
    end: usize,
    input_ended: bool,
}

impl<L: Ledger, const IN: usize, const OUT: usize> Kiosk<L, IN, OUT> {
    /// Creates an ATM whose port was just opened. Pass no ledger if its records cannot be read: the ATM then
    /// answers every message with `out-of-service`.
    // Neither this nor `turn` and `apply` are inlined, so that each takes its stack only while it runs.
    #[inline(never)]
    pub fn new(config: Config, ledger: Option<L>, now: Instant) -> Self {
        Self {
            host: Host::new(config, SESSION, now),
            ledger,
            retry_at: None,
            paid_until: now,
            failures: 0,
            #[cfg(feature = "seal")]
            terminal: None,
            #[cfg(feature = "seal")]
            keys_by_driver: false,
            #[cfg(feature = "seal")]
            key_stepped: false,
            chunk: [0; CHUNK],
            start: 0,
            end: 0,
            input_ended: false,
        }
    }

    /// Has access by card, as [`Host::serve_cards`]: call it before the first [`turn`](Self::turn). The ledger must keep cards:
    /// [`StoredLedger`](crate::ledger::StoredLedger) does not.
    #[cfg(feature = "cards")]
    pub fn serve_cards(&mut self, keys: CardKeys) {
        self.host.serve_cards(keys);
    }

    /// Sets the key of the terminal on this line, as it was stored. A hello up to eight steps ahead of it is authenticated.
    #[cfg(feature = "seal")]
    pub fn set_key(&mut self, terminal: Name, key: TerminalKey) {
        self.terminal = Some((terminal, key));
        self.key_stepped = false;
    }

    /// The key of the step of an authentic hello, to be stored after a [`turn`](Self::turn) in place of the one before; then
    /// call [`key_stored`](Self::key_stored). Nothing is sent until then. The key steps at most as often as a hello may
    /// cost a commit (see [`HELLO_COMMITS`]): in between, a terminal may start seven times, and then gets `busy`.
    #[cfg(feature = "seal")]
    pub fn key_to_store(&self) -> Option<&(Name, TerminalKey)> {
        self.terminal.as_ref().filter(|_| self.key_stepped)
    }

    /// Reports that the key is stored.
    #[cfg(feature = "seal")]
    pub fn key_stored(&mut self) {
        self.key_stepped = false;
    }

    /// Leaves it to the driver to find the key of each sealed hello, of any terminal: call
    /// [`key_request`](Self::key_request) after each [`turn`](Self::turn).
    #[cfg(feature = "seal")]
    pub fn find_keys_by_driver(&mut self) {
        self.keys_by_driver = true;
    }

    /// The key that a hello claims, once; give it to [`provide_key`](Self::provide_key).
    #[cfg(feature = "seal")]
    pub fn key_request(&mut self) -> Option<KeyRequest> {
        if self.keys_by_driver { self.host.take_key_request() } else { None }
    }

    /// Gives the key of a [`key_request`](Self::key_request), or none. A terminal that is out of service is answered so if its
    /// hello is authentic.
    #[cfg(feature = "seal")]
    pub fn provide_key(&mut self, key: Option<&TerminalKey>, out_of_service: bool, now: Instant) {
        if self.host.verify_hello(key, now) && out_of_service {
            self.host.reject(Notice::OutOfService, now);
        }
    }

    /// Does what can be done without waiting. False if there was nothing to do: the caller may sleep until
    /// the port is ready or the [`deadline`](Self::deadline) has come.
    ///
    /// # Errors
    /// [`KioskError`] if the port failed or the ledger is in doubt. The caller may continue.
    #[inline(never)]
    pub fn turn<P>(&mut self, port: &mut P, now: Instant) -> Result<bool, KioskError<P::Error>>
    where
        P: Read + Write + ReadReady + WriteReady,
    {
        self.tick(now);
        for step in 0..MAX_STEPS {
            let moved = self.handle_event(now).map_err(KioskError::Ledger)?
                || self.send(port, now).map_err(KioskError::Port)?
                || self.receive(port, now).map_err(KioskError::Port)?;
            if !moved {
                return Ok(step > 0);
            }
        }
        Ok(true)
    }

    fn tick(&mut self, now: Instant) {
        if self.ledger.is_none() {
            self.host.take_out_of_service(now);
        }
        if self.host.deadline().is_some_and(|deadline| deadline <= now) {
            self.host.tick(now);
        }
    }

    /// When [`turn`](Self::turn) must be called at the latest; `None` while no timer runs.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(self.host.deadline(), self.retry_at)
    }

    /// Ends the session with a `stopping` notice; [`is_finished`](Self::is_finished) is true once it was
    /// sent.
    pub fn shut_down(&mut self, now: Instant) {
        self.host.shut_down(now);
    }

    /// Whether the ATM was stopped, or the port's input has ended and everything is served.
    pub fn is_finished(&self) -> bool {
        self.host.is_finished()
    }

    /// The endpoint.
    pub fn host(&self) -> &Host<IN, OUT> {
        &self.host
    }

    /// The ledger, to be changed beside the requests; `None` while out of service.
    pub fn ledger_mut(&mut self) -> Option<&mut L> {
        self.ledger.as_mut()
    }

    /// The ledger; `None` while out of service.
    pub fn ledger(&self) -> Option<&L> {
        self.ledger.as_ref()
    }

    /// Handles one event of the endpoint; false if there is none.
    fn handle_event(&mut self, now: Instant) -> Result<bool, InDoubt> {
        if self.retry_at.take_if(|at| *at <= now).is_some() {
            self.host.retry_request();
        }
        if !self.host.has_event() {
            return Ok(false);
        }
        #[cfg(feature = "seal")]
        if self.host.has_key_request() {
            if self.keys_by_driver {
                return Ok(false);
            }
            self.step_to_key(now);
            return Ok(true);
        }
        self.serve_event(now)?;
        Ok(true)
    }

    // Not inlined: a request takes a tenth of the stack.
    #[inline(never)]
    fn serve_event(&mut self, now: Instant) -> Result<(), InDoubt> {
        if self.host.take_quit() {
            self.host.shut_down(now);
        } else if self.host.take_hello_report() {
            // There is one link: no other endpoint holds a conversation.
            self.host.admit_new(now);
        } else if let Some(request) = self.host.take_request() {
            return self.apply(&request, now);
        }
        Ok(())
    }

    /// Gives the host the key that a hello claims, steps to it if the hello is authentic, and handles the hello.
    #[cfg(feature = "seal")]
    fn step_to_key(&mut self, now: Instant) {
        self.verify_hello(now);
        self.host.advance(now);
    }

    // Not inlined: the keys take no stack while the hello is handled.
    #[cfg(feature = "seal")]
    #[inline(never)]
    fn verify_hello(&mut self, now: Instant) {
        let key = self.host.take_key_request().and_then(|claim| self.claimed_key(&claim));
        if !self.host.authenticate(key.as_ref(), now) {
            return;
        }
        let has_spent = self.has_spent_commits(now);
        let (Some(key), Some((_, stored))) = (key, &mut self.terminal) else { return };
        let ahead = key.step().saturating_sub(stored.step());
        if ahead > 0 && !has_spent {
            *stored = key;
            self.key_stepped = true;
            self.paid_until = self.paid_until.max(now) + HELLO_COMMIT_INTERVAL;
        } else if ahead >= MAX_KEY_STEPS {
            // Once it is welcomed, the terminal takes the next step, which is too far ahead.
            self.host.turn_away(Notice::Busy, now);
        }
    }

    /// The key that a hello claims, if it is of this terminal and not too many steps ahead.
    #[cfg(feature = "seal")]
    fn claimed_key(&self, claim: &KeyRequest) -> Option<TerminalKey> {
        let (name, key) = self.terminal.as_ref()?;
        let is_known = *name == claim.terminal && key.series() == claim.series;
        is_known.then(|| key.forward(claim.step, MAX_KEY_STEPS)).flatten()
    }

    /// Applies a request to the ledger and completes it; a request in doubt is retried or completed as
    /// unknown, and a hello that may cost a commit is rejected while earlier ones have cost too many.
    #[inline(never)]
    fn apply(&mut self, request: &Request, now: Instant) -> Result<(), InDoubt> {
        let moves_nothing = matches!(request.command, Command::Hello(_) | Command::Reserve);
        let has_spent = self.has_spent_commits(now);
        let Some(ledger) = &mut self.ledger else {
            self.fail(request, now);
            return Err(InDoubt);
        };
        if moves_nothing && has_spent && ledger.may_commit(&request.command) {
            // An outcome that waits for a number is recorded: the terminal's next hello gets it.
            self.host.reject(Notice::Busy, now);
            return Ok(());
        }
        let commits = ledger.commits();
        let result = ledger.apply(request);
        if moves_nothing && ledger.commits() != commits {
            self.paid_until = self.paid_until.max(now) + HELLO_COMMIT_INTERVAL;
        }
        match result {
            Ok(response) => {
                self.failures = 0;
                self.host.complete(request.ticket, response, now);
                Ok(())
            }
            Err(error) => {
                self.fail(request, now);
                Err(error)
            }
        }
    }

    /// Whether requests that move no money have cost as many commits as they may.
    fn has_spent_commits(&self, now: Instant) -> bool {
        const AHEAD: u64 = (HELLO_COMMITS - 1) as u64 * HELLO_COMMIT_INTERVAL.millis() as u64;
        self.paid_until.millis().saturating_sub(AHEAD) > now.millis()
    }

    /// Has a request in doubt retried, or completes it as unknown.
    #[inline(never)]
    fn fail(&mut self, request: &Request, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        match request {
            // Out of service. After a start that can read the records, the next hello settles the outstanding
            // request.
            _ if self.failures > MAX_RETRIES => self.ledger = None,
            // An unnamed operation has no idempotency key: a retry might do it twice.
            Request {
                ticket,
                origin: Origin::Session(_),
                command: Command::Operate { id, operation },
                ..
            } if *operation != Operation::Inquiry => {
                let response = Response::Settled { id: *id, outcome: Outcome::Unknown };
                self.host.complete(*ticket, response, now);
            }
            // A retry is safe: the ledger does it once. Until then a duplicate is answered with `working`.
            _ => self.retry_at = Some(now + RETRY_AFTER),
        }
    }

    /// Writes output if the port is ready; returns whether it took any.
    fn send<P: Write + WriteReady>(&mut self, port: &mut P, now: Instant) -> Result<bool, P::Error> {
        #[cfg(feature = "seal")]
        if self.key_stepped {
            return Ok(false);
        }
        if self.host.output().is_empty() || !port.write_ready()? {
            return Ok(false);
        }
        let count = port.write(self.host.output())?;
        self.host.consume(count, now);
        Ok(count > 0)
    }

    /// Feeds the bytes that were read, or reads if the port is ready; returns whether there was progress.
    fn receive<P: Read + ReadReady>(&mut self, port: &mut P, now: Instant) -> Result<bool, P::Error> {
        if self.start < self.end {
            return Ok(self.feed(now));
        }
        if self.input_ended || !port.read_ready()? {
            return Ok(false);
        }
        let count = port.read(&mut self.chunk)?;
        self.received(count, now);
        Ok(true)
    }

    /// Takes the result of a read: `count` bytes are in the chunk; 0 is the end of the input.
    fn received(&mut self, count: usize, now: Instant) {
        (self.start, self.end) = (0, count.min(CHUNK));
        if count == 0 {
            self.input_ended = true;
            self.host.end(now);
        }
    }

    /// Feeds the rest of the chunk; false if the endpoint takes nothing now.
    fn feed(&mut self, now: Instant) -> bool {
        let taken = self.host.feed(self.chunk.get(self.start..self.end).unwrap_or(&[]), now);
        self.start = self.start.saturating_add(taken).min(self.end);
        taken > 0
    }
}

#[cfg(test)]
mod tests;
