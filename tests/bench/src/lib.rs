//! `atm-bench`, a load generator: many sessions at a running server, its throughput and latency, and a check
//! of every balance that it reports.
//!
//! [`event_loop`] drives sessions of any [`protocol`], in a closed or an open loop. A simulated [`customer`]
//! draws operations from a [`mix`] and checks the replies; [`text_session`] and [`postcard_session`] put its
//! input on a wire; [`balance_auditor`] knows the bounds of a correct balance.
#![forbid(unsafe_code)]

use crate::{
    atm_session::{AtmSession, MakeSession},
    balance_auditor::{BalanceAuditor, Movement},
    customer::{Customer, OperationCounts},
    event_loop::{ConnectOptions, Control, EventLoop},
    measurements::Measurements,
    named_terminals::NamedTerminals,
    postcard_session::PostcardSession,
    schedule::Schedule,
    text_session::TextSession,
};
use atm_core::{money::Amount, wire::Wire};
use fastrand::Rng;
use std::{
    io,
    sync::{
        Barrier, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

pub mod atm_session;
pub mod balance_auditor;
mod config;
pub mod customer;
pub mod event_loop;
mod json_reader;
pub mod measurements;
pub mod mix;
pub mod named_terminals;
pub mod postcard_session;
pub mod protocol;
pub mod report;
pub mod schedule;
pub mod text_session;

pub use config::LoadConfig;

/// How long a reply may take, and how long sessions may be opening without progress.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The results of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The configuration.
    pub config: LoadConfig,
    /// Throughput and latency in the measured time.
    pub measurements: Measurements,
    /// The completed operations, the warm-up included.
    pub counts: OperationCounts,
    /// The time until every session was greeted.
    pub opening_time: Duration,
    /// The checks of balances.
    pub balances: Balances,
    /// Was it stopped early?
    pub stopped: bool,
}

/// The results of the balance auditor.
#[derive(Clone, Debug, Default)]
pub struct Balances {
    /// The balance before the run; `None` where other clients move money too.
    pub start: Option<Amount>,
    /// The balance after the run, with no request outstanding.
    pub end: Option<Amount>,
    /// Acknowledged deposits, in minor units.
    pub deposited: i64,
    /// Acknowledged withdrawals, in minor units.
    pub withdrawn: i64,
    /// The number of checked balances.
    pub checked: u64,
    /// The number of violations: wrong balances, amounts and refusals.
    pub wrong: u64,
    /// The first of them.
    pub violations: Vec<String>,
}

impl Report {
    /// Was no session lost and no balance wrong?
    pub fn passed(&self) -> bool {
        self.measurements.lost == 0 && self.balances.wrong == 0
    }
}

/// The progress of a run.
#[derive(Clone, Copy, Debug)]
pub enum LoadProgress {
    /// Sessions are opening.
    Opening,
    /// Requests are sent.
    Running {
        /// The time since all sessions were open.
        elapsed: Duration,
        /// Replies so far.
        replies: u64,
    },
}

/// Runs a load, and calls `on_progress` regularly.
///
/// # Errors
/// The system cannot start threads or poll sockets. Lost sessions and wrong balances are in the report.
pub fn run(config: &LoadConfig, on_progress: &mut dyn FnMut(LoadProgress)) -> io::Result<Report> {
    run_until(config, on_progress, &AtomicBool::new(false))
}

/// Like [`run`], but stops early when `stop` is set; the report has what was measured until then.
///
/// # Errors
/// See [`run`].
pub fn run_until(
    config: &LoadConfig,
    on_progress: &mut dyn FnMut(LoadProgress),
    stop: &AtomicBool,
) -> io::Result<Report> {
    let auditor = BalanceAuditor::default();
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let start = u64::try_from(start).unwrap_or(u64::MAX);
    let json = |customer, (index, seed)| match config.terminals {
        None => TextSession::json(customer),
        Some(count) => {
            let terminals = NamedTerminals::new(count, (index, config.sessions), start, seed);
            TextSession::named(customer, terminals)
        }
    };
    match config.wire {
        Wire::Json => run_threads((config, stop), &auditor, on_progress, json),
        Wire::Raw => {
            run_threads((config, stop), &auditor, on_progress, |customer, _| TextSession::raw(customer))
        }
        Wire::Postcard => {
            run_threads((config, stop), &auditor, on_progress, |customer, _| PostcardSession::new(customer))
        }
    }
}

/// Like [`run_until`], with sessions that the caller makes: over links other than TCP in clear.
///
/// # Errors
/// See [`run`].
pub fn run_sessions(
    config: &LoadConfig,
    session: &MakeSession<'_>,
    on_progress: &mut dyn FnMut(LoadProgress),
    stop: &AtomicBool,
) -> io::Result<Report> {
    run_threads((config, stop), &BalanceAuditor::default(), on_progress, session)
}

/// What the threads share.
struct Shared<'a> {
    config: &'a LoadConfig,
    auditor: &'a BalanceAuditor,
    control: Control<'a>,
    /// Threads whose sessions are open.
    open: AtomicUsize,
}

