//! State file: stores a named terminal's memory, so that its next start can ask for the outcome of its last answer, and
//! which step of its key the host has welcomed.
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
//! That of a terminal with a key is of version 2, and has two lines more before the checksum: `series`, the key's, and
//! `welcomed`, the last step of that series whose hello the host has welcomed. A start after such a step steps the key first,
//! in its file: a loss of power between the two files leaves a key of the next step, and no step is made twice.
//!
//! A write is atomic: a new file (`FILE.tmp`) is synced and then renamed over the old one, so that a loss of power leaves
//! one or the other. Only the file's owner can read it, and a new file follows no link. `FILE.lock` beside it is locked (flock(2)) while a terminal runs. It is never removed: a program that
//! has just opened it would lock the removed file, while another one locks its successor, and two terminals would run.
use super::{MemoryStore, start_from_clock};
use crate::{
    access::KeyFile,
    private_file::{self, beside},
};
use atm_core::{
    ledger::{Name, Numbers},
    seal::TerminalKey,
    terminal::{Memory, Profile},
};
use contents::{Contents, SealState};
use std::{
    error, fmt,
    fs::{self, File},
    io::{self, ErrorKind, Read},
    num::NonZeroU32,
    path::{Path, PathBuf},
};

mod contents;

/// The most bytes that are read; no valid file is as long.
const MAX_FILE: u64 = 1024;

/// The most steps that a key is behind the state: a host computes no more forward either.
const MAX_STEPS: u32 = 4096;

/// Why a file cannot be used as state file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum StateFileError {
    NotAFile,
    DanglingLink,
    Foreign,
    Newer,
    Damaged,
    OtherTerminal(Name),
    NoMoreStarts,
    NeedsKey,
    LaterSeries { state: NonZeroU32, key: NonZeroU32 },
    OldKey,
}

impl fmt::Display for StateFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::DanglingLink => f.write_str("it is a dangling symbolic link"),
            Self::Foreign => f.write_str("it is not the state file of a terminal"),
            Self::Newer => f.write_str("it was written by a newer version of atm"),
            Self::Damaged => f.write_str(
                "it is damaged, and the outcome of the last request is lost with it: check the balance, then \
                 remove the file to start over",
            ),
            Self::OtherTerminal(name) => write!(f, "it is the state file of the terminal {name}"),
            Self::NoMoreStarts => f.write_str("its start counter is exhausted"),
            Self::NeedsKey => f.write_str("it is that of a terminal with a key: use --key, or another state file"),
            Self::LaterSeries { state, key } => write!(
                f,
                "the terminal has used a key of series {state}, and this one is of series {key}: use the later one"
            ),
            Self::OldKey => f.write_str(
                "the terminal has used a much later step of its key than that in the key file, which is an old copy: \
                 atm terminal rotate, at the server, makes a new key",
            ),
        }
    }
}

impl error::Error for StateFileError {}

/// A terminal's state file, locked for as long as this exists; its key file too, if it has one.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    contents: Contents,
    key: Option<TerminalKey>,
    salt: u64,
    _lock: File,
    _key_lock: Option<File>,
}

impl StateFile {
    /// Opens or creates the state file of the terminal `name`, locks it, and counts a start in it.
    ///
    /// # Errors
    /// Why the file cannot be used; the message names it. A file that exists is never replaced by an empty one. That of a
    /// terminal with a key is refused.
    pub fn open(path: &Path, name: &Name) -> io::Result<Self> {
        Self::open_with(path, name, None).map_err(|error| with_path(path, &error))
    }

