//! Private files: only their owner can read them, and a write is atomic and durable.
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Creates a file that does not exist yet, with `content`. It is durable when this returns; a file that could not be
/// written is removed.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] where there is one, or a link; other errors of the file system.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let written = write_new(path, content).and_then(|()| sync_folder(path));
    if written.as_ref().is_err_and(|error| error.kind() != ErrorKind::AlreadyExists) {
        // The first error says why.
        let _ = fs::remove_file(path);
    }
    written
}

/// Replaces a file, or creates it: `FILE.tmp` is written, synced and renamed, so that a loss of power leaves the old
/// content or the new one.
///
/// # Errors
/// Those of the file system.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = beside(path, ".tmp");
    // The draft of a write that was interrupted, or another user's, which may be a link.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&draft, content)?;
    fs::rename(&draft, path)?;
    sync_folder(path)
}

/// Creates a file (`O_EXCL` follows no link), and syncs it.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = options().create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Options to create a file for writing that only its owner can read.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The path with an ending behind its last name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a new name in a folder durable: fsync(2) of the folder.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
