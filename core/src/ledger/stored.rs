//! A ledger on a [`store`](crate::store): what was acknowledged survives a loss of power, an interrupted write and a
//! changed byte.
//!
//! # Layout
//! The first slot is for commits that belong to no terminal. Then each terminal with a record has a slot, in the order
//! of their first operations. A slot holds the number of its commit, the head (what all rows share), and the terminal
//! with its record or, in the first slot, the gap. The head of the highest commit is the current one.
//!
//! The first slot counts a terminal before the terminal's first outcome is acknowledged. So an unreadable slot of a
//! counted terminal is lost, and the ledger does not open; nothing in a slot beyond them was acknowledged.
//!
//! # Rows
//! A terminal's row is made of the head, its record, and what memory holds of the conversations. Only a movement of
//! money, a reserve of numbers and a set-back are committed at once:
//!
//! * A refusal or a void is a record in memory alone, until an operation after it replaces it. If it is lost with the
//!   power, or because another name takes the memory, its id is "not done": no operation is done under a number that
//!   was given before the start or the other name's hello and has no record, because either ends all conversations. So
//!   what was said before stays true, and a peer that is refused wears no page.
//! * Numbers are reserved for all names at once, and none is given before its reserve is committed. The numbers that a
//!   start finds reserved may have been given before it, so the next block begins above them.
//! * There is one gap for all names: the smallest range that has the gaps of all inside. The first slot has it.
//! * There is one turn for all names, which begins anew with every start. A hello of any name fences all earlier
//!   conversations, as on a part with one serial line; conversations do not survive a start.
//! * The epoch, and the limit of one set-back in a life without a clock, are those of the name that came last. For
//!   another name the ledger has forgotten them: no conversation of it is resumed.
use super::{
    Account, AccountNumber, Command, Gap, InDoubt, Ledger, LedgerId, Name, Numbers, Record, Request,
    Response, Terminal, decide::RowsMut,
};
use crate::{
    money::Amount,
    number,
    store::{Store, StoreError},
};
use embedded_storage::Storage;
use serde::{Deserialize, Serialize};

/// The format of the store's entries. Format 1 had no gap.
const FORMAT: u8 = 2;

/// Numbers in a block. A hello takes one, and a block that is used up is followed by another without a commit.
const BLOCK: u32 = 16;

/// Numbers that one commit reserves beyond those it needs: 128 blocks. With more, a copy of the medium that is put back
/// later would be noticed later.
const RESERVE: u64 = 128 * BLOCK as u64;

/// What every commit has of the whole ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    identity: LedgerId,
    balance: Amount,
    /// The first number that is not reserved.
    #[serde(with = "number")]
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

/// What a slot holds beside the head: the gap, if it is the first, or a terminal with its record.
#[derive(Serialize, Deserialize)]
enum Part<G, O> {
    First(G),
    Terminal(O),
}

/// What a slot holds.
type Commit = (Head, Part<Gap, Owner>);

/// A [`Ledger`] on a medium, for as many terminals as there are slots, at most 254; memory holds one of them.
#[derive(Clone, Debug)]
pub struct StoredLedger<S> {
    store: Store<S>,
    /// The number of the last commit.
    commits: u64,
    head: Head,
    /// The terminal that came last, and its row. Its turn and its next number are those of all names.
    name: Option<Name>,
    terminal: Terminal,
    /// The slot of that terminal; 0 if it has none.
    slot: u8,
    /// The id of that terminal's record if it is in memory alone; else 0.
    unsaved: u64,
    /// No operation is done under a lower id: those of an earlier start, and those whose record memory has lost.
    floor: u64,
    /// The medium has to be read again: the terminal is another one, or a commit has failed.
    stale: bool,
}

