//! A ledger on a [`store`](crate::store): what was told survives a loss of power, a write that was cut off, and a
//! byte that changes.
//!
//! The first slot is for commits that belong to no terminal; then there is one for each terminal, in the order in which they
//! came. A slot holds the number of the commit, the ledger's identity, the balance, the first number that is not
//! reserved, how many terminals there are, and the terminal with its record: the one with the highest number of all has
//! the present balance.
//!
//! The count of terminals stands in the first slot before a terminal is told of its first record. So a slot up to that count
//! that cannot be read is lost, and the ledger does not open; what stands in one beyond it nobody was told of.
use super::{InDoubt, Known, Ledger, LedgerId, Name, Numbers, Outcome, Record, Request, Response, Verdict};
use crate::{
    money::Amount,
    number,
    store::{Store, StoreError},
};
use embedded_storage::Storage;
use serde::{Deserialize, Serialize};

/// The format of the store's entries.
const FORMAT: u8 = 1;

/// Numbers given out by one [`Request::Open`].
const BLOCK: u32 = 256;

/// Numbers reserved by one commit.
const RESERVE: u64 = 4096;

/// What every commit says of the whole ledger, behind its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    identity: LedgerId,
    balance: Amount,
    /// The first number that is not reserved.
    #[serde(serialize_with = "number::serialize")]
    free: u64,
    /// Terminals that have a slot.
    terminals: u8,
}

/// A terminal and its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    name: Name,
    record: Record,
}

/// What a slot holds.
type Commit = (Head, Option<Owner>);

/// A [`Ledger`] on a medium, for as many terminals as there are slots, at most 254; of those one is kept in memory.
#[derive(Clone, Debug)]
pub struct StoredLedger<S> {
    store: Store<S>,
    /// The number of the last commit.
    commits: u64,
    head: Head,
    /// The next number to give out, of those that are reserved.
    next: u64,
    /// The terminal that was looked for last, and its slot.
    slot: u8,
    owner: Option<Owner>,
    /// A commit failed: what stands there has to be read again before anything is said.
    doubt: bool,
}

impl<S: Storage> StoredLedger<S> {
    /// Opens the ledger that the medium holds, and mends it where one copy is older or damaged. A medium that was never
    /// used gets a new one, with the identity and the balance that `fresh` gives; the identity must be random.
    ///
    /// # Errors
    /// [`StoreError`]. What both copies of are damaged is left as it is.
    pub fn open(
        storage: S,
        fresh: impl FnOnce() -> (LedgerId, Amount),
    ) -> Result<Self, StoreError<S::Error>> {
        let store = Store::new(storage, FORMAT)?;
        if store.slots() < 2 {
            return Err(StoreError::TooSmall);
        }
        let head = Head { identity: LedgerId(0), balance: Amount::ZERO, free: 1, terminals: 0 };
        let mut ledger = Self { store, commits: 0, head, next: 1, slot: 0, owner: None, doubt: false };
        let first = ledger.store.read::<Commit>(0)?;
        if first.is_none() && ledger.store.is_new()? {
            let (identity, balance) = fresh();
            ledger.commit(Head { identity, balance, ..head }, false)?;
        } else {
            ledger.load()?;
        }
        ledger.store.mark_initialized()?;
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
        self.commits
    }

    /// The medium.
    pub fn storage(&self) -> &S {
        self.store.medium()
    }

    /// Reads all that is there.
    fn load(&mut self) -> Result<(), StoreError<S::Error>> {
        let (mut commits, mut head) = self.read_head(0)?.ok_or(StoreError::Damaged)?;
        let counted = head.terminals;
        let mut slot = 0;
        while slot < self.store.slots().saturating_sub(1) {
            slot += 1;
            match self.read_head(slot)? {
                Some((_, other)) if other.identity != head.identity => return Err(StoreError::Damaged),
                Some((number, other)) if number > commits => (commits, head) = (number, other),
                Some(_) => {}
                None if slot <= head.terminals => return Err(StoreError::Damaged),
                // Beyond the last terminal.
                None => break,
            }
        }
        (self.commits, self.head, self.next) = (commits, head, head.free);
        self.owner = None;
        if head.terminals > counted {
            // Power went between a terminal's first record and the count of it.
            self.commit(head, false)?;
        }
        self.doubt = false;
        Ok(())
    }

