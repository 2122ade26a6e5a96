//! Keeps the ledger on disk: answers requests in batches, each durable before it is told, and finds out what became of
//! one whose commit failed.
#[cfg(unix)]
use super::window::Window;
use super::{
    books::{Books, Head, Undo},
    disk::Disk,
    entry::{ACCOUNT, Fact, Time},
    error::{Error, Fault},
    store::{Shared, Store},
};
use crate::metrics::{Metrics, add};
use atm_core::{
    ledger::{Command, InDoubt, Ledger, LedgerId, Operation, Request, Response},
    money::Amount,
};
use std::sync::{Arc, atomic::Ordering};
use tracing::{error, info, warn};

/// A request and what the ledger answers to it.
pub type Answer = (Request, Response);

/// Tells the time.
pub type Clock = Box<dyn Fn() -> Time + Send>;

/// A batch whose commit failed: nobody knows whether it stands. Its last entry is that of the books.
struct Doubt {
    answers: Vec<Answer>,
    /// The last entry before it.
    before: Head,
    /// The rows of terminals before it.
    undo: Undo,
}

/// Who keeps the ledger on disk.
pub struct Keeper {
    /// Shut first: whoever works on the disk next opens its own in the same place.
    #[cfg(unix)]
    window: Option<Window>,
    /// `None` while a fault lasts.
    store: Option<Store>,
    /// As they are after the last batch, also while that is in doubt.
    books: Books,
    /// For those who only read.
    shared: Shared,
    doubt: Option<Doubt>,
    /// Could the last entry be noted?
    notes: bool,
    /// The fault that lasts, as it was logged: it may be met many times a second.
    logged: Option<String>,
    /// It was logged that the store is open again, and not that anything was written since.
    opened: bool,
    time: Clock,
    metrics: Arc<Metrics>,
    /// Let go of last, when the file is closed.
    disk: Box<dyn Disk>,
}

