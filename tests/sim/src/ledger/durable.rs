//! The durable ledger of a run: the host's own code on a faulty disk, with faults injected into commits.
use super::{PowerLost, StoredLedger, entries};
use crate::{
    auditor::{Auditor, Order},
    bank::Bank,
    faulty_disk::{Machine, WAL},
    tables::{self, Tables},
};
use atm_core::{
    ledger::{LedgerId, Request, Response},
    money::Amount,
    time::UnixTime,
};
use atm_faulty_vfs::{Cut, Disk, Fault, When};
use atm_host::ledger::{
    committer::GroupCommitter,
    sqlite::{self, Beginning, Sqlite},
};
use cards::DurableCards;
use fastrand::Rng;
use rusqlite::{Connection, ffi};

mod cards;

/// An injected fault hits one of the next calls of the disk, up to this number: about what a commit takes.
const CALLS: u64 = 24;

/// Attempts to settle a batch in doubt; only the first ones fail.
const ATTEMPTS: u32 = 8;

/// A ledger on a faulty disk.
pub(in super::super) struct DurableLedger {
    machine: Machine,
    /// `None` while it is opened again.
    committer: Option<GroupCommitter<Sqlite>>,
    /// Another process that has the database open: recovery after a fault finds its shared memory.
    reader: Option<Connection>,
    /// The hashes of the entries that the auditor has seen.
    seen: Vec<String>,
    faults_stopped: bool,
    starts: u64,
    /// How many commits were in doubt.
    doubts: u64,
    /// Where access is by card.
    cards: Option<DurableCards>,
}

impl DurableLedger {
    pub(super) fn new(identity: LedgerId, balance: Amount) -> Self {
        let beginning = Beginning { identity, balance, time: UnixTime::from_millis(1) };
        let mut ledger = Self {
            machine: Machine::new(Disk::new(), beginning),
            committer: None,
            reader: None,
            seen: Vec::new(),
            faults_stopped: false,
            starts: 0,
            doubts: 0,
            cards: None,
        };
        ledger.start().expect("a ledger can be made on a new disk");
        ledger
    }

    /// A ledger with accounts and cards, and nothing in the account of open access.
    pub(super) fn with_cards(identity: LedgerId, bank: Bank) -> Self {
        let mut ledger = Self::new(identity, Amount::ZERO);
        let cards = DurableCards::new(bank);
        let created = ledger.machine.connect().and_then(|connection| cards.create(&connection));
        created.expect("the rows are valid");
        ledger.committer = None;
        ledger.cards = Some(cards);
        ledger.start().expect("the ledger opens again");
        ledger
    }

    /// An operator changes rows, through a connection of another process.
    fn operate(&self, change: impl FnOnce(&DurableCards, &Connection) -> rusqlite::Result<()>) {
        if let Some(cards) = &self.cards {
            let changed = self.machine.connect().and_then(|connection| change(cards, &connection));
            changed.expect("the disk has no fault between two commits");
        }
    }

    fn start(&mut self) -> Result<(), String> {
        self.starts += 1;
        let started = match &self.cards {
            Some(cards) => cards.start(&self.machine, self.starts),
            None => self.machine.start(self.starts),
        };
        self.committer = Some(started.map_err(|fault| fault.to_string())?);
        Ok(())
    }

    fn set_time(&self, wall: UnixTime) {
        if let Some(cards) = &self.cards {
            cards.set_time(wall);
        }
    }

    /// Plans a fault of one of the next calls.
    fn inject(&self, fault: Fault, rng: &mut Rng) {
        let disk = &self.machine.disk;
        disk.inject(When::Call(disk.calls() + rng.u64(0..CALLS)), fault);
    }

    /// The responses to all of a batch; `None` where the ledger has failed for good.
    fn serve(&mut self, batch: Vec<Request>, rng: &mut Rng) -> Option<Vec<(Request, Response)>> {
        let count = batch.len();
        let disk = self.machine.disk.clone();
        let committer = self.committer.as_mut()?;
        batch.into_iter().try_for_each(|request| committer.submit(request)).ok()?;
        let mut responses = Vec::new();
        for attempt in 0..ATTEMPTS {
            committer.commit();
            responses.extend(committer.responses().ok()?);
            if responses.len() == count {
                return Some(responses);
            }
            self.doubts += u64::from(attempt == 0);
            if attempt < 3 && rng.bool() {
                // Settling may fail too.
                let at = disk.calls() + rng.u64(0..2 * CALLS);
                disk.inject(When::Call(at), Fault::Error(ffi::SQLITE_IOERR));
            }
        }
        None
    }

