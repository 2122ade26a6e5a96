//! Where a ledger's file lies: a folder, or whatever a test puts in its place.
use super::{
    books::Head,
    error::{Error, Fault},
    lock::{LOCK, Lock, at},
};
use crate::metrics::Metrics;
use made::Made;
use redb::{BackendError, backends::FileBackend};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read},
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

mod made;
mod note;
pub(super) use note::Note;

pub use redb::StorageBackend;

/// The ledger's file in its folder.
pub const FILE: &str = "ledger.redb";

/// The entries that are on their way into it.
pub const JOURNAL: &str = "ledger.journal";

/// A ledger that is being made; it gets its name when it is whole.
const DRAFT: &str = "ledger.redb.new";

/// What redb's files begin with.
const MAGIC: &[u8] = b"redb";

/// Where the bytes of a store are kept.
pub trait Disk: Send {
    /// What to call it in a message.
    fn path(&self) -> &Path;

    /// Is there no ledger yet?
    ///
    /// # Errors
    /// Whatever the system says.
    fn is_new(&self) -> io::Result<bool>;

    /// Is it never to be changed? What is written to it stays in memory then.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Opens the ledger that is there. What it reads then is what is on the disk, and not what somebody wrote and could
    /// not bring there.
    ///
    /// # Errors
    /// What is wrong with it.
    fn open(&mut self) -> Result<Backend, Fault>;

    /// Opens the journal of that ledger, and makes an empty one where there is none; likewise.
    ///
    /// # Errors
    /// Whatever the system says.
    fn journal(&mut self) -> Result<Backend, Fault>;

    /// How long the journal becomes before its entries are brought into the ledger, in bytes. The file has that length from
    /// its first entry on.
    fn journal_size(&self) -> u64 {
        256 << 10
    }

    /// Is the ledger that was opened still the one that the next start will find? It may have been removed, and nothing that
    /// is written to it is found again then.
    ///
    /// # Errors
    /// Whatever the system says.
    fn is_kept(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Begins a new ledger, which is nothing before it is published.
    ///
    /// # Errors
    /// Whatever the system says.
    fn draft(&mut self) -> Result<Backend, Fault>;

    /// The draft was closed and is whole: it is the ledger from now on.
    ///
    /// # Errors
    /// Whatever the system says.
    fn publish(&mut self) -> io::Result<()>;

    /// Notes the last entry that is about to be told of, which is on the disk. The note need not come there too: what it
    /// says is true however old it is.
    ///
    /// # Errors
    /// Whatever the system says.
    fn note(&mut self, told: Head) -> io::Result<()>;

    /// The entry that was noted last; `None` where nothing is known.
    ///
    /// # Errors
    /// Whatever the system says.
    fn noted(&mut self) -> io::Result<Option<Head>>;
}

/// The bytes of a file, which counts and times what brings them to the disk.
#[derive(Debug)]
pub struct Backend {
    bytes: Box<dyn StorageBackend>,
    metrics: Arc<Metrics>,
}

impl Backend {
    /// Counts what `bytes` does.
    pub fn new(bytes: impl StorageBackend, metrics: Arc<Metrics>) -> Self {
        Self { bytes: Box::new(bytes), metrics }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let began = Instant::now();
        self.bytes.sync_data()?;
        self.metrics.observe_sync(began.elapsed());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.bytes.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.bytes.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.bytes.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.bytes.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.bytes.lock_range(start, end)
    }
}

/// A folder that this process alone works on.
#[derive(Debug)]
pub struct Folder {
    folder: PathBuf,
    file: PathBuf,
    metrics: Arc<Metrics>,
    /// What tells the ledger's file and the journal, as they were opened, from others.
    #[cfg(unix)]
    ledger: Option<Identity>,
    #[cfg(unix)]
    journal: Option<Identity>,
    /// A draft was begun and did not become the ledger.
    drafting: bool,
    note: Note,
    _lock: Lock,
    /// Dropped last.
    made: Made,
}

impl Folder {
    /// Takes a folder, and makes it where there is none.
    ///
    /// # Errors
    /// [`Fault::InUse`] where another process works on it, [`Fault::InReading`] where somebody reads it and does not let go
    /// of it within ten seconds; whatever the system says.
    pub fn take(folder: &Path, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let made = Made::folder(folder).map_err(at(folder))?;
        let lock = Lock::alone(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            file: folder.join(FILE),
            metrics,
            #[cfg(unix)]
            ledger: None,
            #[cfg(unix)]
            journal: None,
            drafting: false,
            note: Note::of(folder),
            _lock: lock,
            made,
        })
    }

