//! A load: many people at once at a server that is somewhere, how fast it answers them, and whether what it tells them
//! can be so.
//!
//! [`load`] is an event loop that knows nothing of what it carries ([`dialogue`] is what it drives); [`person`] wants
//! something, types it and judges the reply, [`text`] and [`typed`] say it on a wire, and [`books`] holds what all of them
//! have moved.
#![forbid(unsafe_code)]

use crate::{
    atm_session::AtmSession,
    balance_auditor::{BalanceAuditor, Movement},
    customer::{Customer, InputStyle, OperationCounts},
    event_loop::{ConnectOptions, Control, EventLoop},
    measurements::Measurements,
    mix::Mix,
    postcard_session::PostcardSession,
    schedule::Schedule,
    text_session::TextSession,
};
use atm_core::{money::Amount, wire::Wire};
use fastrand::Rng;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Barrier, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

pub mod atm_session;
pub mod balance_auditor;
pub mod customer;
pub mod event_loop;
mod json_reader;
pub mod measurements;
pub mod mix;
pub mod postcard_session;
pub mod protocol;
pub mod report;
pub mod schedule;
pub mod text_session;

/// How long a reply may take, and how long nothing may happen while sessions open.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How often whoever watches is told how far it is.
const WATCH: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The server.
    pub address: SocketAddr,
    /// Its wire.
    pub wire: Wire,
    /// Sessions, all of them open all the time.
    pub sessions: usize,
    /// How many of them may be opening at once.
    pub burst: usize,
    /// Threads to drive them.
    pub threads: usize,
    /// How long to ask before anything counts.
    pub warm_up: Duration,
    /// How long to measure.
    pub duration: Duration,
    /// What people want.
    pub mix: Mix,
    /// How they ask for it.
    pub manner: InputStyle,
    /// Answers a second, on schedule; `None`: each as soon as the last one has its reply.
    pub rate: Option<f64>,
    /// What is drawn by chance is drawn from this.
    pub seed: u64,
    /// Others move money too: balances cannot be checked.
    pub shared: bool,
    /// How long a reply may take.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was to be done.
    pub config: Config,
    /// What was measured.
    pub measured: Measurements,
    /// The operations that were settled from beginning to end, also in the time that does not count.
    pub counts: OperationCounts,
    /// How long it took until every session was greeted.
    pub opened: Duration,
    /// Balances that were held against what was moved, and how it came out.
    pub balances: Balances,
    /// Was it stopped before its time was over?
    pub stopped: bool,
}

/// The money.
#[derive(Clone, Debug, Default)]
pub struct Balances {
    /// Before; not known where others move money too.
    pub start: Option<Amount>,
    /// After, when nothing was out any more.
    pub end: Option<Amount>,
    /// Acknowledged deposits, in minor units.
    pub deposited: i64,
    /// Acknowledged withdrawals, in minor units.
    pub withdrawn: i64,
    /// How many balances were checked.
    pub checked: u64,
    /// How many things cannot be so.
    pub wrong: u64,
    /// The first of them.
    pub faults: Vec<String>,
}

impl Report {
    /// Was nobody lost, and is all that was told so?
    pub fn is_good(&self) -> bool {
        self.measured.lost == 0 && self.balances.wrong == 0
    }
}

/// How far a load is.
#[derive(Clone, Copy, Debug)]
pub enum LoadProgress {
    /// Sessions open.
    Opening,
    /// They ask; this long ago the first of them did, and this many replies have come.
    Asking(Duration, u64),
}

/// Puts a load on a server, and tells `watch` how far it is.
///
/// # Errors
/// What makes it impossible. Lost sessions and what is told wrongly are in the report.
pub fn run(config: &Config, watch: &mut dyn FnMut(LoadProgress)) -> io::Result<Report> {
    run_until(config, watch, &AtomicBool::new(false))
}

/// The same, and stops before its time is over when `stop` is set: what was measured until then is in the report.
///
/// # Errors
/// See [`run`].
pub fn run_until(
    config: &Config,
    watch: &mut dyn FnMut(LoadProgress),
    stop: &AtomicBool,
) -> io::Result<Report> {
    let books = BalanceAuditor::default();
    match config.wire {
        Wire::Json => drive((config, stop), &books, watch, TextSession::json),
        Wire::Raw => drive((config, stop), &books, watch, TextSession::raw),
        Wire::Postcard => drive((config, stop), &books, watch, PostcardSession::new),
    }
}

/// What the threads share.
struct Shared<'a> {
    config: &'a Config,
    books: &'a BalanceAuditor,
    progress: Control<'a>,
    /// How many threads have opened their sessions.
    open: AtomicUsize,
}

/// What one thread brings.
struct Part {
    measured: Measurements,
    counts: OperationCounts,
    opened: Duration,
    end: Option<Amount>,
}

