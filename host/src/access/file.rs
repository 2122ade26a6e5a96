//! Files of keys: text that only their owner can read, of exactly one form, wiped when it is released.
use crate::private_file;
use atm_core::seal::Key;
use std::{
    error, fmt,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Why a file of keys cannot be used. Its text names the file, and has nothing of its content.
#[derive(Debug)]
pub struct FileError {
    what: &'static str,
    path: PathBuf,
    reason: String,
}

impl FileError {
    /// An error of the file at `path`; `what` is the file in two words.
    pub(super) fn new(what: &'static str, path: &Path, reason: impl fmt::Display) -> Self {
        Self { what, path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}: {}", self.what, self.path.display(), self.reason)
    }
}

impl error::Error for FileError {}

/// Reads the text of a file of keys, of at most `most` bytes, and keeps this process's memory out of core dumps. `None` if it
/// is no text. `credential` is as for [`private_file::open`].
///
/// # Errors
/// Why the file is refused.
pub(super) fn read(path: &Path, credential: bool, most: usize) -> Result<Option<Zeroizing<String>>, String> {
    let file = private_file::open(path, credential)?;
    refuse_core_dumps().map_err(|error| error.to_string())?;
    // Room for all of it, so that it is not copied while it grows.
    let mut text = Zeroizing::new(String::with_capacity(most));
    match file.take(most as u64).read_to_string(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Appends a key's line.
pub(super) fn push_key(text: &mut String, key: &Key) {
    use fmt::Write;
    text.push_str("key = \"");
    for byte in key.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str("\"\n");
}

/// The value of the line of `name`, between quotes.
pub(super) fn quoted<'a>(line: Option<&'a str>, name: &str) -> Option<&'a str> {
    line?.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"')
}

/// The key in a key's line.
pub(super) fn key(line: Option<&str>) -> Option<Key> {
    let digits = quoted(line, "key")?;
    let mut bytes = Zeroizing::new([0; Key::LENGTH]);
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Key::from(*bytes))
}

/// Sets the limit of a core dump's size to 0 and the process not dumpable, which also keeps other processes of its user
/// from its memory (prctl(2), `PR_SET_DUMPABLE`).
///
/// # Errors
/// The system's.
pub fn refuse_core_dumps() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_secrets_has_no_core_dump() {
        refuse_core_dumps().unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert!(limit.split_whitespace().any(|word| word == "0"), "{limit}");
    }
}
