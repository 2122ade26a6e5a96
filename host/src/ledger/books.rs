//! The books as they stand: what follows from all entries so far, and what the next one must be.
//!
//! The rules about money are those of [`decide`](atm_core::ledger::decide()) alone: it makes the entry of a request, and an
//! entry that is read again must be the one that it makes. So whatever the books say can be derived again from the first
//! entry.
use super::entry::{ACCOUNT, Entry, Fact, Hash, Side, Time};
use atm_core::{
    ledger::{
        Account, AccountNumber, BLOCK, Command, Decision, LedgerId, Name, Numbers, Origin, Outcome, Record,
        Request, Response, Rows, Terminal, decide,
    },
    money::Amount,
};
use std::collections::{BTreeMap, HashMap};

mod check;

/// Numbers reserved by one entry, for all names: what a start of the host may waste of 2^53. Small numbers take fewer bytes
/// on the wire.
const RESERVE: u64 = 256;

/// Names that a ledger on disk remembers. Each takes some 300 bytes of memory.
pub const TERMINALS: usize = 1_000_000;

/// The last entry: its number and its hash. Zero and zeros where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
}

/// What is known of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Till {
    /// What came in less what went out, in minor units.
    pub cash: i128,
    /// The number of the entry of its last operation; 0 where there is none.
    pub last: u64,
    /// The number of its last `set-back` entry; 0 where there is none.
    pub set_back: u64,
    /// Its row. Epoch, turn and next number are in memory alone: no conversation outlives the process. A name that has no
    /// entry has a row as long as the process lives.
    pub row: Terminal,
}

impl Default for Till {
    fn default() -> Self {
        Self { cash: 0, last: 0, set_back: 0, row: Terminal::NEW }
    }
}

/// The rows of terminals that said hello or reserved numbers in a batch, as they were before, in the order of the requests.
pub type Undo = Vec<(Name, Option<Till>)>;

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The entry's number and its hash.
    pub head: Head,
    /// Its line.
    pub line: String,
}

/// Why an entry does not follow from those before it.
pub type Misfit = &'static str;

/// The books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub(super) ledger: Option<LedgerId>,
    /// The balances.
    pub(super) accounts: BTreeMap<u64, Amount>,
    /// What the accounts began with.
    pub(super) opening: i128,
    /// The terminals, and the cash of sessions without a name.
    pub(super) tills: HashMap<Name, Till>,
    pub(super) cash: i128,
    /// Numbers below this one are reserved.
    pub(super) reserved: u64,
    pub(super) head: Head,
    /// The first number that no process before this one has reserved: a terminal's numbers begin here.
    pub(super) start: u64,
}

impl Books {
    /// The last entry.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The ledger's identity.
    pub fn ledger(&self) -> LedgerId {
        self.ledger.unwrap_or(LedgerId(0))
    }

    /// The balance of the account that the dialogue uses.
    pub fn balance(&self) -> Amount {
        self.accounts.get(&ACCOUNT).copied().unwrap_or(Amount::ZERO)
    }

    /// The accounts by number.
    pub fn accounts(&self) -> impl Iterator<Item = (u64, Amount)> {
        self.accounts.iter().map(|(number, balance)| (*number, *balance))
    }

    /// The terminals that have an entry, in no order.
    pub fn tills(&self) -> impl Iterator<Item = (&Name, &Till)> {
        self.tills.iter().filter(|(_, till)| till.last > 0 || till.set_back > 0)
    }

    /// What a side stands at: for an account what was credited less what was debited, for the others the reverse.
    pub fn standing(&self, side: &Side) -> i128 {
        match side {
            Side::Opening => self.opening,
            Side::Cash(None) => self.cash,
            Side::Cash(Some(name)) => self.tills.get(name).map_or(0, |till| till.cash),
            Side::Account(number) => {
                self.accounts.get(number).map_or(0, |balance| i128::from(balance.minor()))
            }
        }
    }

    /// Does every movement have two sides? What is in the accounts came in as cash or was there at the beginning.
    pub fn is_balanced(&self) -> bool {
        let accounts: i128 = self.accounts.values().map(|balance| i128::from(balance.minor())).sum();
        let cash: i128 = self.tills.values().map(|till| till.cash).sum();
        accounts == self.opening + self.cash + cash
    }

    /// Answers a request, and says which entries must be stored before the answer is told. In `doubt`, what is not known
    /// to have been done is not done any more.
    ///
    /// # Errors
    /// These books contradict themselves: nothing may be told or stored.
    pub fn answer(
        &mut self,
        request: &mut Request,
        doubt: bool,
        time: Time,
        rows: &mut Vec<Row>,
        undo: &mut Undo,
    ) -> Result<Response, Misfit> {
        let mut decision = self.decide(request, time);
        if let (true, Command::Operate { id, .. }, Some(_)) = (doubt, request.command, decision.entry) {
            if matches!(request.origin, Origin::Session(_)) {
                return Ok(Response::Settled { id, outcome: Outcome::NotDone });
            }
            let operation = std::mem::replace(&mut request.command, Command::Settle { id });
            decision = self.decide(request, time);
            request.command = operation;
        }
        let Decision { response, changes, entry } = decision;
        match (entry, changes.terminal, request.origin.terminal()) {
            (Some(entry), _, name) => {
                let Record { id, operation, outcome } = entry.record;
                let key = name.map(|name| (name.clone(), id));
                self.write(Fact::Settled { key, operation, outcome, account: ACCOUNT }, time, rows)?;
            }
            (None, Some(row), Some(name)) => self.set_row(name, row, time, rows, undo)?,
            _ => {}
        }
        Ok(response)
    }

