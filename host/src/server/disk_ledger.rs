//! The server's ledger on disk: opens the ledger in a folder and commits each turn's requests to it as one
//! batch. A loop that waits for each response has one in a shared database too.
use super::{Server, ServerConfig, committer::Committer, new_identity};
use crate::{
    access::Enrolment,
    clock::unix_time,
    ledger::{
        batch::Answered,
        committer::GroupCommitter,
        folder::Folder,
        sqlite::{Beginning, Sqlite},
        store::{Store, StoreFault},
    },
    log::SERVER,
    metrics::Metrics,
};
use atm_core::ledger::{InDoubt, Ledger, LedgerId, Name, Request, Response};
use std::{path::Path, sync::Arc, task::Poll, time::Instant};
use tracing::warn;

/// A ledger in a folder that this process has locked, or with its mark there.
pub(super) struct DiskLedger<S = Sqlite> {
    pub(super) committer: GroupCommitter<S>,
    /// Unlocked last.
    pub(super) _folder: Folder,
}

impl Server {
    /// Keeps the ledger in `folder` instead of in memory, where it would be lost at exit; creates one where
    /// there is none. With `accept_loss`, a ledger that has lost what was acknowledged goes on as another ledger.
    ///
    /// # Errors
    /// The folder cannot be used, or the ledger in it is damaged or in use.
    pub fn open_ledger(&mut self, folder: &Path, accept_loss: bool) -> Result<(), StoreFault> {
        self.committer = Box::new(open(folder, accept_loss, &self.config, &self.metrics)?);
        Ok(())
    }
}

/// Opens the ledger in a folder.
///
/// # Errors
/// [`StoreFault`].
pub(super) fn open(
    folder: &Path,
    accept_loss: bool,
    config: &ServerConfig,
    metrics: &Arc<Metrics>,
) -> Result<DiskLedger, StoreFault> {
    let identity = new_identity()?;
    let locked = Folder::lock(folder)?;
    let store =
        locked.open(Beginning { identity, balance: config.balance, time: unix_time() }, accept_loss)?;
    if let Some(cards) = &config.cards {
        warn_of_other_keys(store.cards_of_other_keys(&cards.keys)?);
    }
    DiskLedger::new(store, locked, config, metrics)
}

/// Warns of cards whose keys the secrets file lacks: how many there are, and the numbers of the first, by which `atm card` names them.
pub(super) fn warn_of_other_keys((cards, first): (u64, Vec<u64>)) {
    if cards > 0 {
        let first = Vec::from_iter(first.iter().map(u64::to_string)).join(" ");
        warn!(target: SERVER, cards, first, "the secrets file has no keys of cards that are in use: their right PINs count as wrong, and block them");
    }
}

impl<S: Store> DiskLedger<S> {
    /// Takes the store's journal over, for a server with this configuration.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(super) fn new(
        store: S,
        folder: Folder,
        config: &ServerConfig,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StoreFault> {
        let LedgerId(owner) = new_identity()?;
        let mut committer = GroupCommitter::open(store, owner, Box::new(unix_time), metrics.clone())?;
        committer.set_name_quota(config.name_quota());
        if let Some(cards) = &config.cards {
            committer.set_limits(cards.limits);
        }
        Ok(Self { committer, _folder: folder })
    }
}

impl<S: Store> Committer for DiskLedger<S> {
    fn submit(&mut self, request: Request) -> Result<Option<Answered>, InDoubt> {
        self.committer.submit(request)?;
        Ok(None)
    }

    fn commit(&mut self) {
        self.committer.commit();
    }

    fn has_queued(&self) -> bool {
        self.committer.has_work()
    }

    fn retry_at(&self) -> Option<Instant> {
        self.committer.deadline()
    }

    fn is_full(&self) -> bool {
        self.committer.is_full()
    }

    fn enrolment(&mut self, name: &Name) -> Poll<Result<Option<Enrolment>, InDoubt>> {
        Poll::Ready(self.committer.enrolment(name))
    }

    fn responses(&mut self) -> Result<Vec<Answered>, InDoubt> {
        self.committer.responses()
    }

    fn failure(&self) -> Option<String> {
        self.committer.failure().map(str::to_owned)
    }

    fn close(self: Box<Self>) -> bool {
        self.committer.close()
    }
}

/// One request at a time, for a loop that waits for each response.
impl<S: Store> Ledger for DiskLedger<S> {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let committer = &mut self.committer;
        if committer.has_work() {
            committer.commit();
        }
        // Drops the response to a request that was in doubt: its caller asks again.
        let _ = committer.responses()?;
        if committer.deadline().is_some() {
            return Err(InDoubt);
        }
        committer.submit(request.clone())?;
        committer.commit();
        // Another process has a transaction open, or the rows could not be loaded.
        committer.clear_queue();
        committer.responses()?.pop().map(|(_, response)| response).ok_or(InDoubt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::{
        ledger::{Command, Operation, Origin, SessionId, Ticket},
        wire::Wire,
    };

    #[test]
    fn a_transaction_of_another_process_fails_a_request_and_not_those_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(Wire::Postcard);
        let mut ledger = open(folder.path(), false, &config, &Arc::default()).unwrap();
        let command = Command::Operate { id: 1, operation: Operation::Inquiry };
        let origin = Origin::Session(SessionId::new(9));
        let request = Request { ticket: Ticket::default(), origin, turn: 0, command };
        let other = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
        for _ in 0..2 {
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            assert_eq!(ledger.apply(&request), Err(InDoubt));
            other.execute_batch("COMMIT").unwrap();
            assert!(ledger.apply(&request).is_ok());
        }
        assert!(!ledger.committer.has_failed());
    }
}
