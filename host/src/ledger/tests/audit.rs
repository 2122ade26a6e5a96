//! Reading, verifying and exporting, beside a ledger that is written to and without a writer.
use super::{committer, deposit, hello, named, store, units};
use crate::ledger::{
    committer::GroupCommitter,
    entry::{Entry, Hash},
    folder::Folder,
    reader::{AccountRow, Accounts, Journal, Overview, Reader},
    sqlite::{FILE, Sqlite},
    store::StoreFault,
};
use atm_core::{
    ledger::{
        Account, AccountNumber, Command, Epoch, Gap, HelloClaim, Ledger, LedgerId, Operation, Origin,
        Outcome, Receipt, Record, Request, SessionId, card::AccountState,
    },
    money::Amount,
};
use rusqlite::{Connection, params};
use std::{collections::BTreeMap, fs, path::Path};
use tempfile::TempDir;

/// A ledger with entries of every kind: 9 of them.
pub(super) fn ledger(folder: &Path) -> (GroupCommitter<Sqlite>, Folder) {
    let (lock, sqlite) = store(folder).unwrap();
    let mut ledger = committer(sqlite);
    let operate = |id, operation| Command::Operate { id, operation };
    let set_back =
        HelloClaim { epoch: Epoch::clear(2, 1), admit_equal: false, ledger: Some(LedgerId(7)), seen: 300 };
    for request in [
        named("a", 0, hello(1)),
        named("a", 1, deposit(1)),
        named("a", 1, operate(2, Operation::Withdraw(units(500)))),
        named("a", 1, Command::Settle { id: 3 }),
        Request { origin: Origin::Session(SessionId::new(9)), ..named("a", 0, deposit(1)) },
        named("b", 0, hello(1)),
        named("b", 1, operate(4, Operation::Withdraw(units(2)))),
        named("b", 1, operate(5, Operation::Deposit(Amount::MAX))),
        named("c", 0, hello(1)),
        named("a", 1, Command::Hello(set_back)),
        named("a", 2, operate(400, Operation::WithdrawAll)),
    ] {
        ledger.apply(&request).unwrap();
    }
    (ledger, lock)
}

/// The lines of its entries: the format.
const LINES: [&str; 9] = [
    "5,1,1,1,created,0000000000000007,,,,,,1,opening,account:1,10000,10000,1,,,,,,,,,,",
    "5,1,2,1000,done,,a,1,,deposit,,1,cash:a,account:1,100,10100,2,,,,,,,,,,",
    "5,1,3,1000,refused,,a,2,,withdrawal,insufficient,1,,,50000,10100,2,,,,,,,,,,",
    "5,1,4,1000,void,,a,3,,,,,,,,,,,,,,,,,,,",
    "5,1,5,1000,done,,,,,deposit,,1,cash,account:1,100,10200,3,,,,,,,,,,",
    "5,1,6,1000,done,,b,4,,withdrawal,,1,account:1,cash:b,200,10000,4,,,,,,,,,,",
    "5,1,7,1000,refused,,b,5,,deposit,balance-limit,1,,,9007199254740991,10000,4,,,,,,,,,,",
    "5,1,8,1000,set-back,,a,257,301,,,,,,,,,,,,,,,,,,",
    "5,1,9,1000,done,,a,400,,withdrawal-all,,1,account:1,cash:a,10000,0,5,,,,,,,,,,",
];

/// Writes the hashes of all entries anew, as a person who can write the whole file may.
pub(super) fn hash_anew(connection: &Connection, reader: &Reader) {
    let mut heads = BTreeMap::new();
    for Entry { line, .. } in entries(reader) {
        let mut columns = line.split(',').skip(1);
        let (journal, number) = (columns.next().unwrap(), columns.next().unwrap());
        let hash: &mut Hash = heads.entry(journal.to_owned()).or_default();
        *hash = hash.next(&line);
        let update = "UPDATE entries SET hash = ? WHERE journal = ? AND number = ?";
        connection.execute(update, params![hash.as_str(), journal, number]).unwrap();
    }
    for (journal, hash) in heads {
        let update = "UPDATE journals SET hash = ? WHERE journal = ?";
        connection.execute(update, params![hash.as_str(), journal]).unwrap();
    }
}

/// What a sound ledger says.
pub(super) fn checked(folder: &Path) -> Overview {
    let report = Reader::open(folder).unwrap().verify(&mut |_| {}).unwrap();
    assert_eq!(report.faults, [""; 0]);
    report.overview.unwrap()
}

/// Where the journals end.
fn heads(overview: &Overview) -> Vec<(String, u64, Hash)> {
    overview
        .journals
        .iter()
        .map(|Journal { name, head, .. }| (name.clone(), head.number, head.hash))
        .collect()
}