impl Keeper {
    /// Opens the ledger on `disk`; where there is none, it begins one with `balance` and the identity that `fresh` gives.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(
        mut disk: Box<dyn Disk>,
        balance: Amount,
        fresh: impl FnOnce() -> LedgerId,
        time: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let opened = begin(disk.as_mut(), balance, fresh, time()).and_then(|()| Store::open(disk.as_mut()));
        match opened {
            Ok((store, books)) => {
                let (entries, balance) = (books.head().number, books.balance());
                info!(path = %disk.path().display(), ledger = %books.ledger(), entries, %balance, "the ledger is open");
                let mut keeper = Self {
                    #[cfg(unix)]
                    window: None,
                    disk,
                    store: None,
                    books,
                    shared: Shared::default(),
                    doubt: None,
                    notes: true,
                    logged: None,
                    opened: false,
                    time,
                    metrics,
                };
                keeper.set(Some(store));
                Ok(keeper)
            }
            Err(fault) => Err(Error { path: disk.path().to_owned(), fault }),
        }
    }

    /// The books as they were committed last; `None` while a fault lasts.
    pub fn books(&self) -> Option<&Books> {
        self.store.as_ref().map(|_| &self.books)
    }

    /// The store; `None` while a fault lasts.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The ledger, for threads that only read it.
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// Shows the books to others, as long as the ledger is kept, through a window in `folder` if that can be.
    #[cfg(unix)]
    pub fn show_in(&mut self, folder: &std::path::Path) {
        self.window = Window::try_open(folder, self.shared());
    }

    /// Carries out requests one after the other and commits them together. What it returns is durable.
    ///
    /// # Errors
    /// The commit failed, and the requests are in doubt: [`recover`](Self::recover) finds out what became of them.
    pub fn serve(&mut self, requests: Vec<Request>) -> Result<Vec<Answer>, Error> {
        let served = self.carry_out(requests, false);
        self.log_fault(served.as_ref().err());
        served
    }

    /// Opens the store anew and finds out what became of the requests that are in doubt: either all of them were done or
    /// none was, and then none will be (what is asked of a ledger without moving money is answered all the same).
    ///
    /// # Errors
    /// They are still in doubt.
    pub fn recover(&mut self) -> Result<Vec<Answer>, Error> {
        let found = self.look_up();
        self.log_fault(found.as_ref().err());
        if found.is_ok() {
            self.log_opened();
        }
        found
    }

    fn look_up(&mut self) -> Result<Vec<Answer>, Error> {
        // Whatever is left of the old one is closed before the file is opened again.
        self.set(None);
        let (store, mut found) = Store::open(self.disk.as_mut()).map_err(|fault| self.wrong(fault))?;
        let head = found.head();
        match self.doubt.take() {
            doubt if head == self.books.head() => {
                self.set(Some(store));
                let Some(Doubt { answers, before, .. }) = doubt else { return Ok(Vec::new()) };
                self.log_end_of_fault();
                self.committed(head.number.saturating_sub(before.number), &answers);
                self.count(&answers);
                Ok(answers)
            }
            Some(doubt) if head == doubt.before => {
                found.adopt(&mut self.books, doubt.undo);
                self.books = found;
                self.set(Some(store));
                self.carry_out(doubt.answers.into_iter().map(|(request, _)| request).collect(), true)
            }
            doubt => {
                self.doubt = doubt;
                Err(self.wrong(Fault::Damaged("somebody else has written to it".to_owned())))
            }
        }
    }

    /// Closes the file.
    ///
    /// # Errors
    /// Whatever the system says, also where a fault lasts; what was committed stands.
    pub fn close(mut self) -> Result<(), Error> {
        self.shared.set(None);
        match self.store.take() {
            Some(mut store) => {
                let summed = store.sum_up(&self.books);
                summed.and_then(|()| store.close()).map_err(|fault| self.wrong(fault))
            }
            None => {
                let text = "it is closed before it was known what became of the last requests: whoever asked may ask again";
                Err(self.wrong(Fault::Io(std::io::Error::other(text))))
            }
        }
    }

    /// Nobody begins to read a store that is to be closed.
    fn set(&mut self, store: Option<Store>) {
        self.shared.set(store.as_ref());
        self.metrics.set_ledger_open(store.is_some());
        self.store = store;
        self.note();
    }

    /// Notes the last entry, which is on the disk, before anybody is told of it.
    fn note(&mut self) {
        if self.store.is_none() {
            return;
        }
        let noted = self.disk.note(self.books.head());
        if let (Err(error), true) = (&noted, self.notes) {
            warn!(%error, "it cannot be noted which entry was told of last: its loss would not be noticed");
        }
        self.notes = noted.is_ok();
    }

    fn carry_out(&mut self, requests: Vec<Request>, doubt: bool) -> Result<Vec<Answer>, Error> {
        let Some(store) = &mut self.store else {
            return Err(self.wrong(Fault::Io(std::io::Error::other("the ledger is not open"))));
        };
        let (before, time) = (self.books.head(), (self.time)());
        let mut rows = Vec::with_capacity(requests.len());
        let mut answers = Vec::with_capacity(requests.len());
        let mut undo = Undo::new();
        for mut request in requests {
            let written = rows.len();
            match self.books.answer(&mut request, doubt, time, &mut rows, &mut undo) {
                Ok(response) => {
                    if rows.len() == written && is_duplicate(&request, &response) {
                        add(&self.metrics.duplicates, 1);
                    }
                    answers.push((request, response));
                }
                Err(misfit) => return Err(self.wrong(Fault::Damaged(misfit.to_owned()))),
            }
        }
        if !rows.is_empty() {
            // What is written to a file that was removed is gone at the end, however well it was written.
            let entries = rows.len() as u64;
            let committed = store.commit(rows, &self.books).and_then(|()| match self.disk.is_kept() {
                Ok(true) => Ok(()),
                Ok(false) => Err(Fault::Taken),
                Err(error) => Err(error.into()),
            });
            if let Err(fault) = committed {
                add(&self.metrics.doubts, 1);
                self.doubt = Some(Doubt { answers, before, undo });
                // redb takes no more orders after a fault, and the books are ahead of it.
                self.set(None);
                return Err(self.wrong(fault));
            }
            self.note();
            self.committed(entries, &answers);
            self.log_end_of_fault();
        }
        self.count(&answers);
        Ok(answers)
    }

    /// Counts a commit.
    fn committed(&self, entries: u64, answers: &[Answer]) {
        add(&self.metrics.commits, 1);
        self.metrics.entries.fetch_add(entries, Ordering::Relaxed);
        add(&self.metrics.batched, answers.len());
    }

    fn count(&self, answers: &[Answer]) {
        for (_, response) in answers {
            self.metrics.count_response(response);
        }
    }

    fn wrong(&self, fault: Fault) -> Error {
        if self.store.is_none() {
            self.shared.tell(&fault);
        }
        Error { path: self.disk.path().to_owned(), fault }
    }
}

