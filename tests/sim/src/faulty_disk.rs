//! A disk that forgets what was not synced, and that can fail at any call.
use atm_host::{
    ledger::{
        books::Head,
        disk::{Backend, Disk, StorageBackend},
        error::Fault,
    },
    metrics::Metrics,
};
use fastrand::Rng;
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// When the disk fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// Never.
    #[default]
    Never,
    /// The call with this number fails, and the ones after it do not.
    Once(u64),
    /// The power goes at the call with this number: nothing is done from there on.
    Power(u64),
}

/// What was asked of a file and is not known to be on the disk.
#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// A file: what whoever reads it sees, what is on the disk, and what is on its way there.
#[derive(Clone, Debug, Default)]
struct Bytes {
    seen: Vec<u8>,
    kept: Vec<u8>,
    changes: Vec<Change>,
}

impl Bytes {
    /// Each change on its own reaches the disk, in part, or is lost.
    fn lose(&mut self, rng: &mut Rng) {
        let (lost, torn) = *rng.choice(&[(0.0, 0.0), (1.0, 0.0), (0.5, 0.0), (0.3, 0.3)]).unwrap();
        for change in std::mem::take(&mut self.changes) {
            match change {
                _ if rng.f64() < lost => {}
                Change::Write(at, data) if rng.f64() < torn => self.tear(at, &data, rng),
                change => apply(&mut self.kept, &change),
            }
        }
        self.seen.clone_from(&self.kept);
    }

    /// The first sectors of a write reach the disk, or some of them, in no order.
    fn tear(&mut self, mut at: usize, mut data: &[u8], rng: &mut Rng) {
        let some = rng.bool();
        let mut rest = rng.usize(..=data.len() / SECTOR + 1);
        while !data.is_empty() {
            let (sector, behind) = data.split_at(data.len().min(SECTOR - at % SECTOR));
            let arrives = if some { rng.bool() } else { rest > 0 };
            if arrives {
                apply(&mut self.kept, &Change::Write(at, sector.to_vec()));
            }
            (at, data, rest) = (at + sector.len(), behind, rest.saturating_sub(1));
        }
    }

    fn sync(&mut self) {
        self.kept.clone_from(&self.seen);
        self.changes.clear();
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Write(at, data) => {
            // A file grows with what is written, where its new length was lost.
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    ledger: Option<Bytes>,
    journal: Option<Bytes>,
    draft: Option<Bytes>,
    /// The entry that was told of last, and the one before it: after a loss of power it is one of them.
    noted: [Option<Head>; 2],
    calls: u64,
    failure: Failure,
    rng: Rng,
}

impl State {
    /// Counts a call, and says whether it fails.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.failure {
            Failure::Once(at) if self.calls == at => Err(io::Error::other("the disk failed once")),
            Failure::Power(at) if self.calls >= at => Err(io::Error::other("there is no power")),
            _ => Ok(()),
        }
    }

    /// Nothing is read without power.
    fn read(&self) -> io::Result<()> {
        match self.failure {
            Failure::Power(at) if self.calls >= at => Err(io::Error::other("there is no power")),
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: Name) -> io::Result<&mut Bytes> {
        let file = match name {
            Name::Ledger => &mut self.ledger,
            Name::Journal => &mut self.journal,
            Name::Draft => &mut self.draft,
        };
        file.as_mut().ok_or_else(|| io::Error::other("there is no such file"))
    }
}

/// What a file is called.
#[derive(Clone, Copy, Debug)]
enum Name {
    Ledger,
    Journal,
    Draft,
}

/// The disk. Its clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    /// An empty disk; what it loses is drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.state().rng = Rng::with_seed(seed);
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Calls so far: each of them can fail.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// When it fails next.
    pub fn fail(&self, failure: Failure) {
        self.state().failure = failure;
    }

    /// How it is to fail.
    pub fn failure(&self) -> Failure {
        self.state().failure
    }

