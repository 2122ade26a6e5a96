//! The server's ledger in a database that several hosts share: opened under the name of this host, and committed to by a thread.
use super::{
    Server, ServerConfig,
    disk_ledger::{DiskLedger, warn_of_other_keys},
    ledger_thread::{LedgerThread, PROBE_AFTER},
};
use crate::{
    ledger::{
        folder::Folder,
        postgres::{Database, Postgres, in_database},
        store::StoreFault,
    },
    metrics::Metrics,
};
use std::{path::Path, sync::Arc, time::Instant};

impl Server {
    /// Keeps the ledger in a database, under the name of this host: another process under it fences this one. `folder` has the high-water mark of
    /// what this host has acknowledged, and is made if it is missing.
    ///
    /// # Errors
    /// The database or the folder cannot be used, or has lost what was acknowledged.
    pub fn open_database(&mut self, database: Database, host: &str, folder: &Path) -> Result<(), StoreFault> {
        let (journal, ledger) = open(database, host, folder, &self.config, &self.metrics)?;
        self.config.host = journal;
        let DiskLedger { committer, _folder: folder, .. } = ledger;
        self.committer = Box::new(LedgerThread::start(committer, folder, self.stop.waker())?);
        Ok(())
    }
}

/// Opens the journal of the host of this name; returns its number too.
///
/// # Errors
/// [`StoreFault`].
pub(super) fn open(
    database: Database,
    host: &str,
    folder: &Path,
    config: &ServerConfig,
    metrics: &Arc<Metrics>,
) -> Result<(u32, DiskLedger<Postgres>), StoreFault> {
    let of_folder = |fault| match fault {
        StoreFault::Failed(reason) => StoreFault::Failed(format!("{}: {reason}", folder.display())),
        fault => fault,
    };
    let locked = Folder::lock(folder).map_err(of_folder)?;
    let store =
        Postgres::open(database, host, locked.open_mark().map_err(of_folder)?).map_err(in_database)?;
    if let Some(cards) = &config.cards {
        warn_of_other_keys(store.cards_of_other_keys(&cards.keys)?);
    }
    Ok((store.journal(), DiskLedger::new(store, locked, config, metrics).map_err(in_database)?))
}

/// For a loop that is at rest: settles what is in doubt if that is due, and asks the database now and then whether it answers.
pub(super) fn tend() -> impl FnMut(&mut DiskLedger<Postgres>) {
    let mut asked_at = Instant::now();
    move |ledger| {
        if ledger.committer.has_work() {
            ledger.committer.commit();
        } else if asked_at.elapsed() > PROBE_AFTER {
            ledger.committer.probe();
            asked_at = Instant::now();
        }
    }
}
