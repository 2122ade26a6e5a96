//! A named terminal's memory, and the file that it is kept in.
//!
//! The file is a few lines of text, `-` for what is not known, with the CRC-32 (as in zip) of the lines above the last:
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
//! It is never changed in place: a new file (`FILE.tmp`) takes its name when all of it is on the disk, so that a loss
//! of power leaves the one or the other. `FILE.lock` beside it is locked for as long as a terminal runs; it stays,
//! because whoever removed it could take it away from under somebody who waits for it.
use super::start_from_clock;
use atm_core::{
    ledger::{Name, Numbers},
    terminal::{Memory, Profile},
};
use std::{
    error, fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

/// Keeps what a terminal must not forget.
pub trait MemoryStore: Send {
    /// Stores `memory`; it is safe when this returns.
    ///
    /// # Errors
    /// Why it is not; the terminal then sends nothing more.
    fn store(&mut self, memory: &Memory) -> io::Result<()>;
}

/// What the first line begins with.
const TITLE: &str = "atm terminal state ";

/// The version of the format.
const VERSION: u32 = 1;

/// More than the longest file has.
const LONGEST: u64 = 1024;

/// What stands for nothing.
const NONE: &str = "-";

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum StateFileError {
    InUse,
    NotAFile,
    DanglingLink,
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
            Self::NotAFile => f.write_str("it is not a file"),
            Self::DanglingLink => f.write_str("it is a link to nothing"),
            Self::Foreign => f.write_str("it is not the state of a terminal"),
            Self::Newer => f.write_str("a newer version of atm has written it"),
            Self::Damaged => f.write_str(
                "it is damaged, and with it is lost what became of the last request: check the balance, then \
                 remove the file to begin anew",
            ),
            Self::OtherTerminal(name) => write!(f, "it is the state of the terminal {name}"),
            Self::NoMoreStarts => f.write_str("the terminal cannot be started any more"),
        }
    }
}

impl error::Error for StateFileError {}

/// The file that a terminal's memory is kept in, for as long as the terminal runs.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    contents: Contents,
    _lock: File,
}

impl StateFile {
    /// Opens the file of the terminal `name`, or makes it, and counts a start in it.
    ///
    /// # Errors
    /// Why it cannot be used; the message names the file. It is never begun anew.
    pub fn open(path: &Path, name: &Name) -> io::Result<Self> {
        Self::opened(path, name).map_err(|error| describe(path, &error))
    }

    fn opened(path: &Path, name: &Name) -> io::Result<Self> {
        let path = resolve(path)?;
        let lock = lock(&beside(&path, ".lock"))?;
        let known = match read(&path)? {
            Some(contents) if contents.name != *name => {
                return Err(invalid(StateFileError::OtherTerminal(contents.name)));
            }
            Some(contents) => contents,
            None => Contents { name: name.clone(), start: 0, memory: Memory::default() },
        };
        // The time is above the starts of a file that was lost; the count is above them where the clock goes back.
        let start = known.start.saturating_add(1).max(start_from_clock());
        if start >= Numbers::MAX {
            return Err(invalid(StateFileError::NoMoreStarts));
        }
        let state = Self { path, contents: Contents { start, ..known }, _lock: lock };
        state.write()?;
        Ok(state)
    }

    /// What the terminal says of itself in this life.
    pub fn profile(&self) -> Profile {
        let Contents { name, start, memory } = self.contents.clone();
        Profile { name: Some(name), start, memory }
    }

    fn write(&self) -> io::Result<()> {
        let new = beside(&self.path, ".tmp");
        let mut file = File::create(&new)?;
        file.write_all(self.contents.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_directory(&self.path)
    }
}

impl MemoryStore for StateFile {
    fn store(&mut self, memory: &Memory) -> io::Result<()> {
        self.contents.memory = *memory;
        self.write().map_err(|error| describe(&self.path, &error))
    }
}

/// What is in the file.
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
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(lines.as_bytes());
        writeln!(f, "{lines}crc32 {sum:08x}")
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
        // What this program writes is all that it reads; the sum is compared with it.
        if contents.to_string() == text { Ok(contents) } else { Err(StateFileError::Damaged) }
    }
}

fn fields<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Contents> {
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let name = field("terminal")?.parse().ok()?;
    let start = number(field("start")?)?;
    let ledger = known(field("ledger")?, |text| text.parse().ok())?;
    let shown = number(field("shown")?)?;
    let pending = known(field("pending")?, number)?;
    Some(Contents { name, start, memory: Memory { ledger, shown, pending } })
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number <= Numbers::MAX)
}

/// `Some(None)` where the text stands for nothing.
fn known<'a, T>(text: &'a str, read: impl Fn(&'a str) -> Option<T>) -> Option<Option<T>> {
    if text == NONE { Some(None) } else { read(text).map(Some) }
}

/// `None` where there is no file.
fn read(path: &Path) -> io::Result<Option<Contents>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    // Bytes that are no text are damage to a file of ours, or were never one.
    let contents = String::from_utf8_lossy(&bytes).parse().map_err(invalid)?;
    Ok(Some(contents))
}

/// The file behind links: it is what is replaced, and what two names for one file have in common.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        // Nothing must be made beside a device.
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

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a lock that ends with the program that holds it.
fn lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
    let file = options.open(path);
    #[cfg(windows)]
    const SHARING_VIOLATION: i32 = 32;
    #[cfg(windows)]
    if file.as_ref().is_err_and(|error| error.raw_os_error() == Some(SHARING_VIOLATION)) {
        return Err(invalid(StateFileError::InUse));
    }
    let file = file?;
    #[cfg(unix)]
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        if error == rustix::io::Errno::WOULDBLOCK { invalid(StateFileError::InUse) } else { error.into() }
    })?;
    Ok(file)
}

/// Makes the name of a file that was renamed last.
fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn invalid(error: StateFileError) -> io::Error {
    let kind = match error {
        StateFileError::InUse => ErrorKind::ResourceBusy,
        _ => ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

fn describe(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the state file {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
