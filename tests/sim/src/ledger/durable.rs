//! The durable ledger of a run: the host's own code on a [`FaultyDisk`], with faults injected into commits.
use super::{super::auditor::Auditor, PowerLost};
use crate::faulty_disk::{DiskFailure, FaultyDisk};
use atm_core::{
    ledger::{Command, LedgerId, Origin, Outcome, Receipt, Request, Response, Ticket},
    money::Amount,
};
use atm_host::ledger::{
    entry::{Entry, Fact, Hash, Time},
    error::{Error, Fault},
    keeper::Keeper,
    verify::verify,
};
use fastrand::Rng;

/// An injected failure hits one of the next calls of the disk, up to this number: about what a commit takes.
const CALLS: u64 = 12;

/// A ledger on a faulty disk.
pub(in super::super) struct DurableLedger {
    disk: FaultyDisk,
    /// `None` while it is opened again.
    keeper: Option<Keeper>,
    /// The balance and identity of a new ledger.
    balance: Amount,
    identity: LedgerId,
    /// The hashes of the entries that the auditor has seen.
    seen: Vec<Hash>,
    faults_stopped: bool,
    /// How many commits were in doubt.
    doubts: u64,
}

impl DurableLedger {
    pub(super) fn new(identity: LedgerId, balance: Amount, seed: u64) -> Self {
        let mut ledger = Self {
            disk: FaultyDisk::new(seed),
            keeper: None,
            balance,
            identity,
            seen: Vec::new(),
            faults_stopped: false,
            doubts: 0,
        };
        ledger.open().expect("a ledger can be made on a new disk");
        ledger
    }

    fn open(&mut self) -> Result<(), Error> {
        let disk = Box::new(self.disk.clone());
        let time = Box::new(|| Time::from_millis(0));
        let identity = self.identity;
        let opened = Keeper::open(disk, self.balance, || identity, time, Default::default());
        self.keeper = Some(opened?);
        Ok(())
    }

    /// Commits a batch, with a power loss in 1 of 60 and an I/O error, which it recovers from, in 3 of 60.
    pub(super) fn commit(
        &mut self,
        batch: Vec<Request>,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) -> Result<Vec<(Request, Response)>, PowerLost> {
        if !self.faults_stopped {
            let at = self.disk.calls() + rng.u64(1..=CALLS);
            self.disk.fail(match rng.u32(0..60) {
                0 => DiskFailure::PowerLoss(at),
                1..4 => DiskFailure::Once(at),
                _ => DiskFailure::Never,
            });
        }
        let Some(keeper) = &mut self.keeper else { return Err(PowerLost) };
        let responses = match keeper.serve(batch) {
            Ok(responses) => responses,
            Err(_) => {
                self.doubts += 1;
                let disk = &self.disk;
                let recovered = (0..4).find_map(|attempt| {
                    // Recovery may fail too, but not the last attempt.
                    if !matches!(disk.failure(), DiskFailure::PowerLoss(_)) && attempt < 3 && rng.bool() {
                        disk.fail(DiskFailure::Once(disk.calls() + rng.u64(1..=CALLS)));
                    }
                    keeper.recover().ok()
                });
                let Some(responses) = recovered else {
                    self.restart(auditor);
                    return Err(PowerLost);
                };
                responses
            }
        };
        self.disk.fail(DiskFailure::Never);
        self.report_entries(auditor);
        Ok(responses)
    }

    /// Power is lost while `batch` is committed, or soon after.
    pub(super) fn lose_power(&mut self, batch: Vec<Request>, rng: &mut Rng, auditor: &mut Auditor) {
        let at = self.disk.calls() + rng.u64(1..=CALLS);
        self.disk.fail(DiskFailure::PowerLoss(at));
        if let Some(keeper) = &mut self.keeper {
            let _ = keeper.serve(batch);
        }
        self.restart(auditor);
    }

    pub(super) fn stop_faults(&mut self) {
        self.faults_stopped = true;
    }

    pub(super) fn doubts(&self) -> u64 {
        self.doubts
    }

    /// The balance, and what is wrong with the entries.
    pub(super) fn verify(&self) -> (Amount, Vec<String>) {
        let Some(keeper) = &self.keeper else { return (Amount::ZERO, vec!["the ledger is not open".into()]) };
        let view = keeper.store().unwrap().view().unwrap();
        let faults = verify(&view, |_| ()).unwrap().faults;
        (keeper.books().unwrap().balance(), faults)
    }

    /// Opens the ledger again after power was restored.
    fn restart(&mut self, auditor: &mut Auditor) {
        self.keeper = None;
        self.disk.power_on();
        if let Err(error) = self.open() {
            auditor.violation(format!("the ledger does not open after a power loss: {error}"));
        }
        self.report_entries(auditor);
    }

    /// Reports the new entries to the auditor, and a violation if the last one that it has seen is gone.
    fn report_entries(&mut self, auditor: &mut Auditor) {
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
            auditor.violation(format!("entry {last} was committed and is gone"));
        }
        for (hash, line) in lines {
            self.seen.push(hash);
            match Entry::parse(&line).map(|entry| entry.fact) {
                Some(Fact::Settled {
                    key: Some((name, id)), operation: Some(operation), outcome, ..
                }) => {
                    let (before, after) = balances_around(outcome);
                    let origin = Origin::Terminal(name);
                    let command = Command::Operate { id, operation };
                    let request = Request { ticket: Ticket::default(), origin, turn: 0, command };
                    auditor.committed(&request, &Response::Settled { id, outcome }, before, after);
                }
                Some(Fact::Settled { key: None, .. }) | None => {
                    auditor.violation(format!("no terminal requested {line}"));
                }
                Some(_) => {}
            }
        }
    }
}

/// The balance before and after an operation, by its receipt.
fn balances_around(outcome: Outcome) -> (Amount, Amount) {
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
