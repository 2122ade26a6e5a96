//! The server's ledger in a database that several hosts share: opened under the name of this host, and committed to by a thread.
use super::{Server, ledger_thread::LedgerThread, new_identity};
use crate::{
    clock::unix_time,
    ledger::{
        committer::GroupCommitter,
        folder::Folder,
        postgres::{Database, Postgres},
        store::StoreFault,
    },
};
use atm_core::ledger::LedgerId;
use std::path::Path;

impl Server {
    /// Keeps the ledger in a database, under the name of this host: another process under it fences this one. `folder` has the high-water mark of
    /// what this host has acknowledged, and is made if it is missing.
    ///
    /// # Errors
    /// The database or the folder cannot be used, or has lost what was acknowledged.
    pub fn open_database(&mut self, database: Database, host: &str, folder: &Path) -> Result<(), StoreFault> {
        let LedgerId(owner) = new_identity()?;
        let locked = Folder::lock(folder)?;
        let store = Postgres::open(database, host, locked.open_mark()?)?;
        self.config.host = store.journal();
        let mut committer = GroupCommitter::open(store, owner, Box::new(unix_time), self.metrics.clone())?;
        committer.set_name_quota(self.config.name_quota());
        if let Some(cards) = &self.config.cards {
            committer.set_limits(cards.limits);
        }
        self.committer = Box::new(LedgerThread::start(committer, locked, self.stop.waker())?);
        Ok(())
    }
}
