//! The EEPROM of a kiosk as a file: the same format, so that a file can be carried to a board and back.
extern crate std;

use crate::sizes::EEPROM;
use embedded_storage::{ReadStorage, Storage};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// Bytes of the file: those of a 24LC512, which the board has, and of which the kiosk uses the first [`EEPROM`].
pub const SIZE: usize = 65_536;

/// A file that holds what an EEPROM holds. It is locked as long as it is open.
#[derive(Debug)]
pub struct FileStore {
    file: File,
}

impl FileStore {
    /// Opens a file, or makes one that was never written.
    ///
    /// # Errors
    /// Whatever the system says against it; `WouldBlock` where another program has it open, `InvalidData` where it is no
    /// EEPROM's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        lock(&file)?;
        match file.metadata()?.len() {
            // Written, and not only made longer: a full disk is told now, and not in a commit.
            0 => (&file).write_all(&[0xff; SIZE])?,
            length if length == SIZE as u64 => {}
            length => {
                let text = std::format!("it has {length} bytes, and an EEPROM {SIZE}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        // Its length and its name have to survive too.
        file.sync_all()?;
        sync_folder(path)?;
        Ok(Self { file })
    }
}

#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match io::Error::from(error) {
        error if error.kind() == io::ErrorKind::WouldBlock => {
            io::Error::new(error.kind(), "another program has it open")
        }
        error => error,
    })
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Elsewhere a folder cannot be opened to be synced.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Elsewhere whoever opens it twice has to know.
#[cfg(not(unix))]
fn lock(_: &File) -> io::Result<()> {
    Ok(())
}

impl ReadStorage for FileStore {
    type Error = io::Error;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset.into()))?;
        self.file.read_exact(bytes)
    }

    fn capacity(&self) -> usize {
        EEPROM
    }
}

impl Storage for FileStore {
    fn write(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset.into()))?;
        self.file.write_all(bytes)?;
        // A commit is told of once it stands, and not before.
        self.file.sync_data()
    }
}