/// The results of one thread.
struct ThreadResult {
    measurements: Measurements,
    counts: OperationCounts,
    opening_time: Duration,
    end: Option<Amount>,
}

fn run_threads<'a, S: AtmSession<'a> + Send>(
    (config, stop): (&LoadConfig, &AtomicBool),
    auditor: &'a BalanceAuditor,
    on_progress: &mut dyn FnMut(LoadProgress),
    session: impl Fn(Customer<'a>, (usize, u64)) -> S + Sync,
) -> io::Result<Report> {
    let threads = config.threads.clamp(1, config.sessions.max(1));
    let shared = Shared { config, auditor, control: Control::new(stop), open: AtomicUsize::new(0) };
    // The threads wait for each other until every session is open, the first balance is known, and nothing is
    // outstanding.
    let barrier = Barrier::new(threads);
    // Set once every thread was spawned. If one cannot be, the others end instead of waiting at the barrier.
    let spawned = RwLock::new(false);
    let mut rng = Rng::with_seed(config.seed);
    // Each session's number and seed.
    let mut seeds = (0..config.sessions).map(|index| (index, rng.u64(..)));
    let results = thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let mut all_spawned = spawned.write().map_err(|_| io::ErrorKind::Other)?;
        for thread in 0..threads {
            // The first threads have one session more if the number does not divide evenly.
            let sessions = (config.sessions + threads - 1 - thread) / threads;
            let seeds: Vec<(usize, u64)> = seeds.by_ref().take(sessions).collect();
            let (sender, shared, barrier) = (sender.clone(), &shared, &barrier);
            let (session, spawned) = (&session, &spawned);
            thread::Builder::new().name(format!("load {thread}")).spawn_scoped(scope, move || {
                if !spawned.read().is_ok_and(|all| *all) {
                    return;
                }
                let sessions = seeds.into_iter().map(|(index, seed)| {
                    let customer = Customer::new(auditor, config.mix, config.input_style, seed);
                    session(customer, (index, seed))
                });
                // The receiver is gone only after another thread has failed.
                let _ = sender.send(run_thread(thread == 0, shared, barrier, sessions));
            })?;
        }
        *all_spawned = true;
        drop(all_spawned);
        drop(sender);
        let (mut results, mut since) = (Vec::new(), None);
        loop {
            match receiver.recv_timeout(PROGRESS_INTERVAL) {
                Ok(result) => results.push(result?),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok::<_, io::Error>(results),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            on_progress(if shared.open.load(Ordering::Acquire) < threads {
                LoadProgress::Opening
            } else {
                LoadProgress::Running {
                    elapsed: since.get_or_insert_with(Instant::now).elapsed(),
                    replies: shared.control.replies.load(Ordering::Relaxed),
                }
            });
        }
    })?;
    let (wrong, violations) = auditor.violations();
    let mut report = Report {
        config: config.clone(),
        measurements: Measurements::default(),
        counts: OperationCounts::default(),
        opening_time: Duration::ZERO,
        balances: Balances {
            start: auditor.initial(),
            end: None,
            deposited: auditor.acknowledged(Movement::Deposit),
            withdrawn: auditor.acknowledged(Movement::Withdrawal),
            checked: auditor.checked(),
            wrong,
            violations,
        },
        stopped: stop.load(Ordering::Relaxed),
    };
    for result in results {
        report.measurements.add(result.measurements);
        report.counts.add(&result.counts);
        report.opening_time = report.opening_time.max(result.opening_time);
        report.balances.end = report.balances.end.or(result.end);
    }
    Ok(report)
}

