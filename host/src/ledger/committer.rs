//! Group commit: queues the requests of one event-loop turn, commits them as one batch, and settles a batch whose commit
//! is in doubt by a write.
//!
//! A commit that returned an error may stand or not, and reading does not tell: after a failed sync SQLite was seen to
//! report a commit as missing that was there after the next start. So the committer opens the database anew and commits a
//! settling write: under the lock of the journal's row it compares the journal's head with those that the batch may have
//! left, raises the journal's epoch, and voids what did not stand. Only when that commit is acknowledged is anything
//! said. A settling write in doubt is done again.
use super::{
    batch::{Answered, Batch, MAX_NAMES},
    store::{Head, Store, StoreFault, Turn},
};
use crate::{log::LEDGER, metrics::Metrics, names::NameQuota};
use atm_core::{
    ledger::{Command, InDoubt, Outcome, Rejection, Request, Response, card::Limits},
    time::UnixTime,
};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{error, field::display, info};

mod block;
mod doubt;
mod fence;
mod health;
mod unnamed;

use block::Block;
use doubt::Doubt;

/// Requests of one commit, at most.
const BATCH: usize = 4096;

/// Requests that may wait for the end of a fault before new sessions are turned away: each takes some hundred bytes.
const WAITING: usize = 1 << 17;

/// The wait before another process's transaction is asked for again.
const BUSY_RETRY: Duration = Duration::from_millis(5);

/// Tells the wall-clock time.
pub type Clock = Box<dyn Fn() -> UnixTime + Send>;

/// Commits requests to a store.
pub struct GroupCommitter<S> {
    store: S,
    turn: Turn,
    /// The journal as the last commit left it.
    head: Head,
    queue: VecDeque<Request>,
    /// When the first request in the queue was submitted; it may be of an earlier one.
    waiting_since: Instant,
    /// Requests at the front of the queue that are committed one by one.
    apart: usize,
    answered: Vec<Answered>,
    state: State,
    /// When [`commit`](Self::commit) is worth another attempt.
    retry_at: Option<Instant>,
    clock: Clock,
    metrics: Arc<Metrics>,
    names: NameQuota,
    limits: Option<Limits>,
    /// When the journal was found to be this process's last.
    served_at: UnixTime,
    /// Why the ledger has failed for good, if it has.
    failure: Option<String>,
    /// When the present batch began.
    began: Instant,
    /// The other transaction that is in the way of batches.
    block: Option<Block>,
}

enum State {
    Open,
    /// The last commit is in doubt, or the database could not be read.
    InDoubt(Box<Doubt>),
    /// It answers nothing any more.
    Failed,
}

