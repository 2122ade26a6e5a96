//! The ledger of a day: in memory, or on a disk that fails.
use super::auditor::Auditor;
use crate::faulty_disk::{DiskFailure, FaultyDisk};
use atm_core::{
    ledger::{Ledger, LedgerId, Origin, Outcome, RamLedger, Receipt, Request, Response},
    money::Amount,
    time::Instant,
};
use atm_host::ledger::{
    entry::{Entry, Fact, Hash, Time},
    error::{Error, Fault},
    keeper::{Answer, Keeper},
    verify::verify,
};
use fastrand::Rng;

/// Calls of the disk that one commit may take.
const CALLS: u64 = 12;

/// The ledger of a day.
pub(super) enum SimulatedLedger {
    Memory(Box<RamLedger<8>>),
    Disk(Box<DurableLedger>),
}

/// A ledger on a disk that fails.
pub(super) struct DurableLedger {
    disk: FaultyDisk,
    keeper: Option<Keeper>,
    balance: Amount,
    identity: LedgerId,
    /// The hashes of the entries that the auditor has seen.
    seen: Vec<Hash>,
    /// The faults that stop, when the faults of the lines do.
    calm: bool,
    /// Commits that were in doubt.
    doubts: u64,
}

/// The host has lost power in a commit.
pub(super) struct PowerLost;

impl SimulatedLedger {
    pub(super) fn new(on_disk: bool, identity: LedgerId, balance: Amount, seed: u64) -> Self {
        if !on_disk {
            return Self::Memory(Box::new(RamLedger::new(identity, balance)));
        }
        let disk = FaultyDisk::new(seed);
        let mut disk =
            DurableLedger { disk, keeper: None, balance, identity, seen: Vec::new(), calm: false, doubts: 0 };
        disk.open().expect("a new disk can be used");
        Self::Disk(Box::new(disk))
    }

    /// Carries out requests; `Err` where the host loses power before anybody is answered.
    pub(super) fn commit(
        &mut self,
        requests: Vec<Request>,
        rng: &mut Rng,
        auditor: &mut Auditor,
        now: Instant,
    ) -> Result<Vec<Answer>, PowerLost> {
        match self {
            Self::Memory(ledger) => Ok(requests
                .into_iter()
                .map(|request| {
                    let before = ledger.balance();
                    let response = match ledger.apply(&request) {
                        Ok(response) => response,
                        Err(doubt) => unreachable!("a ledger in memory has no {doubt}"),
                    };
                    auditor.committed(&request, &response, before, ledger.balance(), now);
                    (request, response)
                })
                .collect()),
            Self::Disk(disk) => disk.commit(requests, rng, auditor, now),
        }
    }

    /// The host loses power while `requests` are on their way to the disk.
    pub(super) fn lose_power(
        &mut self,
        requests: Vec<Request>,
        rng: &mut Rng,
        auditor: &mut Auditor,
        now: Instant,
    ) {
        match self {
            // What was on its way to the disk may have come there.
            Self::Memory(_) => {
                let some = requests.into_iter().filter(|_| rng.bool()).collect();
                let _ = self.commit(some, rng, auditor, now);
            }
            Self::Disk(disk) => {
                let at = disk.disk.calls() + rng.u64(1..=CALLS);
                disk.disk.fail(DiskFailure::PowerLoss(at));
                // Whether it comes so far or not, nobody is told.
                if let Some(keeper) = &mut disk.keeper {
                    let _ = keeper.serve(requests);
                }
                disk.back(auditor, now);
            }
        }
    }

    /// Nothing fails any more.
    pub(super) fn calm(&mut self) {
        if let Self::Disk(disk) = self {
            disk.calm = true;
        }
    }

    pub(super) fn doubts(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Disk(disk) => disk.doubts,
        }
    }

    /// The day is over: the balance, and what is wrong with the books.
    pub(super) fn close(&self) -> (Amount, Vec<String>) {
        let disk = match self {
            Self::Memory(ledger) => return (ledger.balance(), Vec::new()),
            Self::Disk(disk) => disk,
        };
        let Some(keeper) = &disk.keeper else { return (Amount::ZERO, vec!["the ledger is not open".into()]) };
        let view = keeper.store().unwrap().view().unwrap();
        let faults = verify(&view, |_| ()).unwrap().faults;
        (keeper.books().unwrap().balance(), faults)
    }
}

