//! Books of a summary and of the entries behind it.
use super::*;
use crate::ledger::{
    disk::Folder,
    entry::{FORMAT, Time},
    keeper::Keeper,
    packed::unpack,
    source::{Source, Wanted},
    verify::verify,
};
use atm_core::{
    ledger::{
        BLOCK, Command, Epoch, HelloClaim, LedgerId, Operation, Origin, Request, SessionId, Terminal, Ticket,
    },
    money::Amount,
};
use redb::ReadableTable;
use std::path::Path;
use tempfile::TempDir;

fn keeper(folder: &Path) -> Result<Keeper, crate::ledger::error::Error> {
    let disk = Box::new(Folder::take(folder, Default::default())?);
    let clock = Box::new(|| Time::from_millis(1_000));
    Keeper::open(disk, Amount::from_units(100).unwrap(), || LedgerId(7), clock, Default::default())
}

/// The first batch of a start: hellos of three terminals, and deposits of theirs and of a session without a name, with ids
/// from `first` on.
fn deposits(first: u64, count: u64) -> Vec<Request> {
    let kiosk = |number: u64| Origin::Terminal(format!("kiosk-{number}").parse().unwrap());
    let request = |origin, turn, command| Request { ticket: Ticket::default(), origin, turn, command };
    let claim = HelloClaim { epoch: Epoch::PLAIN, admit_equal: false, ledger: None, seen: 0 };
    let hello = |number| request(kiosk(number), 0, Command::Hello(claim));
    let deposit = |id: u64| {
        let (origin, turn) = match id % 4 {
            0 => (Origin::Session(SessionId::new(id)), 0),
            number => (kiosk(number), 1),
        };
        let operation = Operation::Deposit(Amount::from_minor(id % 7 + 1).unwrap());
        request(origin, turn, Command::Operate { id, operation })
    };
    let reserve = |_| (1..=3).map(|number| request(kiosk(number), 1, Command::Reserve));
    let reserves = (0..=count / u64::from(BLOCK)).flat_map(reserve);
    (1..=3).map(hello).chain(reserves).chain((first..first + count).map(deposit)).collect()
}

/// What another start finds of these books: the rest is in memory alone.
fn read_again(mut books: Books) -> Books {
    for till in books.tills.values_mut() {
        let Terminal { last, gap, set_back_at, .. } = till.row;
        till.row = Terminal { last, gap, set_back_at, ..Terminal::NEW };
    }
    books.tills.retain(|_, till| till.last > 0 || till.set_back > 0);
    books.start = books.reserved;
    books
}

#[test]
fn a_summary_and_the_entries_behind_it_are_the_books() {
    let folder = TempDir::new().unwrap();
    let mut summed = Vec::new();
    let mut first = 1;
    // Behind the first summary, up to a second one, behind that, and closed.
    for (count, closed) in [(10, false), (SUMMARY, false), (5, false), (3, true), (0, true)] {
        let mut ledger = keeper(folder.path()).unwrap();
        ledger.serve(deposits(first, count)).unwrap();
        first += count;
        // One that has an entry of no other kind.
        let late = Origin::Terminal(format!("late-{first}").parse().unwrap());
        let claim =
            HelloClaim { epoch: Epoch::PLAIN, admit_equal: false, ledger: Some(LedgerId(7)), seen: 9 };
        let seen = ledger.books().unwrap().reserved + 5;
        let command = Command::Hello(HelloClaim { seen, ..claim });
        ledger.serve(vec![Request { ticket: Ticket::default(), origin: late, turn: 0, command }]).unwrap();
        let before = read_again(ledger.books().unwrap().clone());
        if closed {
            ledger.close().unwrap();
        } else {
            drop(ledger);
        }
        let mut disk = Folder::take(folder.path(), Default::default()).unwrap();
        let (store, books) = Store::open(&mut disk).unwrap();
        assert_eq!(books, before);
        let report = verify(&store.view().unwrap(), |_| {}).unwrap();
        assert_eq!((report.faults, report.books.head()), (vec![], books.head()));
        summed.push((store.summed, books.head().number));
    }
    let [(1, behind), (second, _), (still, _), (closed, last), (end, after)] = summed[..] else {
        panic!("{summed:?}")
    };
    assert!(
        behind > 10 && second > SUMMARY && still == second && closed == last && end == after,
        "{summed:?}"
    );
}