    /// Opens the ledger again after power was restored.
    fn restart(&mut self, rng: &mut Rng, auditor: &mut Auditor) {
        self.machine.disk.stop();
        (self.committer, self.reader) = (None, None);
        self.machine = self.machine.power_cut(match rng.u32(0..4) {
            0 => Cut::Lost,
            1 => Cut::Kept,
            _ => Cut::Random(rng.u64(..)),
        });
        if let Err(error) = self.start() {
            auditor.violation(format!("the ledger does not open after a power loss: {error}"));
        }
        self.report_entries(rng, auditor);
    }

    /// Reports the new entries to the auditor.
    fn report_entries(&mut self, rng: &mut Rng, auditor: &mut Auditor) {
        let reader = self.reader.take().map_or_else(|| self.machine.connect(), Ok);
        let bank = self.cards.as_ref().map(|cards| &cards.bank);
        let reported = reader.and_then(|reader| {
            entries::report(&reader, bank, &mut self.seen, auditor)?;
            self.reader = rng.bool().then_some(reader);
            Ok(())
        });
        if let Err(error) = reported {
            auditor.violation(format!("the entries cannot be read: {error}"));
        }
    }
}

impl StoredLedger for DurableLedger {
    fn order(&mut self, card: usize, order: &Order) {
        self.operate(|cards, connection| cards.order(connection, card, order));
    }

    fn freeze(&mut self, account: usize, is_frozen: bool) {
        self.operate(|cards, connection| cards.freeze(connection, account, is_frozen));
    }

    /// The database and its log.
    fn files(&self) -> Vec<Vec<u8>> {
        [sqlite::FILE, WAL].into_iter().filter_map(|name| self.machine.disk.contents(name)).collect()
    }

    /// Commits a batch, with a power loss in 1 of 60 and an error, which it recovers from, in 6 of 60.
    fn commit(
        &mut self,
        _: usize,
        batch: Vec<Request>,
        wall: UnixTime,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) -> Result<Vec<(Request, Response)>, PowerLost> {
        self.set_time(wall);
        if !self.faults_stopped {
            match rng.u32(0..60) {
                0 => self.inject(Fault::Stop, rng),
                1..4 => self.inject(Fault::Error(ffi::SQLITE_IOERR), rng),
                4..7 => {
                    let fault = Fault::FailedSync(Cut::Random(rng.u64(..)));
                    self.machine.disk.inject(When::Next(atm_faulty_vfs::Operation::Sync, "-wal", 0), fault);
                }
                _ => {}
            }
        }
        let responses = self.serve(batch, rng);
        if self.machine.disk.is_stopped() {
            // All or none were answered before.
            self.restart(rng, auditor);
            return responses.ok_or(PowerLost);
        }
        self.machine.disk.cancel();
        if responses.is_none() {
            auditor.violation("a batch is not settled, although the disk has power".to_owned());
        }
        self.report_entries(rng, auditor);
        responses.ok_or(PowerLost)
    }

    /// Power is lost while `batch` is committed, or soon after.
    fn lose_power(
        &mut self,
        _: usize,
        batch: Vec<Request>,
        wall: UnixTime,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) {
        self.set_time(wall);
        self.inject(Fault::Stop, rng);
        let _ = self.serve(batch, rng);
        self.restart(rng, auditor);
    }

    fn stop_faults(&mut self) {
        self.faults_stopped = true;
    }

    fn doubts(&self) -> u64 {
        self.doubts
    }

    /// The balance, and what is wrong with the tables. With cards, their rows were compared after each commit.
    fn verify(&mut self) -> (Amount, Vec<String>) {
        if let Some(cards) = &self.cards {
            let rows = self.machine.connect().and_then(|connection| entries::rows(&connection, &cards.bank));
            return match rows.map(|rows| rows.balances.iter().sum::<i128>()) {
                Ok(sum) => {
                    (u64::try_from(sum).ok().and_then(Amount::from_minor).unwrap_or_default(), Vec::new())
                }
                Err(error) => (Amount::ZERO, vec![error.to_string()]),
            };
        }
        match self.machine.connect().and_then(|connection| tables::audit(&connection)) {
            Ok(Tables { balance, faults, .. }) => (Amount::from_minor(balance).unwrap_or_default(), faults),
            Err(error) => (Amount::ZERO, vec![error.to_string()]),
        }
    }
}
