//! State file: stores a named terminal's memory, so that its next start can ask for the outcome of its last answer.
//!
//! The file is lines of text, with `-` for an unknown value and, in the last line, a checksum of the lines above:
//! CRC-32/ISO-HDLC, as in zip.
//!
//! ```text
//! atm terminal state 1
//! terminal kiosk-7
//! start 1795444800000
//! ledger 00f3a1b2c3d4e5f6
//! shown 12
//! pending 9
//! crc32 5e2a90c1
//! ```
//!
//! `ledger` is the identity of the ledger that the numbers belong to, `shown` the number of the last reply that was shown,
//! `pending` that of the answered prompt whose reply was not.
//!
//! A write is atomic: a new file (`FILE.tmp`) is synced and then renamed over the old one, so that a loss of power leaves
//! one or the other. Only the file's owner can read it, and a new file follows no link. `FILE.lock` beside it is locked (flock(2)) while a terminal runs. It is never removed: a program that
//! has just opened it would lock the removed file, while another one locks its successor, and two terminals would run.
use super::{MemoryStore, start_from_clock};
use crate::private_file::{self, beside};
use atm_core::{
    ledger::{Name, Numbers},
    terminal::{Memory, Profile},
};
use std::{
    error, fmt,
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

/// The beginning of the first line; the version follows.
const TITLE: &str = "atm terminal state ";

/// The version of the format.
const VERSION: u32 = 1;

/// The most bytes that are read; no valid file is as long.
const MAX_FILE: u64 = 1024;

/// The text for an unknown value.
const NONE: &str = "-";

/// Why a file cannot be used as state file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum StateFileError {
    InUse,
    NotAFile,
    DanglingLink,
    UnusableLock(PathBuf),
    Foreign,
    Newer,
    Damaged,
    OtherTerminal(Name),
    NoMoreStarts,
}

impl fmt::Display for StateFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another program is using it: one terminal at a time"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::DanglingLink => f.write_str("it is a dangling symbolic link"),
            Self::UnusableLock(lock) => {
                write!(f, "{} is not a regular file of this user alone, with one name", lock.display())
            }
            Self::Foreign => f.write_str("it is not the state file of a terminal"),
            Self::Newer => f.write_str("it was written by a newer version of atm"),
            Self::Damaged => f.write_str(
                "it is damaged, and the outcome of the last request is lost with it: check the balance, then \
                 remove the file to start over",
            ),
            Self::OtherTerminal(name) => write!(f, "it is the state file of the terminal {name}"),
            Self::NoMoreStarts => f.write_str("its start counter is exhausted"),
        }
    }
}

impl error::Error for StateFileError {}

/// A terminal's state file, locked for as long as this exists.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    contents: Contents,
    _lock: File,
}

impl StateFile {
    /// Opens or creates the state file of the terminal `name`, locks it, and counts a start in it.
    ///
    /// # Errors
    /// Why the file cannot be used; the message names it. A file that exists is never replaced by an empty one.
    pub fn open(path: &Path, name: &Name) -> io::Result<Self> {
        Self::open_inner(path, name).map_err(|error| with_path(path, &error))
    }

    fn open_inner(path: &Path, name: &Name) -> io::Result<Self> {
        let path = resolve(path)?;
        let lock = lock(&beside(&path, ".lock"))?;
        let stored = match read(&path)? {
            Some(contents) if contents.name != *name => {
                return Err(invalid(StateFileError::OtherTerminal(contents.name)));
            }
            Some(contents) => contents,
            None => Contents { name: name.clone(), start: 0, memory: Memory::default() },
        };
        // The clock is above the starts of a state file that was lost; the count grows even if the clock was set back.
        let start = stored.start.saturating_add(1).max(start_from_clock());
        if start >= Numbers::MAX {
            return Err(invalid(StateFileError::NoMoreStarts));
        }
        let file = Self { path, contents: Contents { start, ..stored }, _lock: lock };
        file.write()?;
        Ok(file)
    }

    /// The terminal's profile for this start.
    pub fn profile(&self) -> Profile {
        let Contents { name, start, memory } = self.contents.clone();
        Profile { name: Some(name), start, memory, ..Profile::default() }
    }

    fn write(&self) -> io::Result<()> {
        private_file::replace(&self.path, self.contents.to_string().as_bytes())
    }
}

impl MemoryStore for StateFile {
    fn store(&mut self, memory: &Memory) -> io::Result<()> {
        self.contents.memory = *memory;
        self.write().map_err(|error| with_path(&self.path, &error))
    }
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    name: Name,
    start: u64,
    memory: Memory,
}

