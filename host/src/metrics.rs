//! Metrics: the counters, gauges and histograms of a running server. A scrape shows all of them at one moment.
use atm_core::ledger::{Admission, Operation, Outcome, Refusal, Rejection, Request, Response};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

pub mod page;
mod request;
mod text;

/// Upper bounds of a histogram's buckets, in microseconds.
const BOUNDS: [u64; 11] = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// How long the ledger's store may be at work on a batch.
const STALLED: Duration = Duration::from_secs(10);

/// The kinds of operations, in the words of the `json` wire.
const OPERATIONS: [&str; 8] =
    ["balance", "deposit", "withdrawal", "verification", "pin-change", "transfer", "payee", "statement"];

/// The codes of outcomes.
const OUTCOMES: [&str; 4] = ["done", "refused", "not-done", "unknown"];

fn operation_index(operation: Operation) -> usize {
    match operation {
        Operation::Inquiry => 0,
        Operation::Deposit(_) => 1,
        Operation::Withdraw(_) | Operation::WithdrawAll => 2,
        Operation::Verify => 3,
        Operation::ChangePin => 4,
        Operation::Transfer { .. } => 5,
        Operation::LookUp { .. } => 6,
        Operation::Statement => 7,
    }
}

/// The kind of an operation in a word.
pub fn operation_word(operation: Operation) -> &'static str {
    OPERATIONS.get(operation_index(operation)).unwrap_or(&"")
}

/// The metrics of a server, which one thread updates and another one shows.
#[derive(Debug)]
pub struct Metrics {
    /// When the process started, in seconds since 1970.
    started: f64,
    counters: Mutex<Counters>,
}

impl Default for Metrics {
    fn default() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: since.as_secs_f64(), counters: Mutex::default() }
    }
}

impl Metrics {
    /// Changes some of them: a scrape sees all of these changes, or none.
    pub fn update(&self, change: impl FnOnce(&mut Counters)) {
        // A change that panicked has left numbers, which are shown as they are.
        change(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Copies them: no change lies between two of the copied values.
    fn snapshot(&self) -> Counters {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The values. Each is of the time since the server's start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Sessions that were opened.
    pub sessions: u64,
    /// Sessions that are open.
    pub open_sessions: u64,
    /// Connections, and hellos under new names, that were turned away for lack of room.
    pub turned_away: u64,
    /// Faulty or incomplete frames, which were discarded.
    pub discarded: u64,
    /// Frames that met with silence: they are not authentic, or in clear where only sealed ones are read.
    pub unauthentic: u64,
    /// Sealed hellos whose key was not computed, because too many were in a minute.
    pub unserved_keys: u64,
    /// TLS sessions that have failed.
    pub tls_failures: u64,
    /// Connections that were ended because of who their terminal is: another name than in the certificate, not enrolled, revoked, or
    /// out of service.
    pub refused_terminals: u64,
    /// Times that an alarm about refused verifications was raised.
    pub verification_alarms: u64,
    /// Cards that wrong PINs have blocked.
    pub blocked_cards: u64,
    /// Duplicate requests: their idempotency key was used before.
    pub duplicates: u64,
    /// Commits of the ledger.
    pub commits: u64,
    /// Requests in those commits.
    pub batched: u64,
    /// Entries that were written.
    pub entries: u64,
    /// Batches that were put off, because another transaction was in their way.
    pub retries: u64,
    /// Commits that returned an error and were in doubt.
    pub doubts: u64,
    /// Commits in doubt that were settled.
    pub settled: u64,
    /// Times that the database was opened anew after a fault.
    pub reconnects: u64,
    /// A commit is in doubt.
    pub is_in_doubt: bool,
    /// Another process has taken the journal over.
    pub is_fenced: bool,
    /// The length of the ledger's write-ahead log, in bytes.
    pub log_bytes: u64,
    /// Whether the ledger on disk, or in a database, is open; `None` without one. It is closed while a fault lasts.
    pub is_ledger_open: Option<bool>,
    /// Another transaction has kept batches waiting for long.
    pub is_blocked: bool,
    /// Since when the ledger's store has been at work on a batch, if it is.
    pub ledger_at_work: Option<Instant>,
    /// The server stops.
    pub is_stopping: bool,
    /// How long each sync of the ledger's files took.
    pub syncs: Histogram,
    set_backs: u64,
    refused_verifications: u64,
    outcomes: [u64; OUTCOMES.len()],
    /// By kind of operation.
    latencies: [Histogram; OPERATIONS.len()],
}

impl Counters {
    /// Counts the outcome of an operation, a name for which there is no room, a request after a revocation, or the proof that the
    /// ledger was set back.
    ///
    /// Where a terminal asks for an earlier operation's outcome, done and refused were counted with the operation.
    pub fn count_response(&mut self, request: &Request, response: &Response) {
        match response {
            Response::Settled { outcome: Outcome::Done(_) | Outcome::Refused(_), .. }
                if request.command.operation().is_none() => {}
            Response::Settled { outcome, .. } => {
                // A settling request, whose verification was counted, is above.
                self.refused_verifications += u64::from(*outcome == Outcome::Refused(Refusal::NotVerified));
                self.count_outcome(outcome.code());
            }
            Response::Statement { .. } => self.count_outcome("done"),
            Response::Admitted(Admission { set_back: Some(_), .. })
            | Response::Rejected(Rejection::SetBack(_)) => {
                self.set_backs += 1;
            }
            Response::Rejected(Rejection::Full) => self.turned_away += 1,
            Response::Rejected(Rejection::Revoked) => self.refused_terminals += 1,
            _ => {}
        }
    }

    fn count_outcome(&mut self, outcome: &str) {
        let counts = OUTCOMES.iter().zip(&mut self.outcomes);
        counts.filter(|(code, _)| **code == outcome).for_each(|(_, count)| *count += 1);
    }

    /// Records the time from the request of an operation until its outcome is to be sent.
    pub fn observe_operation(&mut self, operation: Operation, took: Duration) {
        if let Some(latencies) = self.latencies.get_mut(operation_index(operation)) {
            latencies.observe(took);
        }
    }

    /// Whether the ledger's store has been at work on one batch for longer than an exchange with a database may take.
    fn is_ledger_stalled(&self) -> bool {
        self.ledger_at_work.is_some_and(|since| since.elapsed() > STALLED)
    }

    /// Why the server is not healthy, if it is not.
    fn fault(&self) -> Option<&'static str> {
        match self.is_ledger_open {
            _ if self.is_stopping => Some("the server is stopping"),
            Some(false) => Some("the ledger is closed by a fault"),
            _ if self.is_blocked => Some("another transaction keeps rows of the ledger locked"),
            _ if self.is_ledger_stalled() => Some("the ledger has not answered for more than 10 s"),
            Some(true) | None => None,
        }
    }
}

/// Durations by bucket.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Of each bound the durations up to it and above the bound before, then those above all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    sum_micros: u64,
}

impl Histogram {
    /// Records a duration.
    pub fn observe(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros = self.sum_micros.saturating_add(micros);
        let bucket = BOUNDS.iter().position(|most| micros <= *most).unwrap_or(BOUNDS.len());
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
    }
}
