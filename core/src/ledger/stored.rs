//! A ledger on a medium that keeps what it holds without power: EEPROM, FRAM, flash, a card, a file.
//!
//! # What stands where
//! The medium is two halves with the same in both. A half is a row of slots of [`SLOT`] bytes: the first for commits that
//! belong to no terminal, then one for each terminal in the order in which they came. A commit writes one slot, in the
//! first half and then in the second, and is read back from both before anybody is told.
//!
//! A slot holds the format's version (1), the length of the body, the body, and the CRC-32 of all before it, little-endian.
//! The body is in postcard: the number of the commit, the ledger's identity, the balance, the first
//! number that is not reserved, how many terminals there are, and the terminal with its record. So the slot with the
//! highest number of all has the present balance.
//!
//! # What it survives
//! A write that is cut off leaves one copy that is older, damaged or empty; opening the ledger mends it from the other. So
//! does a byte that changes. A slot of which both copies are damaged is never guessed at: the ledger does not open.
//!
//! On flash, the halves must not share an erase block; a [`NorFlash`](embedded_storage::nor_flash::NorFlash) becomes a
//! [`Storage`] by the wrappers beside that trait.
use super::{InDoubt, Known, Ledger, LedgerId, Name, Numbers, Outcome, Record, Request, Response, Verdict};
use crate::money::Amount;
use core::fmt;
use embedded_storage::Storage;
use slot::{Copy, Entry, Head, Owner, VERSION, decode, encode};

mod slot;

/// Bytes of a slot: the longest entry takes 113, and an EEPROM of the size of a 24LC512 writes a page of 128 as one
/// (Microchip DS20001754, "Page Write").
pub const SLOT: usize = 128;

/// Numbers given out by one [`Request::Open`].
const BLOCK: u32 = 256;

/// Numbers reserved by one commit.
const RESERVE: u64 = 4096;

/// What is compared in one piece when a write is read back.
const PIECE: usize = 16;

/// Why a ledger cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken<E> {
    /// The medium says so.
    Storage(E),
    /// The medium took a write and holds something else.
    NotKept,
    /// Something that was committed can be read from neither copy.
    Damaged,
    /// The format is of another version.
    Version(u8),
    /// There is no room for one terminal.
    TooSmall,
}

impl<E: fmt::Display> fmt::Display for Broken<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "the ledger's medium failed: {error}"),
            Self::NotKept => f.write_str("the ledger's medium does not keep what is written to it"),
            Self::Damaged => {
                f.write_str("the ledger is damaged: something that was committed cannot be read")
            }
            Self::Version(version) => {
                write!(f, "the ledger has format {version}; this program knows format {VERSION}")
            }
            Self::TooSmall => write!(f, "the ledger's medium is too small: it needs {} bytes", 4 * SLOT),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Broken<E> {}

/// A [`Ledger`] on a medium, for as many terminals as there are slots, at most 254; of those one is kept in memory.
#[derive(Clone, Debug)]
pub struct StoredLedger<S> {
    storage: S,
    /// Bytes of a half.
    half: u32,
    /// Slots in a half.
    slots: u8,
    head: Head,
    /// The next number to give out, of those that are reserved.
    next: u64,
    /// The terminal that was looked for last, and its slot.
    cached: Option<(u8, Owner)>,
    /// A commit failed: what stands there has to be read again before anything is said.
    doubt: bool,
}

impl<S: Storage> StoredLedger<S> {
    /// Opens the ledger that the medium holds, and mends it where one copy is older or damaged. A medium that was never
    /// used gets a new one, with the identity and the balance that `fresh` gives; the identity must be random.
    ///
    /// # Errors
    /// [`Broken`]. What both copies of are damaged is left as it is.
    pub fn open(storage: S, fresh: impl FnOnce() -> (LedgerId, Amount)) -> Result<Self, Broken<S::Error>> {
        let slots = storage.capacity() / 2 / SLOT;
        let half = u32::try_from(slots * SLOT).map_err(|_| Broken::TooSmall)?;
        if slots < 2 {
            return Err(Broken::TooSmall);
        }
        let slots = u8::try_from(slots).unwrap_or(u8::MAX);
        let head = Head { commit: 0, identity: LedgerId(0), balance: Amount::ZERO, free: 1, terminals: 0 };
        let mut ledger = Self { storage, half, slots, head, next: 1, cached: None, doubt: false };
        if !ledger.load()? {
            let (identity, balance) = fresh();
            ledger.commit(0, Head { commit: 1, identity, balance, ..head }, None)?;
        }
        Ok(ledger)
    }

