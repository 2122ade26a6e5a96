//! Mirrored slot store: entries in two checksummed copies on a non-volatile medium (EEPROM, FRAM, flash, a
//! card, a file). An entry whose write has returned survives a loss of power during the next write, and a
//! changed byte.
//!
//! # Layout
//! The medium is two halves with the same content. A half is an array of slots of [`SLOT`] bytes. A write of
//! a slot goes to the first half, then to the second, and each copy is read back and compared.
//!
//! A slot holds the format of its entry (1 byte), the length of the body (1 byte), the body in postcard, and
//! the CRC-32 of all of these, little-endian. The body begins with the entry's number, which grows with every
//! write of the slot: of two copies the one with the higher number is current.
//!
//! The last slot is a mark, written once the initial content is complete ([`Store::mark_initialized`]), so that
//! a medium whose first slot is lost is not taken for a new one. Nor is one that has lost the mark as well: it is
//! new only where nothing was ever written ([`Store::is_new`]).
//!
//! # Recovery
//! An interrupted write leaves one copy older, damaged or blank, and so does a changed byte; the next read
//! repairs that copy from the other. The store does not know which slots were ever written: one without a
//! readable copy reads as `None`.
//!
//! On flash, the halves must not share an erase block. `embedded_storage::nor_flash::RmwNorFlashStorage`
//! makes a [`Storage`] of a [`NorFlash`](embedded_storage::nor_flash::NorFlash).
//!
//! # Example
//! ```
//! use atm_core::store::{SLOT, Store};
//! # use embedded_storage::{ReadStorage, Storage};
//! # struct Eeprom(Vec<u8>);
//! # impl ReadStorage for Eeprom {
//! #     type Error = core::convert::Infallible;
//! #     fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
//! #         bytes.copy_from_slice(&self.0[at as usize..][..bytes.len()]);
//! #         Ok(())
//! #     }
//! #     fn capacity(&self) -> usize {
//! #         self.0.len()
//! #     }
//! # }
//! # impl Storage for Eeprom {
//! #     fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Self::Error> {
//! #         self.0[at as usize..][..bytes.len()].copy_from_slice(bytes);
//! #         Ok(())
//! #     }
//! # }
//! # let eeprom = Eeprom(vec![0xff; 8 * SLOT]);
//!
//! let mut store = Store::new(eeprom, 1)?; // format 1
//! assert_eq!(store.slots(), 3); // of the 4 in a half, the last is the mark
//! if store.is_new()? {
//!     store.write(0, 1, &100_u32)?; // slot 0, number 1
//!     store.mark_initialized()?;
//! }
//! store.write(0, 2, &60_u32)?;
//! assert_eq!(store.read::<u32>(0)?, Some((2, 60)));
//! # Ok::<_, atm_core::store::StoreError<core::convert::Infallible>>(())
//! ```
use core::fmt;
use embedded_storage::Storage;
use page::{SlotCopy, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

mod page;

/// Bytes of a slot: the page of a 24LC512 EEPROM, which it writes in one cycle (Microchip DS20001754, "Page
/// Write").
pub const SLOT: usize = 128;

/// Bytes compared at a time when a write is read back.
const PIECE: usize = 16;

/// Why an entry cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StoreError<E> {
    /// The medium's driver returned an error.
    Storage(E),
    /// The medium accepted a write and reads back something else.
    NotKept,
    /// Both copies of an entry that was written are unreadable.
    Damaged,
    /// The medium holds entries of this other format.
    Format(u8),
    /// The medium has no room for one slot, or the entry is too long for its slot.
    TooSmall,
}

impl<E: fmt::Display> fmt::Display for StoreError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "the medium failed: {error}"),
            Self::NotKept => f.write_str("the medium does not hold what was written to it"),
            Self::Damaged => f.write_str("both copies of an entry are damaged"),
            Self::Format(format) => write!(f, "its format is {format}, which this program does not support"),
            Self::TooSmall => f.write_str("the medium is too small"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StoreError<E> {}

/// An entry's number and its bytes.
type Numbered<'a> = (u64, &'a [u8]);

/// Numbered entries in slots, each in two copies. See the [module](self) for the layout and an example.
#[derive(Clone, Debug)]
pub struct Store<S> {
    medium: S,
    /// The format byte in every slot, which identifies the application and its version.
    format: u8,
    /// Bytes of a half.
    half: u32,
    /// Slots of a half for entries; the mark is the one after them.
    slots: u8,
}

impl<S: Storage> Store<S> {
    /// Opens a medium for entries of one format. It has one slot less than fit into a half, at most 255.
    /// Nothing is read or written.
    ///
    /// # Errors
    /// [`StoreError::TooSmall`] if that is no slot, or if a half is larger than 4 GiB.
    pub fn new(medium: S, format: u8) -> Result<Self, StoreError<S::Error>> {
        let slots = medium.capacity() / 2 / SLOT;
        let half = u32::try_from(slots * SLOT).map_err(|_| StoreError::TooSmall)?;
        let slots = slots.checked_sub(1).filter(|slots| *slots > 0).ok_or(StoreError::TooSmall)?;
        Ok(Self { medium, format, half, slots: u8::try_from(slots).unwrap_or(u8::MAX) })
    }

    /// The number of slots for entries.
    pub fn slots(&self) -> u8 {
        self.slots
    }

