//! History: the lines that a person typed, in a file that only its owner can read, for the line editor's next start.
//!
//! The file is `atm/history` in the folder for state of the XDG Base Directory Specification: `$XDG_STATE_HOME`, or
//! `~/.local/state`. Which lines get here is decided in one place, `Repl::remember`.
use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The most lines that are kept.
pub(super) const MAX_LINES: usize = 1000;

/// The path of the file, in a folder that exists; `None` where there can be none, or where it is not a regular file: to open a FIFO
/// blocks, and a device may have no end.
pub(super) fn path() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("atm");
    create_private(&folder).ok()?;
    let file = folder.join("history");
    let is_regular =
        fs::metadata(&file).map_or_else(|error| error.kind() == ErrorKind::NotFound, |file| file.is_file());
    is_regular.then_some(file)
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
