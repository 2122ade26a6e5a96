//! The ledger alone: ledger threads as in a server, without sockets and sealed links, which deposit into accounts at random by card.
//!
//! Each has a journal of its own and an equal share of the terminals. All its terminals have a request in each batch.
use super::{Sample, Timing, bank::Bank, hosts::SharedLedger, median, signals};
use atm_core::{
    ledger::{
        Command, Epoch, HelloClaim, Name, Numbers, Operation, Origin, Outcome, Receipt, Request, Response,
        Ticket,
        card::{Access, CardRequest, Limits},
    },
    money::Amount,
};
use atm_host::{
    clock::unix_time,
    ledger::{committer::GroupCommitter, folder::Folder, postgres::Postgres},
    metrics::Metrics,
};
use std::{
    collections::HashMap,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Measures so many ledger threads with so many terminals in all.
///
/// # Errors
/// A ledger failed, or refused a deposit.
pub(super) fn measure(
    ledger: &SharedLedger,
    threads: usize,
    sessions: usize,
    timing: Timing,
) -> Result<Sample, String> {
    let bank = ledger.bank.as_ref().ok_or("the ledger has no cards")?;
    let metrics = Arc::new(Metrics::default());
    let mut workers = Vec::new();
    for number in 0..threads {
        let folder = Folder::lock(&ledger.folder.path().join(format!("ledger-{number}"))).map_err(text)?;
        let mark = folder.open_mark().map_err(text)?;
        let store = Postgres::open(ledger.database()?, &format!("ledger-{number}"), mark).map_err(text)?;
        let mut committer =
            GroupCommitter::open(store, fastrand::u64(..), Box::new(unix_time), metrics.clone())
                .map_err(text)?;
        let most = Amount::MAX;
        committer.set_limits(Limits { withdrawal: most, day: most });
        let names = (number..sessions).step_by(threads).map(|index| format!("alone-{index}").parse());
        let names = names.collect::<Result<Vec<Name>, _>>().map_err(|error| format!("{error:?}"))?;
        workers.push(Worker { committer, terminals: HashMap::new(), _folder: folder }.hello(names)?);
    }
    let sample = ledger.observe(|| {
        let barrier = Barrier::new(threads);
        let results: Result<Vec<Counts>, String> = thread::scope(|scope| {
            let run = |worker: Worker| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    worker.run(bank, timing)
                })
            };
            let running: Vec<_> = workers.into_iter().map(run).collect();
            running.into_iter().map(|thread| thread.join().expect("a ledger thread panicked")).collect()
        });
        let results = results?;
        let mut latencies: Vec<f64> = results.iter().flat_map(|counts| counts.latencies.clone()).collect();
        latencies.sort_by(f64::total_cmp);
        let p99 = latencies.get(latencies.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default();
        let time = |seconds| Some(Duration::from_secs_f64(seconds));
        let sample = Sample {
            throughput: results.iter().map(|counts| counts.rate).sum(),
            p50: time(median(latencies)),
            p99: time(p99),
            cpu_share: None,
            database: None,
        };
        Ok((sample, results.iter().map(|counts| counts.all).sum()))
    })?;
    let mut retries = 0;
    metrics.update(|counters| retries = counters.retries);
    let database = sample.database.map(|used| super::DatabaseUse { retries, ..used });
    Ok(Sample { database, ..sample })
}

/// A ledger thread with its terminals: their turns and numbers.
struct Worker {
    committer: GroupCommitter<Postgres>,
    terminals: HashMap<Name, (u32, Numbers)>,
    _folder: Folder,
}

/// The deposits of one thread.
struct Counts {
    /// In the measured time, a second.
    rate: f64,
    all: u64,
    /// Of the batches in the measured time, in seconds.
    latencies: Vec<f64>,
}

fn request(name: &Name, turn: u32, command: Command) -> Request {
    Request { ticket: Ticket::default(), origin: Origin::Terminal(name.clone()), turn, command }
}

impl Worker {
    /// Says hello under each name.
    fn hello(mut self, names: Vec<Name>) -> Result<Self, String> {
        let epoch = Epoch::clear(unix_time().millis(), 1);
        let hello = Command::Hello(HelloClaim { epoch, admit_equal: false, ledger: None, seen: 0 });
        for (request, response) in self.commit(names.iter().map(|name| request(name, 0, hello)).collect())? {
            let (Origin::Terminal(name), Response::Admitted(admission)) = (request.origin, response) else {
                return Err(format!("a hello was answered with {response:?}"));
            };
            self.terminals.insert(name, (admission.turn, admission.numbers));
        }
        Ok(self)
    }

    /// Commits requests as one batch.
    fn commit(&mut self, requests: Vec<Request>) -> Result<Vec<(Request, Response)>, String> {
        let failed = |_| "the ledger has failed".to_owned();
        let count = requests.len();
        for request in requests {
            self.committer.submit(request).map_err(failed)?;
        }
        let mut answered = Vec::new();
        loop {
            if self.committer.has_work() {
                self.committer.commit();
            }
            answered.extend(self.committer.responses().map_err(failed)?);
            match self.committer.deadline() {
                _ if answered.len() == count => return Ok(answered),
                Some(at) => thread::sleep(at.saturating_duration_since(Instant::now())),
                None => return Err("a request has no response".to_owned()),
            }
        }
    }

    fn run(mut self, bank: &Bank, timing: Timing) -> Result<Counts, String> {
        let mut rng = fastrand::Rng::new();
        let one = Amount::from_units(1).unwrap_or(Amount::ZERO);
        let warm = Instant::now() + timing.warm_up;
        let until = warm + timing.duration;
        let (mut counted, mut first, mut all, mut latencies) = (0u64, None, 0u64, Vec::new());
        loop {
            let began = Instant::now();
            if began >= until || signals::stopped() {
                break;
            }
            let requests = self.terminals.iter_mut().map(|(name, (turn, numbers))| {
                let card = &bank.cards[rng.usize(..bank.cards.len())];
                let access = Access { token: card.claim.newest(), version: 0, account: card.account };
                let deposit = CardRequest::Operate { access, operation: Operation::Deposit(one) };
                let command = match numbers.take() {
                    Some(id) => Command::Card { id, request: deposit },
                    None => Command::Reserve,
                };
                request(name, *turn, command)
            });
            let requests = requests.collect();
            let mut done = 0;
            for (request, response) in self.commit(requests)? {
                match (request.origin, response) {
                    (_, Response::Settled { outcome: Outcome::Done(Receipt::Deposited { .. }), .. }) => {
                        done += 1
                    }
                    (Origin::Terminal(name), Response::Reserved(block)) => {
                        if let Some((_, numbers)) = self.terminals.get_mut(&name) {
                            *numbers = block;
                        }
                    }
                    (_, other) => return Err(format!("a deposit was answered with {other:?}")),
                }
            }
            all += done;
            if began >= warm {
                first.get_or_insert(began);
                counted += done;
                latencies.push(began.elapsed().as_secs_f64());
            }
        }
        let elapsed = first.map_or(f64::INFINITY, |first: Instant| first.elapsed().as_secs_f64());
        self.committer.close();
        Ok(Counts { rate: counted as f64 / elapsed, all, latencies })
    }
}