    /// The power comes back: what was not synced is there, or in part, or lost.
    pub fn power_on(&self) {
        let mut state = self.state();
        let State { ledger, journal, draft, noted, rng, failure, .. } = &mut *state;
        *failure = Failure::Never;
        *noted = [*rng.choice(noted.iter()).unwrap(); 2];
        for file in [ledger, journal, draft].into_iter().flatten() {
            file.lose(rng);
        }
    }

    /// Turns a bit of the ledger, or of its journal where it is behind that.
    pub fn flip(&self, bit: usize) {
        let (mut state, mut at) = (self.state(), bit / 8);
        let State { ledger, journal, .. } = &mut *state;
        let mut file = ledger.as_mut().unwrap();
        if at >= file.kept.len() {
            at -= file.kept.len();
            file = journal.as_mut().unwrap();
        }
        file.seen[at] ^= 1 << (bit % 8);
        file.kept[at] ^= 1 << (bit % 8);
    }

    /// The length of the ledger and its journal, in bytes.
    pub fn len(&self) -> usize {
        let state = self.state();
        [&state.ledger, &state.journal].into_iter().flatten().map(|file| file.kept.len()).sum()
    }

    /// Is there no ledger?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn handle(&self, name: Name) -> Backend {
        Backend::new(Handle { disk: self.clone(), name }, Arc::new(Metrics::default()))
    }

    /// Another disk with the same on it.
    pub fn copy(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        copy.state().ledger = self.state().ledger.clone();
        copy.state().journal = self.state().journal.clone();
        copy.state().noted = self.state().noted;
        copy
    }
}

impl Disk for FaultyDisk {
    fn path(&self) -> &Path {
        Path::new("disk")
    }

    fn is_new(&self) -> io::Result<bool> {
        let state = self.state();
        state.read()?;
        Ok(state.ledger.is_none())
    }

    fn open(&mut self) -> Result<Backend, Fault> {
        let mut state = self.state();
        state.call()?;
        // What is left of earlier writes is brought to the disk, and what failed to come there is not seen any more.
        let file = state.file(Name::Ledger)?;
        file.sync();
        drop(state);
        Ok(self.handle(Name::Ledger))
    }

    fn journal(&mut self) -> Result<Backend, Fault> {
        let mut state = self.state();
        state.call()?;
        state.journal.get_or_insert_default().sync();
        drop(state);
        Ok(self.handle(Name::Journal))
    }

    /// Short, so that much is brought from there into the ledger.
    fn journal_size(&self) -> u64 {
        8 << 10
    }

    fn draft(&mut self) -> Result<Backend, Fault> {
        let mut state = self.state();
        state.call()?;
        state.draft = Some(Bytes::default());
        drop(state);
        Ok(self.handle(Name::Draft))
    }

    fn publish(&mut self) -> io::Result<()> {
        let mut state = self.state();
        let done = state.call();
        // Whether a name that failed to change has changed is known after the power is back.
        if done.is_ok() || state.rng.bool() {
            state.file(Name::Draft)?.sync();
            state.ledger = state.draft.take();
            state.journal = None;
            state.noted = [None; 2];
        }
        done
    }

    fn note(&mut self, told: Head) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.noted = [Some(told), state.noted[0]];
        Ok(())
    }

    fn noted(&mut self) -> io::Result<Option<Head>> {
        let mut state = self.state();
        state.call()?;
        Ok(state.noted[0])
    }
}

#[derive(Debug)]
struct Handle {
    disk: FaultyDisk,
    name: Name,
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.read()?;
        Ok(state.file(self.name)?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        let file = state.file(self.name)?;
        let from = usize::try_from(offset).unwrap();
        let bytes = file.seen.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let done = state.call();
        let failure = state.failure;
        let mut rng = state.rng.fork();
        let file = state.file(self.name)?;
        match (&done, failure) {
            (Ok(()), _) => file.sync(),
            // Without power nothing happens any more.
            (Err(_), Failure::Power(_)) => {}
            // What could not be brought there is not tried again, and not seen after the file was opened anew.
            (Err(_), _) => file.lose(&mut rng),
        }
        done
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

impl Handle {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        let file = state.file(self.name)?;
        apply(&mut file.seen, &change);
        file.changes.push(change);
        Ok(())
    }
}
