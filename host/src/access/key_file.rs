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
use super::secrets::refuse_core_dumps;
use crate::private_file;
use atm_core::{
    ledger::Name,
    seal::{Key, TerminalKey},
};
use std::{
    error, fmt,
    io::{self, ErrorKind, Read, Write},
    num::NonZeroU32,
    path::{Path, PathBuf},
};
use zeroize::{Zeroize, Zeroizing};

/// Room for the text of a key file, so that it is not copied while it grows; no file is as long.
const MAX_TEXT: usize = 256;

const NOT_A_KEY: &str = "it is not a terminal's key as `atm terminal add` writes it, or it is damaged: the lines terminal, \
                         series, step and key";

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
    reason: String,
}

impl KeyFileError {
    fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key file {}: {}", self.path.display(), self.reason)
    }
}

impl error::Error for KeyFileError {}

impl KeyFile {
    /// Writes a new file, which only its owner can read. It is durable when this returns.
    ///
    /// # Errors
    /// A file or a link is there already, or the file system's error.
    pub fn create(&self, path: &Path) -> Result<(), KeyFileError> {
        private_file::create(path, self.text().as_bytes()).map_err(|error| KeyFileError::new(path, error))
    }

    /// Reads a file, and keeps this process's memory out of core dumps.
    ///
    /// # Errors
    /// It is no regular file of this user or of root, other users can use it, it is not a key, or core dumps cannot be turned
    /// off.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |error: io::Error| KeyFileError::new(path, error);
        let not_a_key = || KeyFileError::new(path, NOT_A_KEY);
        let file = private_file::open(path, false).map_err(|reason| KeyFileError::new(path, reason))?;
        refuse_core_dumps().map_err(failed)?;
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        match file.take(MAX_TEXT as u64).read_to_string(&mut text) {
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(not_a_key()),
            read => read.map_err(failed)?,
        };
        let file = parse(&text).ok_or_else(not_a_key)?;
        // Only the exact text that this program writes is valid.
        if *file.text() == *text { Ok(file) } else { Err(not_a_key()) }
    }

    /// Replaces the file at `path` by this key, and overwrites the content of the old one. A loss of power leaves the old
    /// key or this one, which is durable when this returns.
    ///
    /// # Errors
    /// The file system's error.
    pub fn replace(&self, path: &Path) -> Result<(), KeyFileError> {
        let old = private_file::options().open(path);
        let text = self.text();
        private_file::replace(path, text.as_bytes()).map_err(|error| KeyFileError::new(path, error))?;
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
