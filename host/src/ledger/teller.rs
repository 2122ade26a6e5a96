//! Where an event loop asks a ledger: now, and it is answered now or later.
//!
//! A ledger that waits for a disk, or for another host, has threads of its own, takes whatever was asked meanwhile as
//! one batch, and may answer in any order; whose answer it is, each says by its request. One terminal never asks for two
//! things at once, so no order between two requests is promised.
use super::keeper::{Answer, Keeper};
use atm_core::ledger::{InDoubt, Ledger, Request, Response};
use std::{
    io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};
use tracing::error;

/// The shortest and the longest time between two attempts to open a store after a fault; each is twice the one before.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(2);

/// Where an event loop asks.
pub struct Teller(Way);

enum Way {
    /// Answers at once.
    Here(Box<dyn Ledger + Send>),
    /// Answers later, from a thread.
    There { asked: Vec<Request>, desk: Arc<Desk>, thread: Option<JoinHandle<()>> },
}

impl Teller {
    /// A ledger that never waits.
    pub fn here(ledger: impl Ledger + Send + 'static) -> Self {
        Self(Way::Here(Box::new(ledger)))
    }

    /// A ledger on disk, in a thread of its own; `wake` is called there when answers have come.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn on_disk(keeper: Keeper, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let ours = desk.clone();
        let thread =
            thread::Builder::new().name("ledger".into()).spawn(move || keep(keeper, &ours, &wake))?;
        Ok(Self(Way::There { asked: Vec::new(), desk, thread: Some(thread) }))
    }

    /// Asks. `None` where the answer comes later, after [`send`](Self::send).
    ///
    /// # Errors
    /// The ledger answers nothing any more.
    pub fn ask(&mut self, request: &Request) -> Result<Option<Response>, InDoubt> {
        match &mut self.0 {
            Way::Here(ledger) => ledger.apply(request).map(Some),
            Way::There { asked, .. } => {
                asked.push(request.clone());
                Ok(None)
            }
        }
    }

    /// Lets go of what was asked since the last time, all at once.
    pub fn send(&mut self) {
        if let Way::There { asked, desk, .. } = &mut self.0
            && !asked.is_empty()
        {
            let mut state = desk.state();
            state.asked.append(asked);
            desk.changed.notify_one();
        }
    }

    /// Takes the answers that have come.
    ///
    /// # Errors
    /// The ledger answers nothing any more.
    pub fn answers(&mut self) -> Result<Vec<Answer>, InDoubt> {
        let Way::There { desk, .. } = &mut self.0 else { return Ok(Vec::new()) };
        let mut state = desk.state();
        match mem::take(&mut state.answered) {
            none if none.is_empty() && state.over => Err(InDoubt),
            answers => Ok(answers),
        }
    }
}

/// What is out is committed before the file is closed, unless a fault lasts.
impl Drop for Teller {
    fn drop(&mut self) {
        let Way::There { desk, thread, .. } = &mut self.0 else { return };
        desk.state().closing = true;
        desk.changed.notify_one();
        if thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the ledger's thread failed");
        }
    }
}

/// What lies between the event loop and the ledger's thread.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    asked: Vec<Request>,
    answered: Vec<Answer>,
    /// The event loop asks nothing more.
    closing: bool,
    /// The ledger answers nothing more.
    over: bool,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        // What is inside is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for requests; `None` when no more come.
    fn take(&self) -> Option<Vec<Request>> {
        let mut state = self.state();
        while state.asked.is_empty() {
            if state.closing {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some(mem::take(&mut state.asked))
    }

    /// Waits; false where it is not worth it any more.
    fn rest(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), time, |state| !state.closing);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }
}

/// Tells the event loop that nothing more comes, however the thread ends.
struct Over<'a, W: Fn()>(&'a Desk, &'a W);

impl<W: Fn()> Drop for Over<'_, W> {
    fn drop(&mut self) {
        self.0.state().over = true;
        (self.1)();
    }
}

/// What the ledger's thread does.
fn keep(mut keeper: Keeper, desk: &Desk, wake: &impl Fn()) {
    let over = Over(desk, wake);
    while let Some(requests) = desk.take() {
        let answers = match keeper.serve(requests) {
            Ok(answers) => answers,
            Err(error) => match recover(&mut keeper, desk, error) {
                Some(answers) => answers,
                None => return,
            },
        };
        desk.state().answered.extend(answers);
        wake();
    }
    if let Err(error) = keeper.close() {
        error!(%error, "the ledger could not be closed; the next start checks it");
    }
    drop(over);
}

/// Opens the store again until that works; `None` where it never will, or nobody waits for it.
fn recover(keeper: &mut Keeper, desk: &Desk, mut error: super::error::Error) -> Option<Vec<Answer>> {
    let mut pause = FIRST;
    loop {
        if error.fault.is_final() {
            error!(%error, "the ledger is closed for good");
            return None;
        }
        if !desk.rest(pause) {
            error!(
                "stopped before it was known what became of the last requests: whoever asked may ask again"
            );
            return None;
        }
        pause = pause.saturating_mul(2).min(MOST);
        match keeper.recover() {
            Ok(answers) => return Some(answers),
            Err(again) => error = again,
        }
    }
}
