//! Auditor: checks a run from outside, by the answers typed, replies shown and requests committed.
//!
//! | property | kind | statement |
//! |---|---|---|
//! | exactly once | safety | an operation moves money at most once |
//! | as typed | safety | money moves only for an answer typed at a named terminal, and by what was typed |
//! | true receipts | safety | the balance changes only with "done", by the amount of its receipt |
//! | reserved | safety | money moves only under an id whose number was reserved, and no number is reserved twice |
//! | fenced | safety | once a hello is admitted, no request from before it, or of another host, is carried out |
//! | person present | safety | an answer of an earlier life moves no money once a later life is served |
//! | final outcomes | safety | no money moves once an outcome was shown; a later is the same or "unknown" |
//! | true outcomes | safety | "done" shows the committed receipt; "refused" and "not done": no money moved |
//! | nothing forgotten | safety | "unknown" is shown only of an id that was not reserved, or by a restored terminal |
//! | no false alarm | safety | no terminal reports that the ledger was set back before it was |
//! | reply order | safety | the numbers of the replies that a terminal shows grow, until it reports that the ledger was set back |
//! | authentic | safety | on a sealed link, a terminal shows only what a host has made for it, since its latest hello |
//! | fresh | safety | no sealed hello is admitted that is older than the last one |
//! | conservation | invariant | the balance is the starting balance plus all movements |
//! | reported | liveness | once the faults stop, the outcome of each movement is shown at its terminal |
//! | served | liveness | once the faults stop, each terminal gets a balance inquiry answered |
//!
//! [`run`](crate::run) checks "served". A terminal whose memory was replaced by an old copy cannot ask for
//! what is newer than the copy: "person present", "nothing forgotten" and "reported" exempt it.
//!
//! # A ledger that was set back
//! A set-back replaces the ledger by an older copy of itself and begins a new history, which has the movements, outcomes
//! and numbers that the copy has. The properties hold in each history, with these rules for an id that was used after
//! the copy was made:
//! * The present history has not reserved it (the hello proves that, and the ledger keeps the gap): it never moves money
//!   again. Shown is the outcome that the lost history gave it, or "unknown", and never another one than before.
//! * The present history has reserved it, in a block from before the copy, or for a hello that was sent before the
//!   terminal had seen the number: nothing tells it from an unused one. It may be done, or told "not done", as if the
//!   lost history had not been, and from then on the properties hold as for any other. The outcome of the lost history
//!   may still be shown, if its reply was under way.
//! * "Fenced" exempts a request whose turn was given to its host in a lost history, and again in the present one.
//! * A hello whose terminal has seen a number that is not reserved, and no other, is told that the ledger was set back.
use atm_core::{
    ledger::{Command, Name, Operation, Origin, Outcome, Receipt, Rejection, Request, Response},
    money::Amount,
    time::Instant,
};
use atm_e2e::println;
pub use cards::CardCounts;
pub(crate) use cards::{CardAudit, CardEntry, CardRowsSeen, Order, Prompt};
pub use counts::LedgerCounts;
use frames::MadeFrames;
use history::History;
pub use history::Sender;
use std::collections::{HashMap, HashSet};

mod access;
mod cards;
mod counts;
mod frames;
mod history;

/// The idempotency key of an operation: the terminal, and the number of the answered prompt.
type Id = (Name, u64);

/// A typed answer.
#[derive(Debug)]
struct TypedAnswer {
    text: String,
    /// The life of the terminal in which it was typed.
    life: u64,
    /// The history of the ledger in which it was typed.
    history: u32,
}

/// What was observed in a run, and the violations found.
#[derive(Debug, Default)]
pub struct Auditor {
    /// The typed answers by their prompts' numbers.
    typed: HashMap<Id, TypedAnswer>,
    /// The life in which each terminal showed its last reply.
    served_life: HashMap<Name, u64>,
    /// The last outcome shown of each answer that the present history has not lost.
    outcomes: HashMap<Id, Outcome>,
    /// The answers of which an outcome was shown.
    reported: HashSet<Id>,
    /// The number of the last reply shown, by terminal and life.
    shown: HashMap<(Name, u64), u64>,
    /// The highest number that each terminal has shown.
    highest: HashMap<Name, u64>,
    /// The terminals whose memory was replaced by an old copy, and the last life that began so.
    restored: HashMap<Name, u64>,
    /// What the ledger has committed.
    history: History,
    /// The history that the copy of the ledger has, and those that set-backs have ended.
    copy: History,
    lost: Vec<History>,
    /// Whether [`responded`](Self::responded) sees the response to each request: it does not where power is lost.
    sees_responses: bool,
    /// What the hosts have made, where the links are sealed.
    frames: Option<MadeFrames>,
    /// Where access is by card.
    cards: Option<CardAudit>,
    counts: LedgerCounts,
    movements: usize,
    violations: Vec<String>,
    trace: bool,
}

