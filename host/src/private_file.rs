//! Private files: only their owner can read them, and a write is atomic and durable.
#[cfg(feature = "cli")]
mod lock;
#[cfg(feature = "cli")]
pub(crate) use lock::lock;

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
    write_new(path, content).and_then(|()| sync_folder(path)).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return io::Error::new(error.kind(), "it is there already, and is not replaced");
        }
        // The first error says why.
        let _ = fs::remove_file(path);
        error
    })
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

/// Opens a regular file of this user or of root that no other user can use. The group of a `credential` may read it where root
/// owns it: such are those of a systemd unit, whose mask of the access control list is shown as the group's mode (acl(5)).
///
/// # Errors
/// Why it is refused, or the file system's error.
#[cfg(all(unix, feature = "ledger"))]
pub(crate) fn open(path: &Path, credential: bool) -> Result<File, String> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    const NOT_A_FILE: &str = "it is not a regular file (a link is not followed)";
    // A FIFO would block until a process writes to it (open(2)).
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = File::options();
    let opened = options.read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default()).open(path);
    let file = opened.map_err(|error| match path.symlink_metadata() {
        Ok(found) if !found.is_file() => NOT_A_FILE.to_owned(),
        _ => error.to_string(),
    })?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let (mode, uid) = (metadata.mode() & 0o777, metadata.uid());
    if !metadata.is_file() {
        return Err(NOT_A_FILE.to_owned());
    }
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(format!("it belongs to another user (uid {uid})"));
    }
    if mode & (if credential && uid == 0 { 0o037 } else { 0o077 }) != 0 {
        return Err(format!("users other than its owner can use it (mode {mode:03o}): chmod 600"));
    }
    Ok(file)
}

/// Elsewhere a file has no such mode.
#[cfg(all(not(unix), feature = "ledger"))]
pub(crate) fn open(path: &Path, _credential: bool) -> Result<File, String> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => File::open(path).map_err(|error| error.to_string()),
        Ok(_) => Err("it is not a regular file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
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

/// The path with an ending after its last name.
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
