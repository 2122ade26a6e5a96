//! A file on the faulty disk: its cached bytes, its durable bytes, and the unsynced changes between the two.
use fastrand::Rng;

/// Bytes that the disk writes atomically.
const SECTOR: usize = 512;

/// A change of a file since its last sync.
#[derive(Clone, Debug)]
pub(super) enum FileChange {
    /// Offset and bytes.
    Write(usize, Vec<u8>),
    /// The new length in bytes.
    SetLength(usize),
}

/// A file with the operating system's cache above it.
#[derive(Clone, Debug, Default)]
pub(super) struct DiskFile {
    /// What a reader sees.
    pub(super) cached: Vec<u8>,
    /// What a loss of power leaves.
    pub(super) durable: Vec<u8>,
    unsynced: Vec<FileChange>,
}

impl DiskFile {
    /// Changes what a reader sees; the disk gets it at the next sync.
    pub(super) fn change(&mut self, change: FileChange) {
        apply(&mut self.cached, &change);
        self.unsynced.push(change);
    }

    /// Brings all changes to the disk.
    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.cached);
        self.unsynced.clear();
    }

    /// Loses the cache: each unsynced change on its own is durable, torn or lost.
    pub(super) fn lose_unsynced(&mut self, rng: &mut Rng) {
        let (lost, torn) = *rng.choice(&[(0.0, 0.0), (1.0, 0.0), (0.5, 0.0), (0.3, 0.3)]).unwrap();
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                _ if rng.f64() < lost => {}
                FileChange::Write(at, data) if rng.f64() < torn => self.write_torn(at, &data, rng),
                change => apply(&mut self.durable, &change),
            }
        }
        self.cached.clone_from(&self.durable);
    }

    /// A torn write: a prefix of its sectors is durable, or a random subset of them.
    fn write_torn(&mut self, mut at: usize, mut data: &[u8], rng: &mut Rng) {
        let subset = rng.bool();
        let mut prefix = rng.usize(..=data.len() / SECTOR + 1);
        while !data.is_empty() {
            let (sector, rest) = data.split_at(data.len().min(SECTOR - at % SECTOR));
            let durable = if subset { rng.bool() } else { prefix > 0 };
            if durable {
                apply(&mut self.durable, &FileChange::Write(at, sector.to_vec()));
            }
            (at, data, prefix) = (at + sector.len(), rest, prefix.saturating_sub(1));
        }
    }

    /// Flips one bit of the byte at `at`, on the disk and in the cache.
    pub(super) fn flip_bit(&mut self, at: usize, bit: usize) {
        self.cached[at] ^= 1 << bit;
        self.durable[at] ^= 1 << bit;
    }
}

fn apply(bytes: &mut Vec<u8>, change: &FileChange) {
    match change {
        FileChange::SetLength(length) => bytes.resize(*length, 0),
        FileChange::Write(at, data) => {
            // A write past the end extends the file: the change of its length may be lost before it.
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
    }
}
