//! Faulty disk: a [`Disk`] in memory that loses or tears unsynced writes at a power loss and fails at any
//! call.
//!
//! The calls are numbered ([`FaultyDisk::calls`]), so that a test can inject a fault at each of them in turn.
use atm_host::{
    ledger::{
        books::Head,
        disk::{Backend, Disk, StorageBackend},
        error::Fault,
    },
    metrics::Metrics,
};
use fastrand::Rng;
use file::{DiskFile, FileChange};
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

mod file;

/// When the disk fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskFailure {
    /// Never.
    #[default]
    Never,
    /// The call with this number returns an I/O error; later ones do not.
    Once(u64),
    /// Power is lost at the call with this number: it and all later ones return an error and change nothing.
    PowerLoss(u64),
}

#[derive(Debug, Default)]
struct DiskState {
    ledger: Option<DiskFile>,
    journal: Option<DiskFile>,
    draft: Option<DiskFile>,
    /// The last two high-water marks, latest first. They are not synced: a power loss leaves either.
    marks: [Option<Head>; 2],
    calls: u64,
    failure: DiskFailure,
    rng: Rng,
}

impl DiskState {
    /// Counts a call; an error if it is to fail.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.failure {
            DiskFailure::Once(at) if self.calls == at => Err(io::Error::other("the disk failed once")),
            _ => self.has_power(),
        }
    }

    /// An error once power is lost.
    fn has_power(&self) -> io::Result<()> {
        match self.failure {
            DiskFailure::PowerLoss(at) if self.calls >= at => Err(io::Error::other("there is no power")),
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: FileName) -> io::Result<&mut DiskFile> {
        let file = match name {
            FileName::Ledger => &mut self.ledger,
            FileName::Journal => &mut self.journal,
            FileName::Draft => &mut self.draft,
        };
        file.as_mut().ok_or_else(|| io::Error::other("there is no such file"))
    }
}

#[derive(Clone, Copy, Debug)]
enum FileName {
    Ledger,
    Journal,
    Draft,
}

/// The disk. Its clones share their files.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Mutex<DiskState>>);

impl FaultyDisk {
    /// An empty disk; what a failure loses is drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.state().rng = Rng::with_seed(seed);
        disk
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap()
    }

    /// The number of the last call that could fail; the first one's is 1.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Injects a failure, instead of an earlier one that has not happened yet.
    pub fn fail(&self, failure: DiskFailure) {
        self.state().failure = failure;
    }

    /// The injected failure.
    pub fn failure(&self) -> DiskFailure {
        self.state().failure
    }

    /// Restores power: each change that was not synced is durable, torn or lost.
    pub fn power_on(&self) {
        let mut state = self.state();
        let DiskState { ledger, journal, draft, marks, rng, failure, .. } = &mut *state;
        *failure = DiskFailure::Never;
        *marks = [*rng.choice(marks.iter()).unwrap(); 2];
        for file in [ledger, journal, draft].into_iter().flatten() {
            file.lose_unsynced(rng);
        }
    }

    /// Flips a bit, counted through the ledger and then its journal.
    pub fn flip_bit(&self, bit: usize) {
        let (mut state, mut at) = (self.state(), bit / 8);
        let DiskState { ledger, journal, .. } = &mut *state;
        let mut file = ledger.as_mut().unwrap();
        if at >= file.durable.len() {
            at -= file.durable.len();
            file = journal.as_mut().unwrap();
        }
        file.flip_bit(at, bit % 8);
    }

    /// The durable length of the ledger and its journal together, in bytes.
    pub fn len(&self) -> usize {
        let state = self.state();
        [&state.ledger, &state.journal].into_iter().flatten().map(|file| file.durable.len()).sum()
    }

    /// Is there no ledger?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn backend(&self, name: FileName) -> Backend {
        Backend::new(FileHandle { disk: self.clone(), name }, Arc::new(Metrics::default()))
    }

    /// An independent disk with the same ledger, journal and marks.
    pub fn copy(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        copy.state().ledger = self.state().ledger.clone();
        copy.state().journal = self.state().journal.clone();
        copy.state().marks = self.state().marks;
        copy
    }
}

impl Disk for FaultyDisk {
    fn path(&self) -> &Path {
        Path::new("faulty-disk")
    }

    fn is_new(&self) -> io::Result<bool> {
        let state = self.state();
        state.has_power()?;
        Ok(state.ledger.is_none())
    }

    fn open(&mut self) -> Result<Backend, Fault> {
        let mut state = self.state();
        state.call()?;
        // As the trait demands: a reader of a file that was just opened sees durable bytes only.
        state.file(FileName::Ledger)?.sync();
        drop(state);
        Ok(self.backend(FileName::Ledger))
    }

    fn journal(&mut self) -> Result<Backend, Fault> {
        let mut state = self.state();
        state.call()?;
        state.journal.get_or_insert_default().sync();
        drop(state);
        Ok(self.backend(FileName::Journal))
    }

    /// Short, so that a run often moves entries from the journal to the ledger.
    fn journal_size(&self) -> u64 {
        8 << 10
    }

    fn draft(&mut self) -> Result<Backend, Fault> {
        let mut state = self.state();
        state.call()?;
        state.draft = Some(DiskFile::default());
        drop(state);
        Ok(self.backend(FileName::Draft))
    }

    fn publish(&mut self) -> io::Result<()> {
        let mut state = self.state();
        let done = state.call();
        // A rename that returned an error may have happened.
        if done.is_ok() || state.rng.bool() {
            state.file(FileName::Draft)?.sync();
            state.ledger = state.draft.take();
            state.journal = None;
            state.marks = [None; 2];
        }
        done
    }

    fn note(&mut self, mark: Head) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.marks = [Some(mark), state.marks[0]];
        Ok(())
    }

    fn noted(&mut self) -> io::Result<Option<Head>> {
        let mut state = self.state();
        state.call()?;
        Ok(state.marks[0])
    }
}

#[derive(Debug)]
struct FileHandle {
    disk: FaultyDisk,
    name: FileName,
}

impl StorageBackend for FileHandle {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.has_power()?;
        Ok(state.file(self.name)?.cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        let file = state.file(self.name)?;
        let from = usize::try_from(offset).unwrap();
        let bytes = file.cached.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(FileChange::SetLength(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let done = state.call();
        let failure = state.failure;
        let mut rng = state.rng.fork();
        let file = state.file(self.name)?;
        match (&done, failure) {
            (Ok(()), _) => file.sync(),
            // The cache is lost in `power_on`.
            (Err(_), DiskFailure::PowerLoss(_)) => {}
            // As on Linux, pages whose writeback failed are marked clean: no later sync writes them, and the
            // file that is opened next does not show them (https://wiki.postgresql.org/wiki/Fsync_Errors).
            (Err(_), _) => file.lose_unsynced(&mut rng),
        }
        done
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(FileChange::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

impl FileHandle {
    fn change(&self, change: FileChange) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        state.file(self.name)?.change(change);
        Ok(())
    }
}
