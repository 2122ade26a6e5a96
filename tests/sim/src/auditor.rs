//! Auditor: checks a run from outside, by the answers typed, replies shown and requests committed.
//!
//! | property | kind | statement |
//! |---|---|---|
//! | exactly once | safety | an operation moves money at most once |
//! | as typed | safety | money moves only for an answer typed at a named terminal, and by what was typed |
//! | true receipts | safety | the balance changes only with "done", by the amount of its receipt |
//! | person present | safety | an answer of an earlier life moves no money once a later life is served |
//! | final outcomes | safety | no money moves once an outcome was shown; a later is the same or "unknown" |
//! | true outcomes | safety | "done" shows the committed receipt; "refused" and "not done": no money moved |
//! | nothing forgotten | safety | "unknown" is shown only by a terminal whose memory was replaced by a copy |
//! | no false alarm | safety | no terminal reports that the ledger was set back |
//! | reply order | safety | within one life of a terminal, the numbers of the replies shown grow |
//! | conservation | invariant | the balance is the starting balance plus all movements |
//! | reported | liveness | once the faults stop, the outcome of each movement is shown at its terminal |
//! | served | liveness | once the faults stop, each terminal gets a balance inquiry answered |
//!
//! [`run`](crate::run) checks "served". A terminal whose memory was replaced by an old copy cannot ask for
//! what is newer than the copy: "person present", "nothing forgotten" and "reported" exempt it.
use atm_core::{
    ledger::{Name, Operation, Origin, Outcome, Receipt, Request, Response},
    money::Amount,
    time::Instant,
};
use std::collections::HashMap;

/// The idempotency key of an operation: the terminal, and the number of the answered prompt.
type Id = (Name, u64);

/// What was observed in a run, and the violations found.
#[derive(Debug, Default)]
pub struct Auditor {
    /// Each typed answer by the prompt's number, and the life of the terminal in which it was typed.
    typed: HashMap<Id, (String, u64)>,
    /// The life in which each terminal showed its last reply.
    served_life: HashMap<Name, u64>,
    /// The receipt of each operation that moved money.
    moved: HashMap<Id, Receipt>,
    /// The last outcome shown of each answer.
    outcomes: HashMap<Id, Outcome>,
    /// The number of the last reply shown, by terminal and life.
    shown: HashMap<(Name, u64), u64>,
    /// The terminals whose memory was replaced by an old copy, and the last life that began so.
    restored: HashMap<Name, u64>,
    /// The starting balance and all movements, in minor units.
    balance: i128,
    violations: Vec<String>,
    trace: bool,
}

impl Auditor {
    /// Starts an audit with `balance`; with `trace`, every event is printed.
    pub fn new(balance: Amount, trace: bool) -> Self {
        Self { balance: i128::from(balance.minor()), trace, ..Self::default() }
    }

