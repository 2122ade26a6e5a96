//! EEPROM image in a file: an `embedded-storage` medium that syncs every write before it returns.
//!
//! The bytes are those of the board's EEPROM, so a file can be moved to a board (or to QEMU) and back.
use crate::sizes::EEPROM;
use embedded_storage::{ReadStorage, Storage};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// Bytes of the file: all of the board's EEPROM, a 24LC512. The kiosk uses the first [`EEPROM`] of them.
pub const SIZE: usize = 65_536;

/// An EEPROM image, locked (`flock`, exclusive; Unix only) while it is open.
#[derive(Debug)]
pub struct FileStore {
    file: File,
}

impl FileStore {
    /// Opens the file at `path`, or creates it as an erased EEPROM (all bytes 0xff) that only its owner may read (Unix: 0600).
    ///
    /// # Errors
    /// `WouldBlock` if another program has it open, `InvalidData` if its length is not [`SIZE`], else the
    /// system's error.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        lock(&file)?;
        match file.metadata()?.len() {
            // Written, not extended (ftruncate allocates no blocks): a full disk fails here, not in a commit.
            0 => (&file).write_all(&[0xff; SIZE])?,
            length if length == SIZE as u64 => {}
            length => {
                let text = std::format!("it has {length} bytes, and an EEPROM {SIZE}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        // A new file's length and its entry in the folder must survive a loss of power, too.
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

/// On other systems a folder cannot be opened to be synced.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// On other systems the file is not locked: the operator must not open it twice.
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
        // The caller acknowledges a commit when this returns, so it must be on the disk.
        self.file.sync_data()
    }
}
