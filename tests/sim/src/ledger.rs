//! The ledger of a run: in memory, or on a faulty disk. Every commit is reported to the auditor.
use super::auditor::{Auditor, Sender};
use atm_core::{
    ledger::{Ledger, LedgerId, RamLedger, Request, Response},
    money::Amount,
    time::{Instant, UnixTime},
};
use durable::DurableLedger;
use fastrand::Rng;

mod durable;

/// A ledger that the simulated hosts drive.
pub(super) enum SimulatedLedger {
    Memory(Box<MemoryLedger>),
    Disk(Box<DurableLedger>),
}

/// A ledger in memory, which hosts share, and a copy of it.
pub(super) struct MemoryLedger {
    ledger: RamLedger<8>,
    copy: RamLedger<8>,
}

/// The host lost power during a commit: no request of the batch is answered.
pub(super) struct PowerLost;

impl SimulatedLedger {
    pub(super) fn new(durable: bool, identity: LedgerId, balance: Amount) -> Self {
        if durable {
            Self::Disk(Box::new(DurableLedger::new(identity, balance)))
        } else {
            let ledger = RamLedger::new(identity, balance);
            Self::Memory(Box::new(MemoryLedger { copy: ledger.clone(), ledger }))
        }
    }

    /// Commits a batch of requests and returns each with its response.
    ///
    /// # Errors
    /// The host loses power meanwhile; the batch may be committed.
    pub(super) fn commit(
        &mut self,
        batch: Vec<(Sender, Request)>,
        now: Instant,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) -> Result<Vec<(Request, Response)>, PowerLost> {
        match self {
            Self::Memory(memory) => {
                memory.ledger.set_time(UnixTime::from_millis(now.millis()));
                Ok(batch
                    .into_iter()
                    .map(|(sender, request)| {
                        let before = memory.ledger.balance();
                        let response = match memory.ledger.apply(&request) {
                            Ok(response) => response,
                            Err(doubt) => unreachable!("a ledger in memory has no {doubt}"),
                        };
                        auditor.responded(sender, &request, &response);
                        auditor.committed(&request, &response, before, memory.ledger.balance());
                        (request, response)
                    })
                    .collect())
            }
            Self::Disk(ledger) => ledger.commit(requests(batch), rng, auditor),
        }
    }

    /// The host loses power while it commits `batch`: a part may be committed, no request is answered.
    pub(super) fn lose_power(
        &mut self,
        batch: Vec<(Sender, Request)>,
        now: Instant,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) {
        match self {
            Self::Memory(_) => {
                let committed = batch.into_iter().filter(|_| rng.bool()).collect();
                let _ = self.commit(committed, now, rng, auditor);
            }
            Self::Disk(ledger) => ledger.lose_power(requests(batch), rng, auditor),
        }
    }

    /// Copies the ledger, instead of an earlier copy.
    pub(super) fn copy(&mut self, auditor: &mut Auditor) {
        if let Self::Memory(memory) = self {
            memory.copy = memory.ledger.clone();
            auditor.copied();
        }
    }

    /// Replaces the ledger by its copy.
    pub(super) fn set_back(&mut self, auditor: &mut Auditor) {
        if let Self::Memory(memory) = self {
            memory.ledger = memory.copy.clone();
            auditor.set_back();
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
            Self::Memory(memory) => (memory.ledger.balance(), Vec::new()),
            Self::Disk(ledger) => ledger.verify(),
        }
    }
}

fn requests(batch: Vec<(Sender, Request)>) -> Vec<Request> {
    batch.into_iter().map(|(_, request)| request).collect()
}
