//! A line that lies: it drops, repeats, garbles, cuts and delays what it carries, by chance and by a seed.
//!
//! [`FaultyLink`] is one direction of any line; [`FaultInjector`] puts two of them around an `embedded-io` port. What was sent in one
//! call is one chunk, and the unit that is dropped, duplicated or delayed.
extern crate std;

use atm_core::time::{Duration, Instant};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use std::{collections::VecDeque, vec::Vec};

/// How likely each fault is for one chunk, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chances {
    /// The chunk is lost.
    pub drop: f32,
    /// The chunk comes twice.
    pub duplicate: f32,
    /// A few of its bits or bytes are changed.
    pub corrupt: f32,
    /// Its end is lost.
    pub truncate: f32,
    /// It is held back and comes in one piece with the next one.
    pub merge: f32,
    /// It comes late, and what follows it later still.
    pub delay: f32,
    /// It comes late, and what follows overtakes it.
    pub reorder: f32,
    /// Noise comes before it.
    pub burst: f32,
    /// The line is dead in this direction for a while.
    pub cut: f32,
}

impl Chances {
    /// Every fault as likely as `chance`; a dead line a tenth of it.
    pub fn all(chance: f32) -> Self {
        let cut = chance / 10.0;
        Self {
            drop: chance,
            duplicate: chance,
            corrupt: chance,
            truncate: chance,
            merge: chance,
            delay: chance,
            reorder: chance,
            burst: chance,
            cut,
        }
    }
}

/// Faults made so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Chunks that were sent.
    pub chunks: u64,
    /// Chunks that were lost.
    pub dropped: u64,
    /// Chunks that came twice.
    pub duplicated: u64,
    /// Chunks that were changed.
    pub corrupted: u64,
    /// Chunks that lost their end.
    pub truncated: u64,
    /// Chunks that were joined with the next one.
    pub merged: u64,
    /// Chunks that came late.
    pub delayed: u64,
    /// Chunks that were overtaken.
    pub reordered: u64,
    /// Bursts of noise.
    pub bursts: u64,
    /// Chunks that were lost on a dead line.
    pub cut: u64,
}

impl FaultCounts {
    /// Each kind with its name.
    pub fn by_kind(&self) -> [(&'static str, u64); 10] {
        [
            ("chunks", self.chunks),
            ("dropped", self.dropped),
            ("duplicated", self.duplicated),
            ("corrupted", self.corrupted),
            ("truncated", self.truncated),
            ("merged", self.merged),
            ("delayed", self.delayed),
            ("reordered", self.reordered),
            ("bursts", self.bursts),
            ("cut", self.cut),
        ]
    }

    /// Adds the faults of another line.
    pub fn add(&mut self, other: &Self) {
        self.chunks += other.chunks;
        self.dropped += other.dropped;
        self.duplicated += other.duplicated;
        self.corrupted += other.corrupted;
        self.truncated += other.truncated;
        self.merged += other.merged;
        self.delayed += other.delayed;
        self.reordered += other.reordered;
        self.bursts += other.bursts;
        self.cut += other.cut;
    }
}

/// The longest delay, and the longest cut, in milliseconds.
const MAX_LATENESS: u32 = 3000;

/// One direction of a line that lies.
#[derive(Clone, Debug)]
pub struct FaultyLink {
    chances: Chances,
    random: fastrand::Rng,
    counts: FaultCounts,
    /// What is on its way, the next one first.
    queue: VecDeque<(Instant, Vec<u8>)>,
    /// What waits for the next chunk.
    held: Vec<u8>,
    cut_until: Instant,
    /// When the last chunk that keeps its place comes.
    last: Instant,
    /// Bits a second, ten for a byte; 0 takes no time.
    baud: u32,
}

impl FaultyLink {
    /// A line of `baud` bits a second (0: as fast as you like) that lies by `chances`.
    pub fn new(chances: Chances, baud: u32, seed: u64) -> Self {
        Self {
            chances,
            random: fastrand::Rng::with_seed(seed),
            counts: FaultCounts::default(),
            queue: VecDeque::new(),
            held: Vec::new(),
            cut_until: Instant::default(),
            last: Instant::default(),
            baud,
        }
    }

    /// The line tells the truth from now on.
    pub fn disable_faults(&mut self) {
        self.chances = Chances::default();
        self.cut_until = Instant::default();
    }

    /// Forgets what is on its way: the line was unplugged.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.held.clear();
    }

    /// Faults made so far.
    pub fn counts(&self) -> &FaultCounts {
        &self.counts
    }

