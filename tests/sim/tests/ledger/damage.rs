//! Corruption: a ledger on disk with a flipped bit is refused or unchanged, and never shows a wrong balance.
use atm_core::{
    ledger::{Command, Epoch, HelloClaim, LedgerId, Operation, Origin, Request, Ticket},
    money::Amount,
};
use atm_e2e::{Program, Server, atm, seeded_rng};
use atm_host::ledger::{
    books::Books,
    entry::Time,
    error::{Error, Fault},
    keeper::Keeper,
    verify::verify,
};
use atm_sim::faulty_disk::FaultyDisk;
use std::{fs::OpenOptions, os::unix::fs::FileExt};

fn open(disk: &FaultyDisk) -> Result<Keeper, Error> {
    let balance = Amount::from_units(100).unwrap();
    let time = Box::new(|| Time::from_millis(0));
    Keeper::open(Box::new(disk.clone()), balance, || LedgerId(7), time, Default::default())
}

const PAGE: usize = 4096;

/// What 20 terminals ask.
fn requests(turn: u32, command: impl Fn(u64) -> Command) -> Vec<Request> {
    let request = |number: u64| {
        let origin = Origin::Terminal(format!("kiosk-{number}").parse().unwrap());
        Request { ticket: Ticket::default(), origin, turn, command: command(number) }
    };
    (0..20).map(request).collect()
}

fn hellos() -> Vec<Request> {
    let claim = HelloClaim { epoch: Epoch::PLAIN, admit_equal: false, ledger: None, seen: 0 };
    requests(0, |_| Command::Hello(claim))
}

/// What is asked in a round.
fn deposits(turn: u32, round: u64) -> Vec<Request> {
    let amount = |number| Amount::from_units(number + 1).unwrap();
    requests(turn, |number| Command::Operate { id: round, operation: Operation::Deposit(amount(number)) })
}

/// A ledger with some business in it, closed.
fn whole() -> FaultyDisk {
    let whole = FaultyDisk::new(1);
    let mut keeper = open(&whole).unwrap();
    keeper.serve(hellos()).unwrap();
    for round in 1..=20 {
        keeper.serve(deposits(1, round)).unwrap();
    }
    keeper.close().unwrap();
    whole
}

fn books(keeper: &Keeper) -> Books {
    keeper.books().unwrap().clone()
}