impl<S: Store> GroupCommitter<S> {
    /// Takes the store's journal over: raises its epoch, which fences every other process that writes to it.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn open(mut store: S, owner: u64, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, StoreFault> {
        let mut batch = store.load(&mut std::iter::empty())?;
        let turn = Turn { epoch: batch.turn.epoch.saturating_add(1), owner };
        let head = Head { batches: batch.head.batches.saturating_add(1), ..batch.head };
        (batch.head, batch.turn) = (head, turn);
        store.save(&batch)?;
        // A database that hosts share loads no account here.
        let (ledger, account) = (batch.ledger, batch.account.0);
        let balance = (account.version > 0).then_some(display(account.balance));
        info!(target: LEDGER, %ledger, entries = head.number, balance, epoch = turn.epoch, "the ledger is open");
        metrics.update(|counters| counters.is_ledger_open = Some(true));
        let (queue, answered, state, retry_at) = (VecDeque::new(), Vec::new(), State::Open, None);
        let (served_at, waiting_since, failure) = (clock(), Instant::now(), None);
        let names = NameQuota::new(MAX_NAMES, u32::MAX, Instant::now());
        Ok(Self {
            store,
            turn,
            head,
            queue,
            waiting_since,
            apart: 0,
            answered,
            state,
            retry_at,
            clock,
            metrics,
            names,
            limits: None,
            served_at,
            failure,
            began: waiting_since,
            block: None,
        })
    }

    /// Caps new names: without a quota the store's limit is the only one.
    pub fn set_name_quota(&mut self, quota: NameQuota) {
        self.names = quota;
    }

    /// Serves cards, with these limits: from here on nothing is done without one. Before, access is open.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = Some(limits);
    }

    /// Queues a request.
    ///
    /// # Errors
    /// The ledger has failed for good.
    pub fn submit(&mut self, request: Request) -> Result<(), InDoubt> {
        self.submit_since(request, Instant::now())
    }

    /// Queues a request that has waited since then.
    ///
    /// # Errors
    /// The ledger has failed for good.
    pub fn submit_since(&mut self, request: Request, since: Instant) -> Result<(), InDoubt> {
        if matches!(self.state, State::Failed) {
            return Err(InDoubt);
        }
        self.waiting_since = if self.queue.is_empty() { since } else { since.min(self.waiting_since) };
        self.queue.push_back(request);
        if matches!(self.state, State::InDoubt(_)) {
            self.withdraw_unnamed();
        }
        Ok(())
    }

    /// Drops the requests that are still queued, for which nothing was done.
    pub fn clear_queue(&mut self) {
        if matches!(self.state, State::Open) {
            self.retry_at = None;
        }
        self.apart = 0;
        self.queue.clear();
    }

    /// Whether the ledger has failed for good.
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// Why the ledger has failed for good, if it has.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether [`commit`](Self::commit) would do something now.
    pub fn has_work(&self) -> bool {
        let is_due = self.retry_at.is_none_or(|at| at <= Instant::now());
        match &self.state {
            State::Open => is_due && (!self.queue.is_empty() || self.is_blocked()),
            State::InDoubt(_) => is_due,
            State::Failed => false,
        }
    }

    /// When [`commit`](Self::commit) is worth another attempt, if it waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether so many requests wait for the end of a fault that new sessions are to be turned away.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= WAITING
    }

    /// Takes the responses that have come since the last call.
    ///
    /// # Errors
    /// The ledger has failed for good, and every response before that was taken.
    pub fn responses(&mut self) -> Result<Vec<Answered>, InDoubt> {
        let is_over = self.answered.is_empty() && matches!(self.state, State::Failed);
        if is_over { Err(InDoubt) } else { Ok(std::mem::take(&mut self.answered)) }
    }

    /// Commits what is queued, or settles what is in doubt.
    pub fn commit(&mut self) {
        self.retry_at = None;
        self.begin_work();
        if matches!(self.state, State::InDoubt(_)) {
            self.settle();
        }
        while matches!(self.state, State::Open) && self.retry_at.is_none() && !self.queue.is_empty() {
            self.withdraw_late();
            let limit = if self.apart > 0 { 1 } else { BATCH };
            self.apart = self.apart.saturating_sub(1);
            let requests: Vec<_> = self.queue.drain(..self.queue.len().min(limit)).collect();
            if !requests.is_empty() {
                self.commit_batch(requests);
            }
            // Each batch has its own time.
            self.begin_work();
        }
        self.end_work();
        if self.queue.is_empty() && self.retry_at.is_none() && self.is_blocked() {
            self.probe();
        }
    }

    /// Commits what is queued and closes the store; false if a batch is left in doubt or the store could not be closed
    /// in order.
    pub fn close(mut self) -> bool {
        self.commit();
        if matches!(self.state, State::InDoubt(_)) {
            error!(target: LEDGER, "stopped before the last requests were settled: their terminals ask for the outcome");
            return false;
        }
        let closed = self.store.close();
        if let Err(error) = &closed {
            error!(target: LEDGER, %error, "the ledger could not be closed in order");
        }
        closed.is_ok() && matches!(self.state, State::Open)
    }

    fn commit_batch(&mut self, requests: Vec<Request>) {
        let Some((requests, mut batch)) = self.begin(requests) else { return };
        if self.is_late(&requests) {
            // The rows were waited for. The loop goes on with the others.
            self.store.abandon();
            self.put_back(requests);
            return self.withdraw_unnamed();
        }
        let (before, names, time) = (batch.head, batch.names, (self.clock)());
        batch.max_names = batch.max_names.min(self.names.limit(names, Instant::now()));
        let responses: Vec<_> = requests.iter().map(|request| batch.decide(request, time)).collect();
        let new_names = batch.names.saturating_sub(names);
        if responses.contains(&Response::Rejected(Rejection::Full)) {
            self.names.log_refusal(batch.names);
        }
        let answered = |requests: Vec<Request>| requests.into_iter().zip(responses).collect();
        if batch.is_unchanged() {
            self.store.abandon();
            self.metrics.update(|counters| counters.duplicates += batch.duplicates as u64);
            return self.answered.extend(answered(requests));
        }
        match (self.save(&mut batch, self.turn), &requests[..]) {
            (Ok(()), _) => {
                self.metrics.update(|counters| {
                    counters.duplicates += batch.duplicates as u64;
                    counters.batched += requests.len() as u64;
                    counters.blocked_cards += batch.cards.blocked();
                });
                self.names.take(new_names);
                self.answered.extend(answered(requests));
            }
            (Err(StoreFault::Busy), _) => self.wait(requests),
            (Err(StoreFault::Rejected(reason)), [request]) => self.refuse(request.clone(), &reason),
            (Err(StoreFault::Rejected(_)), _) => {
                self.apart = requests.len();
                self.put_back(requests);
            }
            (Err(fault), _) => self.doubt(&fault, before, batch.head, answered(requests), new_names),
        }
    }

    /// Begins a batch of requests under this process's turn. After a fault they are put back.
    fn begin(&mut self, requests: Vec<Request>) -> Option<(Vec<Request>, Batch)> {
        match self.load(&mut requests.iter()) {
            Ok(batch) if batch.turn == self.turn && batch.head != self.head => {
                self.store.abandon();
                let (found, own) = (batch.head, self.head);
                self.fail(&StoreFault::Damaged(format!(
                    "another program has changed the journal of this host: it is at entry {} (commit {}), and this host was at entry {} \
                     (commit {})",
                    found.number, found.batches, own.number, own.batches
                )));
            }
            Ok(batch) if batch.turn == self.turn => {
                self.served_at = (self.clock)();
                self.end_block();
                return Some((requests, batch));
            }
            Ok(batch) => {
                self.store.abandon();
                self.fail(&StoreFault::Fenced(Some(batch.turn)));
            }
            Err(StoreFault::Busy) => self.wait(requests),
            Err(fault) => {
                self.put_back(requests);
                self.doubt(&fault, self.head, self.head, Vec::new(), 0);
            }
        }
        None
    }

    /// Loads the rows that these requests touch.
    fn load(&mut self, requests: &mut dyn Iterator<Item = &Request>) -> Result<Batch, StoreFault> {
        Ok(Batch { limits: self.limits, ..self.store.load(requests)? })
    }

    /// Saves a batch, under this turn from here on, and counts.
    fn save(&mut self, batch: &mut Batch, turn: Turn) -> Result<(), StoreFault> {
        batch.head.batches = batch.head.batches.saturating_add(1);
        batch.turn = turn;
        let began = Instant::now();
        self.store.save(batch)?;
        let took = began.elapsed();
        (self.head, self.turn) = (batch.head, batch.turn);
        self.metrics.update(|counters| {
            counters.syncs.observe(took);
            counters.commits += 1;
            counters.entries += batch.entries.len() as u64;
            counters.log_bytes = self.store.log_size();
        });
        Ok(())
    }

    fn put_back(&mut self, requests: Vec<Request>) {
        requests.into_iter().rev().for_each(|request| self.queue.push_front(request));
    }

    /// Puts requests back until the other process's transaction has ended.
    fn wait(&mut self, requests: Vec<Request>) {
        self.metrics.update(|counters| counters.retries += 1);
        self.put_back(requests);
        self.note_block();
        let is_due = !self.queue.is_empty() || self.is_blocked();
        self.retry_at = is_due.then(|| Instant::now() + BUSY_RETRY);
    }

    /// Refuses a request whose row the database does not accept.
    fn refuse(&mut self, request: Request, reason: &str) {
        error!(target: LEDGER, origin = ?request.origin, reason, "a request is refused: the database does not accept its row");
        let response = match request.command {
            Command::Hello(_) => Response::Rejected(Rejection::Full),
            Command::Reserve => Response::Fenced,
            Command::Operate { id, .. } | Command::Settle { id } | Command::Card { id, .. } => {
                Response::Settled { id, outcome: Outcome::Unknown }
            }
        };
        self.answered.push((request, response));
    }
}
