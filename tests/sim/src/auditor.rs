//! Holds what was typed, what was shown and what was committed against each other.
use atm_core::{
    ledger::{Name, Operation, Origin, Outcome, Receipt, Request, Response},
    money::Amount,
    time::Instant,
};
use std::collections::{HashMap, HashSet};

type Id = (Name, u64);

/// What a bystander has seen of a day.
#[derive(Debug, Default)]
pub struct Auditor {
    /// What was typed at which prompt, by number, and in which life of the terminal.
    typed: HashMap<Id, (String, u64)>,
    /// The life of each terminal that the host welcomed last.
    alive: HashMap<Name, u64>,
    /// What moved money, and when.
    moved: HashMap<Id, (Operation, Receipt, Instant)>,
    /// Whom the outcome of which operation was shown.
    told: HashMap<Id, Outcome>,
    /// The number shown last, by terminal and life.
    shown: HashMap<(Name, u64), u64>,
    /// The requests of each terminal of which it was told what became.
    settled: HashMap<Name, HashSet<u64>>,
    /// The terminals whose memory was replaced by an old copy, and in which life last: of what came after it they know
    /// nothing, and cannot ask what became of it.
    restored: HashMap<Name, u64>,
    balance: i128,
    faults: Vec<String>,
    /// Is everything that is seen to be printed?
    trace: bool,
}

impl Auditor {
    /// A day that starts with `balance`.
    pub fn new(balance: Amount, trace: bool) -> Self {
        Self { balance: i128::from(balance.minor()), trace, ..Self::default() }
    }

    /// Prints what has happened, where that is wanted.
    pub fn note(&self, now: Instant, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9} {}", now.millis(), what());
        }
    }

    /// Somebody typed `text` at the prompt `number`.
    pub fn typed(&mut self, name: &Name, life: u64, number: u64, text: &str) {
        if let Some((before, _)) = self.typed.insert((name.clone(), number), (text.to_owned(), life)) {
            self.fault(format!("{name}: prompt {number} was answered twice: {before:?} and {text:?}"));
        }
    }

    /// The ledger answered; `before` and `after` are the balance around it.
    pub fn committed(
        &mut self,
        request: &Request,
        response: &Response,
        before: Amount,
        after: Amount,
        now: Instant,
    ) {
        let delta = i128::from(after.minor()) - i128::from(before.minor());
        self.balance += delta;
        if delta == 0 {
            return;
        }
        let (
            Request::Operate { origin: Origin::Terminal(name), id, operation },
            Response::Settled { outcome, .. },
        ) = (request, response)
        else {
            return self.fault(format!("money moved by {request:?}"));
        };
        let key = (name.clone(), *id);
        let Outcome::Done(receipt) = *outcome else {
            return self.fault(format!("{key:?}: money moved and {outcome:?} was said"));
        };
        let (sign, amount) = match receipt {
            Receipt::Deposited { amount, .. } => (1, amount),
            Receipt::Withdrawn { amount, .. } => (-1, amount),
            Receipt::Balance { .. } => (0, Amount::ZERO),
        };
        if sign * i128::from(amount.minor()) != delta {
            self.fault(format!("{key:?}: moved {delta}, said {receipt:?}"));
        }
        match self.typed.get(&key) {
            None => self.fault(format!("{key:?}: {operation:?} happened and nobody asked for it")),
            Some((text, _)) if !means(text, *operation) => {
                let text = text.clone();
                self.fault(format!("{key:?}: {operation:?} happened, {text:?} was typed"));
            }
            Some((_, life))
                if self.alive.get(name).is_some_and(|alive| alive > life)
                    && self.restored.get(name).is_none_or(|restored| restored <= life) =>
            {
                self.fault(format!("{key:?}: {operation:?} happened with nobody there"));
            }
            Some(_) => {}
        }
        if self.settled.get(name).is_some_and(|ids| ids.contains(id)) {
            self.fault(format!(
                "{key:?}: {operation:?} happened after the terminal was told what became of it"
            ));
        }
        if self.moved.insert(key.clone(), (*operation, receipt, now)).is_some() {
            self.fault(format!("{key:?}: happened twice"));
        }
    }

    /// A terminal showed a reply with this number, that tells this outcome of the answer to `re`.
    pub fn shown(&mut self, name: &Name, life: u64, number: u64, re: Option<u64>, outcome: Option<Outcome>) {
        self.alive.insert(name.clone(), life);
        let last = self.shown.insert((name.clone(), life), number).unwrap_or(0);
        if number <= last {
            self.fault(format!("{name}: reply {number} was shown after {last}"));
        }
        let (Some(re), Some(outcome)) = (re, outcome) else { return };
        let key = (name.clone(), re);
        if !self.typed.contains_key(&key) {
            self.fault(format!("{key:?}: {outcome:?} was told and nothing was typed"));
        }
        let moved = self.moved.get(&key).map(|(_, receipt, _)| *receipt);
        match (outcome, moved) {
            (Outcome::Done(Receipt::Balance { .. }), None) => {}
            (Outcome::Done(receipt), Some(moved)) if receipt == moved => {}
            (Outcome::Done(_), _) => self.fault(format!("{key:?}: told {outcome:?}, but {moved:?} happened")),
            (Outcome::Refused(_) | Outcome::NotDone, Some(_)) => {
                self.fault(format!("{key:?}: told {outcome:?}, but {moved:?} happened"));
            }
            (Outcome::Unknown, _) if self.restored.contains_key(name) => {}
            (Outcome::Unknown, _) => self.fault(format!("{key:?}: told unknown by the ledger that did it")),
            _ => {}
        }
        self.settled.entry(name.clone()).or_default().insert(re);
        let before = self.told.insert(key.clone(), outcome);
        if let Some(before) = before
            && before != outcome
            && outcome != Outcome::Unknown
        {
            self.fault(format!("{key:?}: told {before:?} and then {outcome:?}"));
        }
    }

    /// An old copy of a terminal's memory was put in at the start of this life.
    pub fn restored(&mut self, name: &Name, life: u64) {
        self.restored.insert(name.clone(), life);
    }

    /// Something is wrong.
    pub fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// Operations that moved money.
    pub fn movements(&self) -> usize {
        self.moved.len()
    }

    /// The day is over and the ledger says `balance`: what was wrong with it?
    pub fn close(mut self, balance: Amount) -> Vec<String> {
        if i128::from(balance.minor()) != self.balance {
            let sum = self.balance;
            self.fault(format!("the balance is {} and the sum of all movements {sum}", balance.minor()));
        }
        let untold = |key: &&Id| !self.told.contains_key(*key) && !self.restored.contains_key(&key.0);
        let untold: Vec<Id> = self.moved.keys().filter(untold).cloned().collect();
        for key in untold {
            self.fault(format!("{key:?}: happened and was never told"));
        }
        self.faults
    }
}

/// Can `text` be what was typed for `operation`?
fn means(text: &str, operation: Operation) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (word, amount) = match words.as_slice() {
        [word, amount] => (Some(*word), *amount),
        [amount] => (None, *amount),
        _ => return false,
    };
    let units = |wanted: Amount| amount.parse::<u64>().is_ok_and(|units| units * 100 == wanted.minor());
    match operation {
        Operation::Inquiry => true,
        Operation::Deposit(wanted) => word.is_none_or(|word| word == "deposit") && units(wanted),
        Operation::Withdraw(wanted) => word.is_none_or(|word| word == "withdraw") && units(wanted),
        Operation::WithdrawAll => word.is_none_or(|word| word == "withdraw") && amount == "all",
    }
}
