//! A ledger on a [`store`](crate::store): what was told survives a loss of power, a write that was cut off, and a
//! byte that changes.
//!
//! The first slot is for commits that belong to no terminal; then there is one for each terminal, in the order in which they
//! came. A slot holds the number of the commit, the ledger's identity, the balance, the first number that is not
//! reserved, how many terminals there are, and the terminal with its record: the one with the highest number of all has
//! the present balance.
use super::{InDoubt, Known, Ledger, LedgerId, Name, Numbers, Outcome, Record, Request, Response, Verdict};
use crate::{
    money::Amount,
    number,
    store::{Broken, Entry, Store},
};
use embedded_storage::Storage;
use serde::{Deserialize, Serialize};

/// Numbers given out by one [`Request::Open`].
const BLOCK: u32 = 256;

/// Numbers reserved by one commit.
const RESERVE: u64 = 4096;

/// What every commit says of the whole ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// The number of the commit.
    #[serde(serialize_with = "number::serialize")]
    commit: u64,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Commit {
    head: Head,
    owner: Option<Owner>,
}

impl Entry for Commit {
    const FORMAT: u8 = 1;

    fn number(&self) -> u64 {
        self.head.commit
    }
}

/// A [`Ledger`] on a medium, for as many terminals as there are slots, at most 254; of those one is kept in memory.
#[derive(Clone, Debug)]
pub struct StoredLedger<S> {
    store: Store<S>,
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
        let store = Store::new(storage)?;
        if store.slots() < 2 {
            return Err(Broken::TooSmall);
        }
        let head = Head { commit: 0, identity: LedgerId(0), balance: Amount::ZERO, free: 1, terminals: 0 };
        let mut ledger = Self { store, head, next: 1, cached: None, doubt: false };
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
        self.store.medium()
    }

    /// Reads all that is there; false where nothing is.
    fn load(&mut self) -> Result<bool, Broken<S::Error>> {
        let mut newest: Option<Head> = None;
        let mut used = 0u8;
        for slot in 0..self.store.slots() {
            let Some(Commit { head, .. }) = self.store.read(slot)? else { break };
            used = slot.saturating_add(1);
            match newest {
                Some(known) if known.identity != head.identity => return Err(Broken::Damaged),
                Some(known) if known.commit >= head.commit => {}
                _ => newest = Some(head),
            }
        }
        let Some(head) = newest else {
            // The first slot is written before any other.
            return match self.store.read::<Commit>(1)? {
                Some(_) => Err(Broken::Damaged),
                None => Ok(false),
            };
        };
        if used <= head.terminals {
            return Err(Broken::Damaged);
        }
        if used < self.store.slots() {
            self.store.tidy::<Commit>(used)?;
        }
        self.head = head;
        self.next = head.free;
        self.cached = None;
        self.doubt = false;
        Ok(true)
    }

    fn commit(&mut self, slot: u8, head: Head, owner: Option<Owner>) -> Result<(), Broken<S::Error>> {
        let commit = Commit { head, owner };
        self.store.write(slot, &commit)?;
        self.head = head;
        if let Some(owner) = commit.owner {
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
        let room = self.head.terminals.saturating_add(1) < self.store.slots();
        last.map_or(Known::New { room }, Known::Last)
    }

    /// Looks for a terminal and keeps it at hand.
    fn find(&mut self, terminal: &Name) -> Result<Option<Record>, Broken<S::Error>> {
        for slot in 0..=self.head.terminals {
            if slot > 0 {
                let Commit { owner, .. } = self.store.read(slot)?.ok_or(Broken::Damaged)?;
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

#[cfg(test)]
mod tests;
