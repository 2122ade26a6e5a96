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
use super::file::{self, FileError};
use crate::private_file;
use atm_core::{ledger::Name, seal::TerminalKey};
use std::{io::Write, num::NonZeroU32, path::Path};
use zeroize::Zeroizing;

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

const WHAT: &str = "key file";

impl KeyFile {
    /// Writes a new file, which only its owner can read. It is durable when this returns.
    ///
    /// # Errors
    /// A file or a link is there already, or the file system's error.
    pub fn create(&self, path: &Path) -> Result<(), FileError> {
        private_file::create(path, self.text().as_bytes()).map_err(|error| FileError::new(WHAT, path, error))
    }

    /// Reads a file, and keeps this process's memory out of core dumps.
    ///
    /// # Errors
    /// It is no regular file of this user or of root, other users can use it, it is not a key, or core dumps cannot be turned
    /// off.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let not_a_key = || FileError::new(WHAT, path, NOT_A_KEY);
        let text = file::read(path, false, MAX_TEXT).map_err(|reason| FileError::new(WHAT, path, reason))?;
        let text = text.ok_or_else(not_a_key)?;
        let file = parse(&text).ok_or_else(not_a_key)?;
        // Only the exact text that this program writes is valid.
        if *file.text() == *text { Ok(file) } else { Err(not_a_key()) }
    }

    /// Replaces the file at `path` by this key, and overwrites the content of the old one. A loss of power leaves the old
    /// key or this one, which is durable when this returns.
    ///
    /// # Errors
    /// The file system's error.
    pub fn replace(&self, path: &Path) -> Result<(), FileError> {
        let old = private_file::options().open(path);
        let text = self.text();
        private_file::replace(path, text.as_bytes()).map_err(|error| FileError::new(WHAT, path, error))?;
        // As far as the file system and the medium write in place: the new key does not depend on it.
        if let Ok(mut old) = old {
            let _ = old.write_all(&vec![b'0'; text.len()]).and_then(|()| old.sync_data());
        }
        Ok(())
    }

    fn text(&self) -> Zeroizing<String> {
        use std::fmt::Write;
        let Self { terminal, key } = self;
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        // Writing to a string cannot fail.
        let _ = write!(text, "terminal = \"{terminal}\"\nseries = {}\nstep = {}\n", key.series(), key.step());
        file::push_key(&mut text, key.key());
        text
    }
}

fn parse(text: &str) -> Option<KeyFile> {
    let mut lines = text.lines();
    let terminal = file::quoted(lines.next(), "terminal")?.parse().ok()?;
    let mut number = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(" = ");
    let series: NonZeroU32 = number("series")?.parse().ok()?;
    let step = number("step")?.parse().ok()?;
    let key = file::key(lines.next())?;
    Some(KeyFile { terminal, key: TerminalKey::new(key, series, step) })
}

#[cfg(test)]
mod tests;
