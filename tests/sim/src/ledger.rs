//! The ledger of a run: in memory, on a faulty disk, or in PostgreSQL. Every commit is reported to the auditor.
use super::{
    auditor::{Auditor, CardRowsSeen, Order, Sender},
    bank::{Bank, CardMemory},
};
use atm_core::{
    ledger::{AccountNumber, Ledger, LedgerId, RamLedger, Request, Response},
    money::Amount,
    time::UnixTime,
};
use durable::DurableLedger;
use fastrand::Rng;
use std::collections::BTreeMap;

mod durable;
mod entries;
#[cfg(feature = "postgres")]
pub(crate) mod shared;

/// A ledger that the simulated hosts drive.
pub(super) enum SimulatedLedger {
    Memory(Box<MemoryLedger>),
    /// Of cards, in memory.
    Cards(Box<CardMemory>, Bank),
    Stored(Box<dyn StoredLedger>),
}

/// A ledger in tables, which faults happen to.
pub(super) trait StoredLedger {
    /// An operator gives an order about a card.
    fn order(&mut self, card: usize, order: &Order);

    /// An operator freezes an account, or thaws it.
    fn freeze(&mut self, account: usize, is_frozen: bool);

    /// What it has on a disk.
    fn files(&self) -> Vec<Vec<u8>>;

    /// A host commits a batch, with a fault now and then.
    ///
    /// # Errors
    /// The host loses power meanwhile.
    fn commit(
        &mut self,
        host: usize,
        batch: Vec<Request>,
        wall: UnixTime,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) -> Result<Vec<(Request, Response)>, PowerLost>;

    /// A host loses power while it commits `batch`, or soon after.
    fn lose_power(
        &mut self,
        host: usize,
        batch: Vec<Request>,
        wall: UnixTime,
        rng: &mut Rng,
        auditor: &mut Auditor,
    );

    /// Injects no further faults.
    fn stop_faults(&mut self);

    /// How many commits were in doubt.
    fn doubts(&self) -> u64;

    /// The faults that it had, by kind.
    fn faults(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::new()
    }

