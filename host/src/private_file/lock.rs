//! Lock file: one program at a time uses what it stands for (flock(2)). The file is never removed: a program that has just
//! opened it would lock the removed file, while another one locks its successor.
use super::options;
use std::{
    error, fmt,
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Why a lock file cannot be locked.
#[derive(Debug)]
enum LockError {
    InUse,
    Unusable(PathBuf),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another program is using it: one terminal at a time"),
            Self::Unusable(path) => {
                write!(f, "{} is not a regular file of this user alone, with one name", path.display())
            }
        }
    }
}

impl error::Error for LockError {}

/// Takes the lock, which the system releases when the file is closed. Only the owner can open it: another user could hold a
/// lock on a file that he can read.
///
/// # Errors
/// [`ErrorKind::ResourceBusy`] while another program has it; others where the file cannot be used.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let mut options = options();
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
        return Err(in_use());
    }
    let unusable = || io::Error::new(ErrorKind::InvalidData, LockError::Unusable(path.to_owned()));
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
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| if error == rustix::io::Errno::WOULDBLOCK { in_use() } else { error.into() })?;
    }
    Ok(file)
}

fn in_use() -> io::Error {
    io::Error::new(ErrorKind::ResourceBusy, LockError::InUse)
}
