//! Group commit: queues the requests of one event-loop turn and commits them to the ledger on disk as one batch.
//!
//! Whose answer it is, each says by its request. The ledger commits a batch in the event loop, which waits for the disk meanwhile: whoever asks for money waits for
//! it anyway, and a thread of its own costs more than half of a sync each time, by two wake-ups. Where a commit fails, a thread
//! tries until it is known what became of it, and the loop goes on.
use super::{
    error::Error,
    keeper::{Answer, Keeper},
};
use atm_core::ledger::{InDoubt, Request};
use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};
use tracing::error;

/// The shortest and the longest time between two attempts to open a store after a fault; each is twice the one before.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(2);

/// Requests that are committed at once, at the most. After a fault many may have come together, and a batch of the journal is
/// to stay far below what its reader takes for one.
const BATCH: usize = 4096;

/// Requests that may wait for the end of a fault before it [is full](Teller::is_full): each takes some hundred bytes.
const WAITING: usize = 1 << 17;

/// Where an event loop asks the ledger on disk.
pub struct Teller {
    state: State,
    asked: Vec<Request>,
    answered: Vec<Answer>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

enum State {
    Open(Box<Keeper>),
    /// A thread finds out what became of the last batch.
    InDoubt(Recovery),
    /// It answers nothing any more.
    Over,
}

/// What a thread has to give back: the keeper and the answers that were in doubt, unless that has no end.
type Recovered = Option<(Box<Keeper>, Vec<Answer>)>;

struct Recovery {
    desk: Arc<Desk>,
    thread: JoinHandle<Recovered>,
}

impl Teller {
    /// A ledger on disk; `wake` is called from a thread when answers have come after a fault.
    pub fn on_disk(keeper: Keeper, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            state: State::Open(Box::new(keeper)),
            asked: Vec::new(),
            answered: Vec::new(),
            wake: Arc::new(wake),
        }
    }

    /// Asks. The answer comes after [`send`](Self::send).
    pub fn ask(&mut self, request: Request) {
        self.asked.push(request);
    }

    /// Lets go of what was asked since the last time, all at once.
    pub fn send(&mut self) {
        while let State::Open(keeper) = &mut self.state
            && !self.asked.is_empty()
        {
            let rest = self.asked.split_off(self.asked.len().min(BATCH));
            match keeper.serve(mem::replace(&mut self.asked, rest)) {
                Ok(answers) => self.answered.extend(answers),
                Err(error) => self.doubt(error),
            }
        }
    }

    /// Would [`send`](Self::send) do something now?
    pub fn has_asked(&self) -> bool {
        !self.asked.is_empty() && matches!(self.state, State::Open(_))
    }

    /// Do so many requests wait for the end of a fault that nobody else should be let in? Each session that is there can ask for
    /// one more, and whoever comes and goes leaves one behind.
    pub fn is_full(&self) -> bool {
        self.asked.len() >= WAITING
    }

    /// Takes the answers that have come.
    ///
    /// # Errors
    /// The ledger answers nothing any more.
    pub fn answers(&mut self) -> Result<Vec<Answer>, InDoubt> {
        if matches!(&self.state, State::InDoubt(recovery) if recovery.desk.state().over) {
            self.recovered();
        }
        match mem::take(&mut self.answered) {
            none if none.is_empty() && matches!(self.state, State::Over) => Err(InDoubt),
            answers => Ok(answers),
        }
    }

    /// Carries out what was asked, unless a fault lasts, and closes the file. False where it is not known what became of a
    /// request, or the file could not be closed in order: the log says so.
    pub fn close(&mut self) -> bool {
        self.send();
        while let State::InDoubt(recovery) = &self.state {
            recovery.desk.state().closing = true;
            recovery.desk.changed.notify_one();
            self.recovered();
            self.send();
        }
        let State::Open(keeper) = mem::replace(&mut self.state, State::Over) else { return false };
        let closed = keeper.close();
        if let Err(error) = &closed {
            error!(%error, "the ledger could not be closed; the next start checks it");
        }
        closed.is_ok()
    }

    fn doubt(&mut self, error: Error) {
        let State::Open(mut keeper) = mem::replace(&mut self.state, State::Over) else { return };
        let desk = Arc::new(Desk::default());
        let (theirs, wake) = (desk.clone(), self.wake.clone());
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || {
            // However it ends.
            let _over = Over(&theirs, &*wake);
            let answers = recover(&mut keeper, &theirs, error)?;
            Some((keeper, answers))
        });
        match thread {
            Ok(thread) => self.state = State::InDoubt(Recovery { desk, thread }),
            Err(error) => error!(%error, "there is no thread to open the ledger again"),
        }
    }

    /// Takes what the thread gives back, once it is over.
    fn recovered(&mut self) {
        let State::InDoubt(recovery) = mem::replace(&mut self.state, State::Over) else { return };
        match recovery.thread.join() {
            Ok(Some((keeper, answers))) => {
                self.state = State::Open(keeper);
                self.answered.extend(answers);
            }
            Ok(None) => {}
            Err(_) => error!("the ledger's thread failed"),
        }
    }
}

/// The file is closed in order however the server ends.
impl Drop for Teller {
    fn drop(&mut self) {
        self.close();
    }
}

/// What lies between the event loop and the thread.
#[derive(Default)]
struct Desk {
    state: Mutex<Word>,
    changed: Condvar,
}

#[derive(Default)]
struct Word {
    /// Nobody waits for it any more.
    closing: bool,
    /// The thread is done.
    over: bool,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, Word> {
        // What is inside is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; false where it is not worth it any more.
    fn rest(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), time, |state| !state.closing);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }
}

/// Tells the event loop that the thread is done, however it ends.
struct Over<'a>(&'a Desk, &'a (dyn Fn() + Send + Sync));

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.state().over = true;
        (self.1)();
    }
}

/// Opens the store again until that works; `None` where it never will, or nobody waits for it.
fn recover(keeper: &mut Keeper, desk: &Desk, mut error: Error) -> Option<Vec<Answer>> {
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
