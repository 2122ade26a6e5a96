//! Damage to a ledger's files: each case opens with everything that was acknowledged, is refused, or is found by the audit
//! of the tables; none shows a wrong balance or loses silently what was acknowledged.
use crate::{
    callers::Callers,
    day::{Day, Processes},
};
use atm_core::{ledger::LedgerId, money::Amount, time::UnixTime};
use atm_e2e::seeded_rng;
use atm_faulty_vfs::Cut;
use atm_host::ledger::{
    folder::Folder,
    mark,
    reader::Reader,
    sqlite::{self, Beginning},
    store::StoreFault,
    verify::Report,
};
use atm_sim::{
    faulty_disk::{BALANCE, IDENTITY, Machine, WAL},
    tables::{Tables, audit},
};
use rusqlite::Connection;
use std::{fs, path::Path};

/// What a damaged ledger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// It opens with everything that was acknowledged.
    Whole,
    /// It is refused at the start.
    Refused,
    /// It opens, and the audit finds that it contradicts itself.
    Found,
    /// It opens with everything but a terminal's first free number, which no entry tells: a hello of the terminal does.
    Numbers,
    /// It opens as a ledger that was whole earlier. Only what is kept elsewhere tells: the terminals' numbers, and heads
    /// for `atm ledger verify --expect`.
    Older,
}

/// The verdict about tables that a process opens, if these were acknowledged.
fn verdict(tables: Result<Tables, String>, acknowledged: &Tables) -> Verdict {
    match tables {
        Err(_) => Verdict::Found,
        Ok(tables) if !tables.faults.is_empty() => Verdict::Found,
        Ok(tables) if tables == *acknowledged => Verdict::Whole,
        Ok(tables)
            if Tables { terminals: acknowledged.terminals.clone(), ..tables.clone() } == *acknowledged =>
        {
            Verdict::Numbers
        }
        Ok(tables) => {
            assert!(acknowledged.settled.starts_with(&tables.settled), "another history");
            Verdict::Older
        }
    }
}

/// The verdict, with that of `atm ledger verify` about the files in a folder. It finds what the audit of the tables finds,
/// and what contradicts itself in columns that no entry tells.
fn verify_too(folder: &Path, verdict: Verdict) -> Verdict {
    let verified = Reader::open(folder).map(|reader| reader.verify(&mut |_| ()));
    let is_sound = matches!(verified, Ok(Ok(Report { faults, .. })) if faults.is_empty());
    assert!(!is_sound || verdict != Verdict::Found, "only the audit finds it");
    if is_sound { verdict } else { Verdict::Found }
}

/// A day that has come so far.
fn machine(steps: usize) -> (Machine, Processes, Callers) {
    let machine = Machine::first();
    let (mut day, mut processes) = (Day::new(), Processes::default());
    (0..steps).for_each(|_| day.step(&machine, &mut processes).unwrap());
    (machine, processes, day.callers)
}

fn tables(machine: &Machine) -> Result<Tables, String> {
    machine.connect().and_then(|connection| audit(&connection)).map_err(|error| error.to_string())
}

/// One bit flipped, at offsets in each page of a file.
fn flips(machine: &Machine, acknowledged: &Tables) {
    let mut rng = seeded_rng();
    for name in machine.disk.names() {
        let length = machine.disk.contents(&name).unwrap().len();
        let mut counts = std::collections::BTreeMap::new();
        for page in (0..length).step_by(4096) {
            for nth in 0..14 {
                // The beginning of a page, or of a frame, says what it is.
                let within = if nth < 6 { rng.usize(..128) } else { rng.usize(..4096) };
                let (offset, bit) = (page + within, rng.u8(..8));
                let damaged = machine.kill();
                if !damaged.disk.flip(&name, offset, bit) {
                    continue;
                }
                let verdict = match damaged.start(99) {
                    Err(_) => Verdict::Refused,
                    Ok(process) => {
                        drop(process);
                        let verdict = verdict(tables(&damaged), acknowledged);
                        let folder = tempfile::tempdir().unwrap();
                        for name in damaged.disk.names() {
                            fs::write(folder.path().join(&*name), damaged.disk.contents(&name).unwrap())
                                .unwrap();
                        }
                        verify_too(folder.path(), verdict)
                    }
                };
                *counts.entry(verdict).or_insert(0) += 1;
                let is_rare = verdict == Verdict::Numbers && &*name == sqlite::FILE;
                assert!(
                    verdict < Verdict::Numbers || is_rare,
                    "{name}, bit {bit} of byte {offset}: {verdict:?}"
                );
            }
        }
        println!("{name}: {counts:?}");
        let harmed = counts.get(&Verdict::Refused).unwrap_or(&0) + counts.get(&Verdict::Found).unwrap_or(&0);
        assert!(harmed > 0 || &*name != WAL, "{name}");
    }
}

