//! The ledger's folder: who may write to it, and what a new or a former one holds.
#[cfg(feature = "postgres")]
use super::reader::Reader;
use super::{
    mark,
    sqlite::{self, Beginning, Sqlite},
    store::{Head, StoreFault},
};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// The file that the writing process locks. The lock is for the message: what fences a second writer is the epoch of the
/// journal.
const LOCK: &str = "ledger.lock";

/// The file that names the database to which the ledger of a folder was moved.
const MOVED: &str = "ledger.moved";

/// Files of the format before the first release, which no version reads any more.
const FORMER: [&str; 2] = ["ledger.redb", "ledger.journal"];

/// A ledger's folder that this process writes to, until this is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks a folder; makes it if there is none, open to its owner alone.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn lock(path: &Path) -> Result<Self, StoreFault> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        refuse_former(path)?;
        let mut file = private().create(true).truncate(false).open(path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut id = String::new();
                // Without the number the message says less.
                let _ = file.take(16).read_to_string(&mut id);
                let reason = format!("another process has the ledger open (process {})", id.trim());
                return Err(StoreFault::Failed(reason));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// Opens the ledger; makes one, as `new` says, in a folder that has none. With `accept_loss` a ledger that is behind
    /// its mark, or has none, goes on as another ledger, with the identity of `new`.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn open(&self, new: Beginning, accept_loss: bool) -> Result<Sqlite, StoreFault> {
        refuse_moved(&self.path)?;
        let path = &self.path.join(sqlite::FILE);
        let (log, is_empty) = (beside(path, "-wal"), is_empty(path)?);
        if is_free(&self.path.join(mark::FILE))? {
            if is_free(path)? && is_free(&log)? {
                mark::create(&self.path, Some(&Head::default()))?;
            } else if accept_loss && !is_empty {
                mark::create(&self.path, None)?;
            } else {
                return Err(if is_empty { missing() } else { mark::missing() });
            }
            sync_folder(&self.path)?;
        }
        let is_unused = mark::read(&self.path)?.is_some_and(|noted| noted.head == Head::default());
        if is_empty && (!is_unused || log.try_exists()?) {
            return Err(missing());
        }
        if is_unused {
            // SQLite would let others read a file that it makes.
            private().create(true).truncate(false).open(path)?;
        }
        let mark = mark::open(&self.path)?;
        let store = Sqlite::open(path.canonicalize()?, None, mark, new, accept_loss)?;
        sync_folder(&self.path)?;
        Ok(store)
    }
}

#[cfg(feature = "postgres")]
impl Folder {
    /// Opens the high-water mark of a host whose ledger is in a shared database; makes one in a folder that has none.
    ///
    /// # Errors
    /// [`StoreFault`]; the folder has a ledger of its own.
    pub fn open_mark(&self) -> Result<mark::Mark, StoreFault> {
        if self.path.join(sqlite::FILE).try_exists()? && !self.path.join(MOVED).try_exists()? {
            let reason = "it has a ledger of its own (`atm ledger move` takes it to the database)".to_owned();
            return Err(StoreFault::Unusable(reason));
        }
        if is_free(&self.path.join(mark::FILE))? {
            mark::create(&self.path, Some(&Head::default()))?;
            sync_folder(&self.path)?;
        }
        Ok(mark::open(&self.path)?)
    }

    /// Opens the ledger to move it, also if that was begun before.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn open_to_move(&self) -> Result<Reader, StoreFault> {
        Reader::open_file(&self.path.join(sqlite::FILE))
    }

    /// Notes that the ledger in the folder, which has everything that was acknowledged, is moved to this database: it is not opened here from
    /// now on. This is durable when it returns.
    ///
    /// # Errors
    /// [`StoreFault`]; [`StoreFault::Unusable`] where it was moved to a database of another address: two of them would spend the same money.
    pub fn note_move(&self, ledger: &Reader, database: &str) -> Result<(), StoreFault> {
        let noted = mark::read(&self.path)?.map(|noted| noted.head);
        sqlite::tables::check_mark(&ledger.connection, noted)?;
        // A note that is not whole came before the first row.
        if let Some(place) = moved_to(&self.path)?.as_deref().and_then(|place| place.strip_suffix('\n')) {
            if place == database {
                return Ok(());
            }
            return Err(StoreFault::Unusable(format!(
                "this ledger was moved to the {place}, and would be in two databases: give that address. If it is certain that nothing serves \
                 the ledger there, remove {} first",
                self.path.join(MOVED).display()
            )));
        }
        let mut file = private().create(true).truncate(true).open(self.path.join(MOVED))?;
        writeln!(file, "{database}")?;
        file.sync_all()?;
        Ok(sync_folder(&self.path)?)
    }
}

/// How a file is opened that only its owner may read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Whether nothing has this name, not even a link to a disk that is not mounted.
fn is_free(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether there is no such file, or one of no length.
fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(!path.try_exists()? || fs::metadata(path)?.len() == 0)
}

/// The database of a folder that is not locked, without links, and what its mark notes. The mark is read first: a transaction that
/// begins after this has everything that was acknowledged by then.
///
/// # Errors
/// [`StoreFault`]; there is no ledger.
pub(super) fn find(folder: &Path) -> Result<(PathBuf, Option<Head>), StoreFault> {
    refuse_former(folder)?;
    refuse_moved(folder)?;
    let noted = mark::read(folder)?.map(|noted| noted.head);
    let path = folder.join(sqlite::FILE);
    if is_empty(&path)? {
        let was_used = noted.is_some_and(|noted| noted != Head::default());
        let none = "there is no ledger (`atm serve --data DIR` makes one)".to_owned();
        return Err(if was_used { missing() } else { StoreFault::Unusable(none) });
    }
    // The log of a link is beside the file that it leads to.
    Ok((path.canonicalize()?, noted))
}

/// The fault of a folder that had a database.
fn missing() -> StoreFault {
    StoreFault::Damaged(format!("{} is missing or empty", sqlite::FILE))
}

/// A number of a file that no copy of it has, and none that has its place later: of its inode, which is used again, and
/// the time when it was made, where the file system knows that; and its length. 0 if there is no such file.
pub(super) fn file_id(path: &Path) -> (u64, u64) {
    let Ok(file) = path.metadata() else { return (0, 0) };
    let made = file.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let made = made.map_or(0, |time| time.as_nanos() as u64);
    #[cfg(unix)]
    let made = made.wrapping_add(std::os::unix::fs::MetadataExt::ino(&file));
    (made, file.len())
}

/// The file of SQLite's beside a database: its write-ahead log (`-wal`) or the log's index (`-shm`).
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses a folder whose ledger was moved.
fn refuse_moved(folder: &Path) -> Result<(), StoreFault> {
    match moved_to(folder)? {
        Some(place) => Err(StoreFault::Unusable(format!(
            "this ledger was moved to the {} (give --database in place of --data, or with `atm serve` beside it)",
            place.trim()
        ))),
        None => Ok(()),
    }
}

/// The note of a move: the database, and the end of the line.
fn moved_to(folder: &Path) -> Result<Option<String>, StoreFault> {
    match fs::read_to_string(folder.join(MOVED)) {
        Ok(place) => Ok(Some(place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a folder with a ledger of the former format.
fn refuse_former(folder: &Path) -> Result<(), StoreFault> {
    for name in FORMER {
        if folder.join(name).try_exists()? {
            return Err(StoreFault::Unusable(
                "this ledger was written before the first release, in a format that no version reads any more".into(),
            ));
        }
    }
    Ok(())
}

/// Syncs the names in a folder: a new file is there after a loss of power.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Windows opens no folder as a file.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