fn drive<'a, D: AtmSession<'a> + Send>(
    (config, stop): (&Config, &AtomicBool),
    books: &'a BalanceAuditor,
    watch: &mut dyn FnMut(LoadProgress),
    dialogue: impl Fn(Customer<'a>) -> D + Sync,
) -> io::Result<Report> {
    let threads = config.threads.clamp(1, config.sessions.max(1));
    let shared = Shared { config, books, progress: Control::new(stop), open: AtomicUsize::new(0) };
    // All threads wait for each other: when every session is open, when the first balance is known, when nothing is out any more.
    let barrier = Barrier::new(threads);
    // Set once every thread was spawned. Where one cannot be, the others end instead of waiting for it.
    let spawned = RwLock::new(false);
    let mut seeds = Rng::with_seed(config.seed);
    let parts = thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let mut all_spawned = spawned.write().map_err(|_| io::ErrorKind::Other)?;
        for thread in 0..threads {
            // As many each, and one more for the first ones where they do not divide.
            let sessions = (config.sessions + threads - 1 - thread) / threads;
            let seeds: Vec<u64> = (0..sessions).map(|_| seeds.u64(..)).collect();
            let (sender, shared, barrier) = (sender.clone(), &shared, &barrier);
            let (dialogue, spawned) = (&dialogue, &spawned);
            thread::Builder::new().name(format!("load {thread}")).spawn_scoped(scope, move || {
                if !spawned.read().is_ok_and(|all| *all) {
                    return;
                }
                let people = seeds
                    .into_iter()
                    .map(|seed| dialogue(Customer::new(books, config.mix, config.manner, seed)));
                // Nobody is there to be told only where the other threads have failed.
                let _ = sender.send(part(thread == 0, shared, barrier, people));
            })?;
        }
        *all_spawned = true;
        drop(all_spawned);
        drop(sender);
        let (mut parts, mut since) = (Vec::new(), None);
        loop {
            match receiver.recv_timeout(WATCH) {
                Ok(part) => parts.push(part?),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok::<_, io::Error>(parts),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            watch(if shared.open.load(Ordering::Acquire) < threads {
                LoadProgress::Opening
            } else {
                let since = *since.get_or_insert_with(Instant::now);
                LoadProgress::Asking(since.elapsed(), shared.progress.replies.load(Ordering::Relaxed))
            });
        }
    })?;
    let mut report = Report {
        config: *config,
        measured: Measurements::default(),
        counts: OperationCounts::default(),
        opened: Duration::ZERO,
        balances: Balances { start: books.start(), ..Balances::default() },
        stopped: stop.load(Ordering::Relaxed),
    };
    for part in parts {
        report.measured.add(part.measured);
        report.counts.add(&part.counts);
        report.opened = report.opened.max(part.opened);
        report.balances.end = report.balances.end.or(part.end);
    }
    let (wrong, faults) = books.faults();
    report.balances = Balances {
        deposited: books.done(Movement::Deposit),
        withdrawn: books.done(Movement::Withdrawal),
        checked: books.checked(),
        wrong,
        faults,
        ..report.balances
    };
    Ok(report)
}

/// One thread's part of it; the first thread asks for the balances.
fn part<'a, D: AtmSession<'a>>(
    first: bool,
    shared: &Shared<'_>,
    barrier: &Barrier,
    people: impl Iterator<Item = D>,
) -> io::Result<Part> {
    let config = shared.config;
    let begin = Instant::now();
    let opening =
        ConnectOptions { address: config.address, burst: config.burst.max(1), patience: config.patience };
    let opened = EventLoop::open(&opening, people);
    let took = begin.elapsed();
    shared.open.fetch_add(1, Ordering::AcqRel);
    // Nobody may miss where all wait: what went wrong is told afterwards.
    barrier.wait();
    let asked = opened.and_then(|mut load| {
        if first && !config.shared {
            let start = balance(&mut load, config)?;
            start.inspect(|start| shared.books.open(*start));
        }
        Ok(load)
    });
    barrier.wait();
    let asked = asked.and_then(|mut load| ask(&mut load, shared).map(|()| load));
    barrier.wait();
    let mut load = asked?;
    let end = if first && !config.shared { balance(&mut load, config)? } else { None };
    let mut counts = OperationCounts::default();
    for dialogue in load.dialogues() {
        counts.add(&dialogue.person().counts);
    }
    Ok(Part { measured: load.measured(), counts, opened: took, end })
}

/// The load itself.
fn ask<'a, D: AtmSession<'a>>(load: &mut EventLoop<D>, shared: &Shared<'_>) -> io::Result<()> {
    let (config, progress) = (shared.config, &shared.progress);
    let start = Instant::now();
    // Each thread has its share of the schedule.
    let threads = config.threads.clamp(1, config.sessions.max(1));
    let mut schedule = config.rate.map(|rate| Schedule::new(start, rate / threads as f64));
    let warm = start + config.warm_up;
    let until = warm + config.duration;
    for end in [warm, until] {
        if end == until {
            if progress.stop.load(Ordering::Relaxed) {
                // It never came to what counts.
                return load.settle(config.patience);
            }
            load.measure();
        }
        match &mut schedule {
            Some(schedule) => load.scheduled(schedule, end, progress)?,
            None => load.closed(end, progress)?,
        }
    }
    load.stop_counting();
    load.settle(config.patience)?;
    if let Some(schedule) = &mut schedule {
        load.overdue(schedule, until);
    }
    load.stop_measuring();
    Ok(())
}

/// Asks for the balance at whichever session can be asked.
fn balance<'a, D: AtmSession<'a>>(load: &mut EventLoop<D>, config: &Config) -> io::Result<Option<Amount>> {
    loop {
        let Some(index) = load.free().next() else { return Ok(None) };
        if let Some(dialogue) = load.dialogue(index) {
            dialogue.person().ask_balance();
        }
        // It may have to go back to the menu first.
        while load.once(index, config.patience)? {
            let Some(person) = load.dialogue(index).map(AtmSession::person) else { break };
            if let Some(told) = person.told() {
                person.go_on();
                return Ok(Some(told));
            }
        }
    }
}
