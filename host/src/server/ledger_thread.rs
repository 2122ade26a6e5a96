//! Ledger thread: commits the event loop's requests to a store that is reached over a network, so that the loop never waits
//! for it.
//!
//! The thread takes what was submitted while it committed, and commits that as its next batch. Rows of terminals that the
//! loop asks for are read between two batches. While nothing comes, it asks the store whether it answers.
use super::committer::Committer;
use crate::{
    access::Enrolment,
    ledger::{batch::Answered, committer::GroupCommitter, folder::Folder, store::Store},
};
use atm_core::ledger::{InDoubt, Name, Request};
use mio::Waker;
use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    task::Poll,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long the thread waits for an order before it asks the store whether it answers.
pub(super) const PROBE_AFTER: Duration = Duration::from_secs(2);

/// What a terminal's row says about who may use its name.
type ReadRow = Result<Option<Enrolment>, InDoubt>;

/// What the loop sends to the thread.
#[expect(clippy::large_enum_variant, reason = "most are the large one")]
enum Order {
    /// A request, and when it was submitted.
    Commit(Request, Instant),
    Read(Name),
    /// To commit what was sent before, and to end.
    Close,
}

/// What the thread has for the loop.
#[derive(Default)]
struct Results {
    answered: Vec<Answered>,
    rows: Vec<(Name, ReadRow)>,
    failure: Option<String>,
}

/// What both see.
#[derive(Default)]
struct Shared {
    results: Mutex<Results>,
    is_full: AtomicBool,
    has_failed: AtomicBool,
}

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Results) -> T) -> T {
        // A change that panicked has left lists, which are taken as they are.
        change(&mut self.results.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A ledger in a thread of its own.
pub(super) struct LedgerThread {
    orders: Sender<Order>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<bool>>,
    /// The rows that were read last and that no connection has taken.
    rows: HashMap<Name, ReadRow>,
    reading: HashSet<Name>,
}

impl LedgerThread {
    /// Starts the thread, which keeps `folder` locked. `waker` wakes the event loop when there is something for it.
    ///
    /// # Errors
    /// The system has no room for another thread.
    pub(super) fn start<S: Store + 'static>(
        committer: GroupCommitter<S>,
        folder: Folder,
        waker: Arc<Waker>,
    ) -> io::Result<Self> {
        let (orders, received) = channel();
        let shared = Arc::new(Shared::default());
        let worker = Worker { committer, _folder: folder, received, shared: shared.clone(), waker };
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || worker.run())?;
        Ok(Self { orders, shared, thread: Some(thread), rows: HashMap::new(), reading: HashSet::new() })
    }
}

impl Committer for LedgerThread {
    fn submit(&mut self, request: Request) -> Result<Option<Answered>, InDoubt> {
        if self.shared.has_failed.load(Ordering::Acquire) {
            return Err(InDoubt);
        }
        self.orders.send(Order::Commit(request, Instant::now())).map(|()| None).map_err(|_| InDoubt)
    }

    fn is_full(&self) -> bool {
        self.shared.is_full.load(Ordering::Relaxed)
    }

    fn enrolment(&mut self, name: &Name) -> Poll<ReadRow> {
        if let Some(row) = self.rows.remove(name) {
            return Poll::Ready(row);
        }
        if self.reading.contains(name) {
            return Poll::Pending;
        }
        match self.orders.send(Order::Read(name.clone())) {
            Ok(()) => {
                self.reading.insert(name.clone());
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(InDoubt)),
        }
    }

    fn take_rows(&mut self) {
        let read = self.shared.with(|results| std::mem::take(&mut results.rows));
        self.rows.clear();
        for (name, row) in read {
            self.reading.remove(&name);
            self.rows.insert(name, row);
        }
    }

    fn responses(&mut self) -> Result<Vec<Answered>, InDoubt> {
        let has_failed = self.shared.has_failed.load(Ordering::Acquire);
        let answered = self.shared.with(|results| std::mem::take(&mut results.answered));
        if answered.is_empty() && has_failed { Err(InDoubt) } else { Ok(answered) }
    }

    fn failure(&self) -> Option<String> {
        self.shared.with(|results| results.failure.clone())
    }

    fn close(mut self: Box<Self>) -> bool {
        // Fails where the thread has ended.
        let _ = self.orders.send(Order::Close);
        self.thread.take().is_some_and(|thread| thread.join().unwrap_or(false))
    }
}

/// The thread's side.
struct Worker<S> {
    committer: GroupCommitter<S>,
    /// Unlocked last.
    _folder: Folder,
    received: Receiver<Order>,
    shared: Arc<Shared>,
    waker: Arc<Waker>,
}

impl<S: Store> Worker<S> {
    /// Runs until the loop closes the ledger or is gone; returns whether it was closed in order.
    fn run(mut self) -> bool {
        let mut names = Vec::new();
        loop {
            let mut closes = false;
            let first = self.wait();
            let is_idle = first.is_none();
            for order in first.into_iter().chain(std::iter::from_fn(|| self.received.try_recv().ok())) {
                match order {
                    // What fails is submitted to a ledger that has failed for good, which the loop learns below.
                    Order::Commit(request, at) => drop(self.committer.submit_since(request, at)),
                    Order::Read(name) => names.push(name),
                    Order::Close => closes = true,
                }
            }
            if self.committer.has_work() {
                self.committer.commit();
            } else if is_idle {
                self.committer.probe();
            }
            let rows: Vec<_> = names
                .drain(..)
                .map(|name: Name| {
                    let row = self.committer.enrolment(&name);
                    (name, row)
                })
                .collect();
            self.publish(rows);
            if closes {
                return self.committer.close();
            }
        }
    }

    /// The next order; `None` if a batch is worth another attempt before one comes, or none has come for a while.
    fn wait(&self) -> Option<Order> {
        let wait = match self.committer.deadline() {
            None => PROBE_AFTER,
            Some(at) => at.saturating_duration_since(Instant::now()),
        };
        match self.received.recv_timeout(wait) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Order::Close),
        }
    }

    fn publish(&mut self, rows: Vec<(Name, ReadRow)>) {
        let answered = self.committer.responses().unwrap_or_default();
        let (is_full, has_failed) = (self.committer.is_full(), self.committer.has_failed());
        self.shared.is_full.store(is_full, Ordering::Relaxed);
        if answered.is_empty() && rows.is_empty() && !has_failed {
            return;
        }
        self.shared.with(|results| {
            results.answered.extend(answered);
            results.rows.extend(rows);
            results.failure = self.committer.failure().map(str::to_owned);
        });
        self.shared.has_failed.store(has_failed, Ordering::Release);
        // Without it the loop finds the results at its next turn.
        let _ = self.waker.wake();
    }
}