    fn backend(&self, file: File) -> Result<Backend, Fault> {
        let bytes = FileBackend::new(file).map_err(|error| Fault::from(redb::Error::from(error)))?;
        Ok(Backend::new(bytes, self.metrics.clone()))
    }
}

impl Disk for Folder {
    fn path(&self) -> &Path {
        &self.file
    }

    fn is_new(&self) -> io::Result<bool> {
        is_new(&self.folder)
    }

    fn open(&mut self) -> Result<Backend, Fault> {
        let mut file = private().open(&self.file)?;
        read_anew(&file)?;
        check_magic(&mut file)?;
        #[cfg(unix)]
        {
            self.ledger = Some(identity(&file.metadata()?));
        }
        self.backend(file)
    }

    fn journal(&mut self) -> Result<Backend, Fault> {
        let path = self.folder.join(JOURNAL);
        is_there(&path)?;
        let file = private().create(true).truncate(false).open(&path)?;
        // What is in a file whose name is not on the disk is gone; whoever made it may not have come so far.
        sync_folder(&self.folder)?;
        read_anew(&file)?;
        #[cfg(unix)]
        {
            self.journal = Some(identity(&file.metadata()?));
        }
        self.backend(file)
    }

    #[cfg(unix)]
    fn is_kept(&self) -> io::Result<bool> {
        let journal = self.folder.join(JOURNAL);
        for (path, opened) in [(&self.file, self.ledger), (&journal, self.journal)] {
            match fs::metadata(path) {
                Ok(there) if opened == Some(identity(&there)) => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn draft(&mut self) -> Result<Backend, Fault> {
        self.drafting = true;
        let file = private().create(true).truncate(true).open(self.folder.join(DRAFT))?;
        self.backend(file)
    }

    fn publish(&mut self) -> io::Result<()> {
        File::open(self.folder.join(DRAFT))?.sync_all()?;
        fs::rename(self.folder.join(DRAFT), &self.file)?;
        self.drafting = false;
        sync_folder(&self.folder)
    }

    fn note(&mut self, told: Head) -> io::Result<()> {
        self.note.write(told)
    }

    fn noted(&mut self) -> io::Result<Option<Head>> {
        self.note.read()
    }
}

/// Whoever wrote this may have been stopped before it was on the disk, or could not bring it there. The system may count
/// what failed to be written as written: it is read from the disk again.
pub(super) fn read_anew(file: &File) -> io::Result<()> {
    match file.sync_data() {
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {}
        result => result?,
    }
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

/// Is this a file of redb's at all?
pub(super) fn check_magic(file: &mut File) -> Result<(), Fault> {
    let mut start = [0; MAGIC.len()];
    match file.read_exact(&mut start) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Fault::Foreign),
        result => result?,
    }
    if start == MAGIC { Ok(()) } else { Err(Fault::Foreign) }
}

/// What came to nothing is taken away.
impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays.
        if self.drafting {
            let _ = fs::remove_file(self.folder.join(DRAFT));
        }
        // The lock is held still: whoever has opened its file finds that it has no name any more.
        if self.made.is_any() && matches!(is_there(&self.file), Ok(false)) {
            let _ = fs::remove_file(self.folder.join(LOCK));
        }
    }
}

/// A file's device and its number there.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(file: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// Is this open file the one that has this name now?
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    return match fs::metadata(path) {
        Ok(there) => Ok(identity(&file.metadata()?) == identity(&there)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    // What is open is not removed there.
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        Ok(true)
    }
}

/// How files are opened that only their owner may read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Is there a file of this name? A link to a file that is not there, because its disk is not, is no reason to begin a new one;
/// and whoever opens something else may wait for ever.
pub(super) fn is_there(file: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(file) {
        Ok(there) if there.is_symlink() && !file.try_exists()? => {
            Err(io::Error::other("this is a symbolic link, and what it leads to is not there"))
        }
        Ok(_) if !fs::metadata(file)?.is_file() => Err(io::Error::other("this is not a file")),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Is there no ledger in a folder? Entries that were told of, or a note of one, are what is left of one.
pub(super) fn is_new(folder: &Path) -> io::Result<bool> {
    let mut left = Vec::new();
    // A ledger that is just being made has these later than its file.
    for name in [JOURNAL, note::FILE] {
        if is_there(&folder.join(name))? {
            left.push(name);
        }
    }
    let is_new = !is_there(&folder.join(FILE))?;
    if is_new && !left.is_empty() {
        return Err(io::Error::other(format!(
            "the ledger is gone, and what was told of is not ({}): whoever removes that too begins another one",
            left.join(", ")
        )));
    }
    Ok(is_new)
}

/// Brings a folder's names to the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