impl<S: Storage> StoredLedger<S> {
    /// Opens the ledger on a medium, and repairs a copy that is older or damaged. A medium that was never used
    /// ([`Store::is_new`]) gets a new ledger with the identity and the balance that `fresh` returns; the identity must
    /// be random.
    ///
    /// # Errors
    /// [`StoreError`]. Where both copies of an entry are damaged or blank, all that the medium holds is left as it is.
    pub fn open(
        storage: S,
        fresh: impl FnOnce() -> (LedgerId, Amount),
    ) -> Result<Self, StoreError<S::Error>> {
        let store = Store::new(storage, FORMAT)?;
        if store.slots() < 2 {
            return Err(StoreError::TooSmall);
        }
        let head = Head { identity: LedgerId(0), balance: Amount::ZERO, free: 1, terminals: 0 };
        let terminal = Terminal::starting_at(1);
        let mut ledger = Self {
            store,
            commits: 0,
            head,
            name: None,
            terminal,
            slot: 0,
            unsaved: 0,
            floor: 0,
            stale: false,
        };
        let has_first = match ledger.store.read::<Commit>(0) {
            Ok(first) => first.is_some(),
            Err(error) => return Err(error),
        };
        if !has_first && ledger.store.is_new()? {
            (ledger.head.identity, ledger.head.balance) = fresh();
            ledger.commit(0)?;
        } else {
            ledger.load()?;
        }
        (ledger.terminal.next_number, ledger.floor) = (ledger.head.free, ledger.head.free);
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

    /// The medium.
    pub fn storage(&self) -> &S {
        self.store.medium()
    }

    /// Loads the head, and the record of the terminal that came last.
    // Not inlined, like `save`: what each needs of the stack is not needed at once.
    #[inline(never)]
    fn load(&mut self) -> Result<(), StoreError<S::Error>> {
        (self.commits, self.slot, self.terminal.last) = (0, 0, None);
        self.floor = self.floor.max(core::mem::take(&mut self.unsaved).saturating_add(1));
        let (mut slot, mut counted) = (0, 0);
        while slot < self.store.slots() {
            let read = self.store.read::<Commit>(slot);
            let (number, (head, part)) = match &read {
                Ok(Some(commit)) => commit,
                // Beyond the last terminal.
                Ok(None) if slot > self.head.terminals => break,
                Ok(None) => return Err(StoreError::Damaged),
                Err(_) => return read.map(drop),
            };
            if slot == 0 {
                counted = head.terminals;
            } else if head.identity != self.head.identity {
                return Err(StoreError::Damaged);
            }
            if *number > self.commits {
                (self.commits, self.head) = (*number, *head);
            }
            match part {
                Part::First(gap) => self.terminal.gap = *gap,
                Part::Terminal(Owner { name, record }) if self.name.as_ref() == Some(name) => {
                    (self.slot, self.terminal.last) = (slot, Some(*record));
                }
                Part::Terminal(_) => {}
            }
            slot = slot.saturating_add(1);
        }
        if self.head.terminals > counted {
            // Power failed between a terminal's first commit and the count of it.
            self.commit(0)?;
        }
        self.stale = false;
        Ok(())
    }

    /// Commits the head: in the first slot, or in the slot of the terminal that came last, with its record.
    fn commit(&mut self, slot: u8) -> Result<(), StoreError<S::Error>> {
        let number = self.commits.saturating_add(1);
        let part = match (&self.name, &self.terminal.last) {
            (Some(name), Some(record)) if slot > 0 => Part::Terminal((name, record)),
            _ => Part::First(&self.terminal.gap),
        };
        self.store.write(slot, number, &(&self.head, part))?;
        self.commits = number;
        Ok(())
    }

    /// Loads the rows that a request touches.
    fn load_rows(&mut self, request: &Request) -> Result<(), StoreError<S::Error>> {
        if let Some(name) = request.origin.terminal()
            && self.name.as_ref() != Some(name)
        {
            self.name = Some(name.clone());
            (self.terminal.epoch, self.terminal.set_back_at, self.stale) = (None, None, true);
        }
        if self.stale { self.load() } else { Ok(()) }
    }

    /// Decides a request, and saves what changes.
    #[inline(never)]
    fn carry_out(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let mut response = Response::Fenced;
        self.decide_and_save(request, &mut response).map_err(|_| InDoubt)?;
        // An outcome is a third of the largest response, and the one that is copied for every operation.
        match response {
            Response::Settled { id, outcome } => Ok(Response::Settled { id, outcome }),
            other => Ok(other),
        }
    }

    /// Decides a request in the rows, and saves what has changed. If a commit fails, the rows stay stale.
    #[inline(never)]
    fn decide_and_save(
        &mut self,
        request: &Request,
        response: &mut Response,
    ) -> Result<(), StoreError<S::Error>> {
        let Terminal { epoch, turn, next_number, gap, set_back_at, .. } = self.terminal;
        let mut account = Account { number: AccountNumber::OPEN, balance: self.head.balance, version: 0 };
        // A terminal is known as soon as there is a slot for it.
        let has_room = self.slot > 0 || self.head.terminals.saturating_add(1) < self.store.slots();
        let mut rows = RowsMut {
            ledger: self.head.identity,
            account: &mut account,
            terminal: &mut self.terminal,
            is_known: has_room,
            has_room,
            block: BLOCK,
            floor: self.floor,
            #[cfg(feature = "cards")]
            cards: None,
        };
        let entry = rows.decide(request, None, response);
        self.head.balance = account.balance;
        let is_moved = entry.is_some_and(|entry| entry.movement.is_some());
        let is_recorded = is_moved && request.origin.terminal().is_some();
        let is_changed = is_moved || self.terminal.gap != gap;
        if let (Some(entry), false) = (entry, is_moved) {
            self.unsaved = entry.record.id;
        }
        self.save(is_changed, is_recorded).inspect_err(|_| {
            // A request that is tried again after a doubt finds the turn and the numbers of the first time.
            let terminal = &mut self.terminal;
            (terminal.epoch, terminal.turn) = (epoch, turn);
            (terminal.next_number, terminal.set_back_at) = (next_number, set_back_at);
        })
    }

    /// Saves the rows after a decision.
    #[inline(never)]
    fn save(&mut self, mut is_changed: bool, is_recorded: bool) -> Result<(), StoreError<S::Error>> {
        self.stale = true;
        if self.terminal.next_number > self.head.free {
            self.head.free = self.terminal.next_number.saturating_add(RESERVE).min(Numbers::MAX);
            is_changed = true;
        }
        if is_recorded {
            let is_new = self.slot == 0;
            if is_new {
                self.head.terminals = self.head.terminals.saturating_add(1);
                self.slot = self.head.terminals;
            }
            self.commit(self.slot)?;
            self.unsaved = 0;
            // The first outcome of a terminal is acknowledged once the first slot counts it.
            is_changed = is_new;
        }
        if is_changed {
            self.commit(0)?;
        }
        self.stale = false;
        Ok(())
    }
}

impl<S: Storage> Ledger for StoredLedger<S> {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        self.load_rows(request).map_err(|_| InDoubt)?;
        self.carry_out(request)
    }

    /// Each writes two pages.
    fn commits(&self) -> u64 {
        self.commits
    }

    /// A reserve does where too few numbers are left, a hello also where it may prove that the ledger was set back.
    fn may_commit(&self, command: &Command) -> bool {
        let next = self.terminal.next_number;
        let proves_set_back = matches!(command, Command::Hello(claim) if claim.seen >= next);
        proves_set_back || next.saturating_add(BLOCK.into()) > self.head.free
    }
}

#[cfg(test)]
mod tests;
