//! The loop that a microcontroller runs: the host's endpoint and a ledger behind any [`embedded_io`] port.
//!
//! ```no_run
//! # use atm_core::{host::*, kiosk::*, ledger::*, money::Amount, time::Instant, wire::Wire};
//! # fn example<P>(mut port: P, clock: fn() -> Instant, sleep_until: fn(Option<Instant>)) -> Result<(), KioskError<P::Error>>
//! # where P: embedded_io::Read + embedded_io::Write + embedded_io::ReadReady + embedded_io::WriteReady {
//! let ledger = RamLedger::<4>::new(LedgerId(1), Amount::ZERO);
//! let config = Config::new(Wire::Postcard, LinkKind::Serial);
//! let mut kiosk = Kiosk::<_, IN, OUT>::new(config, Some(ledger), clock());
//! while !kiosk.is_finished() {
//!     if !kiosk.turn(&mut port, clock())? {
//!         sleep_until(kiosk.deadline()); // or until the port's interrupt
//!     }
//! }
//! # Ok(())
//! # }
//! ```
use crate::{
    host::{Config, Event, Host},
    ledger::{InDoubt, Ledger, Operation, Origin, Outcome, Request, Response},
    time::{Duration, Instant, earliest},
};
use core::fmt;
use embedded_io::{Read, ReadReady, Write, WriteReady};

#[cfg(feature = "embedded-io-async")]
mod task;

/// What one read takes at the most, in bytes: twice a UART's FIFO.
const CHUNK: usize = 32;

/// Steps that one turn takes at the most, so that a line that never rests cannot keep the caller.
const MAX_STEPS: usize = 16;

/// How long a ledger that is in doubt is left alone before it is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How often it is asked again before the ATM is out of service: for half a minute.
const MAX_RETRIES: u8 = 60;

/// The only line that there is.
const SESSION: u64 = 1;

/// Why the ATM cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KioskError<E> {
    /// The port failed.
    Port(E),
    /// The ledger failed. Nobody is told anything; where the driver goes on, it is asked again in half a second, and after
    /// half a minute the ATM is out of service.
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

/// An ATM with its ledger, for frames of at most `IN` bytes and output of at most `OUT`.
pub struct Kiosk<L, const IN: usize, const OUT: usize> {
    host: Host<IN, OUT>,
    ledger: Option<L>,
    /// When to ask the ledger again, after it was in doubt.
    retry_at: Option<Instant>,
    /// How often it was in doubt, one time after the other.
    failures: u8,
    /// What was read and not taken yet.
    chunk: [u8; CHUNK],
    start: usize,
    end: usize,
    input_ended: bool,
}

impl<L: Ledger, const IN: usize, const OUT: usize> Kiosk<L, IN, OUT> {
    /// An ATM whose port was just opened. Without a ledger, because its records cannot be read any more, it tells whoever
    /// says something that it is out of service.
    // Neither this nor what follows is inlined, so that what each takes of the stack is not taken for good.
    #[inline(never)]
    pub fn new(config: Config, ledger: Option<L>, now: Instant) -> Self {
        Self {
            host: Host::new(config, SESSION, now),
            ledger,
            retry_at: None,
            failures: 0,
            chunk: [0; CHUNK],
            start: 0,
            end: 0,
            input_ended: false,
        }
    }

    /// Does what can be done without waiting; false where there was nothing to do, and the caller may sleep until the
    /// port is ready or the deadline has come.
    ///
    /// # Errors
    /// What the port or the ledger says against it.
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

    /// When [`turn`](Self::turn) is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(self.host.deadline(), self.retry_at)
    }

    /// Says goodbye; [`is_finished`](Self::is_finished) then says when it was said.
    pub fn shut_down(&mut self, now: Instant) {
        self.host.shut_down(now);
    }

    /// Was it stopped, or did the line end?
    pub fn is_finished(&self) -> bool {
        self.host.is_finished()
    }

    /// The endpoint, to look at.
    pub fn host(&self) -> &Host<IN, OUT> {
        &self.host
    }

    /// The ledger; `None` out of service.
    pub fn ledger(&self) -> Option<&L> {
        self.ledger.as_ref()
    }

    /// Sees to one event.
    fn handle_event(&mut self, now: Instant) -> Result<bool, InDoubt> {
        if self.retry_at.take_if(|at| *at <= now).is_some() {
            self.host.retry_request();
        }
        let Some(event) = self.host.poll_event() else { return Ok(false) };
        match event {
            Event::Request(request) => self.apply(&request, now)?,
            // There is one line: no conversation is held anywhere else.
            Event::Arrival(_) => self.host.admit_new(now),
            Event::Quit => self.host.shut_down(now),
        }
        Ok(true)
    }

    #[inline(never)]
    fn apply(&mut self, request: &Request, now: Instant) -> Result<(), InDoubt> {
        let result = self.ledger.as_mut().map_or(Err(InDoubt), |ledger| ledger.apply(request));
        self.failures = if result.is_ok() { 0 } else { self.failures.saturating_add(1) };
        let (response, reported) = match (result, request) {
            (Ok(response), _) => (response, Ok(())),
            // It will not come back: what is out is settled by the next hello, after a start that can read the records.
            (Err(error), _) if self.failures > MAX_RETRIES => {
                self.ledger = None;
                return Err(error);
            }
            // What was asked without a name cannot be looked up, and asked again it might be done twice.
            (Err(error), Request::Operate { origin: Origin::Session(_), id, operation })
                if *operation != Operation::Inquiry =>
            {
                (Response::Settled { id: *id, outcome: Outcome::Unknown }, Err(error))
            }
            // The same again is safe: it is done once, and its outcome is kept. A repeat is told `working` until then.
            (Err(error), _) => {
                self.retry_at = Some(now + RETRY_AFTER);
                return Err(error);
            }
        };
        self.host.complete(request, response, now);
        reported
    }

    /// Writes what the port takes now.
    fn send<P: Write + WriteReady>(&mut self, port: &mut P, now: Instant) -> Result<bool, P::Error> {
        if self.host.output().is_empty() || !port.write_ready()? {
            return Ok(false);
        }
        let count = port.write(self.host.output())?;
        self.host.consume(count, now);
        Ok(count > 0)
    }

    /// Feeds what was read, or reads what is there now.
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

    /// `count` bytes were read, or it is the end.
    fn received(&mut self, count: usize, now: Instant) {
        (self.start, self.end) = (0, count.min(CHUNK));
        if count == 0 {
            self.input_ended = true;
            self.host.end(now);
        }
    }

    /// Feeds what was read; false where the endpoint takes nothing now.
    fn feed(&mut self, now: Instant) -> bool {
        let taken = self.host.feed(self.chunk.get(self.start..self.end).unwrap_or(&[]), now);
        self.start = self.start.saturating_add(taken).min(self.end);
        taken > 0
    }
}

#[cfg(test)]
mod tests;
