//! The server's ledgers in memory, one for open access and one for cards: they answer each request at once.
use super::{CardAccess, Server, ServerConfig, committer::Committer, new_identity};
use crate::{clock::unix_time, metrics::Metrics, names::NameQuota};
use atm_core::ledger::{
    Command, InDoubt, Ledger, RamLedger, Rejection, Request, Response,
    card::{Card, CardAccount, CardLedger, NotAdded},
};
use std::{io, sync::Arc, time::Instant};

/// Named terminals whose requests the ledger in memory remembers.
pub const TERMINALS: usize = 1024;

/// A ledger that is lost at exit.
pub(super) struct MemoryLedger {
    // Some 300 KB: in a box, so that a thread's stack does not have it several times over in a build without optimisation.
    ledger: Box<RamLedger<TERMINALS>>,
    names: NameQuota,
}

impl MemoryLedger {
    /// A new ledger.
    ///
    /// # Errors
    /// The system has no random number for its identity.
    pub(super) fn new(config: &ServerConfig) -> io::Result<Self> {
        let ledger = Box::new(RamLedger::new(new_identity()?, config.balance));
        Ok(Self { ledger, names: config.name_quota() })
    }
}

impl Ledger for MemoryLedger {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let is_new = |name| !self.ledger.knows(name);
        if !matches!(request.command, Command::Hello(_)) || !request.origin.terminal().is_some_and(is_new) {
            return self.ledger.apply(request);
        }
        let before = self.ledger.terminals();
        if self.names.limit(before, Instant::now()) <= before {
            self.names.log_refusal(before);
            return Ok(Response::Rejected(Rejection::Full));
        }
        let response = self.ledger.apply(request);
        self.names.take(self.ledger.terminals().saturating_sub(before));
        response
    }
}

impl Committer for MemoryLedger {
    fn submit(&mut self, request: Request) -> Result<Option<(Request, Response)>, InDoubt> {
        self.apply(&request).map(|response| Some((request, response)))
    }
}

/// The committer of a server without a ledger on disk.
///
/// # Errors
/// The system has no random number for the ledger's identity.
pub(super) fn committer(config: &ServerConfig, metrics: &Arc<Metrics>) -> io::Result<Box<dyn Committer>> {
    Ok(match &config.cards {
        None => Box::new(MemoryLedger::new(config)?),
        Some(cards) => Box::new(Counted { ledger: CardsInMemory::new(cards)?, metrics: metrics.clone() }),
    })
}

/// A ledger of cards that is lost at exit, for a few names, cards and accounts.
pub struct CardsInMemory(Cards);

type Cards = CardLedger<16, 8, 8>;

/// Whether the card of a request is blocked.
fn has_blocked(ledger: &Cards, request: &Request) -> bool {
    let tokens = request.command.touched().card.map(|claim| *claim.tokens());
    tokens.into_iter().flatten().any(|token| ledger.card(token).is_some_and(|card| card.is_blocked))
}

impl CardsInMemory {
    /// A ledger without cards and accounts.
    ///
    /// # Errors
    /// The system has no random number for its identity.
    pub fn new(access: &CardAccess) -> io::Result<Self> {
        Ok(Self(CardLedger::new(new_identity()?, access.limits)))
    }

    /// Opens an account and issues a card for it.
    ///
    /// # Errors
    /// [`NotAdded`].
    pub fn add(&mut self, account: CardAccount, card: Card) -> Result<(), NotAdded> {
        self.0.open_account(account)?;
        self.0.issue(card)
    }
}

impl Server {
    /// Keeps these cards and accounts, in memory, in place of none.
    pub fn set_cards(&mut self, ledger: CardsInMemory) {
        self.committer = Box::new(Counted { ledger, metrics: self.metrics.clone() });
    }
}

/// The committer of cards in memory, which counts the blocked ones.
struct Counted {
    ledger: CardsInMemory,
    metrics: Arc<Metrics>,
}

impl Committer for Counted {
    fn submit(&mut self, request: Request) -> Result<Option<(Request, Response)>, InDoubt> {
        let CardsInMemory(ledger) = &mut self.ledger;
        ledger.set_time(unix_time());
        let was_blocked = has_blocked(ledger, &request);
        let response = ledger.apply(&request)?;
        if has_blocked(ledger, &request) && !was_blocked {
            self.metrics.update(|counters| counters.blocked_cards += 1);
        }
        Ok(Some((request, response)))
    }
}
