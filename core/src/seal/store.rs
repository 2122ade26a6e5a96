//! Key store: a terminal's name and key on a non-volatile medium, in two copies with a checksum each.
//!
//! It is a [`Store`] of its own: the entry's copies are in the first slot of each half, and the mark that there was a key is in
//! the slot after it. The key that is replaced is overwritten in both copies before [`save`](KeyStore::save) returns.
use super::{Key, TerminalKey};
use crate::{
    ledger::Name,
    store::{SLOT, Store, StoreError},
};
use core::num::NonZeroU32;
use embedded_storage::Storage;
use serde::{Serialize, Serializer, ser::SerializeTuple};

/// The format of the entry.
const FORMAT: u8 = 1;

/// What is stored: series and step, little-endian, the key, and the terminal's name. A struct of varints would take twice the
/// code.
struct Entry<'a>([&'a [u8]; 4]);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(0)?;
        for part in self.0 {
            for byte in part {
                tuple.serialize_element(byte)?;
            }
        }
        tuple.end()
    }
}

/// Decodes an [`Entry`].
fn read(bytes: &[u8]) -> Option<(Name, TerminalKey)> {
    let (series, rest) = bytes.split_first_chunk()?;
    let (step, rest) = rest.split_first_chunk()?;
    let (key, name) = rest.split_first_chunk()?;
    let name = core::str::from_utf8(name).ok()?.parse().ok()?;
    let series = NonZeroU32::new(u32::from_le_bytes(*series))?;
    Some((name, TerminalKey::new(Key::from(*key), series, u32::from_le_bytes(*step))))
}

/// The stored key of one terminal, at the terminal or at its host. See the module.
#[derive(Clone, Debug)]
pub struct KeyStore<S> {
    store: Store<S>,
    /// How often the entry was written.
    writes: u64,
}

impl<S: Storage> KeyStore<S> {
    /// Bytes of its part of a medium: an entry and a mark in two copies.
    pub const SIZE: usize = 4 * SLOT;

    /// Where it begins on a medium that has a ledger of 8 KiB, or a terminal's memory, in front of it.
    pub const AT: u32 = 8192;

    /// Opens a medium of [`SIZE`](Self::SIZE) bytes. Nothing is read or written.
    ///
    /// # Errors
    /// [`StoreError::TooSmall`].
    pub fn new(medium: S) -> Result<Self, StoreError<S::Error>> {
        Ok(Self { store: Store::new(medium, FORMAT)?, writes: 0 })
    }

    /// Reads the key and repairs an older or damaged copy. `None` if there never was one.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] if there was a key, or anything else, and no copy is readable. The caller is
    /// then out of service: without its key a link is not served in clear.
    pub fn load(&mut self) -> Result<Option<(Name, TerminalKey)>, StoreError<S::Error>> {
        let mut page = [0; SLOT];
        match self.store.read_bytes(0, &mut page)? {
            Some((writes, entry)) => {
                self.writes = writes;
                read(entry).map(Some).ok_or(StoreError::Damaged)
            }
            None if self.store.is_new()? => Ok(None),
            None => Err(StoreError::Damaged),
        }
    }

    /// Stores a key instead of the one that [`load`](Self::load) has found.
    ///
    /// # Errors
    /// [`StoreError::Storage`] or [`StoreError::NotKept`]: the entry is then the old or the new one, or damaged if it was.
    pub fn save(&mut self, terminal: &Name, key: &TerminalKey) -> Result<(), StoreError<S::Error>> {
        let writes = self.writes.saturating_add(1);
        let (series, step) = (key.series().get().to_le_bytes(), key.step().to_le_bytes());
        let entry = Entry([&series, &step, key.key().bytes(), terminal.as_str().as_bytes()]);
        self.store.write(0, writes, &entry)?;
        self.writes = writes;
        self.store.mark_initialized()
    }

    /// How often the key was written.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// The medium.
    pub fn medium(&self) -> &S {
        self.store.medium()
    }
}

#[cfg(test)]
mod tests;