/// The run of one thread; the first thread queries the balance before and after.
fn run_thread<'a, S: AtmSession<'a>>(
    first: bool,
    shared: &Shared<'_>,
    barrier: &Barrier,
    sessions: impl Iterator<Item = S>,
) -> io::Result<ThreadResult> {
    let config = shared.config;
    let begin = Instant::now();
    let options =
        ConnectOptions { addresses: &config.addresses, burst: config.burst.max(1), timeout: config.timeout };
    let opened = EventLoop::connect(&options, sessions);
    let opening_time = begin.elapsed();
    shared.open.fetch_add(1, Ordering::AcqRel);
    // A thread that has failed still comes to every barrier, and returns its error afterwards.
    barrier.wait();
    let ready = opened.and_then(|mut event_loop| {
        if first && !config.shared {
            let start = query_balance(&mut event_loop, config)?;
            start.inspect(|start| shared.auditor.set_initial(*start));
        }
        Ok(event_loop)
    });
    barrier.wait();
    let done = ready.and_then(|mut event_loop| run_load(&mut event_loop, shared).map(|()| event_loop));
    barrier.wait();
    let mut event_loop = done?;
    let end = if first && !config.shared { query_balance(&mut event_loop, config)? } else { None };
    let mut counts = OperationCounts::default();
    for session in event_loop.protocols() {
        counts.add(&session.customer().counts);
    }
    Ok(ThreadResult { measurements: event_loop.into_measurements(), counts, opening_time, end })
}

/// The warm-up and the measured time.
fn run_load<'a, S: AtmSession<'a>>(event_loop: &mut EventLoop<S>, shared: &Shared<'_>) -> io::Result<()> {
    let (config, control) = (shared.config, &shared.control);
    let start = Instant::now();
    // Each thread has an equal share of the rate.
    let threads = config.threads.clamp(1, config.sessions.max(1));
    let mut schedule = config.rate.map(|rate| Schedule::new(start, rate / threads as f64));
    let warm = start + config.warm_up;
    let until = warm + config.duration;
    for end in [warm, until] {
        if end == until {
            if control.stop.load(Ordering::Relaxed) {
                // Stopped during the warm-up: nothing is measured.
                return event_loop.drain(config.timeout);
            }
            event_loop.start_measuring();
        }
        match &mut schedule {
            Some(schedule) => event_loop.run_open(schedule, end, control)?,
            None => event_loop.run_closed(end, control)?,
        }
    }
    event_loop.stop_counting();
    event_loop.drain(config.timeout)?;
    if let Some(schedule) = &mut schedule {
        event_loop.record_missed(schedule, until);
    }
    event_loop.stop_measuring();
    Ok(())
}

/// Queries the balance in the first idle session; `None` if every session is lost.
fn query_balance<'a, S: AtmSession<'a>>(
    event_loop: &mut EventLoop<S>,
    config: &LoadConfig,
) -> io::Result<Option<Amount>> {
    loop {
        let Some(index) = event_loop.idle_sessions().next() else { return Ok(None) };
        if let Some(session) = event_loop.protocol(index) {
            session.customer().start_balance_query();
        }
        // The customer may have to return to the menu first.
        while event_loop.exchange(index, config.timeout)? {
            let Some(customer) = event_loop.protocol(index).map(AtmSession::customer) else { break };
            if let Some(balance) = customer.queried_balance() {
                customer.end_balance_query();
                return Ok(Some(balance));
            }
        }
    }
}
