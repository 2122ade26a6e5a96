//! The ledger of the model: the real one in memory, or that with an injected bug, and a copy of it.
use super::cards::CardBank;
use atm_core::{
    ledger::{
        Command, InDoubt, Ledger, LedgerId, Name, Origin, Outcome, RamLedger, Request, Response,
        SET_BACK_INTERVAL, SessionId,
    },
    money::Amount,
    time::UnixTime,
};

/// A bug of the ledger that the model checker must detect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum InjectedBug {
    /// The ledger forgets ids: it carries out an operation each time it is requested
    ForgetId,
    /// The ledger does not remember what it refused
    ForgetRefusal,
    /// The ledger answers "not done" without committing a void under that id, and ignores the turn
    VoidWithoutCommit,
    /// The ledger carries out requests of an earlier turn
    IgnoreTurn,
    /// The ledger does not read what a hello says that its terminal has seen
    IgnoreSeen,
    /// A wrong PIN is counted after its answer, with the next request, which a power loss of the host forgets
    CountTryLate,
    /// The cards are unblocked when a host restarts
    UnblockAtRestart,
}

/// A ledger for two terminals.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelLedger {
    ledger: RamLedger<2>,
    /// What a set-back replaces it by.
    copy: Option<RamLedger<2>>,
    /// Minutes that have passed: only in a fault-free run, time does not stand still.
    minutes: u64,
    /// The turn that each terminal was given last, where there is a bug.
    turns: Vec<(Name, u32)>,
    /// Where access is by card: it is in use in place of `ledger`.
    pub(super) cards: Option<CardBank>,
    bug: Option<InjectedBug>,
}

impl ModelLedger {
    pub(super) fn new(balance: Amount, bug: Option<InjectedBug>) -> Self {
        let ledger = RamLedger::new(LedgerId(1), balance);
        Self { ledger, copy: None, minutes: 0, turns: Vec::new(), cards: None, bug }
    }

    /// A ledger of cards, each account of which has this balance.
    pub(super) fn of_cards(balance: Amount, orders: u8, bug: Option<InjectedBug>) -> Self {
        let cards = CardBank::new(balance, orders, bug == Some(InjectedBug::CountTryLate));
        Self { cards: Some(cards), ..Self::new(Amount::ZERO, bug) }
    }

    /// The balance of the account, or the sum of all.
    pub(super) fn balance(&self) -> Amount {
        self.cards.as_ref().map_or(self.ledger.balance(), CardBank::total)
    }

    /// A host has lost its power.
    pub(super) fn lose_power(&mut self) {
        if let Some(cards) = &mut self.cards {
            cards.lose_power(self.bug == Some(InjectedBug::UnblockAtRestart));
        }
    }

    /// Is there a copy?
    pub(super) fn has_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Copies the ledger.
    pub(super) fn copy(&mut self) {
        self.copy = Some(self.ledger.clone());
    }

    /// Replaces the ledger by its copy; false if there is none.
    pub(super) fn set_back(&mut self) -> bool {
        self.copy.take().map(|copy| self.ledger = copy).is_some()
    }

    /// A minute passes: another hello may prove a set-back.
    pub(super) fn pass_minute(&mut self) {
        self.minutes += 1;
        self.ledger.set_time(UnixTime::from_millis(self.minutes * SET_BACK_INTERVAL));
    }

    /// Carries out a request.
    ///
    /// # Errors
    /// Never: a ledger in memory has no doubt.
    pub(super) fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        if let Some(cards) = &mut self.cards {
            return cards.apply(request);
        }
        let Some(bug) = self.bug else { return self.ledger.apply(request) };
        let before = self.ledger.clone();
        let mut changed = request.clone();
        match (bug, &mut changed.command) {
            (InjectedBug::ForgetId, Command::Operate { .. }) => {
                changed.origin = Origin::Session(SessionId::default());
            }
            (InjectedBug::IgnoreTurn | InjectedBug::VoidWithoutCommit, Command::Operate { .. }) => {
                let last = self.turns.iter().find(|(name, _)| Some(name) == request.origin.terminal());
                changed.turn = last.map_or(request.turn, |(_, turn)| *turn);
            }
            (InjectedBug::IgnoreSeen, Command::Hello(claim)) => claim.seen = 0,
            _ => {}
        }
        let response = self.ledger.apply(&changed)?;
        if let (Response::Admitted(admission), Some(name)) = (response, request.origin.terminal()) {
            self.turns.retain(|(known, _)| known != name);
            self.turns.push((name.clone(), admission.turn));
        }
        let forgets = match (bug, response) {
            (InjectedBug::ForgetRefusal, Response::Settled { outcome: Outcome::Refused(_), .. }) => true,
            (InjectedBug::VoidWithoutCommit, Response::Settled { outcome: Outcome::NotDone, .. }) => {
                matches!(request.command, Command::Settle { .. })
            }
            _ => false,
        };
        if forgets {
            self.ledger = before;
        }
        Ok(response)
    }
}
