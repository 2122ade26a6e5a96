//! Backup: a copy of the database in one file, made while a server writes to the ledger or not; and a ledger restored
//! from one, in a folder that has none.
//!
//! A restored ledger gets another identity: what terminals know of the former one says nothing about what was lost since.
//! The database gets its name last, so an interrupted restore leaves no ledger.
use super::{
    draft,
    folder::{Folder, beside, sync_folder},
    mark,
    reader::{Journal, Overview, Reader, uri},
    sqlite::{Beginning, FILE, HOST_JOURNAL, OPERATOR_JOURNAL, rows, tables},
    verify::Report,
};
use anyhow::{Context, Result, bail, ensure};
use rusqlite::{Connection, OpenFlags};
use std::{fs, path::Path};
use tempfile::{Builder, NamedTempFile};

impl Reader {
    /// Writes a backup to a new file, open to its owner alone; returns the count of its entries.
    ///
    /// # Errors
    /// Those of the ledger and the file. There is no such file then.
    pub fn backup(&self, file: &Path) -> Result<u64> {
        new_file(file, |draft| self.copy_into(draft.path()).with_context(|| file.display().to_string()))
    }

    /// Copies the database into an empty file.
    fn copy_into(&self, file: &Path) -> Result<u64> {
        let before = self.overview()?;
        // The file is there, and is not made again after a signal has removed it.
        self.connection.execute("VACUUM INTO ?", [uri(file, "mode=rw")])?;
        // It is written; can it be read?
        let copy = Self::open_file(file)?;
        let checked: String = copy.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        ensure!(checked == "ok", "{checked}");
        let after = copy.overview()?;
        for Journal { journal, head, .. } in before.journals.into_iter().chain(after.journals) {
            let hash = rows::hash(&copy.connection, journal, head.number)?;
            ensure!(hash.unwrap_or_default() == head.hash, "entry {} is another one", head.number);
        }
        Ok(after.entries)
    }
}

/// Restores a ledger from a backup; `progress` gets the count of entries so far. The identity and the time are those of
/// `new`.
///
/// # Errors
/// Those of the file and the folder, which has no ledger then.
pub fn restore(
    file: &Path,
    folder: &Path,
    new: Beginning,
    progress: &mut dyn FnMut(u64),
) -> Result<Overview> {
    let _locked = Folder::lock(folder).with_context(|| folder.display().to_string())?;
    let target = folder.join(FILE);
    let log = beside(&target, "-wal");
    ensure!(!log.try_exists()?, "{}: it is what is left of a ledger", log.display());
    let mut read = |draft: &Path| {
        Reader::open_file(file)?.copy_into(draft)?;
        let connection = Connection::open_with_flags(draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "journal_mode", "off")?;
        tables::renew(&connection, OPERATOR_JOURNAL, new)?;
        match (Reader { connection, _copy: None }).verify(progress)? {
            Report { overview: Some(overview), faults } if faults.is_empty() => Ok(overview),
            Report { faults, .. } => bail!("{}", faults.join("; ")),
        }
    };
    new_file(&target, |draft| {
        let overview = read(draft.path()).with_context(|| file.display().to_string())?;
        let host = overview.journals.iter().find(|journal| journal.journal == HOST_JOURNAL);
        let marked = mark::create(folder, host.map(|journal| &journal.head));
        marked.with_context(|| folder.display().to_string())?;
        Ok(overview)
    })
}

/// Makes a new file, open to its owner alone. It gets its name after `write` has filled it and it is synced, and only if
/// no other file has that name.
///
/// # Errors
/// Those of the system and of `write`; there is a file of that name.
pub fn new_file<T>(file: &Path, write: impl FnOnce(&NamedTempFile) -> Result<T>) -> Result<T> {
    let name = || file.display().to_string();
    ensure!(fs::symlink_metadata(file).is_err(), "{}: it exists already and is not overwritten", name());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = draft::make(|| Builder::new().prefix("atm-").suffix(".tmp").tempfile_in(folder));
    let draft = made.with_context(name)?;
    let written = write(&draft).map_err(name_file_limit)?;
    draft.as_file().sync_all().with_context(name)?;
    draft.persist_noclobber(file).with_context(name)?;
    sync_folder(folder).with_context(name)?;
    Ok(written)
}

/// Names the limit of a file's size where it is the cause: SQLite reports a write beyond it as an I/O error.
fn name_file_limit(error: anyhow::Error) -> anyhow::Error {
    #[cfg(unix)]
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Fsize).current
        && error.chain().any(is_of_a_write)
    {
        return anyhow::anyhow!("{error:#}; a file may have {most} bytes here (ulimit -f)");
    }
    error
}

/// Whether a file could not be written because it is too large, or SQLite could not write to one for what may be this reason.
#[cfg(unix)]
fn is_of_a_write(cause: &(dyn std::error::Error + 'static)) -> bool {
    let is_too_large = |error: &std::io::Error| error.kind() == std::io::ErrorKind::FileTooLarge;
    let sqlite = cause.downcast_ref().and_then(rusqlite::Error::sqlite_error);
    cause.downcast_ref().is_some_and(is_too_large)
        || sqlite.is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE)
}