pub(super) fn accounts(reader: &Reader) -> Vec<AccountRow> {
    let mut rows = Vec::new();
    let take = |row| {
        rows.push(row);
        Ok::<_, StoreFault>(())
    };
    reader.accounts(take).unwrap();
    rows
}

pub(super) fn entries(reader: &Reader) -> Vec<Entry> {
    reader.range(0, u64::MAX).unwrap().unwrap().1
}

#[test]
fn a_ledger_is_read_beside_its_writer_and_without_one() {
    let folder = TempDir::new().unwrap();
    let (ledger, lock) = ledger(folder.path());
    let read = || {
        let overview = checked(folder.path());
        assert_eq!((overview.ledger, overview.entries, overview.terminals), (LedgerId(7), 9, 3));
        let reader = Reader::open(folder.path()).unwrap();
        assert_eq!(reader.overview().unwrap(), overview);
        let account = Account { number: AccountNumber(1), balance: Amount::ZERO, version: 5 };
        let row = AccountRow { account, owner: None, state: AccountState::Open };
        assert_eq!(accounts(&reader), [row]);
        let accounts = Accounts { count: 1, balance: 0, first: Some(AccountNumber(1)) };
        assert_eq!((overview.accounts, overview.opening), (accounts, 10_000));
        let terminal = reader.terminal(&"a".parse().unwrap()).unwrap().unwrap();
        let outcome = Outcome::Done(Receipt::Withdrawn { amount: units(100), balance: Amount::ZERO });
        let last = Record::new(400, Some(Operation::WithdrawAll), outcome);
        assert_eq!((terminal.last, terminal.gap), (Some(last), Gap { start: 257, end: 301 }));
        assert_eq!((terminal.next_number, terminal.turn), (557, 2));
        assert_eq!(reader.terminal(&"d".parse().unwrap()).unwrap(), None);
        let (row, range) = reader.range(7, 9).unwrap().unwrap();
        assert_eq!((row, range.len()), (9, 2));
        assert!(range[1].line.contains(",withdrawal-all,"), "{range:?}");
        assert_eq!(reader.range(9, 9).unwrap(), None);
        (heads(&overview), entries(&reader))
    };
    let running = read();
    assert!(ledger.close());
    drop(lock);
    assert_eq!(read(), running);
    let (heads, entries) = running;
    assert_eq!(entries.iter().map(|entry| entry.line.as_str()).collect::<Vec<_>>(), LINES);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.compare_heads(&checked(folder.path()).journals, &heads).unwrap(), [""; 0]);
}