    /// The balance.
    pub fn balance(&self) -> Amount {
        self.head.balance
    }

    /// The ledger's identity.
    pub fn identity(&self) -> LedgerId {
        self.head.identity
    }

    /// Commits so far: each writes two pages.
    pub fn commits(&self) -> u64 {
        self.head.commit
    }

    /// The medium.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Reads all that is there; false where nothing is.
    fn load(&mut self) -> Result<bool, Broken<S::Error>> {
        let mut newest: Option<Head> = None;
        let mut used = 0u8;
        for slot in 0..self.slots {
            let Some(Entry { head, .. }) = self.mend(slot)? else { break };
            used = slot.saturating_add(1);
            match newest {
                Some(known) if known.identity != head.identity => return Err(Broken::Damaged),
                Some(known) if known.commit >= head.commit => {}
                _ => newest = Some(head),
            }
        }
        let Some(head) = newest else {
            // The first slot is written before any other.
            return if self.mend(1)?.is_some() { Err(Broken::Damaged) } else { Ok(false) };
        };
        if used <= head.terminals {
            return Err(Broken::Damaged);
        }
        // So that the next fault there is not the second one.
        for half in [0, self.half] {
            if used < self.slots && self.read(half, used)? == Copy::Bad {
                self.storage.write(half + offset(used), &[0xff; SLOT]).map_err(Broken::Storage)?;
            }
        }
        self.head = head;
        self.next = head.free;
        self.cached = None;
        self.doubt = false;
        Ok(true)
    }

    /// Reads both copies of a slot and makes the worse one like the better one; `None` where it was never committed.
    fn mend(&mut self, slot: u8) -> Result<Option<Entry>, Broken<S::Error>> {
        let (first, second) = (self.read(0, slot)?, self.read(self.half, slot)?);
        let (worse, entry) = match (first, second) {
            (Copy::Other(version), _) | (_, Copy::Other(version)) => return Err(Broken::Version(version)),
            (Copy::Good(first), Copy::Good(second)) if first.head.commit == second.head.commit => {
                return Ok(Some(first));
            }
            (Copy::Good(first), Copy::Good(second)) if first.head.commit < second.head.commit => (0, second),
            (Copy::Good(entry), _) => (self.half, entry),
            (_, Copy::Good(entry)) => (0, entry),
            (Copy::Bad, Copy::Bad) => return Err(Broken::Damaged),
            // The first write of this slot was cut off, and nobody was told of it; or a byte has changed where nothing is.
            (Copy::Blank, _) | (_, Copy::Blank) => return Ok(None),
        };
        self.write(slot, &entry, &[worse])?;
        Ok(Some(entry))
    }

    /// Reads the copy of a slot in one half.
    fn read(&mut self, half: u32, slot: u8) -> Result<Copy, Broken<S::Error>> {
        let mut page = [0; SLOT];
        self.storage.read(half + offset(slot), &mut page).map_err(Broken::Storage)?;
        Ok(decode(&page))
    }

    /// Writes a slot in each of these halves in turn, and reads it back.
    fn write(&mut self, slot: u8, entry: &Entry, halves: &[u32]) -> Result<(), Broken<S::Error>> {
        let mut page = [0; SLOT];
        let bytes = encode(entry, &mut page).ok_or(Broken::TooSmall)?;
        for half in halves {
            let mut at = half + offset(slot);
            self.storage.write(at, bytes).map_err(Broken::Storage)?;
            for piece in bytes.chunks(PIECE) {
                let mut back = [0; PIECE];
                self.storage.read(at, &mut back).map_err(Broken::Storage)?;
                if !back.starts_with(piece) {
                    return Err(Broken::NotKept);
                }
                at += PIECE as u32;
            }
        }
        Ok(())
    }

