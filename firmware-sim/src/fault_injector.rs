//! Fault injector: makes a link lose, duplicate, corrupt, truncate, merge, delay and reorder what it carries, and add
//! noise.
//!
//! Each fault has a chance ([`Chances`]), and all faults are drawn from a seed, so that a run can be
//! repeated. [`FaultyLink`] is one direction of a link, for a simulation; [`FaultInjector`] puts one in each
//! direction of an `embedded-io` port. The bytes of one call are one chunk, the unit that a fault hits.
use atm_core::time::Instant;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use std::collections::VecDeque;

pub use chances::{Chances, FaultCounts};
pub use link::FaultyLink;

mod chances;
mod link;

/// Bytes that may wait for the reader; more stay in the port.
const MAX_UNREAD: usize = 4096;

/// An `embedded-io` port with a faulty link in both directions.
#[derive(Debug)]
pub struct FaultInjector<P, C> {
    port: P,
    clock: C,
    outgoing: FaultyLink,
    incoming: FaultyLink,
    /// Bytes that have left the outgoing link and wait for the port.
    to_port: VecDeque<u8>,
    /// Bytes that have left the incoming link and wait for the reader.
    to_reader: VecDeque<u8>,
}

impl<P, C: Fn() -> Instant> FaultInjector<P, C> {
    /// Wraps `port`. `chances` hold for each direction; each draws its own faults from `seed`.
    pub fn new(port: P, clock: C, chances: Chances, seed: u64) -> Self {
        let direction = |salt| FaultyLink::new(chances, 0, seed ^ salt);
        Self {
            port,
            clock,
            outgoing: direction(0),
            incoming: direction(0x5eed),
            to_port: VecDeque::new(),
            to_reader: VecDeque::new(),
        }
    }

    /// The wrapped port.
    pub fn port(&mut self) -> &mut P {
        &mut self.port
    }

    /// When the next delayed chunk arrives, in either direction: wake up then, too.
    pub fn due(&self) -> Option<Instant> {
        self.outgoing.due().into_iter().chain(self.incoming.due()).min()
    }

    /// The faults injected so far, of both directions.
    pub fn counts(&self) -> FaultCounts {
        let mut counts = *self.outgoing.counts();
        counts.add(self.incoming.counts());
        counts
    }
}

impl<P: Read + ReadReady + Write + WriteReady, C: Fn() -> Instant> FaultInjector<P, C> {
    /// Moves bytes between the port and both links, without waiting.
    ///
    /// # Errors
    /// The port's own.
    pub fn pump(&mut self) -> Result<(), P::Error> {
        let now = (self.clock)();
        while let Some(chunk) = self.outgoing.receive(now) {
            self.to_port.extend(chunk);
        }
        while !self.to_port.is_empty() && self.port.write_ready()? {
            let (front, _) = self.to_port.as_slices();
            let count = self.port.write(front)?;
            self.to_port.drain(..count.min(self.to_port.len()));
        }
        while self.to_reader.len() < MAX_UNREAD && self.port.read_ready()? {
            let mut chunk = [0; 64];
            let count = self.port.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            self.incoming.send(chunk.get(..count).unwrap_or_default(), now);
        }
        while let Some(chunk) = self.incoming.receive(now) {
            self.to_reader.extend(chunk);
        }
        Ok(())
    }
}

impl<P: ErrorType, C> ErrorType for FaultInjector<P, C> {
    type Error = P::Error;
}

impl<P: Read + ReadReady + Write + WriteReady, C: Fn() -> Instant> Read for FaultInjector<P, C> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, P::Error> {
        while self.to_reader.is_empty() {
            self.pump()?;
        }
        // Reading from a VecDeque cannot fail.
        Ok(std::io::Read::read(&mut self.to_reader, buffer).unwrap_or(0))
    }
}

impl<P: Read + ReadReady + Write + WriteReady, C: Fn() -> Instant> ReadReady for FaultInjector<P, C> {
    fn read_ready(&mut self) -> Result<bool, P::Error> {
        self.pump()?;
        Ok(!self.to_reader.is_empty())
    }
}

impl<P: Read + ReadReady + Write + WriteReady, C: Fn() -> Instant> Write for FaultInjector<P, C> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, P::Error> {
        let now = (self.clock)();
        self.outgoing.send(bytes, now);
        self.pump()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), P::Error> {
        self.pump()
    }
}

impl<P: Read + ReadReady + Write + WriteReady, C: Fn() -> Instant> WriteReady for FaultInjector<P, C> {
    fn write_ready(&mut self) -> Result<bool, P::Error> {
        self.pump()?;
        Ok(self.to_port.is_empty())
    }
}
