//! The server's ledger in memory: answers each request at once, and caps new names.
use super::{ServerConfig, committer::Committer, new_identity};
use crate::names::NameQuota;
use atm_core::ledger::{Command, InDoubt, Ledger, RamLedger, Rejection, Request, Response};
use std::{io, time::Instant};

/// Named terminals whose requests the ledger in memory remembers.
pub const TERMINALS: usize = 1024;

/// A ledger that is lost at exit.
pub(super) struct MemoryLedger {
    ledger: RamLedger<TERMINALS>,
    names: NameQuota,
}

impl MemoryLedger {
    /// A new ledger.
    ///
    /// # Errors
    /// The system has no random number for its identity.
    pub(super) fn new(config: &ServerConfig) -> io::Result<Self> {
        Ok(Self { ledger: RamLedger::new(new_identity()?, config.balance), names: config.name_quota() })
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