impl DurableLedger {
    fn open(&mut self) -> Result<(), Error> {
        let disk = Box::new(self.disk.clone());
        let time = Box::new(|| Time::from_millis(0));
        let identity = self.identity;
        let opened = Keeper::open(disk, self.balance, || identity, time, Default::default());
        self.keeper = Some(opened?);
        Ok(())
    }

    fn commit(
        &mut self,
        requests: Vec<Request>,
        rng: &mut Rng,
        auditor: &mut Auditor,
        now: Instant,
    ) -> Result<Vec<Answer>, PowerLost> {
        if !self.calm {
            let at = self.disk.calls() + rng.u64(1..=CALLS);
            self.disk.fail(match rng.u32(0..60) {
                0 => DiskFailure::PowerLoss(at),
                1..4 => DiskFailure::Once(at),
                _ => DiskFailure::Never,
            });
        }
        let Some(keeper) = &mut self.keeper else { return Err(PowerLost) };
        let answers = match keeper.serve(requests) {
            Ok(answers) => answers,
            Err(_) => {
                self.doubts += 1;
                let disk = &self.disk;
                let found = (0..4).find_map(|attempt| {
                    // It may fail again while it is found out.
                    if !matches!(disk.failure(), DiskFailure::PowerLoss(_)) && attempt < 3 && rng.bool() {
                        disk.fail(DiskFailure::Once(disk.calls() + rng.u64(1..=CALLS)));
                    }
                    keeper.recover().ok()
                });
                let Some(answers) = found else {
                    // There is no power: whoever waits is told nothing.
                    self.back(auditor, now);
                    return Err(PowerLost);
                };
                answers
            }
        };
        self.disk.fail(DiskFailure::Never);
        self.audit(auditor, now);
        Ok(answers)
    }

    /// The power is back.
    fn back(&mut self, auditor: &mut Auditor, now: Instant) {
        self.keeper = None;
        self.disk.power_on();
        if let Err(error) = self.open() {
            auditor.fault(format!("a disk that does not fail is readable, and not so: {error}"));
        }
        self.audit(auditor, now);
    }

    /// Shows the auditor what was written since the last time. What it has seen stands.
    fn audit(&mut self, auditor: &mut Auditor, now: Instant) {
        let Some(keeper) = &self.keeper else { return };
        let view = keeper.store().unwrap().view().unwrap();
        let last = self.seen.len();
        let first = u64::try_from(last).unwrap().max(1);
        let mut lines = Vec::new();
        view.entries(first, |head, line| {
            lines.push((head.hash, line.to_owned()));
            Ok::<(), Fault>(())
        })
        .unwrap();
        let mut lines = lines.into_iter();
        if let Some(seen) = self.seen.last()
            && lines.next().is_none_or(|(hash, _)| hash != *seen)
        {
            auditor.fault(format!("entry {last} was committed and is gone"));
        }
        for (hash, line) in lines {
            self.seen.push(hash);
            match Entry::parse(&line).map(|entry| entry.fact) {
                Some(Fact::Settled {
                    key: Some((name, id)), operation: Some(operation), outcome, ..
                }) => {
                    let (before, after) = around(outcome);
                    let request = Request::Operate { origin: Origin::Terminal(name), id, operation };
                    auditor.committed(&request, &Response::Settled { id, outcome }, before, after, now);
                }
                Some(Fact::Settled { key: None, .. }) | None => {
                    auditor.fault(format!("nobody asked for {line}"));
                }
                Some(_) => {}
            }
        }
    }
}

/// The balance before and after an operation, by its receipt.
fn around(outcome: Outcome) -> (Amount, Amount) {
    match outcome {
        Outcome::Done(Receipt::Deposited { amount, balance }) => {
            (balance.checked_sub(amount).unwrap_or_default(), balance)
        }
        Outcome::Done(Receipt::Withdrawn { amount, balance }) => {
            (balance.checked_add(amount).unwrap_or_default(), balance)
        }
        _ => (Amount::ZERO, Amount::ZERO),
    }
}