    /// The balance, and what is wrong with the tables.
    fn verify(&mut self) -> (Amount, Vec<String>);
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
            Self::Stored(Box::new(DurableLedger::new(identity, balance)))
        } else {
            let ledger = RamLedger::new(identity, balance);
            Self::Memory(Box::new(MemoryLedger { copy: ledger.clone(), ledger }))
        }
    }

    /// A ledger of cards, in memory.
    pub(super) fn of_cards(identity: LedgerId, bank: &Bank) -> Self {
        Self::Cards(Box::new(bank.ledger(identity)), bank.clone())
    }

    /// A ledger of cards, on a faulty disk.
    pub(super) fn of_cards_on_disk(identity: LedgerId, bank: &Bank) -> Self {
        Self::Stored(Box::new(DurableLedger::with_cards(identity, bank.clone())))
    }

    /// A ledger in PostgreSQL, with cards if there is a bank.
    #[cfg(feature = "postgres")]
    pub(super) fn of_database(
        server: &shared::Server,
        hosts: u32,
        beginning: (LedgerId, Amount),
        bank: Option<&Bank>,
    ) -> Self {
        Self::Stored(Box::new(shared::SharedLedger::new(server, hosts, beginning, bank)))
    }

    /// An operator gives an order about a card.
    pub(super) fn order(&mut self, card: usize, order: &Order) {
        match self {
            Self::Cards(ledger, bank) => bank.order(ledger, card, order),
            Self::Stored(ledger) => ledger.order(card, order),
            Self::Memory(_) => {}
        }
    }

    /// An operator freezes an account, or thaws it.
    pub(super) fn freeze(&mut self, account: usize, is_frozen: bool) {
        match self {
            Self::Cards(ledger, bank) => bank.freeze(ledger, account, is_frozen),
            Self::Stored(ledger) => ledger.freeze(account, is_frozen),
            Self::Memory(_) => {}
        }
    }

    /// What Debug shows of it, in memory.
    pub(super) fn debug(&self) -> Option<String> {
        match self {
            Self::Cards(ledger, _) => Some(format!("{ledger:?}")),
            Self::Memory(_) | Self::Stored(_) => None,
        }
    }

    /// What it has on a disk.
    pub(super) fn files(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Stored(ledger) => ledger.files(),
            Self::Memory(_) | Self::Cards(..) => Vec::new(),
        }
    }

    /// A host commits a batch of requests at this time; returns each with its response.
    ///
    /// # Errors
    /// The host loses power meanwhile; the batch may be committed.
    pub(super) fn commit(
        &mut self,
        host: usize,
        batch: Vec<(Sender, Request)>,
        wall: UnixTime,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) -> Result<Vec<(Request, Response)>, PowerLost> {
        match self {
            Self::Memory(memory) => {
                memory.ledger.set_time(wall);
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
            Self::Cards(ledger, bank) => {
                ledger.set_time(wall);
                let apply = |(sender, request): (Sender, Request)| {
                    let before = rows(ledger, bank);
                    let response = match ledger.apply(&request) {
                        Ok(response) => response,
                        Err(doubt) => unreachable!("a ledger in memory has no {doubt}"),
                    };
                    auditor.responded(sender, &request, &response);
                    let after = rows(ledger, bank);
                    auditor.committed_with_cards((&request, &response), (&before, &after), wall);
                    (request, response)
                };
                Ok(batch.into_iter().map(apply).collect())
            }
            Self::Stored(ledger) => ledger.commit(host, requests(batch), wall, rng, auditor),
        }
    }

    /// The host loses power while it commits `batch`: a part may be committed, no request is answered.
    pub(super) fn lose_power(
        &mut self,
        host: usize,
        batch: Vec<(Sender, Request)>,
        wall: UnixTime,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) {
        match self {
            Self::Memory(_) | Self::Cards(..) => {
                let committed = batch.into_iter().filter(|_| rng.bool()).collect();
                let _ = self.commit(host, committed, wall, rng, auditor);
            }
            Self::Stored(ledger) => ledger.lose_power(host, requests(batch), wall, rng, auditor),
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
        if let Self::Stored(ledger) = self {
            ledger.stop_faults();
        }
    }

    /// How many commits were in doubt.
    pub(super) fn doubts(&self) -> u64 {
        match self {
            Self::Memory(_) | Self::Cards(..) => 0,
            Self::Stored(ledger) => ledger.doubts(),
        }
    }

    /// The faults of a database, by kind.
    pub(super) fn faults(&self) -> BTreeMap<&'static str, u64> {
        match self {
            Self::Memory(_) | Self::Cards(..) => BTreeMap::new(),
            Self::Stored(ledger) => ledger.faults(),
        }
    }

    /// Verifies the ledger: its balance, and what is wrong with its entries.
    pub(super) fn verify(&mut self) -> (Amount, Vec<String>) {
        match self {
            Self::Memory(memory) => (memory.ledger.balance(), Vec::new()),
            Self::Cards(ledger, _) => (Amount::from_minor(ledger.total()).unwrap_or(Amount::MAX), Vec::new()),
            Self::Stored(ledger) => ledger.verify(),
        }
    }
}

/// The rows that the auditor compares.
fn rows(ledger: &CardMemory, bank: &Bank) -> CardRowsSeen {
    let balance =
        |number: u32| ledger.account(AccountNumber(number)).map_or(0, |row| row.account.balance.minor());
    CardRowsSeen {
        balances: bank.accounts.iter().map(|(number, _)| i128::from(balance(*number))).collect(),
        cards: (0..bank.cards.len()).map(|card| CardRowsSeen::card(bank.row(ledger, card))).collect(),
    }
}

fn requests(batch: Vec<(Sender, Request)>) -> Vec<Request> {
    batch.into_iter().map(|(_, request)| request).collect()
}