    /// Locks a terminal's key file and its state file, which is created if missing: `KEY.state` where `path` is `None`.
    /// Steps the key if the start before was welcomed under this one, and counts a start.
    ///
    /// # Errors
    /// Why one of the files cannot be used; the message names it. Neither is changed if the state is another terminal's or of a later
    /// series.
    pub fn open_with_key(path: Option<&Path>, key_path: &Path) -> io::Result<Self> {
        let read = || KeyFile::read(key_path).map_err(io::Error::other);
        // A file that is no key gets no lock.
        read()?;
        let key_lock = private_file::lock(&beside(key_path, ".lock")).map_err(|error| {
            io::Error::new(error.kind(), format!("the key file {}: {error}", key_path.display()))
        })?;
        let KeyFile { terminal, key } = read()?;
        let path = path.map_or_else(|| beside(key_path, ".state"), Path::to_owned);
        let opened = Self::open_with(&path, &terminal, Some((key_path, key)));
        let file = opened.map_err(|error| match error.get_ref() {
            Some(inner) if inner.is::<crate::access::FileError>() => error,
            _ => with_path(&path, &error),
        })?;
        Ok(Self { _key_lock: Some(key_lock), ..file })
    }

    fn open_with(path: &Path, name: &Name, key: Option<(&Path, TerminalKey)>) -> io::Result<Self> {
        let path = resolve(path)?;
        let lock = private_file::lock(&beside(&path, ".lock"))?;
        let mut contents = match read(&path)? {
            Some(contents) if contents.name != *name => {
                return Err(invalid(StateFileError::OtherTerminal(contents.name)));
            }
            Some(contents) => contents,
            None => Contents::new(name.clone()),
        };
        // The clock is above the starts of a state file that was lost; the count grows even if the clock was set back.
        contents.start = contents.start.saturating_add(1).max(start_from_clock());
        if contents.start >= Numbers::MAX {
            return Err(invalid(StateFileError::NoMoreStarts));
        }
        let next = next_key(contents.seal, key.as_ref().map(|(_, key)| key)).map_err(invalid)?;
        let mut salt = 0;
        if let (Some((key_path, key)), Some(next)) = (&key, &next) {
            salt = getrandom::u64().map_err(io::Error::other)?;
            if next != key {
                let file = KeyFile { terminal: name.clone(), key: next.clone() };
                file.replace(key_path).map_err(io::Error::other)?;
            }
            let welcomed =
                contents.seal.filter(|seal| seal.series == key.series()).and_then(|seal| seal.welcomed);
            contents.seal = Some(SealState { series: key.series(), welcomed });
        }
        let file = Self { path, contents, key: next, salt, _lock: lock, _key_lock: None };
        file.write()?;
        Ok(file)
    }

    /// The terminal's profile for this start.
    pub fn profile(&self) -> Profile {
        let Contents { name, start, memory, .. } = self.contents.clone();
        let (key, salt) = (self.key.clone(), self.salt);
        Profile { name: Some(name), start, memory, key, salt, ..Profile::default() }
    }

    fn write(&self) -> io::Result<()> {
        private_file::replace(&self.path, self.contents.to_string().as_bytes())
    }
}

impl MemoryStore for StateFile {
    fn store(&mut self, memory: &Memory, welcomed: bool) -> io::Result<()> {
        self.contents.memory = *memory;
        if let (true, Some(seal), Some(key)) = (welcomed, &mut self.contents.seal, &self.key) {
            seal.welcomed = Some(key.step());
        }
        self.write().map_err(|error| with_path(&self.path, &error))
    }
}

/// The key of this start: that of the file, stepped if the host has welcomed a hello under it.
fn next_key(
    stored: Option<SealState>,
    key: Option<&TerminalKey>,
) -> Result<Option<TerminalKey>, StateFileError> {
    let Some(key) = key else {
        return if stored.is_some() { Err(StateFileError::NeedsKey) } else { Ok(None) };
    };
    let Some(stored) = stored.filter(|stored| stored.series >= key.series()) else {
        return Ok(Some(key.clone()));
    };
    if stored.series > key.series() {
        return Err(StateFileError::LaterSeries { state: stored.series, key: key.series() });
    }
    // Of an old copy of the file the state knows how many steps it is behind.
    let next = match stored.welcomed.filter(|step| *step >= key.step()) {
        Some(step) => step.checked_add(1).and_then(|step| key.forward(step, MAX_STEPS)),
        None => Some(key.clone()),
    };
    next.map(Some).ok_or(StateFileError::OldKey)
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

fn invalid(error: StateFileError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the state file {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