/// Would this have been written down, if it had not been before?
fn is_duplicate(request: &Request, response: &Response) -> bool {
    let is_remembered = match &request.command {
        Command::Operate { operation, .. } => {
            request.origin.terminal().is_some() && *operation != Operation::Inquiry
        }
        Command::Settle { .. } => true,
        Command::Hello(_) | Command::Reserve => false,
    };
    is_remembered && matches!(response, Response::Settled { .. })
}

/// Makes a ledger where there is none.
fn begin(
    disk: &mut dyn Disk,
    balance: Amount,
    fresh: impl FnOnce() -> LedgerId,
    time: Time,
) -> Result<(), Fault> {
    if !disk.is_new()? {
        return Ok(());
    }
    let (mut books, mut rows) = (Books::default(), Vec::new());
    let fact = Fact::Created { ledger: fresh(), account: ACCOUNT, balance };
    books.write(fact, time, &mut rows).map_err(|misfit| Fault::Damaged(misfit.to_owned()))?;
    let mut store = Store::draft(disk)?;
    store.commit(rows, &books)?;
    store.publish(disk)?;
    Ok(())
}

/// One request at a time, for a loop that waits for each answer.
impl Ledger for Keeper {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let mut answers = match self.store {
            Some(_) => self.serve(vec![request.clone()]).or_else(|_| self.recover()),
            None => self.recover(),
        };
        // What was in doubt may have been another request.
        if !matches!(&answers, Ok(answers) if answers.iter().any(|(asked, _)| asked == request)) {
            answers = answers.and_then(|_| self.serve(vec![request.clone()]));
        }
        let answer = answers.ok().and_then(|mut answers| answers.pop());
        answer.map(|(_, response)| response).ok_or(InDoubt)
    }
}

impl Keeper {
    /// Logs that a fault has begun, or is another one.
    fn log_fault(&mut self, error: Option<&Error>) {
        let Some(error) = error.map(ToString::to_string) else { return };
        match &self.logged {
            // Nothing was written meanwhile, and it may have been opened again many times.
            Some(before) if *before == error => return,
            Some(_) if !self.opened => error!(%error, "the ledger is still closed"),
            _ => {
                error!(%error, "the ledger's commit failed: nobody is told anything before it is known what became of it");
            }
        }
        (self.logged, self.opened) = (Some(error), false);
    }

    /// Logs, once a fault, that the store is open again and nothing was written yet: nothing had to be.
    fn log_opened(&mut self) {
        if self.logged.is_some() && !self.opened {
            self.opened = true;
            info!(
                "the ledger is open again and can be read; whether the disk takes entries is seen at the next one"
            );
        }
    }

    /// Logs that a fault is over: something was brought to the disk again.
    fn log_end_of_fault(&mut self) {
        self.opened = false;
        if self.logged.take().is_some() {
            info!("the ledger takes entries again, and it is known what became of the last requests");
        }
    }
}
