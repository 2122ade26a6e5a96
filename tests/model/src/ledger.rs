//! The ledger of the model: the real one in memory, or that with an injected bug.
use atm_core::{
    ledger::{InDoubt, Ledger, LedgerId, Name, Numbers, Origin, Outcome, RamLedger, Request, Response},
    money::Amount,
};

/// A bug of the ledger that the model checker must detect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum InjectedBug {
    /// The ledger forgets ids: it carries out an operation each time it is requested
    ForgetId,
    /// The ledger does not remember what it refused
    ForgetRefusal,
    /// The ledger answers "not done" without committing a void under that id
    VoidWithoutCommit,
}

/// A ledger for two terminals.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelLedger {
    ledger: RamLedger<2>,
    /// The number of blocks that were reserved for each terminal.
    blocks: Vec<(Name, u64)>,
    bug: Option<InjectedBug>,
}

impl ModelLedger {
    pub(super) fn new(balance: Amount, names: &[Name], bug: Option<InjectedBug>) -> Self {
        let blocks = names.iter().map(|name| (name.clone(), 0)).collect();
        Self { ledger: RamLedger::new(LedgerId(1), balance), blocks, bug }
    }

    pub(super) fn balance(&self) -> Amount {
        self.ledger.balance()
    }

    /// Carries out a request.
    ///
    /// # Errors
    /// Never: a ledger in memory has no doubt.
    pub(super) fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let before = self.ledger.clone();
        let mut response = match (self.bug, request) {
            (Some(InjectedBug::ForgetId), Request::Operate { id, operation, .. }) => {
                let origin = Origin::Session(0);
                self.ledger.apply(&Request::Operate { origin, id: *id, operation: *operation })?
            }
            _ => self.ledger.apply(request)?,
        };
        if let (Request::Open { terminal }, Response::Opened { numbers, .. }) = (request, &mut response) {
            *numbers = self.reserve_block(terminal);
        }
        let forgets = match (self.bug, &response) {
            (Some(InjectedBug::ForgetRefusal), Response::Settled { outcome: Outcome::Refused(_), .. }) => {
                true
            }
            (Some(InjectedBug::VoidWithoutCommit), Response::Settled { outcome: Outcome::NotDone, .. }) => {
                matches!(request, Request::Settle { .. })
            }
            _ => false,
        };
        if forgets {
            self.ledger = before;
        }
        Ok(response)
    }

    /// Reserves the next block of numbers for a terminal.
    ///
    /// The real ledger counts all terminals' blocks together. With two terminals that would multiply the
    /// states, so each gets every second block here; one alone gets the real ones.
    fn reserve_block(&mut self, terminal: &Name) -> Numbers {
        const BLOCK: u32 = 256;
        let terminals = self.blocks.len();
        let Some((at, (_, count))) =
            self.blocks.iter_mut().enumerate().find(|(_, (name, _))| name == terminal)
        else {
            return Numbers::NONE;
        };
        let before = u64::try_from(at).unwrap_or(0) + u64::try_from(terminals).unwrap_or(1) * *count;
        *count += 1;
        Numbers::block(1 + before * u64::from(BLOCK), BLOCK)
    }
}
