//! Where threads wait for each other, and where nobody waits for one that will not come.
use std::sync::{Condvar, Mutex, PoisonError};

/// A gate for some threads: it opens when all of them that are left wait at it, and is shut behind them.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug)]
struct State {
    /// Threads that may still come.
    expected: usize,
    waiting: usize,
    /// How often it was opened.
    times: u64,
}

/// One thread's part in it; without it nobody waits for that thread.
#[derive(Debug)]
pub(super) struct Ticket<'a>(&'a Gate);

impl Gate {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { expected: 0, waiting: 0, times: 0 }), opened: Condvar::new() }
    }

    /// One more thread is to be waited for.
    pub(super) fn ticket(&self) -> Ticket<'_> {
        self.with(|state| state.expected = state.expected.saturating_add(1));
        Ticket(self)
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn open_if_all_wait(&self, state: &mut State) {
        if state.waiting >= state.expected {
            state.waiting = 0;
            state.times = state.times.wrapping_add(1);
            self.opened.notify_all();
        }
    }
}

impl Ticket<'_> {
    /// Waits for all others.
    pub(super) fn wait(&self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let times = state.times;
        state.waiting = state.waiting.saturating_add(1);
        self.0.open_if_all_wait(&mut state);
        let shut = |state: &mut State| state.times == times;
        drop(self.0.opened.wait_while(state, shut).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.expected = state.expected.saturating_sub(1);
            self.0.open_if_all_wait(state);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    #[test]
    fn all_wait_for_all_and_for_nobody_who_has_left() {
        let (gate, passed) = (Gate::new(), AtomicUsize::new(0));
        let mut tickets: Vec<_> = (0..5).map(|_| gate.ticket()).collect();
        thread::scope(|scope| {
            let last = tickets.pop();
            for ticket in tickets {
                let passed = &passed;
                scope.spawn(move || {
                    for time in 1..=3 {
                        passed.fetch_add(1, Ordering::AcqRel);
                        ticket.wait();
                        assert!(passed.load(Ordering::Acquire) >= 4 * time, "somebody was not there yet");
                    }
                });
            }
            // It never waits; the others do not wait for it.
            drop(last);
        });
        assert_eq!(passed.into_inner(), 12);
    }
}