impl Auditor {
    /// Starts an audit with `balance`; with `trace`, every event is printed. With `sees_responses`, each
    /// response of the ledger is reported to [`responded`](Self::responded); `may_set_back` permits set-backs.
    pub fn new(balance: Amount, sees_responses: bool, may_set_back: bool, trace: bool) -> Self {
        let mut history = History::default();
        history.balance = i128::from(balance.minor());
        history.keeps_outcomes = may_set_back;
        Self { copy: history.clone(), history, sees_responses, trace, ..Self::default() }
    }

    /// Prints an event, if the run is traced.
    pub fn trace(&self, now: Instant, event: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9} {}", now.millis(), event());
        }
    }

    /// A person typed `text` at the prompt `number`.
    pub fn typed(&mut self, name: &Name, life: u64, number: u64, text: &str) {
        let answer = TypedAnswer { text: text.to_owned(), life, history: self.history.number };
        let id = (name.clone(), number);
        self.cards.iter_mut().for_each(|cards| cards.typed(&id, life, text));
        if let Some(before) = self.typed.insert(id, answer)
            && before.history == self.history.number
        {
            let before = before.text;
            self.violation(format!("{name}: prompt {number} was answered twice: {before:?} and {text:?}"));
        }
    }

    /// A host sends a request now.
    pub fn sent(&self, host: u32, request: &Request) -> Sender {
        self.history.sender(host, request.origin.terminal())
    }

    /// The ledger has committed a request and given its response.
    pub fn responded(&mut self, sender: Sender, request: &Request, response: &Response) {
        let counts = &mut self.counts;
        match response {
            Response::Admitted(admission) => counts.proofs += u64::from(admission.set_back.is_some()),
            Response::Rejected(Rejection::TooSoon) => counts.too_soon += 1,
            Response::Rejected(Rejection::InUse) => counts.equal_hellos += 1,
            Response::Fenced => counts.fenced += 1,
            _ => {}
        }
        let Origin::Terminal(name) = &request.origin else { return };
        let has_lost_turn = self.lost.iter().any(|lost| lost.has_given_turn(sender, name, request.turn));
        if let Err(what) = self.history.respond(sender, name, has_lost_turn, (request, response)) {
            self.violation(format!("{request:?}: {what}"));
        }
        if !self.lost.is_empty() && matches!(response, Response::Admitted(_) | Response::Reserved(_)) {
            self.forget_lost_outcomes();
        }
    }

    /// The ledger committed `request`, which took the balance from `before` to `after`.
    pub fn committed(&mut self, request: &Request, response: &Response, before: Amount, after: Amount) {
        let delta = i128::from(after.minor()) - i128::from(before.minor());
        self.history.balance += delta;
        if delta == 0 {
            return;
        }
        let (Origin::Terminal(name), Command::Operate { id, operation }, Response::Settled { outcome, .. }) =
            (&request.origin, request.command, response)
        else {
            return self.violation(format!("money moved by {request:?}"));
        };
        let key = (name.clone(), id);
        let Outcome::Done(receipt) = *outcome else {
            return self.violation(format!("{key:?}: money moved, but the response is {outcome:?}"));
        };
        let (sign, amount) = match receipt {
            Receipt::Deposited { amount, .. } => (1, amount),
            Receipt::Withdrawn { amount, .. } => (-1, amount),
            // The rest moves no money where access is open.
            _ => (0, Amount::ZERO),
        };
        if sign * i128::from(amount.minor()) != delta {
            self.violation(format!("{key:?}: moved {delta}, but the receipt is {receipt:?}"));
        }
        if let Some(TypedAnswer { text, .. }) = self.typed.get(&key)
            && !matches_text(text, operation)
        {
            let text = text.clone();
            self.violation(format!("{key:?}: {operation:?} moved money, but {text:?} was typed"));
        }
        self.done(key, operation, receipt);
    }

    /// The ledger did an operation that it must do at most once, and whose outcome must be shown.
    fn done(&mut self, key: Id, operation: Operation, receipt: Receipt) {
        let name = &key.0;
        match self.typed.get(&key) {
            None => self.violation(format!("{key:?}: {operation:?} moved money, but no answer was typed")),
            Some(TypedAnswer { life, history, .. })
                if *history == self.history.number
                    && self.served_life.get(name).is_some_and(|served| served > life)
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
        if self.sees_responses && !self.history.is_reserved(&key) {
            self.violation(format!(
                "{key:?}: {operation:?} moved money under a number that was not reserved"
            ));
        }
        self.movements += 1;
        if self.history.moved.insert(key.clone(), receipt).is_some() {
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
        let highest = self.highest.entry(name.clone()).or_default();
        let before = std::mem::replace(highest, number.max(*highest));
        if number <= before && !self.restored.contains_key(name) {
            self.violation(format!("{name}: reply {number} was shown, and {before} before"));
        }
        let (Some(re), Some(outcome)) = (re, outcome) else { return };
        let key = (name.clone(), re);
        self.reported.insert(key.clone());
        if !self.typed.contains_key(&key) {
            self.violation(format!("{key:?}: {outcome:?} was shown, but no answer was typed"));
        }
        let is_lost = !self.history.has_responded(&key, outcome)
            && self.lost.iter().any(|lost| lost.has_responded(&key, outcome));
        let is_reserved = !self.sees_responses || self.history.is_reserved(&key);
        if is_lost {
            // This history may still settle a number that it has reserved, and otherwise.
            if is_reserved {
                return;
            }
        } else {
            self.check_outcome(&key, outcome, is_reserved);
        }
        let before = self.outcomes.insert(key.clone(), outcome);
        if let Some(before) = before
            && before != outcome
            && outcome != Outcome::Unknown
        {
            self.violation(format!("{key:?}: {before:?} was shown and then {outcome:?}"));
        }
    }

    /// Compares an outcome that was shown with what this history has committed.
    fn check_outcome(&mut self, key: &Id, outcome: Outcome, is_reserved: bool) {
        let moved = self.history.moved.get(key).copied();
        match (outcome, moved) {
            (Outcome::Done(Receipt::Balance { .. }), None) => {}
            (Outcome::Done(receipt), Some(moved)) if receipt == moved => {}
            (Outcome::Done(_), _) => {
                self.violation(format!("{key:?}: {outcome:?} was shown, but {moved:?} was committed"))
            }
            (Outcome::Refused(_) | Outcome::NotDone, Some(_)) => {
                self.violation(format!("{key:?}: {outcome:?} was shown, but {moved:?} was committed"));
            }
            (Outcome::Refused(_) | Outcome::NotDone, None) if !is_reserved => {
                self.violation(format!("{key:?}: {outcome:?} was shown, but the number was not reserved"));
            }
            (Outcome::Unknown, _) if self.history.is_unknown(key) => self.counts.unknown += 1,
            (Outcome::Unknown, _) if self.restored.contains_key(&key.0) => {}
            (Outcome::Unknown, _) => {
                self.violation(format!("{key:?}: unknown was shown, but the ledger has lost nothing"))
            }
            _ => {}
        }
    }

    /// The ledger was copied.
    pub fn copied(&mut self) {
        self.copy = self.history.clone();
    }

    /// The ledger was replaced by its last copy.
    pub fn set_back(&mut self) {
        self.counts.set_backs += 1;
        let lost = std::mem::replace(&mut self.history, self.copy.clone());
        self.history.number = lost.number + 1;
        self.lost.push(lost);
        self.forget_lost_outcomes();
    }

    /// Forgets the outcomes that lost histories gave to ids that the present one has reserved and not settled.
    fn forget_lost_outcomes(&mut self) {
        let history = &self.history;
        self.outcomes.retain(|key, _| history.has_settled(key) || !history.is_reserved(key));
    }

    /// A terminal reported that the ledger was set back.
    pub fn ledger_set_back(&mut self, name: &Name) {
        if self.lost.is_empty() {
            self.violation(format!(
                "{name}: a ledger that was set back was reported, but it has lost nothing"
            ));
        }
        // Its numbers are those of the present history from here on.
        self.highest.remove(name);
        self.shown.retain(|(shown, _), _| shown != name);
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
        self.movements
    }

    /// How often the ledger did something that only faults cause.
    pub fn counts(&self) -> LedgerCounts {
        self.counts
    }

    /// Ends the audit with the ledger's `balance`: all violations.
    pub fn finish(mut self, balance: Amount) -> Vec<String> {
        if i128::from(balance.minor()) != self.history.balance {
            let sum = self.history.balance;
            self.violation(format!("the balance is {}, the sum of all movements {sum}", balance.minor()));
        }
        let unreported = |key: &&Id| !self.reported.contains(*key) && !self.restored.contains_key(&key.0);
        let unreported: Vec<Id> = self.history.moved.keys().filter(unreported).cloned().collect();
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
        // No text of open access causes an operation of a card.
        _ => false,
    }
}