#[test]
fn every_change_of_a_row_is_found() {
    let folder = TempDir::new().unwrap();
    let (ledger, _lock) = ledger(folder.path());
    assert!(ledger.close());
    let (whole, changed) = (fs::read(folder.path().join(FILE)).unwrap(), folder.path().join("changed.db"));
    for (found, change) in [
        ("does not have the hash", "UPDATE entries SET amount = 2 WHERE number = 2"),
        ("does not have the hash", "UPDATE entries SET time = 5 WHERE number = 3"),
        ("does not have the hash", "UPDATE entries SET terminal = 'c' WHERE number = 4"),
        ("this entry has no hash", "UPDATE entries SET hash = upper(hash) WHERE number = 9"),
        ("next number", "DELETE FROM entries WHERE number = 5"),
        ("next number", "UPDATE entries SET rowid = 100 WHERE number = 5"),
        ("next number", "UPDATE entries SET journal = 2 WHERE number = 9"),
        ("the end of journal host", "DELETE FROM entries WHERE number = 9"),
        ("the end of journal host", "UPDATE journals SET number = 8 WHERE journal = 1"),
        ("the end of journal operator", "UPDATE journals SET number = 1, batches = 1 WHERE journal = 2"),
        ("journal 1 has entries and no row", "DELETE FROM journals WHERE journal = 1"),
        ("the schema", "DROP VIEW movements; CREATE VIEW movements AS SELECT 1 AS amount"),
        ("account 1 is", "UPDATE accounts SET balance = 1"),
        ("account 1 is", "UPDATE accounts SET version = 1"),
        ("the list of accounts", "INSERT INTO accounts (account, balance, version) VALUES (2, 0, 0)"),
        ("the row of terminal a", "UPDATE terminals SET last_balance = 1 WHERE terminal = 'a'"),
        ("the row of terminal a", "UPDATE terminals SET last_id = 500 WHERE terminal = 'a'"),
        ("the row of terminal b", "UPDATE terminals SET last_outcome = 'insufficient' WHERE terminal = 'b'"),
        (
            "the row of terminal c",
            "UPDATE terminals SET last_id = 3, last_outcome = 'void' WHERE terminal = 'c'",
        ),
        ("the row of terminal a", "UPDATE terminals SET gap_end = 300 WHERE terminal = 'a'"),
        ("the row of terminal a", "UPDATE terminals SET set_back_at = NULL WHERE terminal = 'a'"),
        (
            "number 6 of terminal b is not reserved",
            "UPDATE terminals SET next_number = 5 WHERE terminal = 'b'",
        ),
        ("terminals with entries", "UPDATE terminals SET terminal = 'd' WHERE terminal = 'b'"),
        ("the last terminal's row", "DELETE FROM terminals WHERE terminal = 'a'"),
        ("the identity", "UPDATE ledger SET identity = '0000000000000009'"),
        ("the identity", "INSERT INTO ledger SELECT * FROM ledger"),
        ("not one that atm has written", "UPDATE terminals SET last_outcome = 'lost' WHERE terminal = 'a'"),
    ] {
        fs::write(&changed, &whole).unwrap();
        Connection::open(&changed).unwrap().execute_batch(change).unwrap();
        let report = Reader::open_file(&changed).unwrap().verify(&mut |_| {}).unwrap();
        assert!(report.faults.iter().any(|fault| fault.contains(found)), "{change}: {:?}", report.faults);
    }
    // Who can write all hashes anew is not found by them, but by what the requests give.
    for (found, change) in [
        ("is not the one that its request gives", "UPDATE entries SET amount = 99 WHERE number = 2"),
        ("is not the one that its request gives", "UPDATE entries SET debit = 'cash:b' WHERE number = 2"),
        ("is not the one that its request gives", "UPDATE entries SET reason = 'conflict' WHERE number = 3"),
        ("has an id that is in use, or unknown", "UPDATE entries SET id = 2 WHERE number = 4"),
        ("has an id that is in use, or unknown", "UPDATE entries SET id = 280 WHERE number = 9"),
        ("does not extend the terminal's gap", "UPDATE entries SET numbers = 257 WHERE number = 8"),
        (
            "cannot come here",
            "UPDATE entries SET kind = 'created', ledger = '0000000000000007' WHERE number = 4",
        ),
        ("the row of terminal b", "UPDATE entries SET terminal = 'c' WHERE number = 7"),
        ("is another one than expected", "UPDATE entries SET time = 5 WHERE number = 9"),
    ] {
        fs::write(&changed, &whole).unwrap();
        let connection = Connection::open(&changed).unwrap();
        let reader = Reader::open_file(&changed).unwrap();
        let expected = heads(&reader.overview().unwrap());
        connection.execute_batch(change).unwrap();
        hash_anew(&connection, &reader);
        let mut faults = reader.verify(&mut |_| {}).unwrap().faults;
        faults.extend(reader.compare_heads(&reader.overview().unwrap().journals, &expected).unwrap());
        assert!(faults.iter().any(|fault| fault.contains(found)), "{change}: {faults:?}");
    }
}

#[test]
fn a_journal_more_or_fewer_or_shorter_than_expected_is_found() {
    let folder = TempDir::new().unwrap();
    let _ledger = ledger(folder.path());
    let reader = Reader::open(folder.path()).unwrap();
    let overview = checked(folder.path());
    let [host, operator] = heads(&overview).try_into().unwrap();
    let named = |name: &str, (_, number, hash): &(String, u64, Hash)| (name.to_owned(), *number, *hash);
    let ends_at = |number| ("host".to_owned(), number, host.2);
    for (found, heads) in [
        ("", vec![host.clone(), operator.clone()]),
        ("", vec![operator.clone(), host.clone()]),
        ("", vec![ends_at(0), operator.clone()]),
        ("entry 8 of journal host is another one", vec![ends_at(8), operator.clone()]),
        ("journal host has 9 entries, and 10 are expected", vec![ends_at(10), operator.clone()]),
        ("journal host is not expected", vec![named("other", &host), operator.clone()]),
        ("journal other is missing", vec![host.clone(), operator.clone(), named("other", &operator)]),
        ("journal operator is not expected", vec![host.clone()]),
    ] {
        let faults = reader.compare_heads(&overview.journals, &heads).unwrap();
        let is_found = faults.iter().any(|fault| fault.contains(found));
        assert_eq!(is_found, !found.is_empty(), "{heads:?}: {faults:?}");
    }
}