    /// Whether the medium was never used: no copy of any slot or of the mark holds an entry, and nothing but the
    /// first copy of the first slot, where an interrupted first write ends, holds anything. All of the medium is
    /// read.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn is_new(&mut self) -> Result<bool, StoreError<S::Error>> {
        let mut page = [0; SLOT];
        for half in [0, self.half] {
            for slot in 0..=self.slots {
                match self.copy(half, slot, &mut page)? {
                    SlotCopy::Blank => {}
                    SlotCopy::Bad if half == 0 && slot == 0 => {}
                    SlotCopy::Bad | SlotCopy::Other(_) | SlotCopy::Good(..) => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Writes the mark that the initial content is complete, once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mark_initialized(&mut self) -> Result<(), StoreError<S::Error>> {
        match self.read::<()>(self.slots)? {
            Some(_) => Ok(()),
            None => self.write(self.slots, 1, &()),
        }
    }

    /// The medium.
    pub fn medium(&self) -> &S {
        &self.medium
    }

    #[cfg(test)]
    pub(crate) fn medium_mut(&mut self) -> &mut S {
        &mut self.medium
    }

    /// Reads a slot's number and entry, and repairs an older or damaged copy. `None` if no copy is readable:
    /// the slot was never written completely, or both copies are damaged. Such copies are left as they are.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if an intact copy does not decode as a `T`; [`StoreError::Format`];
    /// [`StoreError::Storage`] and [`StoreError::NotKept`] from the medium.
    pub fn read<T: DeserializeOwned>(&mut self, slot: u8) -> Result<Option<(u64, T)>, StoreError<S::Error>> {
        let mut page = [0; SLOT];
        let Some((number, body)) = self.read_bytes(slot, &mut page)? else { return Ok(None) };
        match postcard::take_from_bytes(body) {
            Ok((entry, [])) => Ok(Some((number, entry))),
            _ => Err(StoreError::Damaged),
        }
    }

    /// The same with an entry that is not decoded.
    #[inline(never)]
    pub(crate) fn read_bytes<'a>(
        &mut self,
        slot: u8,
        page: &'a mut [u8; SLOT],
    ) -> Result<Option<Numbered<'a>>, StoreError<S::Error>> {
        if !self.load(slot, page)? {
            return Ok(None);
        }
        // `load` has found a copy with a valid checksum and this format.
        match decode(page, self.format) {
            SlotCopy::Good(number, body) => Ok(Some((number, body))),
            _ => Err(StoreError::Damaged),
        }
    }

    /// Writes a slot in both halves. `number` must be above the slot's present one.
    ///
    /// # Errors
    /// [`StoreError::TooSmall`] if the entry does not fit into a slot, and nothing is written. With
    /// [`StoreError::Storage`] or [`StoreError::NotKept`] the slot holds the old or the new entry: the next
    /// read decides.
    pub fn write<T: Serialize>(
        &mut self,
        slot: u8,
        number: u64,
        entry: &T,
    ) -> Result<(), StoreError<S::Error>> {
        let mut page = [0; SLOT];
        let bytes = encode(&mut page, self.format, number, entry).ok_or(StoreError::TooSmall)?;
        self.put(0, slot, bytes)?;
        self.put(self.half, slot, bytes)
    }

    /// Reads the current copy of a slot into `page` and repairs the other one; false if no copy is readable.
    // Not inlined: one copy of the code serves entries of every type, and its frame is off the stack when
    // they are decoded.
    #[inline(never)]
    fn load(&mut self, slot: u8, page: &mut [u8; SLOT]) -> Result<bool, StoreError<S::Error>> {
        // The first half is read last: its copy is usually the current one, and then already in `page`.
        let second = self.copy(self.half, slot, page)?;
        let first = self.copy(0, slot, page)?;
        let outdated = match (first, second) {
            (SlotCopy::Other(format), _) | (_, SlotCopy::Other(format)) => {
                return Err(StoreError::Format(format));
            }
            (SlotCopy::Good(first, ()), SlotCopy::Good(second, ())) if first == second => return Ok(true),
            (SlotCopy::Good(first, ()), SlotCopy::Good(second, ())) if first < second => 0,
            (SlotCopy::Good(..), _) => self.half,
            (_, SlotCopy::Good(..)) => 0,
            (SlotCopy::Blank | SlotCopy::Bad, SlotCopy::Blank | SlotCopy::Bad) => return Ok(false),
        };
        if outdated == 0 {
            self.copy(self.half, slot, page)?;
        }
        self.put(outdated, slot, page)?;
        Ok(true)
    }

    /// Reads the copy of a slot in one half into `page`, and classifies it.
    #[inline(never)]
    fn copy(
        &mut self,
        half: u32,
        slot: u8,
        page: &mut [u8; SLOT],
    ) -> Result<SlotCopy<()>, StoreError<S::Error>> {
        self.medium.read(half + offset(slot), page).map_err(StoreError::Storage)?;
        Ok(match decode(page, self.format) {
            SlotCopy::Good(number, _) => SlotCopy::Good(number, ()),
            SlotCopy::Other(format) => SlotCopy::Other(format),
            SlotCopy::Bad => SlotCopy::Bad,
            SlotCopy::Blank => SlotCopy::Blank,
        })
    }

    /// Writes the bytes of a slot in one half, reads them back and compares.
    #[inline(never)]
    fn put(&mut self, half: u32, slot: u8, bytes: &[u8]) -> Result<(), StoreError<S::Error>> {
        let mut at = half + offset(slot);
        self.medium.write(at, bytes).map_err(StoreError::Storage)?;
        for piece in bytes.chunks(PIECE) {
            let mut back = [0; PIECE];
            self.medium.read(at, &mut back).map_err(StoreError::Storage)?;
            if piece.iter().zip(&back).any(|(written, read)| written != read) {
                return Err(StoreError::NotKept);
            }
            at += PIECE as u32;
        }
        Ok(())
    }
}

/// The offset of a slot in its half, in bytes.
fn offset(slot: u8) -> u32 {
    u32::from(slot) * SLOT as u32
}
