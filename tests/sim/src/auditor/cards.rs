//! Audit of cards: who may move money, how PINs are judged and counted, and what a person is shown.
//!
//! It knows the bank's cards, the prompts shown and the texts typed, and judges each commit by them; the rules are written a
//! second time, from what they promise, and share nothing with the core's.
//!
//! | property | statement |
//! |---|---|
//! | verified | money moves, and an amount is shown, only after the right PIN in this session, for an account of its card |
//! | as typed | what moves is the amount that was typed, to the payee that was typed and confirmed |
//! | tries | the card's row counts each wrong PIN that was judged, once; the third blocks, until an operator unblocks |
//! | revoked | after a block, an unblock or another PIN, an older session of the card does nothing more |
//! | balances | each account has what it had, and its movements: a transfer changes two accounts, once |
//! | limits | no withdrawal, and no day's withdrawals of a card, pass the limits; a day never goes back |
//! | delay | no PIN is judged at a terminal while the delay after a refused one lasts |
//! | idle | nothing is requested for a prompt that was open for longer than the idle time |
//! | brief | an earlier outcome is shown without an amount, or in full to the card that it is of |
//! | secret | no digit of a card's number or a PIN is sent by a host, on a sealed link by anyone, or shown by Debug |
use super::Id;
use crate::bank::Bank;
use atm_core::{
    ledger::{Command, Name, Operation, Outcome, Request, card::Card},
    time::{Duration, Instant, UnixTime},
};
pub(crate) use dialogue::Prompt;
use dialogue::{Dialogue, Typed};
use secrets::Secrets;
use std::collections::{HashMap, HashSet};

mod commits;
mod counts;
mod delay;
mod dialogue;
mod money;
mod pin;
mod secrets;
pub use counts::CardCounts;
use delay::TerminalDelay;

/// What the auditor reads in the ledger's rows: each account's balance in minor units, and of each card its tries and
/// whether it is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CardRowsSeen {
    pub(crate) balances: Vec<i128>,
    pub(crate) cards: Vec<(u8, bool)>,
}

impl CardRowsSeen {
    pub(crate) fn card(row: &Card) -> (u8, bool) {
        (row.tries, row.is_blocked)
    }
}

/// A card, as it must be.
#[derive(Debug)]
struct CardTruth {
    pin: String,
    wrong: u8,
    is_blocked: bool,
    /// Raised by what ends its sessions.
    revision: u32,
    day: u64,
    withdrawn: i128,
}

impl CardTruth {
    fn block(&mut self) {
        self.revision += u32::from(!self.is_blocked);
        self.is_blocked = true;
    }
}

/// What an operator does to a card.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Block,
    Unblock,
    SetPin(String),
}

/// An entry of a journal: an operation that has an outcome, or a void.
#[derive(Clone, Debug)]
pub(crate) struct CardEntry {
    pub(crate) name: Name,
    pub(crate) id: u64,
    pub(crate) operation: Option<Operation>,
    pub(crate) outcome: Outcome,
    pub(crate) time: UnixTime,
}

/// What is known of the cards of a run.
#[derive(Debug)]
pub(crate) struct CardAudit {
    bank: Bank,
    cards: Vec<CardTruth>,
    balances: Vec<i128>,
    frozen: Vec<bool>,
    dialogues: HashMap<Name, Dialogue>,
    typed: HashMap<Id, Typed>,
    /// The first outcome of each id that is recorded, and the ids of the reports that were answered.
    settled: HashMap<Id, Outcome>,
    reports: HashSet<Id>,
    /// The card and its revision for which the verification under an id stands.
    verified: HashMap<Id, (usize, u32)>,
    /// The id that did something at each terminal last.
    last_done: HashMap<Name, Id>,
    delays: HashMap<Name, TerminalDelay>,
    shown_at: HashMap<Id, Instant>,
    secrets: Secrets,
    pub(super) counts: CardCounts,
}

impl CardAudit {
    pub(crate) fn new(bank: Bank) -> Self {
        let cards = bank.cards.iter().map(|card| CardTruth {
            pin: card.pin.clone(),
            wrong: 0,
            is_blocked: false,
            revision: 0,
            day: 0,
            withdrawn: 0,
        });
        let mut secrets = Secrets::default();
        for card in &bank.cards {
            secrets.add(&card.number);
            secrets.add(&card.pin);
        }
        Self {
            cards: cards.collect(),
            balances: bank.accounts.iter().map(|(_, balance)| i128::from(*balance)).collect(),
            frozen: vec![false; bank.accounts.len()],
            bank,
            dialogues: HashMap::new(),
            typed: HashMap::new(),
            settled: HashMap::new(),
            reports: HashSet::new(),
            verified: HashMap::new(),
            last_done: HashMap::new(),
            delays: HashMap::new(),
            shown_at: HashMap::new(),
            secrets,
            counts: CardCounts::default(),
        }
    }