    fn commit(&mut self, slot: u8, head: Head, owner: Option<Owner>) -> Result<(), Broken<S::Error>> {
        let entry = Entry { head, owner };
        self.write(slot, &entry, &[0, self.half])?;
        self.head = head;
        if let Some(owner) = entry.owner {
            self.cached = Some((slot, owner));
        }
        Ok(())
    }

    /// What becomes of a request, once it is committed.
    fn answer(&mut self, request: &Request) -> Result<Response, Broken<S::Error>> {
        if self.doubt && !self.load()? {
            // What was there is gone.
            return Err(Broken::Damaged);
        }
        match request {
            Request::Open { terminal } => {
                let last = self.find(terminal)?;
                let numbers = self.reserve()?;
                Ok(Response::Opened { ledger: self.head.identity, numbers, last })
            }
            Request::Operate { origin, id, operation } => {
                let terminal = origin.terminal();
                let last = terminal.map_or(Ok(None), |terminal| self.find(terminal))?;
                let known = terminal.map_or(Known::Unnamed, |_| self.known(last.as_ref()));
                let verdict = Verdict::operate(known, self.head.balance, *id, *operation);
                Ok(Response::Settled { id: *id, outcome: self.carry_out(terminal, verdict)? })
            }
            Request::Settle { terminal, id } => {
                let last = self.find(terminal)?;
                let verdict = Verdict::settle(self.known(last.as_ref()), self.head.balance, *id);
                Ok(Response::Settled { id: *id, outcome: self.carry_out(Some(terminal), verdict)? })
            }
        }
    }

    fn known<'a>(&self, last: Option<&'a Record>) -> Known<'a> {
        let room = self.head.terminals.saturating_add(1) < self.slots;
        last.map_or(Known::New { room }, Known::Last)
    }

    /// Looks for a terminal and keeps it at hand.
    fn find(&mut self, terminal: &Name) -> Result<Option<Record>, Broken<S::Error>> {
        for slot in 0..=self.head.terminals {
            if slot > 0 {
                let owner = self.mend(slot)?.ok_or(Broken::Damaged)?.owner;
                self.cached = owner.map(|owner| (slot, owner));
            }
            match &self.cached {
                Some((_, owner)) if owner.name == *terminal => return Ok(Some(owner.record)),
                _ => {}
            }
        }
        self.cached = None;
        Ok(None)
    }

    fn carry_out(&mut self, terminal: Option<&Name>, verdict: Verdict) -> Result<Outcome, Broken<S::Error>> {
        let (outcome, balance, record) = match verdict {
            Verdict::Tell(outcome) => return Ok(outcome),
            Verdict::Commit { outcome, balance, record } => (outcome, balance, record),
        };
        let mut head = Head { commit: self.head.commit.saturating_add(1), balance, ..self.head };
        let owner = terminal.zip(record).map(|(name, record)| Owner { name: name.clone(), record });
        let slot = match (&owner, &self.cached) {
            (None, _) => 0,
            // It was looked for just now.
            (Some(_), Some((slot, _))) => *slot,
            (Some(_), None) => {
                head.terminals = head.terminals.saturating_add(1);
                head.terminals
            }
        };
        self.commit(slot, head, owner)?;
        Ok(outcome)
    }

    /// Gives out numbers, and reserves more where too few are left.
    fn reserve(&mut self) -> Result<Numbers, Broken<S::Error>> {
        let end = self.next.saturating_add(u64::from(BLOCK)).min(Numbers::MAX);
        if end > self.head.free {
            let free = self.head.free.saturating_add(RESERVE).min(Numbers::MAX);
            let commit = self.head.commit.saturating_add(1);
            self.commit(0, Head { commit, free, ..self.head }, None)?;
        }
        let numbers = Numbers::block(self.next, BLOCK);
        self.next = end;
        Ok(numbers)
    }
}

impl<S: Storage> Ledger for StoredLedger<S> {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        self.answer(request).map_err(|_| {
            self.doubt = true;
            InDoubt
        })
    }
}

/// Where a slot stands in its half.
fn offset(slot: u8) -> u32 {
    u32::from(slot) * SLOT as u32
}

#[cfg(test)]
mod tests;