    /// Prints an event, if the run is traced.
    pub fn trace(&self, now: Instant, event: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9} {}", now.millis(), event());
        }
    }

    /// A person typed `text` at the prompt `number`.
    pub fn typed(&mut self, name: &Name, life: u64, number: u64, text: &str) {
        if let Some((before, _)) = self.typed.insert((name.clone(), number), (text.to_owned(), life)) {
            self.violation(format!("{name}: prompt {number} was answered twice: {before:?} and {text:?}"));
        }
    }

    /// The ledger committed `request`, which took the balance from `before` to `after`.
    pub fn committed(&mut self, request: &Request, response: &Response, before: Amount, after: Amount) {
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
            return self.violation(format!("money moved by {request:?}"));
        };
        let key = (name.clone(), *id);
        let Outcome::Done(receipt) = *outcome else {
            return self.violation(format!("{key:?}: money moved, but the response is {outcome:?}"));
        };
        let (sign, amount) = match receipt {
            Receipt::Deposited { amount, .. } => (1, amount),
            Receipt::Withdrawn { amount, .. } => (-1, amount),
            Receipt::Balance { .. } => (0, Amount::ZERO),
        };
        if sign * i128::from(amount.minor()) != delta {
            self.violation(format!("{key:?}: moved {delta}, but the receipt is {receipt:?}"));
        }
        match self.typed.get(&key) {
            None => self.violation(format!("{key:?}: {operation:?} moved money, but no answer was typed")),
            Some((text, _)) if !matches_text(text, *operation) => {
                let text = text.clone();
                self.violation(format!("{key:?}: {operation:?} moved money, but {text:?} was typed"));
            }
            Some((_, life))
                if self.served_life.get(name).is_some_and(|served| served > life)
                    && self.restored.get(name).is_none_or(|restored| restored <= life) =>
            {
                self.violation(format!(
                    "{key:?}: {operation:?} moved money after the terminal had restarted"
                ));
            }
            Some(_) => {}
        }
        if self.outcomes.contains_key(&key) {
            self.violation(format!("{key:?}: {operation:?} moved money after an outcome was shown"));
        }
        if self.moved.insert(key.clone(), receipt).is_some() {
            self.violation(format!("{key:?}: moved money twice"));
        }
    }

    /// A terminal showed the reply `number`, which reports `outcome` of the answer to prompt `re`.
    pub fn shown(&mut self, name: &Name, life: u64, number: u64, re: Option<u64>, outcome: Option<Outcome>) {
        self.served_life.insert(name.clone(), life);
        let last = self.shown.insert((name.clone(), life), number).unwrap_or(0);
        if number <= last {
            self.violation(format!("{name}: reply {number} was shown after {last}"));
        }
        let (Some(re), Some(outcome)) = (re, outcome) else { return };
        let key = (name.clone(), re);
        if !self.typed.contains_key(&key) {
            self.violation(format!("{key:?}: {outcome:?} was shown, but no answer was typed"));
        }
        let moved = self.moved.get(&key).copied();
        match (outcome, moved) {
            (Outcome::Done(Receipt::Balance { .. }), None) => {}
            (Outcome::Done(receipt), Some(moved)) if receipt == moved => {}
            (Outcome::Done(_), _) => {
                self.violation(format!("{key:?}: {outcome:?} was shown, but {moved:?} was committed"))
            }
            (Outcome::Refused(_) | Outcome::NotDone, Some(_)) => {
                self.violation(format!("{key:?}: {outcome:?} was shown, but {moved:?} was committed"));
            }
            (Outcome::Unknown, _) if self.restored.contains_key(name) => {}
            (Outcome::Unknown, _) => {
                self.violation(format!("{key:?}: unknown was shown, but the ledger has lost nothing"))
            }
            _ => {}
        }
        let before = self.outcomes.insert(key.clone(), outcome);
        if let Some(before) = before
            && before != outcome
            && outcome != Outcome::Unknown
        {
            self.violation(format!("{key:?}: {before:?} was shown and then {outcome:?}"));
        }
    }

    /// A terminal reported that the ledger was set back.
    pub fn ledger_set_back(&mut self, name: &Name) {
        self.violation(format!("{name}: a ledger that was set back was reported, but it has lost nothing"));
    }

    /// A terminal starts this life with an old copy of its memory.
    pub fn restored(&mut self, name: &Name, life: u64) {
        self.restored.insert(name.clone(), life);
    }

    /// Adds a violation that the caller found.
    pub fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    /// The number of operations that moved money.
    pub fn movements(&self) -> usize {
        self.moved.len()
    }

    /// Ends the audit with the ledger's `balance`: all violations.
    pub fn finish(mut self, balance: Amount) -> Vec<String> {
        if i128::from(balance.minor()) != self.balance {
            let sum = self.balance;
            self.violation(format!("the balance is {}, the sum of all movements {sum}", balance.minor()));
        }
        let unreported = |key: &&Id| !self.outcomes.contains_key(*key) && !self.restored.contains_key(&key.0);
        let unreported: Vec<Id> = self.moved.keys().filter(unreported).cloned().collect();
        for key in unreported {
            self.violation(format!("{key:?}: moved money, but its outcome was never shown"));
        }
        self.violations
    }
}

/// Can `text` cause `operation`? A second reading of the menu's grammar, independent of the core's.
fn matches_text(text: &str, operation: Operation) -> bool {
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