#[test]
fn a_bit_flipped_in_a_ledger_that_was_closed() {
    let (machine, mut processes, callers) = machine(18);
    processes.committer.take().unwrap().close();
    assert!(machine.disk.contents(WAL).is_none());
    let acknowledged = tables(&machine.kill()).unwrap();
    callers.check(&acknowledged, &[]);
    flips(&machine, &acknowledged);
}

#[test]
fn a_bit_flipped_in_a_ledger_whose_process_was_killed() {
    let (machine, _processes, callers) = machine(18);
    assert!(machine.disk.contents(WAL).unwrap().len() > 20_000);
    let acknowledged = tables(&machine.kill()).unwrap();
    callers.check(&acknowledged, &[]);
    flips(&machine, &acknowledged);
}

#[test]
fn a_write_ahead_log_cut_off_anywhere() {
    let (machine, _processes, _) = machine(18);
    let acknowledged = tables(&machine.kill()).unwrap();
    let log = machine.disk.contents(WAL).unwrap();
    // Frames after those with the salt of the log's header are of before the last checkpoint: nothing reads them
    // (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).
    let frames = log[32..].chunks_exact(24 + 4096).take_while(|frame| frame[8..16] == log[16..24]);
    let used = 32 + frames.count() * (24 + 4096);
    assert!(used > log.len() / 2, "{used} of {}", log.len());
    for length in (0..used).step_by(1031) {
        let damaged = machine.power_cut(Cut::Kept);
        damaged.disk.replace(WAL, Some(log[..length].to_vec()));
        let verdict = match damaged.start(99) {
            Err(StoreFault::Damaged(_)) => Verdict::Refused,
            Err(other) => panic!("{length}: {other}"),
            Ok(_) => verdict(tables(&damaged), &acknowledged),
        };
        assert!(verdict == Verdict::Refused, "{length} of {}: {verdict:?}", log.len());
    }
}

const SHM: &str = "ledger.db-shm";
const FILES: [&str; 4] = [sqlite::FILE, WAL, SHM, mark::FILE];

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    Deleted,
    Emptied,
    Halved,
    /// One bit of what is used.
    Flipped,
    /// An older copy is in its place.
    Older,
}

const HARMS: [Harm; 5] = [Harm::Deleted, Harm::Emptied, Harm::Halved, Harm::Flipped, Harm::Older];

/// The verdict about each harm to each file, in the order of [`FILES`] and [`HARMS`].
const TABLE: [[Verdict; 5]; 4] = {
    use Verdict::{Refused, Whole};
    [
        // ledger.db: the log has all pages but those that were checkpointed before and not changed since. A start on a
        // copy verifies them.
        [Refused, Refused, Refused, Refused, Refused],
        [Refused, Refused, Refused, Refused, Refused],
        // ledger.db-shm is made anew from the log.
        [Whole, Whole, Whole, Whole, Whole],
        // ledger.mark: one slot of two is enough.
        [Refused, Refused, Refused, Whole, Whole],
    ]
};

fn harm(folder: &Path, older: &Path, file: &str, harm: Harm) {
    let path = folder.join(file);
    let mut bytes = fs::read(&path).unwrap();
    match harm {
        Harm::Deleted => return fs::remove_file(path).unwrap(),
        Harm::Older => bytes = fs::read(older.join(file)).unwrap(),
        Harm::Emptied => bytes.clear(),
        Harm::Halved => bytes.truncate(bytes.len() / 2),
        Harm::Flipped => {
            let at = match file {
                // The terminal of an entry, in a page that is full.
                sqlite::FILE => {
                    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"cash:aaccount")).collect()
                }
                // The newer slot.
                mark::FILE if batches(&bytes) > batches(&bytes[4096..]) => vec![0],
                mark::FILE => vec![4096],
                _ => vec![bytes.len() / 2],
            };
            assert!(!at.is_empty());
            at.into_iter().for_each(|at| bytes[at] ^= 1);
        }
    }
    fs::write(path, bytes).unwrap();
}

/// The commits in a slot of the mark.
fn batches(slot: &[u8]) -> u64 {
    std::str::from_utf8(slot.split(|byte| *byte == b',').next().unwrap()).unwrap().parse().unwrap()
}

