//! Name of a serial port: opens the port again when its device was gone and is back under the same name.
//!
//! An adapter that is plugged in again gets its name back, once the old device is closed. The name of a pseudo-terminal
//! goes to whichever program opens the next one, which is not that device. So a pseudo-terminal is opened again only by
//! a symbolic link that was made anew since.
use super::Port;
use std::{fs, io, path::Path};

/// Where pseudo-terminals have their names: Linux (pty(7)) and macOS.
const PSEUDO_TERMINALS: [&str; 2] = ["/dev/pts/", "/dev/ttys"];

/// What tells a symbolic link from another one of the same name: device, inode, and time of its last change.
type LinkId = (u64, u64, i64, i64);

/// The name of a port, as it was when the port was opened.
#[derive(Clone, Debug)]
pub struct PortName {
    pub(super) path: String,
    pub(super) baud: u32,
    /// The link that the path is.
    link: Option<LinkId>,
    is_pseudo_terminal: bool,
}

/// Whether a path is a pseudo-terminal, or a symbolic link to one.
pub fn is_pseudo_terminal(path: &str) -> bool {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let target = target.to_string_lossy();
    PSEUDO_TERMINALS.iter().any(|folder| target.starts_with(folder))
}

impl PortName {
    pub(super) fn new(path: &str, baud: u32) -> Self {
        let is_pseudo_terminal = is_pseudo_terminal(path);
        Self { path: path.to_owned(), baud, link: link_id(path.as_ref()), is_pseudo_terminal }
    }

    /// Whether the device may come back under this name.
    pub fn is_lasting(&self) -> bool {
        !self.is_pseudo_terminal || self.link.is_some()
    }

    /// Opens the port again. The old one must be closed.
    ///
    /// # Errors
    /// Those of [`Port::open`]; or the device is not back.
    pub fn open(&self) -> io::Result<Port> {
        if self.is_pseudo_terminal && link_id(self.path.as_ref()).is_none_or(|link| Some(link) == self.link) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is not back", self.path)));
        }
        Port::open(&self.path, self.baud)
    }
}

#[cfg(unix)]
fn link_id(path: &Path) -> Option<LinkId> {
    use std::os::unix::fs::MetadataExt;
    let link = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_symlink)?;
    Some((link.dev(), link.ino(), link.ctime(), link.ctime_nsec()))
}

/// Elsewhere there are no pseudo-terminals.
#[cfg(not(unix))]
fn link_id(_: &Path) -> Option<LinkId> {
    None
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_pseudo_terminal_is_opened_again_only_by_a_link_that_was_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("port").to_str().unwrap().to_owned();
        let (master, loopback) = Port::loopback().unwrap();
        symlink(&loopback.path, &link).unwrap();
        let (direct, name) = (PortName::new(&loopback.path, 9600), PortName::new(&link, 9600));
        assert!(name.is_lasting() && !direct.is_lasting());
        // The name exists, but the link is the same: it may be another program's by now.
        assert_eq!(name.open().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::remove_file(&link).unwrap();
        assert_eq!(name.open().unwrap_err().kind(), io::ErrorKind::NotFound);
        symlink(&loopback.path, &link).unwrap();
        let port = name.open().unwrap();
        assert_eq!((port.baud(), port.name().is_lasting()), (9600, true));
        assert!(!master.name().is_lasting());
        // The name of a device, which the system gives it again.
        assert!(PortName::new("/dev/ttyUSB99", 9600).is_lasting());
    }
}
