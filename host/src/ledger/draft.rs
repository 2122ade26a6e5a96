//! Drafts: files and folders of this process that are incomplete or for it alone, and are removed when a signal ends it.
use super::folder::beside;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Those that were made; a name is random, and stays here when its draft is gone.
static DRAFTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<PathBuf>> {
    DRAFTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a draft. A removal waits until its name is noted.
pub(super) fn make<T: AsRef<Path>>(new: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut drafts = lock();
    let draft = new()?;
    drafts.push(draft.as_ref().to_owned());
    Ok(draft)
}

/// Removes the drafts, with SQLite's rollback journals beside them, before a signal ends the process. No other is made until what is
/// returned is dropped.
pub fn remove_drafts() -> impl Sized {
    let drafts = lock();
    for draft in drafts.iter() {
        // Where that fails, it is left, as after a loss of power.
        let _ = fs::remove_file(beside(draft, "-journal"));
        let _ = fs::remove_file(draft);
        // Another thread may be making the database in it, its log and its index.
        for _ in 0..4 {
            if fs::remove_dir_all(draft).is_ok() {
                break;
            }
        }
    }
    drafts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_removal_comes_between_a_draft_and_the_note_of_its_name() {
        let draft = make(|| {
            let draft = tempfile::NamedTempFile::new();
            assert!(DRAFTS.try_lock().is_err());
            draft
        });
        let draft = draft.unwrap();
        assert!(lock().iter().any(|path| path == draft.path()));
    }
}
