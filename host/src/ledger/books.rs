//! The books as they stand: what follows from all entries so far, and what the next one must be.
//!
//! There is one set of rules: an entry that is about to be made and one that is read again go through the same
//! [`Books::post`], so whatever the books say can be derived again from the first entry.
use super::entry::{ACCOUNT, Entry, Fact, Hash, Side, Time};
use atm_core::{
    ledger::{
        Known, LedgerId, Name, Numbers, Operation, Origin, Outcome, Record, Request, Response, Verdict,
    },
    money::Amount,
};
use std::collections::{BTreeMap, HashMap};

/// Numbers given by one [`Request::Open`]: a session of a few hundred answers asks once.
const BLOCK: u32 = 256;

/// Numbers reserved by one entry: what a start of the host may waste of 2^53. Small numbers take fewer bytes on the wire.
const RESERVE: u64 = 1 << 16;

/// Names that a ledger on disk remembers. Each takes some 200 bytes of memory.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Till {
    /// What came in less what went out, in minor units.
    pub cash: i128,
    /// Its last operation, and the number of the entry that says so.
    pub last: Option<(u64, Record)>,
}

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
    /// The next number to be given. What a start before this one has reserved is never given again.
    pub(super) next: u64,
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

    /// The terminals, in no order.
    pub fn tills(&self) -> impl Iterator<Item = (&Name, &Till)> {
        self.tills.iter()
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
        request: &Request,
        doubt: bool,
        time: Time,
        rows: &mut Vec<Row>,
    ) -> Result<Response, Misfit> {
        Ok(match request {
            Request::Open { terminal } => {
                let end = self.next.saturating_add(u64::from(BLOCK)).min(Numbers::MAX);
                if end > self.reserved {
                    let end = self.next.saturating_add(RESERVE).min(Numbers::MAX);
                    self.write(Fact::Numbers { end }, time, rows)?;
                }
                let numbers = Numbers::block(self.next, BLOCK);
                self.next = end;
                let last =
                    self.tills.get(terminal).and_then(|till| till.last.as_ref()).map(|(_, record)| *record);
                Response::Opened { ledger: self.ledger(), numbers, last }
            }
            Request::Operate { origin, id, operation } => {
                let (id, operation, balance) = (*id, *operation, self.balance());
                let known = origin.terminal().map_or(Known::Unnamed, |name| self.known(name));
                let outcome = match (Verdict::operate(known, balance, id, operation), origin) {
                    (Verdict::Tell(outcome), _) => outcome,
                    (Verdict::Commit { .. }, Origin::Session(_)) if doubt => Outcome::NotDone,
                    (Verdict::Commit { .. }, Origin::Terminal(name)) if doubt => {
                        self.void(name, id, time, rows)?
                    }
                    (Verdict::Commit { outcome, .. }, _) => {
                        let key = origin.terminal().map(|name| (name.clone(), id));
                        let operation = Some(operation);
                        self.write(Fact::Settled { key, operation, outcome, account: ACCOUNT }, time, rows)?;
                        outcome
                    }
                };
                Response::Settled { id, outcome }
            }
            Request::Settle { terminal, id } => {
                Response::Settled { id: *id, outcome: self.void(terminal, *id, time, rows)? }
            }
        })
    }

    /// Tells what became of an id; where it is not known, commits that it never will be done.
    fn void(&mut self, name: &Name, id: u64, time: Time, rows: &mut Vec<Row>) -> Result<Outcome, Misfit> {
        match Verdict::settle(self.known(name), self.balance(), id) {
            Verdict::Tell(outcome) => Ok(outcome),
            Verdict::Commit { outcome, .. } => {
                let key = Some((name.clone(), id));
                self.write(Fact::Settled { key, operation: None, outcome, account: ACCOUNT }, time, rows)?;
                Ok(outcome)
            }
        }
    }

    fn known(&self, name: &Name) -> Known<'_> {
        let till = self.tills.get(name);
        match till.and_then(|till| till.last.as_ref()) {
            Some((_, last)) => Known::Last(last),
            None => Known::New { room: till.is_some() || self.tills.len() < TERMINALS },
        }
    }

    /// Writes the next entry.
    pub(super) fn write(&mut self, fact: Fact, time: Time, rows: &mut Vec<Row>) -> Result<(), Misfit> {
        let number = self.head.number.saturating_add(1);
        let entry = Entry { number, time, fact };
        let line = entry.to_string();
        self.post(entry, &line)?;
        rows.push(Row { head: self.head, line });
        Ok(())
    }

    /// Takes the next entry, whose line is `line`.
    ///
    /// # Errors
    /// Why it does not follow from those before it; the books are then as they were.
    pub fn post(&mut self, entry: Entry, line: &str) -> Result<(), Misfit> {
        if entry.number != self.head.number.saturating_add(1) {
            return Err("its number is not the next one");
        }
        match (&entry.fact, self.ledger) {
            (Fact::Created { .. }, Some(_)) => return Err("the ledger was created before"),
            (Fact::Created { .. }, None) => {}
            (_, None) => return Err("the ledger was not created"),
            (Fact::Restored { ledger }, Some(before)) if *ledger == before => {
                return Err("a restored ledger has the identity that it had before");
            }
            (Fact::Numbers { end }, _) if *end <= self.reserved => {
                return Err("the numbers were reserved before");
            }
            (Fact::Settled { key, operation, outcome, account }, _) => {
                self.check(key.as_ref(), *operation, *outcome, *account)?;
            }
            _ => {}
        }
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
                (self.reserved, self.next) = (1, 1);
            }
            Fact::Restored { ledger } => self.ledger = Some(ledger),
            Fact::Numbers { end } => self.reserved = end,
            Fact::Settled { key: Some((name, id)), operation, outcome, .. } => {
                let record = Record { id, operation, outcome };
                self.tills.entry(name).or_default().last = Some((entry.number, record));
            }
            Fact::Settled { .. } => {}
        }
        self.head = Head { number: entry.number, hash };
        Ok(())
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

    fn check(
        &self,
        key: Option<&(Name, u64)>,
        operation: Option<Operation>,
        outcome: Outcome,
        account: u64,
    ) -> Result<(), Misfit> {
        if account != ACCOUNT || !self.accounts.contains_key(&account) {
            return Err("there is no such account");
        }
        let Some(operation) = operation else {
            return if key.is_some() { self.check_id(key) } else { Err("a void is a terminal's") };
        };
        if operation.on(self.balance()).0 != outcome {
            return Err("that is not what comes of this operation");
        }
        if key.is_none() && !matches!(outcome, Outcome::Done(_)) {
            return Err("a refusal is a terminal's");
        }
        self.check_id(key)
    }

    /// A terminal's ids grow.
    fn check_id(&self, key: Option<&(Name, u64)>) -> Result<(), Misfit> {
        let last = |name| self.tills.get(name).and_then(|till: &Till| till.last.as_ref());
        match key {
            Some((name, id)) if last(name).is_some_and(|(_, last)| last.id >= *id) => {
                Err("the terminal's id is not above its last one")
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::ledger::Refusal;

    #[test]
    fn a_full_ledger_refuses_new_names_and_forgets_no_old_one() {
        let (mut books, mut rows, time) = (Books::default(), Vec::new(), Time::default());
        let begun = Fact::Created { ledger: LedgerId(7), account: ACCOUNT, balance: Amount::ZERO };
        books.write(begun, time, &mut rows).unwrap();
        let name = |number: usize| format!("kiosk-{number}").parse::<Name>().unwrap();
        books.tills.extend((1..TERMINALS).map(|number| (name(number), Till::default())));
        let one = Operation::Deposit(Amount::from_units(1).unwrap());
        let mut answer = |number, settle| {
            let request = match settle {
                true => Request::Settle { terminal: name(number), id: 5 },
                false => Request::Operate { origin: Origin::Terminal(name(number)), id: 5, operation: one },
            };
            match books.answer(&request, false, time, &mut rows).unwrap() {
                Response::Settled { outcome, .. } => outcome,
                other => panic!("{other:?}"),
            }
        };
        let first = answer(0, false);
        assert!(matches!(first, Outcome::Done(_)), "{first:?}");
        assert_eq!(answer(TERMINALS, false), Outcome::Refused(Refusal::Full));
        assert_eq!(answer(TERMINALS, true), Outcome::Unknown, "nothing stands against a late operation");
        assert_eq!(answer(0, false), first);
        assert!(matches!(answer(1, false), Outcome::Done(_)));
        assert!(books.is_balanced());
    }
}