#[test]
fn a_journal_of_another_ledger_spoils_nothing() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut ledger = keeper(one.path()).unwrap();
    ledger.serve(deposits(1, 6)).unwrap();
    let head = ledger.books().unwrap().head();
    ledger.close().unwrap();
    let mut ledger = keeper(other.path()).unwrap();
    ledger.serve(deposits(2, 9)).unwrap();
    drop(ledger);
    let journal = one.path().join("ledger.journal");
    std::fs::copy(other.path().join("ledger.journal"), &journal).unwrap();
    for _ in 0..2 {
        let error = keeper(one.path()).err().unwrap().to_string();
        assert!(error.contains("the journal is of another ledger"), "{error}");
    }
    std::fs::remove_file(&journal).unwrap();
    assert_eq!(keeper(one.path()).unwrap().books().unwrap().head(), head);
    // Nor is one taken for that of a ledger that is not there.
    std::fs::remove_file(other.path().join("ledger.redb")).unwrap();
    let reader = Source::open(other.path(), Wanted::All).map(drop);
    for error in [keeper(other.path()).map(drop), reader].map(Result::unwrap_err) {
        assert!(error.to_string().contains("the ledger is gone"), "{error}");
    }
    // A note of what was told of is enough.
    std::fs::remove_file(other.path().join("ledger.journal")).unwrap();
    let error = keeper(other.path()).err().unwrap().to_string();
    assert!(error.contains("what was told of is not (ledger.told)"), "{error}");
    std::fs::remove_file(other.path().join("ledger.told")).unwrap();
    keeper(other.path()).unwrap();
}

/// Whoever opens a pipe waits for the other end of it.
#[cfg(unix)]
#[test]
fn what_is_not_a_file_is_not_opened() {
    for name in ["ledger.redb", "ledger.journal"] {
        let folder = TempDir::new().unwrap();
        keeper(folder.path()).unwrap().serve(deposits(1, 6)).unwrap();
        let path = folder.path().join(name);
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = Source::open(folder.path(), Wanted::All).map(drop);
        for error in [keeper(folder.path()).map(drop), reader].map(Result::unwrap_err) {
            assert!(error.to_string().contains("this is not a file"), "{error}");
        }
    }
}

/// A start that refuses a ledger leaves it as it was: what is wrong may be set right, or was read wrong only once.
#[test]
fn a_ledger_that_is_refused_is_not_changed() {
    let folder = TempDir::new().unwrap();
    // Each start brings a batch into the tables.
    for round in 0..4 {
        keeper(folder.path()).unwrap().serve(deposits(1 + round * 40, 40)).unwrap();
    }
    let open = keeper(folder.path()).unwrap();
    let killed = TempDir::new().unwrap();
    let names = ["ledger.redb", "ledger.journal", "ledger.told"];
    let files = names.map(|name| std::fs::read(folder.path().join(name)).unwrap());
    let lay = |files: &[Vec<u8>; 3]| {
        for (name, bytes) in names.iter().zip(files) {
            std::fs::write(killed.path().join(name), bytes).unwrap();
        }
    };
    let head = open.books().unwrap().head();
    let mut refused = [0, 0];
    let pages = (320..files[0].len()).step_by(2039);
    let places = (0..320)
        .step_by(3)
        .chain(pages)
        .map(|at| (0, at))
        .chain((0..files[2].len()).step_by(7).map(|at| (2, at)));
    for (file, at) in places {
        let mut changed = files.clone();
        changed[file][at] ^= 1;
        lay(&changed);
        match keeper(killed.path()) {
            Ok(keeper) => assert_eq!(keeper.books().unwrap().head(), head, "{file} {at}"),
            Err(_) => {
                refused[file / 2] += 1;
                let left = std::fs::read(killed.path().join(names[0])).unwrap();
                assert!(
                    left == changed[0],
                    "byte {at} of {}: {} became {}",
                    names[file],
                    changed[0].len(),
                    left.len()
                );
                lay(&files);
                assert_eq!(keeper(killed.path()).unwrap().books().unwrap().head(), head);
            }
        }
    }
    assert!(refused[0] > 10 && refused[1] == 0, "{refused:?}");
}