impl Contents {
    fn lines(&self) -> String {
        let Self { name, start, memory: Memory { ledger, shown, pending } } = self;
        let ledger = ledger.map_or_else(|| NONE.to_owned(), |ledger| ledger.to_string());
        let pending = pending.map_or_else(|| NONE.to_owned(), |pending| pending.to_string());
        format!(
            "{TITLE}{VERSION}\nterminal {name}\nstart {start}\nledger {ledger}\nshown {shown}\npending {pending}\n"
        )
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(lines.as_bytes());
        writeln!(f, "{lines}crc32 {checksum:08x}")
    }
}

impl FromStr for Contents {
    type Err = StateFileError;

    fn from_str(text: &str) -> Result<Self, StateFileError> {
        let mut lines = text.lines();
        let version =
            lines.next().and_then(|line| line.strip_prefix(TITLE)).ok_or(StateFileError::Foreign)?;
        match version.parse::<u32>() {
            Ok(VERSION) => {}
            Ok(newer) if newer > VERSION => return Err(StateFileError::Newer),
            _ => return Err(StateFileError::Damaged),
        }
        let contents = fields(lines).ok_or(StateFileError::Damaged)?;
        // Only the exact text that this program writes is valid; this compares the checksum too.
        if contents.to_string() == text { Ok(contents) } else { Err(StateFileError::Damaged) }
    }
}

fn fields<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Contents> {
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let name = field("terminal")?.parse().ok()?;
    let start = number(field("start")?)?;
    let ledger = optional(field("ledger")?, |text| text.parse().ok())?;
    let shown = number(field("shown")?)?;
    let pending = optional(field("pending")?, number)?;
    Some(Contents { name, start, memory: Memory { ledger, shown, pending } })
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number < Numbers::MAX)
}

/// `Some(None)` for an unknown value.
fn optional<'a, T>(text: &'a str, read: impl Fn(&'a str) -> Option<T>) -> Option<Option<T>> {
    if text == NONE { Some(None) } else { read(text).map(Some) }
}

/// `None` if the file does not exist.
fn read(path: &Path) -> io::Result<Option<Contents>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    // Invalid UTF-8 is replaced, so that parsing reports it as damaged or foreign.
    let contents = String::from_utf8_lossy(&bytes).parse().map_err(invalid)?;
    Ok(Some(contents))
}

/// Follows symbolic links: the file behind them is what is replaced and locked, whatever name it was opened by.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        // A device must get no lock file and no new file beside it.
        Ok(file) if !file.is_file() => return Err(invalid(StateFileError::NotAFile)),
        Ok(file) => return Ok(file),
    }
    if path.symlink_metadata().is_ok() {
        return Err(invalid(StateFileError::DanglingLink));
    }
    let name = path.file_name().ok_or_else(|| invalid(StateFileError::NotAFile))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(fs::canonicalize(directory.unwrap_or(Path::new(".")))?.join(name))
}

/// Takes the lock, which the system releases when the program ends. Another user could hold a lock on a file that he can
/// read.
fn lock(path: &Path) -> io::Result<File> {
    let mut options = private_file::options();
    options.create(true).truncate(false);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        // A FIFO would block until a process reads it (open(2)).
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            i32::try_from(flags.bits()).unwrap_or_default(),
        );
    }
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
    let file = options.open(path);
    #[cfg(windows)]
    const SHARING_VIOLATION: i32 = 32;
    #[cfg(windows)]
    if file.as_ref().is_err_and(|error| error.raw_os_error() == Some(SHARING_VIOLATION)) {
        return Err(invalid(StateFileError::InUse));
    }
    let unusable = || invalid(StateFileError::UnusableLock(path.to_owned()));
    let file = file.map_err(|error| match path.symlink_metadata() {
        Ok(found) if !found.is_file() => unusable(),
        _ => io::Error::new(error.kind(), format!("{}: {error}", path.display())),
    })?;
    #[cfg(unix)]
    {
        use rustix::fs::{FileType, FlockOperation, Mode};
        // A second name may be in a folder where the file is for another purpose.
        let found = rustix::fs::fstat(&file)?;
        let is_own = found.st_uid == rustix::process::geteuid().as_raw() && found.st_nlink == 1;
        if !is_own || FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(unusable());
        }
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK { invalid(StateFileError::InUse) } else { error.into() }
        })?;
    }
    Ok(file)
}

fn invalid(error: StateFileError) -> io::Error {
    let kind = match error {
        StateFileError::InUse => ErrorKind::ResourceBusy,
        _ => ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the state file {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
