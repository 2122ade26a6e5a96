//! Backup and restore.
use super::{
    audit::{checked, entries, ledger},
    beginning, committer, deposit, hello, named, store,
};
use crate::ledger::{backup::restore, reader::Reader, sqlite::Beginning};
use atm_core::ledger::{Ledger, LedgerId};
use rusqlite::Connection;
use std::fs;
use tempfile::TempDir;

/// The identity of a restored ledger.
fn other() -> Beginning {
    Beginning { identity: LedgerId(8), ..beginning() }
}

#[test]
fn a_backup_is_restored_as_another_ledger() {
    let folder = TempDir::new().unwrap();
    let (mut ledger, _lock) = ledger(folder.path());
    let file = folder.path().join("backup.db");
    let reader = Reader::open(folder.path()).unwrap();
    let (before, before_entries) = (checked(folder.path()), entries(&reader));
    let terminal = |reader: &Reader| reader.terminal(&"a".parse().unwrap()).unwrap();
    let expected = terminal(&reader);
    assert_eq!(reader.backup(&file).unwrap(), 9);
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777,
        0o600
    );
    // It is not written over another file.
    let bytes = fs::read(&file).unwrap();
    assert!(reader.backup(&file).unwrap_err().to_string().contains("backup.db: it exists already"));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    ledger.apply(&named("b", 1, deposit(6))).unwrap();
    let data = TempDir::new().unwrap();
    let restored = restore(&file, data.path(), other(), &mut |_| {}).unwrap();
    assert_eq!((restored.ledger, restored.entries, &restored.accounts), (LedgerId(8), 10, &before.accounts));
    assert_eq!(checked(data.path()), restored);
    assert_eq!(terminal(&Reader::open(data.path()).unwrap()), expected);
    let mut restored = entries(&Reader::open(data.path()).unwrap());
    let last = restored.pop().unwrap();
    assert_eq!(
        (restored, last.line.as_str()),
        (before_entries, "5,2,1,1,restored,0000000000000008,,,,,,,,,,,,,,,,,,,,,")
    );
    assert!(restore(&file, data.path(), other(), &mut |_| {}).is_err(), "not over a ledger");
    // It goes on.
    let (lock, sqlite) = store(data.path()).unwrap();
    let mut ledger = committer(sqlite);
    ledger.apply(&named("b", 0, hello(9))).unwrap();
    assert!(ledger.close());
    drop(lock);
    checked(data.path());
    let names = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| name.to_str().unwrap().starts_with("ledger.")));
}

#[test]
fn what_is_not_a_whole_backup_is_not_restored() {
    let folder = TempDir::new().unwrap();
    let _ledger = ledger(folder.path());
    let (file, changed) = (folder.path().join("backup"), folder.path().join("changed"));
    Reader::open(folder.path()).unwrap().backup(&file).unwrap();
    let backup = fs::read(&file).unwrap();
    fs::copy(&file, &changed).unwrap();
    Connection::open(&changed)
        .unwrap()
        .execute("UPDATE entries SET amount = 1 WHERE number = 2", [])
        .unwrap();
    let data = folder.path().join("data");
    for bytes in [
        b"".as_slice(),
        b"a diary\n",
        b"format,journal,number\n",
        &backup[..backup.len() - 4096],
        &backup[..4096],
        &fs::read(&changed).unwrap(),
    ] {
        fs::write(&changed, bytes).unwrap();
        let restored = restore(&changed, &data, other(), &mut |_| {});
        assert!(restored.unwrap_err().to_string().contains("changed"), "{}", bytes.len());
        let names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["ledger.lock"]);
    }
    restore(&file, &data, other(), &mut |_| {}).unwrap();
}
