//! EEPROM image: a terminal's key written where the images of a microcontroller read it, in a file for QEMU or a programmer.
use super::KeyFile;
use atm_core::{seal::KeyStore, store::StoreError};
use embedded_storage::{ReadStorage, Storage};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Bytes of the file: all of the board's EEPROM, a 24LC512.
pub const SIZE: usize = 65_536;

/// Writes a terminal's key into the EEPROM image at `path`, of a terminal or of the kiosk on the other end of its line. A key that
/// was there is overwritten; ledger and memory stay. A file that is missing or empty becomes an erased EEPROM (all bytes 0xff), readable
/// by its owner alone.
///
/// # Errors
/// `WouldBlock` if another program has it locked, `InvalidData` if it has not [`SIZE`] bytes, else the system's error. A key that
/// was there may then be damaged, and is to be written again.
pub fn provision(path: &Path, key: &KeyFile) -> io::Result<()> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match io::Error::from(error) {
        error if error.kind() == io::ErrorKind::WouldBlock => {
            io::Error::new(error.kind(), "another program has it open")
        }
        error => error,
    })?;
    match file.metadata()?.len() {
        0 => file.write_all(&[0xff; SIZE])?,
        length if length == SIZE as u64 => {}
        length => {
            let text = format!("it has {length} bytes, and an EEPROM {SIZE}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    let mut keys = KeyStore::new(KeyPart(file)).map_err(error)?;
    match keys.load() {
        // What was written before it was damaged is overwritten, too.
        Ok(_) | Err(StoreError::Damaged | StoreError::Format(_)) => {}
        Err(other) => return Err(error(other)),
    }
    keys.save(&key.terminal, &key.key).map_err(error)
}

fn error(error: StoreError<io::Error>) -> io::Error {
    match error {
        StoreError::Storage(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

/// The part of the file that has the key.
struct KeyPart(File);

impl KeyPart {
    fn seek(&mut self, offset: u32) -> io::Result<()> {
        let at = u64::from(KeyStore::<Self>::AT).saturating_add(offset.into());
        self.0.seek(SeekFrom::Start(at)).map(|_| ())
    }
}

impl ReadStorage for KeyPart {
    type Error = io::Error;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> io::Result<()> {
        self.seek(offset)?;
        self.0.read_exact(bytes)
    }

    fn capacity(&self) -> usize {
        KeyStore::<Self>::SIZE
    }
}

impl Storage for KeyPart {
    fn write(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        self.seek(offset)?;
        self.0.write_all(bytes)?;
        // The second copy is written when the first one is on the disk.
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::seal::{Key, TerminalKey};
    use std::{fs, os::unix::fs::PermissionsExt};

    fn key(series: u32) -> KeyFile {
        let terminal = "kiosk-7".parse().unwrap();
        let key = TerminalKey::derive(&Key::from([9; 32]), series.try_into().unwrap(), &terminal);
        KeyFile { terminal, key }
    }

    fn stored(path: &Path) -> KeyFile {
        let mut keys =
            KeyStore::new(KeyPart(OpenOptions::new().read(true).write(true).open(path).unwrap())).unwrap();
        let (terminal, key) = keys.load().unwrap().unwrap();
        KeyFile { terminal, key }
    }

    #[test]
    fn a_key_is_written_into_a_new_image_and_over_another_one_and_nothing_else_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kiosk.eeprom");
        provision(&path, &key(1)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == SIZE && bytes[..8192].iter().all(|byte| *byte == 0xff));
        assert_eq!(stored(&path), key(1));
        bytes[..8192].fill(7);
        // Both copies are damaged.
        bytes[8192..8200].fill(0);
        bytes[8448..8456].fill(0);
        fs::write(&path, &bytes).unwrap();
        provision(&path, &key(2)).unwrap();
        assert_eq!(stored(&path), key(2));
        let after = fs::read(&path).unwrap();
        assert!(after[..8192].iter().all(|byte| *byte == 7) && after[8704..] == bytes[8704..]);
        assert!(
            !after.windows(Key::LENGTH).any(|window| window == key(1).key.key().bytes()),
            "no copy is left"
        );
    }

    #[test]
    fn a_file_of_another_size_and_one_that_is_in_use_are_left_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eeprom");
        fs::write(&path, [0xff; 8192]).unwrap();
        assert_eq!(provision(&path, &key(1)).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read(&path).unwrap(), [0xff; 8192]);
        fs::write(&path, [0xff; SIZE]).unwrap();
        let holder = File::open(&path).unwrap();
        flock(&holder, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(provision(&path, &key(1)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(fs::read(&path).unwrap(), [0xff; SIZE]);
    }
}