#[test]
fn a_bit_of_any_page_was_turned() {
    let whole = whole();
    let expected = books(&open(&whole).unwrap());

    let mut rng = seeded_rng();
    let (mut refused, mut unharmed) = (0, 0);
    for page in 0..whole.len() / PAGE {
        for round in 0..3 {
            // The beginning of a page says what it is.
            let within = if round == 0 { rng.usize(..64 * 8) } else { rng.usize(..PAGE * 8) };
            let bit = page * PAGE * 8 + within;
            let disk = whole.copy(1);
            disk.flip_bit(bit);
            match open(&disk) {
                Ok(keeper) => {
                    // It was in none of the pages that are used, or mended.
                    assert_eq!(books(&keeper), expected, "bit {bit}");
                    let report = verify(&keeper.store().unwrap().view().unwrap(), |_| ()).unwrap();
                    assert_eq!(report.faults, [""; 0], "bit {bit}");
                    unharmed += 1;
                }
                Err(Error { fault, .. }) => {
                    assert!(
                        matches!(fault, Fault::Damaged(_) | Fault::Foreign | Fault::Newer(_)),
                        "bit {bit}: {fault:?}"
                    );
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} refused, {unharmed} in nothing that is used");
    assert!(refused > 30 && unharmed > 0, "{refused} {unharmed}");
}

#[test]
fn a_bit_was_turned_where_the_server_was_killed() {
    let mut rng = seeded_rng();
    let disk = FaultyDisk::new(1);
    let mut keeper = open(&disk).unwrap();
    keeper.serve(hellos()).unwrap();
    for round in 1..=20 {
        keeper.serve(deposits(1, round)).unwrap();
    }
    let expected = books(&keeper);
    // As `kill -9` leaves it: it is not closed.
    let killed = disk.copy(1);
    assert_eq!(books(&open(&killed.copy(1)).unwrap()).balance(), expected.balance());
    let (mut refused, mut unharmed) = (0, 0);
    for page in 0..killed.len() / PAGE {
        for round in 0..6 {
            let within = if round < 3 { rng.usize(..64 * 8) } else { rng.usize(..PAGE * 8) };
            let disk = killed.copy(1);
            disk.flip_bit(page * PAGE * 8 + within);
            match open(&disk) {
                Ok(keeper) => {
                    assert_eq!(
                        keeper.books().unwrap().head(),
                        expected.head(),
                        "page {page}: nothing is undone"
                    );
                    assert_eq!(keeper.books().unwrap().balance(), expected.balance(), "page {page}");
                    unharmed += 1;
                }
                Err(Error { fault, .. }) => {
                    assert!(
                        matches!(fault, Fault::Damaged(_) | Fault::Foreign | Fault::Newer(_)),
                        "page {page}: {fault:?}"
                    );
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} refused, {unharmed} in nothing that is used");
    assert!(refused > 30 && unharmed > 0, "{refused} {unharmed}");
}

#[test]
fn a_page_was_changed_while_the_ledger_was_open() {
    let whole = whole();
    let mut rng = seeded_rng();
    let (mut found, mut unharmed, mut closed) = (0, 0, 0);
    for page in 0..whole.len() / PAGE {
        for round in 0..12 {
            let disk = whole.copy(1);
            let mut keeper = open(&disk).unwrap();
            let expected = books(&keeper);
            // All of a page is as good as lost, or one bit of it.
            let bits = if round == 0 { 2000 } else { 1 };
            for _ in 0..bits {
                let within = if round < 6 { rng.usize(..64 * 8) } else { rng.usize(..PAGE * 8) };
                disk.flip_bit(page * PAGE * 8 + within);
            }
            // Whoever reads is told, or reads what was written.
            let view = keeper.store().unwrap().view().unwrap();
            let report = verify(&view, |_| ());
            drop(view);
            match report {
                Ok(report) if report.faults.is_empty() => {
                    assert_eq!(report.books.balance(), expected.balance(), "page {page}");
                    unharmed += 1;
                }
                Ok(_) => found += 1,
                Err(fault) => {
                    assert!(matches!(fault, Fault::Damaged(_)), "page {page}: {fault:?}");
                    found += 1;
                }
            }
            // Whoever asks is answered by books that are right, or the ledger is closed for good.
            for next in 21..=30 {
                let answers = keeper.serve(deposits(0, next)).or_else(|error| {
                    // A reader came upon it first: all of the file is checked before anything else is done with it.
                    if error.fault.is_final() { Err(error) } else { keeper.recover() }
                });
                match answers {
                    Ok(answers) => assert_eq!(answers.len(), 20),
                    Err(error) => {
                        assert!(matches!(error.fault, Fault::Damaged(_)), "page {page}: {error}");
                        assert!(keeper.books().is_none(), "page {page}");
                        closed += 1;
                        break;
                    }
                }
            }
        }
    }
    println!("{found} found, {unharmed} in nothing that is read; closed {closed} times");
    assert!(found > 100 && unharmed > 0 && closed > 100, "{found} {unharmed} {closed}");
}

#[test]
fn the_file_is_overwritten_under_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let server = Server::start(&["--log", "warn", "--data", data]);
    let mut client = server.client();
    for _ in 0..500 {
        assert_eq!(client.ask("deposit 1")["outcome"], "done");
    }
    drop(client);
    server.stop();
    // One that has not written itself what it is to read.
    let server = Server::start(&["--log", "warn", "--data", data]);
    let mut client = server.client();
    let file = OpenOptions::new().write(true).open(folder.path().join("ledger.redb")).unwrap();
    let mut garbage = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap() - PAGE];
    seeded_rng().fill(&mut garbage);
    file.write_all_at(&garbage, PAGE as u64).unwrap();
    let run = |command: &[&str]| {
        let done = Program::run(atm(&[command, &["--data", data]].concat()), "");
        assert_eq!(done.code, Some(1), "{done:?}");
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
        assert!(done.stderr.contains("it is damaged"), "{done:?}");
        assert!(done.stderr.contains("restore its last backup"), "{done:?}");
    };
    run(&["ledger", "export"]);
    // What is told is on the disk; where a commit needs what is gone, nothing is told.
    for _ in 0..4000 {
        client.answer("deposit 1");
        let Some(message) = client.try_read() else { break };
        assert!(message["outcome"].is_null() || message["outcome"] == "done", "{message}");
    }
    let done = server.program.finish();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("restore its last backup"), "{done:?}");
    assert!(!done.stderr.contains("panicked"), "{done:?}");
    // Nor does it begin again.
    run(&["serve", "--log", "off", "--listen", "127.0.0.1:0"]);
    run(&["ledger", "verify"]);
}
