//! Fault settings and counts: how likely each kind of fault is, and how often each was injected.

/// The chance of each fault for one chunk, from 0 to 1, and how often noise comes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chances {
    /// The chunk is lost.
    pub drop: f32,
    /// The chunk arrives twice.
    pub duplicate: f32,
    /// One to three of its bits or bytes are changed.
    pub corrupt: f32,
    /// Its end is lost.
    pub truncate: f32,
    /// It is held back and arrives in one piece with the next one.
    pub merge: f32,
    /// It arrives late, and so does what follows.
    pub delay: f32,
    /// It arrives late, and what follows overtakes it.
    pub reorder: f32,
    /// Random bytes arrive before it.
    pub burst: f32,
    /// It is lost, and so is everything that follows for a while.
    pub cut: f32,
    /// One random byte arrives before it, as from an RS-485 transceiver that turns around.
    pub noise: f32,
    /// Milliseconds from one random byte between two chunks to the next; 0 for none.
    pub noise_interval: u32,
}

impl Chances {
    /// The same chance for every fault that a chunk may not survive, but a tenth of it for a cut. Noise between chunks is
    /// none of them.
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
            ..Self::default()
        }
    }

    /// The noise alone.
    pub fn only_noise(self) -> Self {
        Self { noise: self.noise, noise_interval: self.noise_interval, ..Self::default() }
    }
}

/// Chunks and injected faults, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Chunks sent.
    pub chunks: u64,
    /// Chunks lost.
    pub dropped: u64,
    /// Chunks that arrived twice.
    pub duplicated: u64,
    /// Chunks with changed bits or bytes.
    pub corrupted: u64,
    /// Chunks that lost their end.
    pub truncated: u64,
    /// Chunks joined with the next one.
    pub merged: u64,
    /// Chunks that arrived late.
    pub delayed: u64,
    /// Chunks overtaken by later ones.
    pub reordered: u64,
    /// Bursts of random bytes.
    pub bursts: u64,
    /// Chunks lost while the link was cut.
    pub cut: u64,
    /// Bytes of noise between chunks.
    pub noise: u64,
}

impl FaultCounts {
    /// Each count with its name.
    pub fn by_kind(&self) -> [(&'static str, u64); 11] {
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
            ("noise", self.noise),
        ]
    }

    /// Adds the counts of another link.
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
        self.noise += other.noise;
    }
}
