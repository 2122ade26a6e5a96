//! Entries on a medium that keeps what it holds without power: EEPROM, FRAM, flash, a card, a file.
//!
//! # What stands where
//! The medium is two halves with the same in both. A half is a row of slots of [`SLOT`] bytes. A write of a slot goes to the
//! first half and then to the second, and is read back from both: only then it counts.
//!
//! A slot holds the format of its entry, the length of the body, the body in postcard, and the CRC-32 of all before it,
//! little-endian.
//!
//! # What it survives
//! A write that is cut off leaves one copy that is older, damaged or empty; the next read mends it from the other. So does
//! a byte that changes. A slot of which both copies are damaged is never guessed at.
//!
//! On flash, the halves must not share an erase block; a [`NorFlash`](embedded_storage::nor_flash::NorFlash) becomes a
//! [`Storage`] by the wrappers beside that trait.
use core::fmt;
use embedded_storage::Storage;
use page::{Copy, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

mod page;

/// Bytes of a slot: a page that an EEPROM of the size of a 24LC512 writes as one (Microchip DS20001754, "Page Write").
pub const SLOT: usize = 128;

/// What is compared in one piece when a write is read back.
const PIECE: usize = 16;

/// What a slot can hold.
pub trait Entry: Serialize + DeserializeOwned {
    /// Tells it from what others put in slots, and from itself in other versions.
    const FORMAT: u8;

    /// Grows with every write of this slot: of two copies the one with the higher number is the present one.
    fn number(&self) -> u64;
}

/// Why what was written cannot be had, or nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Broken<E> {
    /// The medium says so.
    Storage(E),
    /// The medium took a write and holds something else.
    NotKept,
    /// Something that was written can be read from neither copy.
    Damaged,
    /// The format is another.
    Format(u8),
    /// The medium, or the slot for this entry, is too small.
    TooSmall,
}

impl<E: fmt::Display> fmt::Display for Broken<E> {
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

impl<E: fmt::Debug + fmt::Display> core::error::Error for Broken<E> {}

/// A medium in two halves.
#[derive(Clone, Debug)]
pub struct Store<S> {
    medium: S,
    /// Bytes of a half.
    half: u32,
    /// Slots in a half.
    slots: u8,
}

impl<S: Storage> Store<S> {
    /// The slots of a medium: as many as fit into its half, at most 255.
    ///
    /// # Errors
    /// [`Broken::TooSmall`] where that is none, or the medium has more than 4 GiB.
    pub fn new(medium: S) -> Result<Self, Broken<S::Error>> {
        let slots = medium.capacity() / 2 / SLOT;
        let half = u32::try_from(slots * SLOT).ok().filter(|half| *half > 0).ok_or(Broken::TooSmall)?;
        Ok(Self { medium, half, slots: u8::try_from(slots).unwrap_or(u8::MAX) })
    }

    /// Slots in a half.
    pub fn slots(&self) -> u8 {
        self.slots
    }

    /// The medium.
    pub fn medium(&self) -> &S {
        &self.medium
    }

    #[cfg(test)]
    pub(crate) fn medium_mut(&mut self) -> &mut S {
        &mut self.medium
    }

    /// Reads a slot, and makes the worse copy like the better one; `None` where it was never written.
    ///
    /// # Errors
    /// [`Broken`]. Where both copies are damaged, they are left as they are.
    pub fn read<T: Entry>(&mut self, slot: u8) -> Result<Option<T>, Broken<S::Error>> {
        let (first, second) = (self.number::<T>(0, slot)?, self.number::<T>(self.half, slot)?);
        let (better, worse) = match (first, second) {
            (Copy::Other(format), _) | (_, Copy::Other(format)) => return Err(Broken::Format(format)),
            (Copy::Good(first), Copy::Good(second)) if first == second => (0, None),
            (Copy::Good(first), Copy::Good(second)) if first < second => (self.half, Some(0)),
            (Copy::Good(_), _) => (0, Some(self.half)),
            (_, Copy::Good(_)) => (self.half, Some(0)),
            (Copy::Bad, Copy::Bad) => return Err(Broken::Damaged),
            // The first write of this slot was cut off, and nobody was told of it; or a byte has changed where nothing is.
            (Copy::Blank, _) | (_, Copy::Blank) => return Ok(None),
        };
        let Copy::Good(entry) = self.copy(better, slot)? else { return Err(Broken::Damaged) };
        if let Some(worse) = worse {
            self.put(slot, &entry, &[worse])?;
        }
        Ok(Some(entry))
    }

    /// Writes a slot in both halves.
    ///
    /// # Errors
    /// [`Broken`]. Which of the two entries stands there then, the next read tells.
    pub fn write<T: Entry>(&mut self, slot: u8, entry: &T) -> Result<(), Broken<S::Error>> {
        self.put(slot, entry, &[0, self.half])
    }

    /// Makes a slot blank that [`read`](Self::read) has found never written, so that the next fault is not the second one.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn tidy<T: Entry>(&mut self, slot: u8) -> Result<(), Broken<S::Error>> {
        for half in [0, self.half] {
            if let Copy::Bad = self.number::<T>(half, slot)? {
                self.medium.write(half + offset(slot), &[0xff; SLOT]).map_err(Broken::Storage)?;
            }
        }
        Ok(())
    }

    /// Reads the number of the copy of a slot in one half: two entries at once would double the stack that it takes.
    #[inline(never)]
    fn number<T: Entry>(&mut self, half: u32, slot: u8) -> Result<Copy<u64>, Broken<S::Error>> {
        Ok(match self.copy::<T>(half, slot)? {
            Copy::Good(entry) => Copy::Good(entry.number()),
            Copy::Other(format) => Copy::Other(format),
            Copy::Bad => Copy::Bad,
            Copy::Blank => Copy::Blank,
        })
    }

    /// Reads the copy of a slot in one half.
    fn copy<T: Entry>(&mut self, half: u32, slot: u8) -> Result<Copy<T>, Broken<S::Error>> {
        let mut page = [0; SLOT];
        self.medium.read(half + offset(slot), &mut page).map_err(Broken::Storage)?;
        Ok(decode(&page))
    }

    /// Writes a slot in each of these halves in turn, and reads it back.
    fn put<T: Entry>(&mut self, slot: u8, entry: &T, halves: &[u32]) -> Result<(), Broken<S::Error>> {
        let mut page = [0; SLOT];
        let bytes = encode(entry, &mut page).ok_or(Broken::TooSmall)?;
        for half in halves {
            let mut at = half + offset(slot);
            self.medium.write(at, bytes).map_err(Broken::Storage)?;
            for piece in bytes.chunks(PIECE) {
                let mut back = [0; PIECE];
                self.medium.read(at, &mut back).map_err(Broken::Storage)?;
                if piece.iter().zip(&back).any(|(wrote, stands)| wrote != stands) {
                    return Err(Broken::NotKept);
                }
                at += PIECE as u32;
            }
        }
        Ok(())
    }
}

/// Where a slot stands in its half.
fn offset(slot: u8) -> u32 {
    u32::from(slot) * SLOT as u32
}
