//! The ledger of a run: in memory, or on a faulty disk. Every commit is reported to the auditor.
use super::auditor::Auditor;
use atm_core::{
    ledger::{Ledger, LedgerId, RamLedger, Request, Response},
    money::Amount,
};
use durable::DurableLedger;
use fastrand::Rng;

mod durable;

/// A ledger that the simulated host drives.
pub(super) enum SimulatedLedger {
    Memory(Box<RamLedger<8>>),
    Disk(Box<DurableLedger>),
}

/// The host lost power during a commit: no request of the batch is answered.
pub(super) struct PowerLost;

impl SimulatedLedger {
    pub(super) fn new(durable: bool, identity: LedgerId, balance: Amount, seed: u64) -> Self {
        if durable {
            Self::Disk(Box::new(DurableLedger::new(identity, balance, seed)))
        } else {
            Self::Memory(Box::new(RamLedger::new(identity, balance)))
        }
    }

    /// Commits a batch of requests and returns each with its response.
    ///
    /// # Errors
    /// The host loses power meanwhile; the batch may be committed.
    pub(super) fn commit(
        &mut self,
        batch: Vec<Request>,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) -> Result<Vec<(Request, Response)>, PowerLost> {
        match self {
            Self::Memory(ledger) => Ok(batch
                .into_iter()
                .map(|request| {
                    let before = ledger.balance();
                    let response = match ledger.apply(&request) {
                        Ok(response) => response,
                        Err(doubt) => unreachable!("a ledger in memory has no {doubt}"),
                    };
                    auditor.committed(&request, &response, before, ledger.balance());
                    (request, response)
                })
                .collect()),
            Self::Disk(ledger) => ledger.commit(batch, rng, auditor),
        }
    }

    /// The host loses power while it commits `batch`: a part may be committed, no request is answered.
    pub(super) fn lose_power(&mut self, batch: Vec<Request>, rng: &mut Rng, auditor: &mut Auditor) {
        match self {
            Self::Memory(_) => {
                let committed = batch.into_iter().filter(|_| rng.bool()).collect();
                let _ = self.commit(committed, rng, auditor);
            }
            Self::Disk(ledger) => ledger.lose_power(batch, rng, auditor),
        }
    }

    /// Injects no further faults.
    pub(super) fn stop_faults(&mut self) {
        if let Self::Disk(ledger) = self {
            ledger.stop_faults();
        }
    }

    /// How many commits were in doubt.
    pub(super) fn doubts(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Disk(ledger) => ledger.doubts(),
        }
    }

    /// Verifies the ledger: its balance, and what is wrong with its entries.
    pub(super) fn verify(&self) -> (Amount, Vec<String>) {
        match self {
            Self::Memory(ledger) => (ledger.balance(), Vec::new()),
            Self::Disk(ledger) => ledger.verify(),
        }
    }
}
