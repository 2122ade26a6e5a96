//! The server's ledger on disk: opens the ledger in a folder and commits each turn's requests to it as one
//! batch.
use super::{Server, ServerConfig, committer::Committer, new_identity};
use crate::{
    ledger::{disk::Folder, entry::Time, error::Error, keeper::Keeper, teller::Teller},
    metrics::Metrics,
};
use atm_core::ledger::{InDoubt, LedgerId, Request, Response};
use std::{path::Path, sync::Arc};

impl Server {
    /// Keeps the ledger in `folder` instead of in memory, where it would be lost at exit; creates one where
    /// there is none.
    ///
    /// # Errors
    /// The folder cannot be used, or the ledger in it is damaged or in use.
    pub fn open_ledger(&mut self, folder: &Path) -> Result<(), Error> {
        let identity =
            new_identity().map_err(|error| Error { path: folder.to_owned(), fault: error.into() })?;
        let keeper = open_keeper(folder, &self.config, identity, &self.metrics)?;
        self.committer = Box::new(Teller::on_disk(keeper, self.stop.wake_callback()));
        Ok(())
    }
}

/// Opens the ledger in a folder, and the socket by which others read it; `fresh` is the identity of a new
/// one.
pub(super) fn open_keeper(
    folder: &Path,
    config: &ServerConfig,
    fresh: LedgerId,
    metrics: &Arc<Metrics>,
) -> Result<Keeper, Error> {
    let disk = Box::new(Folder::take(folder, metrics.clone())?);
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut keeper = Keeper::open(disk, config.balance, || fresh, Box::new(Time::now), metrics.clone())?;
    #[cfg(unix)]
    keeper.show_in(folder);
    Ok(keeper)
}

impl Committer for Teller {
    fn submit(&mut self, request: Request) -> Result<Option<(Request, Response)>, InDoubt> {
        self.ask(request);
        Ok(None)
    }

    fn commit(&mut self) {
        self.send();
    }

    fn has_queued(&self) -> bool {
        self.has_asked()
    }

    fn is_full(&self) -> bool {
        self.is_full()
    }

    fn responses(&mut self) -> Result<Vec<(Request, Response)>, InDoubt> {
        self.answers()
    }

    fn close(mut self: Box<Self>) -> bool {
        (*self).close()
    }
}