    fn read_head(&mut self, slot: u8) -> Result<Option<(u64, Head)>, StoreError<S::Error>> {
        Ok(self.store.read::<Commit>(slot)?.map(|(number, (head, _))| (number, head)))
    }

    /// Commits what there is to say of the ledger from now on: in the first slot, or in that of the terminal at hand, with its
    /// record.
    fn commit(&mut self, head: Head, with_owner: bool) -> Result<(), StoreError<S::Error>> {
        let number = self.commits.saturating_add(1);
        let (slot, owner) = if with_owner { (self.slot, self.owner.as_ref()) } else { (0, None) };
        self.store.write(slot, number, &(head, owner))?;
        self.commits = number;
        self.head = head;
        Ok(())
    }

    /// What becomes of a request, once it is committed.
    fn answer(&mut self, request: &Request) -> Result<Response, StoreError<S::Error>> {
        if self.doubt {
            self.load()?;
        }
        let (terminal, id, verdict) = match request {
            Request::Open { terminal } => {
                self.find(terminal)?;
                let numbers = self.reserve()?;
                let last = self.record().copied();
                return Ok(Response::Opened { ledger: self.head.identity, numbers, last });
            }
            Request::Operate { origin, id, operation } => {
                let terminal = origin.terminal();
                if let Some(terminal) = terminal {
                    self.find(terminal)?;
                }
                let known = if terminal.is_some() { self.known() } else { Known::Unnamed };
                (terminal, *id, Verdict::operate(known, self.head.balance, *id, *operation))
            }
            Request::Settle { terminal, id } => {
                self.find(terminal)?;
                (Some(terminal), *id, Verdict::settle(self.known(), self.head.balance, *id))
            }
        };
        let outcome = self.carry_out(terminal, verdict)?;
        Ok(Response::Settled { id, outcome })
    }

    /// The record of the terminal that was looked for last.
    fn record(&self) -> Option<&Record> {
        self.owner.as_ref().map(|owner| &owner.record)
    }

    fn known(&self) -> Known<'_> {
        let room = self.head.terminals.saturating_add(1) < self.store.slots();
        self.record().map_or(Known::New { room }, Known::Last)
    }

    /// Looks for a terminal and keeps it at hand.
    // Not inlined, like `carry_out`: what each needs of the stack is not needed at once.
    #[inline(never)]
    fn find(&mut self, terminal: &Name) -> Result<(), StoreError<S::Error>> {
        let Self { store, slot, owner, .. } = self;
        let mut next = 0;
        while owner.as_ref().is_none_or(|owner| owner.name != *terminal) {
            next += 1;
            if next > self.head.terminals {
                *owner = None;
                break;
            }
            *slot = next;
            (_, (_, *owner)) = store.read::<Commit>(next)?.ok_or(StoreError::Damaged)?;
        }
        Ok(())
    }

    /// Commits what a verdict says, with the record of the terminal that was looked for just now.
    #[inline(never)]
    fn carry_out(
        &mut self,
        terminal: Option<&Name>,
        verdict: Verdict,
    ) -> Result<Outcome, StoreError<S::Error>> {
        let (outcome, balance, record) = match verdict {
            Verdict::Tell(outcome) => return Ok(outcome),
            Verdict::Commit { outcome, balance, record } => (outcome, balance, record),
        };
        let mut head = Head { balance, ..self.head };
        let counted = head.terminals;
        let with_owner = match (terminal, record, &mut self.owner) {
            // Where the commit fails, all that is at hand is read again before it is used.
            (Some(_), Some(record), Some(owner)) => {
                owner.record = record;
                true
            }
            (Some(name), Some(record), none) => {
                head.terminals = head.terminals.saturating_add(1);
                self.slot = head.terminals;
                *none = Some(Owner { name: name.clone(), record });
                true
            }
            _ => false,
        };
        self.commit(head, with_owner)?;
        if head.terminals > counted {
            // Its first record is told of once the first slot counts it.
            self.commit(head, false)?;
        }
        Ok(outcome)
    }

    /// Gives out numbers, and reserves more where too few are left.
    fn reserve(&mut self) -> Result<Numbers, StoreError<S::Error>> {
        let end = self.next.saturating_add(u64::from(BLOCK)).min(Numbers::MAX);
        if end > self.head.free {
            let free = self.head.free.saturating_add(RESERVE).min(Numbers::MAX);
            self.commit(Head { free, ..self.head }, false)?;
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

#[cfg(test)]
mod tests;
