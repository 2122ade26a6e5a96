//! One direction of a faulty link: chunks go in with [`send`](FaultyLink::send) and come out of
//! [`receive`](FaultyLink::receive) when they are due, unless a fault hits them.
//!
//! It reads no clock and does no input or output; the same seed and calls give the same faults.
use super::{Chances, FaultCounts};
use atm_core::time::{Duration, Instant};
use std::{collections::VecDeque, vec::Vec};

/// The longest delay, and the longest cut, in milliseconds.
const MAX_DELAY: u32 = 3000;

/// One direction of a faulty link.
#[derive(Clone, Debug)]
pub struct FaultyLink {
    chances: Chances,
    random: fastrand::Rng,
    counts: FaultCounts,
    /// Chunks in flight with their arrival times, the earliest first.
    queue: VecDeque<(Instant, Vec<u8>)>,
    /// A chunk that waits to be merged with the next one.
    held: Vec<u8>,
    cut_until: Instant,
    /// When the next byte of noise comes by itself.
    next_noise: Instant,
    /// Arrival time of the last chunk that was not reordered: those behind it arrive no earlier.
    last: Instant,
    /// Bits a second, ten for a byte; 0 for a link without transmission time.
    baud: u32,
}

impl FaultyLink {
    /// A link of `baud` bits a second (0: no transmission time) whose faults are drawn from `seed`.
    pub fn new(chances: Chances, baud: u32, seed: u64) -> Self {
        Self {
            chances,
            random: fastrand::Rng::with_seed(seed),
            counts: FaultCounts::default(),
            queue: VecDeque::new(),
            held: Vec::new(),
            cut_until: Instant::default(),
            next_noise: Instant::default(),
            last: Instant::default(),
            baud,
        }
    }

    /// Injects no more faults than noise between chunks, and ends a cut; chunks in flight stay.
    pub fn disable_faults(&mut self) {
        self.chances = self.chances.only_noise();
        self.cut_until = Instant::default();
    }

    /// Loses all chunks in flight, as an unplugged cable does.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.held.clear();
    }

    /// The faults injected so far.
    pub fn counts(&self) -> &FaultCounts {
        &self.counts
    }

    /// Sends a chunk, with the faults that are drawn for it.
    pub fn send(&mut self, bytes: &[u8], now: Instant) {
        self.counts.chunks += 1;
        let chances = self.chances;
        if now < self.cut_until || self.chance(chances.cut) {
            if now >= self.cut_until {
                self.cut_until = now + self.random_delay();
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
        if self.chance(chances.noise) {
            let noise = self.noise();
            self.enqueue(noise, now, Duration::ZERO);
        }
        if self.chance(chances.drop) {
            self.counts.dropped += 1;
            return;
        }
        let mut chunk = core::mem::take(&mut self.held);
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
            let due = now + self.random_delay();
            let at = self.queue.partition_point(|(queued, _)| *queued <= due);
            self.queue.insert(at, (due, chunk));
            return;
        }
        let delay = if self.chance(chances.delay) {
            self.counts.delayed += 1;
            self.random_delay()
        } else {
            Duration::ZERO
        };
        self.enqueue(chunk, now, delay);
    }

    /// The next chunk or byte of noise that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.due()? > now {
            return None;
        }
        if self.noise_due().is_some_and(|due| due <= now) {
            self.next_noise = now + Duration::from_millis(self.chances.noise_interval);
            return Some(self.noise());
        }
        self.queue.pop_front().map(|(_, chunk)| chunk)
    }

    /// When the next chunk or byte of noise arrives.
    pub fn due(&self) -> Option<Instant> {
        let chunk = self.queue.front().map(|(due, _)| *due);
        chunk.into_iter().chain(self.noise_due()).min()
    }

    fn noise_due(&self) -> Option<Instant> {
        (self.chances.noise_interval > 0).then_some(self.next_noise)
    }

    /// A byte of noise.
    fn noise(&mut self) -> Vec<u8> {
        self.counts.noise += 1;
        Vec::from([self.random.u8(..)])
    }

    /// Puts a chunk behind those sent before it: it arrives after `delay` and its transmission time.
    fn enqueue(&mut self, chunk: Vec<u8>, now: Instant, delay: Duration) {
        let bits = u32::try_from(chunk.len()).unwrap_or(u32::MAX).saturating_mul(10_000);
        let transmission = Duration::from_millis(bits.checked_div(self.baud).unwrap_or(0));
        let due = (now + delay).max(self.last) + transmission;
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

    fn random_delay(&mut self) -> Duration {
        Duration::from_millis(self.random.u32(1..MAX_DELAY))
    }

    fn chance(&mut self, chance: f32) -> bool {
        chance > 0.0 && self.random.f32() < chance
    }
}