#[test]
fn a_later_format_is_told_before_anything_else_is_looked_at() {
    let folder = TempDir::new().unwrap();
    let mut ledger = keeper(folder.path()).unwrap();
    ledger.serve(deposits(1, 6)).unwrap();
    drop(ledger);
    let (file, journal) = (folder.path().join("ledger.redb"), folder.path().join("ledger.journal"));
    let database = Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(STATE).unwrap().insert("format", FORMAT + 1).unwrap();
    // Nothing of it need be as it is here.
    transaction.delete_table(TableDefinition::<u64, &[u8]>::new("entries")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let journal_before = std::fs::read(&journal).unwrap();
    for _ in 0..2 {
        let error = keeper(folder.path()).err().unwrap();
        assert!(matches!(error.fault, Fault::Newer(format) if format == FORMAT + 1), "{error}");
    }
    let error = Source::open(folder.path(), Wanted::All).err().unwrap();
    assert!(matches!(error.fault, Fault::Newer(_)), "{error}");
    assert_eq!(std::fs::read(&journal).unwrap(), journal_before);
}

#[test]
fn an_entry_behind_the_summary_that_does_not_follow_is_found() {
    let folder = TempDir::new().unwrap();
    let mut ledger = keeper(folder.path()).unwrap();
    ledger.serve(deposits(1, 6)).unwrap();
    drop(ledger);
    // From the journal into the tables.
    drop(keeper(folder.path()).unwrap());
    let file = folder.path().join("ledger.redb");
    let whole = std::fs::read(&file).unwrap();
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 3] = [
        ("entry 4: that is not what comes of its request", |value| *value.last_mut().unwrap() ^= 1),
        ("entry 4 does not have the hash", |value| value[0] ^= 1),
        ("entry 4: it is not an entry", |value| value.truncate(40)),
    ];
    for (found, change) in changes {
        std::fs::write(&file, &whole).unwrap();
        let database = Database::open(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        let table = TableDefinition::<u64, &[u8]>::new("entries");
        let mut entries = transaction.open_table(table).unwrap();
        let mut values = std::collections::BTreeMap::new();
        for item in entries.range(2..).unwrap() {
            let (first, value) = item.unwrap();
            let rows = unpack(value.value(), first.value()).map(Option::unwrap);
            values.extend(rows.map(|(head, line)| (head.number, [&head.hash.0, line.as_bytes()].concat())));
        }
        change(values.get_mut(&4).unwrap());
        // Each in a value of its own.
        for (number, value) in values {
            let len = u16::try_from(value.len()).unwrap().to_le_bytes();
            entries.insert(number, [&len[..], &value].concat().as_slice()).unwrap();
        }
        drop(entries);
        transaction.commit().unwrap();
        drop(database);
        let before = std::fs::read(&file).unwrap();
        let error = keeper(folder.path()).err().unwrap().to_string();
        assert!(error.contains(found), "{error}");
        assert!(std::fs::read(&file).unwrap() == before, "{found}: the start has changed the file");
        // Whoever only reads is told by the proof.
        let mut disk = Folder::take(folder.path(), Default::default()).unwrap();
        let store = Store::open_unread(&mut disk).unwrap();
        let report = verify(&store.view().unwrap(), |_| {}).unwrap();
        assert!(report.faults[0].starts_with("entry 4"), "{:?}", report.faults);
    }
}