fn copy(from: &Path, to: &Path) {
    for name in FILES {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

fn open(folder: &Path) -> Result<Folder, StoreFault> {
    let locked = Folder::lock(folder)?;
    let balance = Amount::from_units(BALANCE).unwrap();
    let time = UnixTime::from_millis(1);
    locked.open(Beginning { identity: LedgerId(8), balance, time }, false)?;
    Ok(locked)
}

/// The verdict about a folder.
fn judge(folder: &Path, acknowledged: &Tables) -> Verdict {
    match open(folder) {
        Err(StoreFault::Damaged(_) | StoreFault::Unusable(_) | StoreFault::Failed(_)) => Verdict::Refused,
        Err(other) => panic!("{other}"),
        Ok(_locked) => {
            let connection = Connection::open(folder.join(sqlite::FILE)).unwrap();
            let tables = audit(&connection).map_err(|error| error.to_string());
            verify_too(folder, verdict(tables, acknowledged))
        }
    }
}

/// The folder of a ledger whose process was killed, at the end of a day and earlier in it.
fn folders() -> (tempfile::TempDir, tempfile::TempDir, Tables) {
    let (older, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = tempfile::tempdir().unwrap();
    let locked = Folder::lock(source.path()).unwrap();
    let balance = Amount::from_units(BALANCE).unwrap();
    let time = UnixTime::from_millis(1);
    let store = locked.open(Beginning { identity: IDENTITY, balance, time }, false).unwrap();
    let clock = Box::new(|| UnixTime::from_millis(1_000));
    let mut committer =
        atm_host::ledger::committer::GroupCommitter::open(store, 5, clock, Default::default()).unwrap();
    let mut callers = Callers::default();
    let mut steps = crate::day::batches();
    // Until entries fill several pages.
    let last = steps.last().unwrap().clone();
    steps.extend(std::iter::repeat_n(last, 5));
    for (number, asks) in steps.iter().enumerate() {
        for ask in asks {
            let request = callers.request(*ask);
            committer.submit(request).unwrap();
        }
        committer.commit();
        for (request, response) in committer.responses().unwrap() {
            callers.hear(&request, &response);
        }
        if number == steps.len() / 2 {
            copy(source.path(), older.path());
        }
        if number == steps.len() - 3 {
            let other = Connection::open(source.path().join(sqlite::FILE)).unwrap();
            other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
    }
    copy(source.path(), killed.path());
    let acknowledged = audit(&Connection::open(source.path().join(sqlite::FILE)).unwrap()).unwrap();
    callers.check(&acknowledged, &[]);
    (killed, older, acknowledged)
}

#[test]
fn each_file_and_each_pair_of_files_deleted_cut_flipped_or_exchanged() {
    let (killed, older, acknowledged) = folders();
    let judged = |harms: &[(usize, Harm)]| {
        let folder = tempfile::tempdir().unwrap();
        copy(killed.path(), folder.path());
        for (file, what) in harms {
            harm(folder.path(), older.path(), FILES[*file], *what);
        }
        judge(folder.path(), &acknowledged)
    };
    assert_eq!(judged(&[]), Verdict::Whole);
    let mut wrong = Vec::new();
    for (file, expected) in TABLE.iter().enumerate() {
        for (what, expected) in HARMS.into_iter().zip(expected) {
            let verdict = judged(&[(file, what)]);
            println!("{} {what:?}: {verdict:?}", FILES[file]);
            if verdict != *expected {
                wrong.push(format!("{} {what:?}: {verdict:?}", FILES[file]));
            }
        }
    }
    for one in 0..FILES.len() {
        for other in one + 1..FILES.len() {
            for (first, second) in HARMS.into_iter().flat_map(|first| HARMS.map(|second| (first, second))) {
                let verdict = judged(&[(one, first), (other, second)]);
                println!("{} {first:?}, {} {second:?}: {verdict:?}", FILES[one], FILES[other]);
                // A whole ledger of an earlier time, with a mark that is as old.
                let is_older = FILES[other] == mark::FILE && [Harm::Flipped, Harm::Older].contains(&second);
                if verdict == Verdict::Older && !is_older {
                    wrong.push(format!("{} {first:?}, {} {second:?}", FILES[one], FILES[other]));
                }
                // What one harm alone does not leave whole, two do not.
                let alone = [TABLE[one], TABLE[other]].into_iter().zip([first, second]).all(|(row, harm)| {
                    row[HARMS.iter().position(|known| *known == harm).unwrap()] == Verdict::Whole
                });
                if verdict == Verdict::Whole && !alone {
                    wrong.push(format!("{} {first:?}, {} {second:?}: whole", FILES[one], FILES[other]));
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}
