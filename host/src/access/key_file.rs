//! Key file: a terminal's pre-shared key for sealed links, readable by its owner alone and replaced atomically.
//!
//! The file is four lines of text in TOML, exactly as [`KeyFile`] writes them:
//!
//! ```text
//! terminal = "kiosk-7"
//! series = 1
//! step = 0
//! key = "64 hexadecimal digits"
//! ```
use crate::private_file;
use atm_core::{
    ledger::Name,
    seal::{Key, TerminalKey},
};
use std::{
    error, fmt,
    fs::File,
    io::{self, ErrorKind, Read, Write},
    num::NonZeroU32,
    path::{Path, PathBuf},
};
use zeroize::{Zeroize, Zeroizing};

/// Room for the text of a key file, so that it is not copied while it grows; no file is as long.
const MAX_TEXT: usize = 256;

/// A terminal's name with its key. `Debug` does not show the key, which is wiped when the value is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The terminal's name.
    pub terminal: Name,
    /// Its key, at one step of one series.
    pub key: TerminalKey,
}

/// Why a key file cannot be used. Its text names the file, and has nothing of its content.
#[derive(Debug)]
pub struct KeyFileError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Io(io::Error),
    NotAFile,
    #[cfg(unix)]
    Shared {
        mode: u32,
    },
    #[cfg(unix)]
    ForeignOwner {
        uid: u32,
    },
    NotAKey,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key file {}: ", self.path.display())?;
        match &self.reason {
            Reason::Io(error) => error.fmt(f),
            Reason::NotAFile => f.write_str("it is not a regular file (a link is not followed)"),
            #[cfg(unix)]
            Reason::Shared { mode } => {
                write!(f, "users other than its owner can use it (mode {mode:03o}): chmod 600")
            }
            #[cfg(unix)]
            Reason::ForeignOwner { uid } => write!(f, "it belongs to another user (uid {uid})"),
            Reason::NotAKey => f.write_str(
                "it is not a terminal's key as `atm terminal add` writes it, or it is damaged: the lines terminal, series, step and key",
            ),
        }
    }
}

impl error::Error for KeyFileError {}

impl KeyFile {
    /// Writes a new file, which only its owner can read. It is durable when this returns.
    ///
    /// # Errors
    /// A file or a link is there already, or the file system's error.
    pub fn create(&self, path: &Path) -> Result<(), KeyFileError> {
        private_file::create(path, self.text().as_bytes()).map_err(|error| failed(path, error))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is no regular file of this user or of root, other users can use it, or it is not a key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let refused = |reason| KeyFileError { path: path.to_owned(), reason };
        let file = open(path).map_err(refused)?;
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        match file.take(MAX_TEXT as u64).read_to_string(&mut text) {
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(refused(Reason::NotAKey)),
            read => read.map_err(|error| failed(path, error))?,
        };
        let file = parse(&text).ok_or_else(|| refused(Reason::NotAKey))?;
        // Only the exact text that this program writes is valid.
        if *file.text() == *text { Ok(file) } else { Err(refused(Reason::NotAKey)) }
    }

    /// Replaces the file at `path` by this key, and overwrites the content of the old one. A loss of power leaves the old
    /// key or this one, which is durable when this returns.
    ///
    /// # Errors
    /// The file system's error.
    pub fn replace(&self, path: &Path) -> Result<(), KeyFileError> {
        let old = private_file::options().open(path);
        let text = self.text();
        private_file::replace(path, text.as_bytes()).map_err(|error| failed(path, error))?;
        // As far as the file system and the medium write in place: the new key does not depend on it.
        if let Ok(mut old) = old {
            let _ = old.write_all(&vec![b'0'; text.len()]).and_then(|()| old.sync_data());
        }
        Ok(())
    }

    fn text(&self) -> Zeroizing<String> {
        use fmt::Write;
        let Self { terminal, key } = self;
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "terminal = \"{terminal}\"\nseries = {}\nstep = {}\nkey = \"",
            key.series(),
            key.step()
        );
        for byte in key.key().bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push_str("\"\n");
        text
    }
}

fn failed(path: &Path, error: io::Error) -> KeyFileError {
    KeyFileError { path: path.to_owned(), reason: Reason::Io(error) }
}

/// Opens a regular file that its owner alone can use.
#[cfg(unix)]
fn open(path: &Path) -> Result<File, Reason> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    // A FIFO would block until a process writes to it (open(2)).
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened =
        File::options().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default()).open(path);
    let file = opened.map_err(|error| match path.symlink_metadata() {
        Ok(found) if !found.is_file() => Reason::NotAFile,
        _ => Reason::Io(error),
    })?;
    let metadata = file.metadata().map_err(Reason::Io)?;
    let (mode, uid) = (metadata.mode() & 0o777, metadata.uid());
    if !metadata.is_file() {
        return Err(Reason::NotAFile);
    }
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(Reason::ForeignOwner { uid });
    }
    if mode & 0o077 != 0 {
        return Err(Reason::Shared { mode });
    }
    Ok(file)
}

/// Elsewhere a file has no such mode.
#[cfg(not(unix))]
fn open(path: &Path) -> Result<File, Reason> {
    let found = path.symlink_metadata().map_err(Reason::Io)?;
    if !found.is_file() {
        return Err(Reason::NotAFile);
    }
    File::open(path).map_err(Reason::Io)
}

fn parse(text: &str) -> Option<KeyFile> {
    let mut lines = text.lines();
    let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(" = ");
    let terminal = unquote(value("terminal")?)?.parse().ok()?;
    let series: NonZeroU32 = value("series")?.parse().ok()?;
    let step = value("step")?.parse().ok()?;
    let key = key(unquote(value("key")?)?)?;
    Some(KeyFile { terminal, key: TerminalKey::new(key, series, step) })
}

fn unquote(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn key(text: &str) -> Option<Key> {
    let mut bytes = [0; Key::LENGTH];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    let key = Key::from(bytes);
    bytes.zeroize();
    Some(key)
}

#[cfg(test)]
mod tests;