    /// Sends a chunk, or does something else with it.
    pub fn send(&mut self, bytes: &[u8], now: Instant) {
        self.counts.chunks += 1;
        let chances = self.chances;
        if now < self.cut_until || self.chance(chances.cut) {
            if now >= self.cut_until {
                self.cut_until = now + self.lateness();
            }
            self.counts.cut += 1;
            return;
        }
        if self.chance(chances.burst) {
            self.counts.bursts += 1;
            let length = self.random.usize(1..40);
            let noise: Vec<u8> = (0..length).map(|_| self.random.u8(..)).collect();
            self.enqueue(noise, now, Duration::ZERO);
        }
        if self.chance(chances.drop) {
            self.counts.dropped += 1;
            return;
        }
        let mut chunk = std::mem::take(&mut self.held);
        chunk.extend_from_slice(bytes);
        if self.chance(chances.truncate) {
            self.counts.truncated += 1;
            chunk.truncate(self.random.usize(0..=chunk.len()));
        }
        if self.chance(chances.corrupt) {
            self.counts.corrupted += 1;
            self.corrupt(&mut chunk);
        }
        if self.chance(chances.merge) {
            self.counts.merged += 1;
            self.held = chunk;
            return;
        }
        if self.chance(chances.duplicate) {
            self.counts.duplicated += 1;
            self.enqueue(chunk.clone(), now, Duration::ZERO);
        }
        if self.chance(chances.reorder) {
            self.counts.reordered += 1;
            let due = now + self.lateness();
            let at = self.queue.partition_point(|(queued, _)| *queued <= due);
            self.queue.insert(at, (due, chunk));
            return;
        }
        let late = if self.chance(chances.delay) {
            self.counts.delayed += 1;
            self.lateness()
        } else {
            Duration::ZERO
        };
        self.enqueue(chunk, now, late);
    }

    /// The next chunk that has arrived.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.due()? > now {
            return None;
        }
        self.queue.pop_front().map(|(_, chunk)| chunk)
    }

    /// When the next chunk arrives.
    pub fn due(&self) -> Option<Instant> {
        self.queue.front().map(|(due, _)| *due)
    }

    fn enqueue(&mut self, chunk: Vec<u8>, now: Instant, late: Duration) {
        let bits = u32::try_from(chunk.len()).unwrap_or(u32::MAX).saturating_mul(10_000);
        let time = Duration::from_millis(bits.checked_div(self.baud).unwrap_or(0));
        let due = (now + late).max(self.last) + time;
        self.last = due;
        let at = self.queue.partition_point(|(queued, _)| *queued <= due);
        self.queue.insert(at, (due, chunk));
    }

    fn corrupt(&mut self, chunk: &mut [u8]) {
        for _ in 0..self.random.usize(1..=3) {
            let (bits, bit, byte) = (self.random.bool(), 1u8 << self.random.u8(0..8), self.random.u8(..));
            let index = self.random.usize(..chunk.len().max(1));
            if let Some(target) = chunk.get_mut(index) {
                *target = if bits { *target ^ bit } else { byte };
            }
        }
    }

    fn lateness(&mut self) -> Duration {
        Duration::from_millis(self.random.u32(1..MAX_LATENESS))
    }

    fn chance(&mut self, chance: f32) -> bool {
        chance > 0.0 && self.random.f32() < chance
    }
}

/// How many bytes may wait to be read.
const MAX_UNREAD: usize = 4096;

/// A port whose line lies in both directions.
#[derive(Debug)]
pub struct FaultInjector<P, C> {
    port: P,
    clock: C,
    outgoing: FaultyLink,
    incoming: FaultyLink,
    /// What has arrived on either side and is not passed on yet.
    to_port: VecDeque<u8>,
    to_reader: VecDeque<u8>,
}

impl<P, C: Fn() -> Instant> FaultInjector<P, C> {
    /// Puts a line that lies by `chances` before a port; `clock` tells the time.
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

    /// The port itself.
    pub fn port(&mut self) -> &mut P {
        &mut self.port
    }

    /// When something that is late comes.
    pub fn due(&self) -> Option<Instant> {
        self.outgoing.due().into_iter().chain(self.incoming.due()).min()
    }

    /// Faults made so far in both directions.
    pub fn counts(&self) -> FaultCounts {
        let mut counts = *self.outgoing.counts();
        counts.add(self.incoming.counts());
        counts
    }
}

impl<P: Read + ReadReady + Write + WriteReady, C: Fn() -> Instant> FaultInjector<P, C> {
    /// Moves what may be moved without waiting.
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
        // What nobody takes stays in the port.
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
        // Reading what stands in memory cannot fail.
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