    /// Decides a request by the rows as they stand.
    fn decide(&self, request: &Request, time: Time) -> Decision {
        let till = request.origin.terminal().and_then(|name| self.tills.get(name));
        let has_room = till.is_some() || self.tills.len() < TERMINALS;
        // A hello makes the row of a name that has none.
        let new = (has_room && matches!(request.command, Command::Hello(_))).then_some(Terminal::NEW);
        let row = till.map(|till| till.row).or(new);
        let row = row.map(|row| Terminal { next_number: row.next_number.max(self.start), ..row });
        self.decide_by(row.as_ref(), has_room, request, time)
    }

    fn decide_by(
        &self,
        terminal: Option<&Terminal>,
        has_room: bool,
        request: &Request,
        time: Time,
    ) -> Decision {
        let account = Account { number: AccountNumber::OPEN, balance: self.balance(), version: 0 };
        let rows = Rows { ledger: self.ledger(), account: &account, terminal, has_room };
        decide(request, &rows, Some(time.into()))
    }

    /// Sets the row of a terminal that said hello or reserved numbers.
    fn set_row(
        &mut self,
        name: &Name,
        row: Terminal,
        time: Time,
        rows: &mut Vec<Row>,
        undo: &mut Undo,
    ) -> Result<(), Misfit> {
        let before = self.tills.get(name).cloned();
        let gap = before.as_ref().map_or(Terminal::NEW.gap, |till| till.row.gap);
        undo.push((name.clone(), before));
        if row.next_number > self.reserved {
            let block = row.next_number.saturating_sub(u64::from(BLOCK));
            let end = block.max(self.reserved).saturating_add(RESERVE).min(Numbers::MAX);
            self.write(Fact::Numbers { end }, time, rows)?;
        }
        if row.gap != gap {
            self.write(Fact::SetBack { terminal: name.clone(), gap: row.gap }, time, rows)?;
        }
        self.tills.entry(name.clone()).or_default().row = row;
        Ok(())
    }

    /// These books were read again, because the last batch of `former` does not stand. Takes over from there what is in
    /// memory alone: the epochs, turns and numbers of terminals as they were before that batch.
    pub(super) fn adopt(&mut self, former: &mut Self, undo: Undo) {
        for (name, till) in undo.into_iter().rev() {
            match till {
                Some(till) => drop(former.tills.insert(name, till)),
                None => drop(former.tills.remove(&name)),
            }
        }
        self.start = former.start;
        for (name, Till { row: Terminal { epoch, turn, next_number, .. }, .. }) in former.tills.drain() {
            let row = &mut self.tills.entry(name).or_default().row;
            *row = Terminal { epoch, turn, next_number, ..*row };
        }
    }

    /// Writes the next entry.
    pub(super) fn write(&mut self, fact: Fact, time: Time, rows: &mut Vec<Row>) -> Result<(), Misfit> {
        let number = self.head.number.saturating_add(1);
        let entry = Entry { number, time, fact };
        let line = entry.to_string();
        self.check_kind(&entry)?;
        self.apply(entry, &line);
        rows.push(Row { head: self.head, line });
        Ok(())
    }

    /// Takes the next entry, whose line is `line`.
    ///
    /// # Errors
    /// Why it does not follow from those before it; the books are then as they were.
    pub fn post(&mut self, entry: Entry, line: &str) -> Result<(), Misfit> {
        self.check_kind(&entry)?;
        if let Fact::Settled { key, operation, outcome, account } = &entry.fact {
            self.check_decision(key.as_ref(), *operation, *outcome, *account, entry.time)?;
        }
        self.apply(entry, line);
        Ok(())
    }

    /// Takes an entry that was checked.
    fn apply(&mut self, entry: Entry, line: &str) {
        let hash = self.head.hash.next(line);
        if let Some(posting) = entry.posting() {
            let amount = i128::from(posting.amount.minor());
            for (side, sign) in [(posting.debit, 1), (posting.credit, -1)] {
                self.add(side, sign * amount);
            }
        }
        match entry.fact {
            Fact::Created { ledger, .. } => {
                self.ledger = Some(ledger);
                (self.reserved, self.start) = (1, 1);
            }
            Fact::Restored { ledger } => self.ledger = Some(ledger),
            Fact::Numbers { end } => self.reserved = end,
            Fact::SetBack { terminal, gap } => {
                let till = self.tills.entry(terminal).or_default();
                till.set_back = entry.number;
                till.row.gap = gap;
                till.row.set_back_at = Some(entry.time.into());
            }
            Fact::Settled { key: Some((name, id)), operation, outcome, .. } => {
                let till = self.tills.entry(name).or_default();
                till.last = entry.number;
                till.row.last = Some(Record { id, operation, outcome });
            }
            Fact::Settled { .. } => {}
        }
        self.head = Head { number: entry.number, hash };
    }

    /// Debits a side, or credits it where `amount` is negative. Accounts are set by what the receipt says, which was
    /// checked.
    fn add(&mut self, side: Side, amount: i128) {
        match side {
            Side::Opening => self.opening += amount,
            Side::Cash(None) => self.cash += amount,
            Side::Cash(Some(name)) => self.tills.entry(name).or_default().cash += amount,
            Side::Account(number) => {
                let balance = self.accounts.entry(number).or_default();
                let sum = i128::from(balance.minor()) - amount;
                *balance = u64::try_from(sum).ok().and_then(Amount::from_minor).unwrap_or(*balance);
            }
        }
    }
}

#[cfg(test)]
mod tests;