    pub(crate) fn bank(&self) -> &Bank {
        &self.bank
    }

    /// The sum of all balances.
    pub(super) fn total(&self) -> i128 {
        self.balances.iter().sum()
    }

    /// The PIN that a card has now, which its holder knows.
    pub(crate) fn pin(&self, card: usize) -> &str {
        &self.cards[card].pin
    }

    /// Is the card blocked?
    pub(crate) fn is_blocked(&self, card: usize) -> bool {
        self.cards[card].is_blocked
    }

    /// An operator's order stands.
    pub(crate) fn ordered(&mut self, card: usize, order: &Order) {
        let truth = &mut self.cards[card];
        match order {
            Order::Block => truth.block(),
            Order::Unblock => {
                truth.revision += u32::from(truth.is_blocked);
                (truth.is_blocked, truth.wrong) = (false, 0);
            }
            Order::SetPin(pin) => {
                self.secrets.add(pin);
                truth.revision += 1;
                truth.pin.clone_from(pin);
            }
        }
    }

    /// An operator has frozen an account, or thawed it.
    pub(crate) fn frozen(&mut self, account: usize, is_frozen: bool) {
        self.frozen[account] = is_frozen;
    }

    /// A person typed `text` at a prompt.
    pub(super) fn typed(&mut self, id: &Id, life: u64, text: &str) {
        let dialogue = self.dialogues.entry(id.0.clone()).or_default();
        let Some(typed) = dialogue.answer(life, id.1, text) else { return };
        if typed.prompt.is_secret() || typed.prompt == Prompt::Card {
            self.secrets.add(text);
        }
        self.typed.insert(id.clone(), typed);
    }

    /// A terminal showed a reply, in answer to the prompt `re`; true if it says that what was asked for there was done.
    ///
    /// # Errors
    /// What it must not have shown.
    pub(super) fn shown(
        &mut self,
        name: &Name,
        (life, number, re): (u64, u64, Option<u64>),
        text: &str,
        now: Instant,
    ) -> Result<bool, String> {
        self.shown_at.entry((name.clone(), number)).or_insert(now);
        let dialogue = self.dialogues.entry(name.clone()).or_default();
        let before = dialogue.clone();
        dialogue.show(life, text);
        let key = re.map(|re| (name.clone(), re));
        let session = before.verification.and_then(|id| self.verified.get(&(name.clone(), id)));
        if text.contains('$') && session.is_none() {
            return Err(format!("{name}: shown without a right PIN: {text:?}"));
        }
        if text.contains("About your earlier request:") {
            let done = self.last_done.get(name).and_then(|id| self.typed.get(id));
            if done.is_none_or(|done| done.dialogue.card != before.card) {
                return Err(format!("{name}: the outcome of another card was shown: {text:?}"));
            }
        }
        let is_done = text.starts_with("An earlier request at this terminal was done.");
        let is_refused = text.starts_with("An earlier request at this terminal was refused.");
        let outcome = key.as_ref().and_then(|key| self.settled.get(key));
        match outcome {
            Some(Outcome::Done(_)) if is_done => Ok(true),
            Some(Outcome::Refused(_)) if is_refused => Ok(false),
            _ if is_done || is_refused => Err(format!("{key:?}: shown {text:?}, but it is {outcome:?}")),
            _ => Ok(false),
        }
    }

    /// A host requests something for an answer.
    ///
    /// # Errors
    /// The prompt was open for too long.
    pub(super) fn requested(&self, request: &Request, idle: Duration, now: Instant) -> Result<(), String> {
        let (Command::Card { id, .. }, Some(name)) = (&request.command, request.origin.terminal()) else {
            return Ok(());
        };
        match self.shown_at.get(&(name.clone(), *id)) {
            Some(shown) if *shown + idle < now => {
                Err(format!("{name}: prompt {id}, shown at {shown:?}, was answered at {now:?}: {request:?}"))
            }
            _ => Ok(()),
        }
    }

    /// A secret in what crosses a link.
    pub(super) fn secret_in(&self, bytes: &[u8]) -> Option<String> {
        self.secrets
            .find(bytes)
            .map(|secret| format!("{secret} is sent: {:?}", String::from_utf8_lossy(bytes)))
    }

    /// A secret in a file.
    pub(super) fn secret_in_file(&self, bytes: &[u8]) -> Option<String> {
        self.secrets.find_long(bytes).map(|secret| format!("{secret} is stored"))
    }

    /// A secret in a Debug text.
    pub(super) fn secret_in_debug(&mut self, text: &str) -> Option<String> {
        self.counts.searches += 1;
        self.secrets.find_in_debug(text).map(|secret| format!("{secret} is shown by Debug: {text}"))
    }
}
