//! Entries on a medium that keeps what it holds without power: EEPROM, FRAM, flash, a card, a file.
//!
//! # What stands where
//! The medium is two halves with the same in both. A half is a row of slots of [`SLOT`] bytes. A write of a slot goes to the
//! first half and then to the second, and is read back from both: only then it counts.
//!
//! A slot holds the format of its entry, the length of the body, the body in postcard, and the CRC-32 of all before it,
//! little-endian. The body begins with the entry's number, which grows with every write of the slot: of two copies the one
//! with the higher number is the present one.
//!
//! The last slot is written when all that belongs to the beginning stands ([`Store::mark_initialized`]): what is unreadable before that
//! was never told to anybody, and what is unreadable behind it is lost.
//!
//! # What it survives
//! A write that is cut off leaves one copy that is older, damaged or empty; the next read mends it from the other. So does
//! a byte that changes. Which slots were ever written is the user's to know: of one that has no copy left the store says
//! `None`.
//!
//! On flash, the halves must not share an erase block; a [`NorFlash`](embedded_storage::nor_flash::NorFlash) becomes a
//! [`Storage`] by the wrappers beside that trait.
use core::fmt;
use embedded_storage::Storage;
use page::{SlotCopy, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

mod page;

/// Bytes of a slot: a page that an EEPROM of the size of a 24LC512 writes as one (Microchip DS20001754, "Page Write").
pub const SLOT: usize = 128;

/// What is compared in one piece when a write is read back.
const PIECE: usize = 16;

/// Why what was written cannot be had, or nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StoreError<E> {
    /// The medium says so.
    Storage(E),
    /// The medium took a write and holds something else.
    NotKept,
    /// Something that was committed can be read from neither copy.
    Damaged,
    /// The format is another.
    Format(u8),
    /// The medium, or the slot for this entry, is too small.
    TooSmall,
}

impl<E: fmt::Display> fmt::Display for StoreError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "the medium failed: {error}"),
            Self::NotKept => f.write_str("the medium does not keep what is written to it"),
            Self::Damaged => {
                f.write_str("it is damaged: something that was written can be read from neither copy")
            }
            Self::Format(format) => write!(f, "it has the format {format}, which this program does not know"),
            Self::TooSmall => f.write_str("the medium is too small"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StoreError<E> {}

/// A medium in two halves.
#[derive(Clone, Debug)]
pub struct Store<S> {
    medium: S,
    /// Tells the entries from what others put in slots, and from themselves in other versions.
    format: u8,
    /// Bytes of a half.
    half: u32,
    /// Slots in a half.
    slots: u8,
}

impl<S: Storage> Store<S> {
    /// The slots of a medium, for entries of one format: one less than fit into its half, at most 255.
    ///
    /// # Errors
    /// [`StoreError::TooSmall`] where that is none, or the medium has more than 4 GiB.
    pub fn new(medium: S, format: u8) -> Result<Self, StoreError<S::Error>> {
        let slots = medium.capacity() / 2 / SLOT;
        let half = u32::try_from(slots * SLOT).map_err(|_| StoreError::TooSmall)?;
        let slots = slots.checked_sub(1).filter(|slots| *slots > 0).ok_or(StoreError::TooSmall)?;
        Ok(Self { medium, format, half, slots: u8::try_from(slots).unwrap_or(u8::MAX) })
    }

    /// Slots in a half, for entries.
    pub fn slots(&self) -> u8 {
        self.slots
    }

    /// Was [`mark_initialized`](Self::mark_initialized) never called? Then nothing that is here was told to anybody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_new(&mut self) -> Result<bool, StoreError<S::Error>> {
        let mut page = [0; SLOT];
        let last = self.slots;
        Ok(matches!(self.copy(0, last, &mut page)?, SlotCopy::Blank)
            && matches!(self.copy(self.half, last, &mut page)?, SlotCopy::Blank))
    }

    /// Marks that all that belongs to the beginning stands.
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

    /// Reads a slot, the number and the entry, and makes the worse copy like the better one; `None` where there is no copy:
    /// it was never written as a whole, or both are lost. They are left as they are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read<T: DeserializeOwned>(&mut self, slot: u8) -> Result<Option<(u64, T)>, StoreError<S::Error>> {
        let mut page = [0; SLOT];
        if !self.load(slot, &mut page)? {
            return Ok(None);
        }
        // What is whole and of this format was written here.
        let SlotCopy::Good(number, body) = decode(&page, self.format) else {
            return Err(StoreError::Damaged);
        };
        match postcard::take_from_bytes(body) {
            Ok((entry, [])) => Ok(Some((number, entry))),
            _ => Err(StoreError::Damaged),
        }
    }

    /// Writes a slot in both halves, under a number above the one that it has.
    ///
    /// # Errors
    /// [`StoreError`]. Which of the two entries stands there then, the next read tells.
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

    /// Reads the better copy of a slot into a page, and makes the worse one like it; false where there is none.
    // Not inlined: there is one of it, whatever the entries are, and it is off the stack when they are read.
    #[inline(never)]
    fn load(&mut self, slot: u8, page: &mut [u8; SLOT]) -> Result<bool, StoreError<S::Error>> {
        // The first half comes last: it is mostly the better one, and then in the page already.
        let second = self.copy(self.half, slot, page)?;
        let first = self.copy(0, slot, page)?;
        let worse = match (first, second) {
            (SlotCopy::Other(format), _) | (_, SlotCopy::Other(format)) => {
                return Err(StoreError::Format(format));
            }
            (SlotCopy::Good(first, ()), SlotCopy::Good(second, ())) if first == second => return Ok(true),
            (SlotCopy::Good(first, ()), SlotCopy::Good(second, ())) if first < second => 0,
            (SlotCopy::Good(..), _) => self.half,
            (_, SlotCopy::Good(..)) => 0,
            (SlotCopy::Blank | SlotCopy::Bad, SlotCopy::Blank | SlotCopy::Bad) => return Ok(false),
        };
        if worse == 0 {
            self.copy(self.half, slot, page)?;
        }
        self.put(worse, slot, page)?;
        Ok(true)
    }

    /// Reads the copy of a slot in one half into a page, and says what it is.
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

    /// Writes the bytes of a slot in one half, and reads them back.
    #[inline(never)]
    fn put(&mut self, half: u32, slot: u8, bytes: &[u8]) -> Result<(), StoreError<S::Error>> {
        let mut at = half + offset(slot);
        self.medium.write(at, bytes).map_err(StoreError::Storage)?;
        for piece in bytes.chunks(PIECE) {
            let mut back = [0; PIECE];
            self.medium.read(at, &mut back).map_err(StoreError::Storage)?;
            if piece.iter().zip(&back).any(|(wrote, stands)| wrote != stands) {
                return Err(StoreError::NotKept);
            }
            at += PIECE as u32;
        }
        Ok(())
    }
}

/// Where a slot stands in its half.
fn offset(slot: u8) -> u32 {
    u32::from(slot) * SLOT as u32
}
