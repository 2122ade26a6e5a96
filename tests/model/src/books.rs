//! The ledger of a model: the real one, or one that is broken on purpose.
use atm_core::{
    ledger::{InDoubt, Ledger, LedgerId, Name, Numbers, Origin, Outcome, RamLedger, Request, Response},
    money::Amount,
};

/// A way to break the ledger that the model must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Break {
    /// It does what it is asked, however often it is asked.
    ForgetId,
    /// It remembers what it did and not what it refused.
    ForgetRefusal,
    /// It says "not done" and commits nothing that would stand against a late operation.
    VoidWithoutCommit,
}

/// A ledger for two terminals.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Books {
    ledger: RamLedger<2>,
    /// How many blocks of numbers each terminal was given.
    opened: Vec<(Name, u64)>,
    broken: Option<Break>,
}

impl Books {
    pub(super) fn new(balance: Amount, names: &[Name], broken: Option<Break>) -> Self {
        let opened = names.iter().map(|name| (name.clone(), 0)).collect();
        Self { ledger: RamLedger::new(LedgerId(1), balance), opened, broken }
    }

    pub(super) fn balance(&self) -> Amount {
        self.ledger.balance()
    }

    /// Carries out a request.
    pub(super) fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let before = self.ledger.clone();
        let mut response = match (self.broken, request) {
            (Some(Break::ForgetId), Request::Operate { id, operation, .. }) => {
                let origin = Origin::Session(0);
                self.ledger.apply(&Request::Operate { origin, id: *id, operation: *operation })?
            }
            _ => self.ledger.apply(request)?,
        };
        if let (Request::Open { terminal }, Response::Opened { numbers, .. }) = (request, &mut response) {
            *numbers = self.number(terminal);
        }
        let forgets = match (self.broken, &response) {
            (Some(Break::ForgetRefusal), Response::Settled { outcome: Outcome::Refused(_), .. }) => true,
            (Some(Break::VoidWithoutCommit), Response::Settled { outcome: Outcome::NotDone, .. }) => {
                matches!(request, Request::Settle { .. })
            }
            _ => false,
        };
        if forgets {
            self.ledger = before;
        }
        Ok(response)
    }

    /// The next block of a terminal. What one is given must not depend on how often the other came, or there would be
    /// many states that differ in nothing else: they take turns. One alone gets what the real ledger gives it.
    fn number(&mut self, terminal: &Name) -> Numbers {
        const BLOCK: u32 = 256;
        let terminals = self.opened.len();
        let Some((at, (_, count))) =
            self.opened.iter_mut().enumerate().find(|(_, (name, _))| name == terminal)
        else {
            return Numbers::NONE;
        };
        let before = u64::try_from(at).unwrap_or(0) + u64::try_from(terminals).unwrap_or(1) * *count;
        *count += 1;
        Numbers::block(1 + before * u64::from(BLOCK), BLOCK)
    }
}
