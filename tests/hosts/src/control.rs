//! Control: what the campaign and its terminals share. It pauses and stops the terminals, and notes when they are served again after a fault.
use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often a wait looks for a signal.
const POLL: Duration = Duration::from_millis(100);

/// A fault, and what was acknowledged since.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    since: Instant,
    /// Operations that moved money, acknowledged since the fault.
    pub(crate) acknowledged: u64,
    /// Until the first of those that was asked for after the fault.
    pub(crate) first: Option<Duration>,
    /// The terminals that have had none yet.
    waiting: Vec<bool>,
    /// Until each terminal has had one.
    pub(crate) all: Option<Duration>,
}

impl Watch {
    fn new(terminals: usize) -> Self {
        let (acknowledged, first, all) = (0, None, None);
        Self { since: Instant::now(), acknowledged, first, waiting: vec![true; terminals], all }
    }
}

struct State {
    watch: Watch,
    paused: bool,
    stopped: bool,
    /// Terminals that wait, with the outcome of all that they have asked for.
    parked: usize,
    failures: Vec<String>,
}

/// Shared by all threads.
pub(crate) struct Control {
    state: Mutex<State>,
    changed: Condvar,
    /// Those that must be served again after a fault.
    terminals: usize,
    /// All of them.
    threads: usize,
    /// A signal has come: no wait lasts any longer.
    interrupted: Arc<AtomicBool>,
}

impl Control {
    /// Terminals with numbers up to `terminals` must be served after each fault; clients, which are more patient, have the numbers after it.
    /// `interrupted` is the flag that a signal sets.
    pub(crate) fn new(terminals: usize, clients: usize, interrupted: Arc<AtomicBool>) -> Self {
        let watch = Watch::new(terminals);
        let state = State { watch, paused: false, stopped: false, parked: 0, failures: Vec::new() };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            terminals,
            threads: terminals + clients,
            interrupted,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until this is so; `None` if it is not in time.
    fn wait<T>(&self, time: Duration, is_so: impl Fn(&State) -> Option<T>) -> Option<T> {
        let until = Instant::now() + time;
        let mut state = self.lock();
        loop {
            if let Some(found) = is_so(&state) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_interrupted() {
                return None;
            }
            // A signal wakes no thread.
            state = self.changed.wait_timeout(state, left.min(POLL)).unwrap().0;
        }
    }
}

/// What terminals call.
impl Control {
    /// An operation that moved money, asked for at this time, was acknowledged.
    pub(crate) fn acknowledged(&self, terminal: usize, asked: Instant) {
        let now = Instant::now();
        self.change(|state| {
            let watch = &mut state.watch;
            watch.acknowledged += 1;
            if asked < watch.since {
                return;
            }
            let took = now.duration_since(watch.since);
            watch.first.get_or_insert(took);
            if let Some(waiting) = watch.waiting.get_mut(terminal) {
                *waiting = false;
            }
            if !watch.waiting.contains(&true) {
                watch.all.get_or_insert(took);
            }
        });
    }

    /// Something is so that must not be.
    pub(crate) fn fail(&self, failure: String) {
        self.change(|state| state.failures.push(failure));
    }

    /// Waits while terminals are paused; false if they are to stop. Every outcome was learned.
    pub(crate) fn park(&self) -> bool {
        let mut state = self.lock();
        if state.paused && !state.stopped {
            state.parked += 1;
            self.changed.notify_all();
            state = self.changed.wait_while(state, |state| state.paused && !state.stopped).unwrap();
            state.parked -= 1;
        }
        !state.stopped
    }

    pub(crate) fn is_paused(&self) -> bool {
        let state = self.lock();
        state.paused || state.stopped
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits for a time, or until the campaign is over.
    pub(crate) fn pause_for(&self, time: Duration) {
        self.wait(time, |state| state.stopped.then_some(()));
    }
}

/// What the campaign calls.
impl Control {
    /// A fault begins.
    pub(crate) fn begin_fault(&self) {
        self.change(|state| state.watch = Watch::new(self.terminals));
    }

    /// Waits until each terminal has had an operation acknowledged that it asked for after the fault.
    pub(crate) fn await_service(&self, time: Duration) -> Option<Watch> {
        self.wait(time, |state| {
            let is_over = state.watch.all.is_some() || !state.failures.is_empty();
            is_over.then(|| state.watch.clone())
        })
    }

    /// What was acknowledged since the fault.
    pub(crate) fn watch(&self) -> Watch {
        self.lock().watch.clone()
    }

    /// Waits until every terminal has the outcome of all that it has asked for, and asks for nothing more.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        self.change(|state| state.paused = true);
        self.wait(time, |state| (state.parked == self.threads || !state.failures.is_empty()).then_some(()))
            .is_some()
    }

    pub(crate) fn resume(&self) {
        self.change(|state| state.paused = false);
    }

    pub(crate) fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    pub(crate) fn take_failures(&self) -> Vec<String> {
        self.change(|state| std::mem::take(&mut state.failures))
    }

    /// No terminal waits for an outcome any more.
    pub(crate) fn give_up(&self) {
        self.interrupted.store(true, Ordering::Release);
    }

    /// The flag that a signal sets.
    pub(crate) fn interrupted(&self) -> Arc<AtomicBool> {
        self.interrupted.clone()
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }
}
