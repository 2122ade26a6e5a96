//! Loss of power: which of the unsynced changes the disk keeps, loses or tears.
use fastrand::Rng;

/// What a loss of power does to the changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All are lost.
    Lost,
    /// All are kept.
    Kept,
    /// Each on its own is kept, lost or torn at sectors, drawn from this seed.
    Random(u64),
}

/// A change of a file since its last sync.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Offset and bytes.
    Write(usize, Vec<u8>),
    /// The new length in bytes.
    SetLength(usize),
}

impl Change {
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::SetLength(length) => set_length(bytes, *length),
            Self::Write(at, data) => write(bytes, *at, data),
        }
    }
}

/// As `resize`, which takes most of the time of a build without optimisation.
fn set_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.truncate(length);
    bytes.extend_from_slice(&vec![0; length - bytes.len()]);
}

fn write(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    set_length(bytes, bytes.len().max(at + data.len()));
    if let Some(place) = bytes.get_mut(at..at + data.len()) {
        place.copy_from_slice(data);
    }
}

/// How the disk tears writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    /// Bytes that are written at once.
    pub(crate) sector: usize,
    /// A torn write leaves the bytes beside it as they were (SQLite's "powersafe overwrite").
    pub(crate) powersafe_overwrite: bool,
}

impl Default for Geometry {
    fn default() -> Self {
        Self { sector: 512, powersafe_overwrite: true }
    }
}

/// One loss of power, with its draws.
#[derive(Debug)]
pub(crate) struct Loss {
    geometry: Geometry,
    lost: f64,
    torn: f64,
    rng: Rng,
}

impl Loss {
    pub(crate) fn new(cut: Cut, geometry: Geometry) -> Self {
        let (seed, fixed) = match cut {
            Cut::Lost => (0, Some((1.0, 0.0))),
            Cut::Kept => (0, Some((0.0, 0.0))),
            Cut::Random(seed) => (seed, None),
        };
        let mut rng = Rng::with_seed(seed);
        // Even chances alone would hardly ever keep, or lose, all but one of many writes.
        let drawn = rng.choice([(0.0, 0.5), (0.1, 0.1), (0.5, 0.0), (0.3, 0.3), (0.9, 0.5)]);
        let (lost, torn) = fixed.or(drawn).unwrap_or_default();
        Self { geometry, lost, torn, rng }
    }

    /// Is this change lost as a whole?
    pub(crate) fn loses(&mut self) -> bool {
        self.rng.f64() < self.lost
    }

    /// Brings to the disk what it keeps of `changes`.
    pub(crate) fn settle(&mut self, durable: &mut Vec<u8>, changes: &[Change]) {
        for change in changes {
            if self.loses() {
                continue;
            }
            match change {
                Change::Write(at, data) if self.rng.f64() < self.torn => self.tear(durable, *at, data),
                change => change.apply(durable),
            }
        }
    }

    /// Some sectors of a write are kept: a prefix, or any. Its length may be kept without its bytes: then the
    /// file shows what the blocks held before, or zeros.
    fn tear(&mut self, durable: &mut Vec<u8>, at: usize, data: &[u8]) {
        let (sector, end) = (self.geometry.sector, at + data.len());
        if end > durable.len() && self.rng.bool() {
            let from = durable.len();
            set_length(durable, end);
            if self.rng.bool() {
                self.garble(durable, from, end);
            }
        }
        if !self.geometry.powersafe_overwrite {
            self.garble(durable, at - at % sector, at);
            self.garble(durable, end, end.next_multiple_of(sector));
        }
        let any = self.rng.bool();
        let mut prefix = self.rng.usize(..=data.len() / sector + 1);
        let (mut at, mut data) = (at, data);
        while !data.is_empty() {
            let (head, rest) = data.split_at(data.len().min(sector - at % sector));
            if if any { self.rng.bool() } else { prefix > 0 } {
                write(durable, at, head);
            }
            (at, data, prefix) = (at + head.len(), rest, prefix.saturating_sub(1));
        }
    }

    fn garble(&mut self, bytes: &mut [u8], from: usize, to: usize) {
        let to = to.min(bytes.len());
        if let Some(place) = bytes.get_mut(from..to) {
            self.rng.fill(place);
        }
    }
}
