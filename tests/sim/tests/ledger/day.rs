//! A scripted day of a ledger, which goes on after any crash where it was.
use crate::callers::{Ask, Callers, units};
use atm_core::ledger::{Operation, Request};
use atm_host::ledger::{committer::GroupCommitter, sqlite::Sqlite};
use atm_sim::{faulty_disk::Machine, tables};
use rusqlite::Connection;

const KIOSKS: [&str; 6] = ["kiosk-0", "kiosk-1", "kiosk-2", "kiosk-3", "kiosk-4", "kiosk-5"];

/// Attempts of a process to settle a batch: more than the faults of a test.
const ATTEMPTS: usize = 12;

enum Step {
    Batch(Vec<Ask>),
    /// Another process copies the write-ahead log to the database.
    Checkpoint,
    /// The process ends in order, and another one starts.
    Restart,
}

fn steps() -> Vec<Step> {
    use Ask::*;
    use Operation::{Deposit, Inquiry, Withdraw, WithdrawAll};
    let round = |amount| {
        let deposit = |name| New(name, Deposit(units(amount)));
        Step::Batch(KIOSKS.into_iter().map(deposit).collect())
    };
    let batch = |asks: &[Ask]| Step::Batch(asks.to_vec());
    vec![
        Step::Batch(["a", "b", "c"].into_iter().chain(KIOSKS).map(Hello).collect()),
        batch(&[Reserve("b"), New("a", Deposit(units(40)))]),
        batch(&[Duplicate("a"), New("b", Withdraw(units(15)))]),
        batch(&[Void("a"), New("b", Withdraw(units(5000)))]),
        batch(&[Unnamed(Deposit(units(7))), Unnamed(Inquiry), Unnamed(Withdraw(units(9000)))]),
        round(1),
        Step::Checkpoint,
        batch(&[New("a", WithdrawAll), Settle("b"), New("c", Inquiry)]),
        batch(&[New("a", WithdrawAll), Duplicate("a")]),
        batch(&[SetBack("c")]),
        batch(&[New("c", Deposit(units(2))), Hello("b")]),
        round(2),
        Step::Restart,
        batch(&[Stale("c"), Duplicate("c"), Unnamed(Deposit(units(3)))]),
        round(3),
        Step::Checkpoint,
        batch(&[Unnamed(WithdrawAll), Reserve("c")]),
        round(4),
    ]
}

/// The requests of a day, batch by batch.
pub(crate) fn batches() -> Vec<Vec<Ask>> {
    let batch = |step| match step {
        Step::Batch(asks) => Some(asks),
        Step::Checkpoint | Step::Restart => None,
    };
    steps().into_iter().filter_map(batch).collect()
}

/// The machine has stopped.
#[derive(Debug)]
pub(crate) struct Stopped;

/// How far a day has come.
#[derive(Clone)]
pub(crate) struct Day {
    pub callers: Callers,
    step: usize,
    owner: u64,
    /// Requests without a response.
    pub in_flight: Vec<Request>,
}

/// The process of a day and, beside it, one that reads.
#[derive(Default)]
pub(crate) struct Processes {
    pub committer: Option<GroupCommitter<Sqlite>>,
    reader: Option<Connection>,
    reads: bool,
    /// Called before each attempt to commit or settle a batch, with its number.
    pub before_attempt: Option<Box<dyn FnMut(usize)>>,
}

impl Processes {
    /// With a second process that has a snapshot open, another one in each step.
    pub(crate) fn with_reader() -> Self {
        Self { reads: true, ..Self::default() }
    }
}

impl Day {
    pub(crate) fn new() -> Self {
        Self { callers: Callers::default(), step: 0, owner: 0, in_flight: Vec::new() }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.step == steps().len()
    }

    /// Goes on to the end. A process that cannot open its ledger is started again.
    ///
    /// # Errors
    /// The machine has stopped.
    pub(crate) fn run(&mut self, machine: &Machine, processes: &mut Processes) -> Result<(), Stopped> {
        while !self.is_over() {
            self.step(machine, processes)?;
        }
        Ok(())
    }