#[test]
fn a_folder_that_is_not_a_whole_ledger_is_refused_with_the_way_out() {
    let folder = TempDir::new().unwrap();
    let _ledger = ledger(folder.path());
    let empty = TempDir::new().unwrap();
    let copy = |names: &[&str]| {
        let to = TempDir::new().unwrap();
        for name in names {
            fs::copy(folder.path().join(name), to.path().join(name)).unwrap();
        }
        to
    };
    let former = TempDir::new().unwrap();
    fs::write(former.path().join("ledger.redb"), "redb").unwrap();
    let only_log = copy(&["ledger.mark", "ledger.db-wal"]);
    fs::write(only_log.path().join(FILE), "").unwrap();
    let empty_file = copy(&["ledger.mark"]);
    fs::write(empty_file.path().join(FILE), "").unwrap();
    let way_out = "ledger.db, ledger.db-wal and ledger.mark belong together";
    for (found, folder) in [
        ("there is no ledger", empty),
        ("before the first release", former),
        (way_out, copy(&["ledger.db", "ledger.mark"])),
        (way_out, copy(&["ledger.db", "ledger.db-wal"])),
        (way_out, copy(&["ledger.mark"])),
        (way_out, copy(&["ledger.mark", "ledger.db-wal"])),
        (way_out, only_log),
        (way_out, empty_file),
    ] {
        let error = Reader::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
        if found == way_out {
            let error = store(folder.path()).unwrap_err();
            assert!(error.is_final() && error.to_string().contains(found), "{error}");
        }
    }
    let whole = copy(&["ledger.db", "ledger.db-wal", "ledger.mark"]);
    assert_eq!(checked(whole.path()).entries, 9);
}

#[test]
fn a_file_with_a_log_and_no_index_of_it_is_read_from_a_private_copy() {
    let folder = TempDir::new().unwrap();
    let _ledger = ledger(folder.path());
    let copied = TempDir::new().unwrap();
    let (file, log) = (copied.path().join(FILE), copied.path().join("ledger.db-wal"));
    for path in [&file, &log] {
        fs::copy(folder.path().join(path.file_name().unwrap()), path).unwrap();
    }
    let reader = Reader::copy(&file, &log, &copied.path().join("ledger.db-shm")).unwrap();
    assert_eq!((reader.overview().unwrap().entries, fs::read_dir(copied.path()).unwrap().count()), (9, 2));
    let private = Path::new(reader.connection.path().unwrap()).parent().unwrap().to_owned();
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&private.metadata().unwrap().permissions()) & 0o777,
        0o700
    );
    drop(reader);
    assert!(!private.exists());
}

#[test]
fn a_list_of_accounts_comes_in_ranges_and_keeps_no_transaction_open() {
    let folder = TempDir::new().unwrap();
    let (ledger, _lock) = ledger(folder.path());
    let writer = Connection::open(folder.path().join(FILE)).unwrap();
    let insert = "WITH RECURSIVE number (n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM number WHERE n < 20999)
                  INSERT INTO accounts (account, balance, version, owner, state) SELECT n, 5, 1, 'Ada', 'open' FROM number";
    writer.execute_batch(insert).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let mut seen = Vec::new();
    let take = |row: AccountRow| {
        // It would wait for a reader, and give up.
        if seen.len() % 5_000 == 0 {
            writer.execute("UPDATE accounts SET balance = balance + 1 WHERE account = 20999", []).unwrap();
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            let is_busy: bool = writer.query_row(checkpoint, [], |row| row.get(0)).unwrap();
            assert!(!is_busy, "{}", seen.len());
        }
        seen.push((row.account.number.0, row.account.balance.minor()));
        Ok::<_, StoreFault>(())
    };
    reader.accounts(take).unwrap();
    let of_open = seen.remove(0);
    assert_eq!((of_open.0, seen.len()), (1, 20_000));
    assert!(
        seen.iter().zip(1000..).all(|((number, balance), n)| *number == n && (*balance == 5 || n == 20_999))
    );
    // The last range was read after the change in its first rows.
    assert_eq!(seen.last(), Some(&(20_999, 9)));
    let overview = reader.overview().unwrap().accounts;
    assert_eq!(overview, Accounts { count: 20_001, balance: 100_005, first: Some(AccountNumber(1)) });
    assert!(ledger.close());
}

#[test]
fn a_changed_byte_is_found_or_changes_no_entry_and_no_balance() {
    let folder = TempDir::new().unwrap();
    let (ledger, _lock) = ledger(folder.path());
    assert!(ledger.close());
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let read = |reader: &Reader| (entries(reader), reader.overview().unwrap().accounts, accounts(reader));
    let expected = read(&Reader::open(folder.path()).unwrap());
    let mut found = 0;
    // A prime, so that all places of a page come up.
    for at in (0..whole.len()).step_by(89) {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        let _ = fs::remove_file(folder.path().join("ledger.db-shm"));
        let verified = Reader::open(folder.path()).map(|reader| {
            let report = reader.verify(&mut |_| {});
            if report.is_ok_and(|report| report.faults.is_empty()) {
                assert_eq!(read(&reader), expected, "byte {at}");
                return true;
            }
            false
        });
        found += usize::from(!verified.unwrap_or(false));
    }
    assert!(found > 20, "{found}");
}
