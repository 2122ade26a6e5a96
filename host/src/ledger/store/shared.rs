//! An open store for threads that only read it.
use super::{Open, Store, View};
use crate::ledger::error::Fault;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// The store for threads that only read, as long as it is open.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    store: Weak<Open>,
    /// Why it is closed.
    fault: String,
}

impl Shared {
    /// What was committed last, to look at.
    ///
    /// # Errors
    /// The store is closed; or whatever the system says.
    pub fn view(&self) -> Result<View, Fault> {
        // Held until the reader has begun, so that nobody keeps the store open that is to be closed.
        let shown = self.shown();
        match shown.store.upgrade() {
            Some(open) => View::of(&open),
            // It is just being opened or closed.
            None if shown.fault.is_empty() => Err(Fault::Closed),
            None => {
                let text = "the ledger is closed, and is tried again every two seconds until this is over";
                Err(io::Error::other(format!("{text}: {}", shown.fault)).into())
            }
        }
    }

    /// Shows this store from now on, or none.
    pub fn set(&self, store: Option<&Store>) {
        let mut shown = self.shown();
        shown.store = store.map_or_else(Weak::new, |store| Arc::downgrade(&store.open));
        if store.is_some() {
            shown.fault.clear();
        }
    }

    /// Tells whoever asks, as long as there is none, why that is so.
    pub fn tell(&self, fault: &Fault) {
        self.shown().fault = fault.to_string();
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