    /// Does the next step.
    ///
    /// # Errors
    /// The machine has stopped.
    pub(crate) fn step(&mut self, machine: &Machine, processes: &mut Processes) -> Result<(), Stopped> {
        if processes.committer.is_none() {
            self.start(machine, processes)?;
            if self.is_over() {
                return Ok(());
            }
        }
        if processes.reads {
            let reader = processes.reader.take().filter(|_| !self.step.is_multiple_of(3));
            processes.reader = reader.or_else(|| machine.connect().ok());
            // A snapshot that lasts until the next step. Where a fault hits it, there is none.
            if let Some(reader) = &processes.reader {
                let _ = reader.execute_batch("ROLLBACK");
                let _ = reader.execute_batch("BEGIN; SELECT count(*) FROM entries");
            }
        }
        match &steps()[self.step] {
            Step::Batch(asks) => {
                let requests = asks.iter().map(|ask| self.callers.request(*ask)).collect::<Vec<_>>();
                self.in_flight.clone_from(&requests);
                self.serve(machine, processes, requests)?;
                self.in_flight.clear();
            }
            Step::Checkpoint => {
                let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
                let _ = machine.connect().and_then(|other| other.query_row(checkpoint, [], |_| Ok(())));
            }
            Step::Restart => {
                if let Some(committer) = processes.committer.take() {
                    committer.close();
                }
            }
        }
        self.step += 1;
        if machine.disk.is_stopped() { Err(Stopped) } else { Ok(()) }
    }

    /// Starts a process. What was in flight is settled first.
    fn start(&mut self, machine: &Machine, processes: &mut Processes) -> Result<(), Stopped> {
        for attempt in 0.. {
            self.owner += 1;
            match machine.start(self.owner) {
                Ok(committer) => {
                    processes.committer = Some(committer);
                    break;
                }
                Err(_) if machine.disk.is_stopped() => return Err(Stopped),
                Err(fault) => assert!(attempt < 3, "{fault}"),
            }
        }
        if !self.in_flight.is_empty() {
            for asks in self.callers.after_start(&self.in_flight, self.step.is_multiple_of(2)) {
                let requests = asks.into_iter().map(|ask| self.callers.request(ask)).collect();
                self.serve(machine, processes, requests)?;
            }
            // The step of these requests is done.
            self.in_flight.clear();
            self.step += 1;
        }
        Ok(())
    }

    fn serve(
        &mut self,
        machine: &Machine,
        processes: &mut Processes,
        requests: Vec<Request>,
    ) -> Result<(), Stopped> {
        let mut left = requests.len();
        let committer = processes.committer.as_mut().unwrap();
        for request in requests {
            committer.submit(request).map_err(|_| Stopped)?;
        }
        for attempt in 0..ATTEMPTS {
            if let Some(before) = &mut processes.before_attempt {
                before(attempt);
            }
            committer.commit();
            let Ok(responses) = committer.responses() else {
                assert!(machine.disk.is_stopped(), "the ledger is closed for good");
                return Err(Stopped);
            };
            left -= responses.len();
            responses.iter().for_each(|(request, response)| self.callers.hear(request, response));
            if left == 0 {
                return Ok(());
            }
            if machine.disk.is_stopped() {
                return Err(Stopped);
            }
        }
        panic!("{left} requests are not settled");
    }

    /// Compares the tables with what was acknowledged, on a copy: a connection that is closed changes its files.
    pub(crate) fn check(&self, machine: &Machine) {
        let machine = machine.kill();
        // A database that was never made has acknowledged nothing.
        let has_tables = || {
            let connection = machine.connect()?;
            connection.query_row("SELECT count(*) > 0 FROM sqlite_schema", [], |row| row.get(0))
        };
        if self.step == 0 && !has_tables().unwrap_or(false) {
            return;
        }
        let tables = tables::audit(&machine.connect().unwrap()).unwrap();
        self.callers.check(&tables, &self.in_flight);
    }
}
