//! History: what one ledger has reserved and given, as the audit saw it. A set-back begins another one.
use atm_core::ledger::{BLOCK, Outcome, Receipt};

/// What the ledger has reserved and given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// Blocks of numbers, by their first.
    pub(super) blocks: Vec<u64>,
    /// The turn that was given last, and to which host.
    pub(super) turn: u32,
    pub(super) host: usize,
}

impl History {
    /// Is the id a number that was reserved?
    pub(super) fn is_reserved(&self, id: u64) -> bool {
        self.blocks.iter().any(|first| (*first..first + u64::from(BLOCK)).contains(&id))
    }
}

/// What a copy of the ledger has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Copied {
    pub(super) history: History,
    pub(super) typed: Vec<(Option<Receipt>, Option<Outcome>)>,
}
