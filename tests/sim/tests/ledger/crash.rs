//! Crash consistency of the ledger on disk, with a power loss or an I/O error at every call and a clock that jumps:
//! every acknowledged outcome is durable, no batch is half done, and every request gets its outcome.

use atm_core::{
    ledger::{
        Command, Epoch, HelloClaim, LedgerId, Operation, Origin, Outcome, Receipt, Request, Response,
        SessionId, Ticket,
    },
    money::Amount,
};
use atm_host::ledger::{
    entry::{Entry, Fact, Time},
    error::Error,
    keeper::{Answer, Keeper},
    verify::verify,
};
use atm_sim::faulty_disk::{DiskFailure, FaultyDisk};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn open(disk: &FaultyDisk) -> Result<Keeper, Error> {
    let disk = Box::new(disk.clone());
    // A clock that jumps from the first moment that can be told to the last, and that nothing may depend on.
    let asked = AtomicUsize::new(0);
    let time = Box::new(move || {
        const TIMES: [u64; 5] = [1_795_550_400_000, 0, 1_795_550_400_001, u64::MAX, 946_684_800_000];
        Time::from_millis(TIMES[asked.fetch_add(1, Ordering::Relaxed) % TIMES.len()])
    });
    Keeper::open(disk, units(100), || LedgerId(7), time, Default::default())
}

/// A request of a terminal in its turn: there is one hello of each in a process.
fn of(terminal: &str, turn: u32, command: Command) -> Request {
    let origin = Origin::Terminal(terminal.parse().unwrap());
    Request { ticket: Ticket::default(), origin, turn, command }
}

fn named(terminal: &str, id: u64, operation: Operation) -> Request {
    of(terminal, 1, Command::Operate { id, operation })
}

fn kiosk(number: u64) -> String {
    format!("kiosk-{number}")
}

/// The hellos of all terminals.
fn hellos() -> Vec<Request> {
    let epoch = Epoch { start: 1, attempt: 1 };
    let claim = HelloClaim { epoch, admit_equal: false, ledger: Some(LedgerId(7)), seen: 0 };
    let hello = |name: String| of(&name, 0, Command::Hello(claim));
    ["a", "b", "c"].map(String::from).into_iter().chain((0..40).map(kiosk)).map(hello).collect()
}

/// What is asked in a day, batch by batch.
fn day() -> Vec<Vec<Request>> {
    let settle = |terminal: &str, id| of(terminal, 1, Command::Settle { id });
    let unnamed = |session, operation| {
        let origin = Origin::Session(SessionId::new(session));
        let command = Command::Operate { id: 2, operation };
        Request { ticket: Ticket::default(), origin, turn: 0, command }
    };
    let mut day = vec![
        hellos(),
        vec![of("b", 1, Command::Reserve), named("a", 3, Operation::Deposit(units(40)))],
        vec![named("a", 3, Operation::Deposit(units(40))), named("b", 260, Operation::Withdraw(units(15)))],
        vec![settle("a", 5), named("b", 261, Operation::Withdraw(units(500)))],
        vec![unnamed(8, Operation::Deposit(units(7))), unnamed(9, Operation::Inquiry)],
        vec![named("a", 5, Operation::WithdrawAll), named("a", 7, Operation::WithdrawAll)],
        vec![named("b", 262, Operation::Inquiry), settle("b", 261), settle("c", 1)],
    ];
    // Enough that pages split and the file grows.
    for round in 0..14u64 {
        let deposit = |number: u64| named(&kiosk(number), 100 + round, Operation::Deposit(units(1 + number)));
        day.push((0..40).map(deposit).collect());
    }
    day.push(vec![named("c", 2, Operation::WithdrawAll), unnamed(8, Operation::Deposit(units(3)))]);
    day
}

/// What was told, held against what is in the books.
#[derive(Default)]
struct Told {
    outcomes: HashMap<(String, u64), (Operation, Outcome)>,
    /// What sessions without a name moved, as they were told.
    unnamed: i128,
}

impl Told {
    fn hear(&mut self, answers: &[Answer]) {
        for (request, response) in answers {
            assert_ne!(*response, Response::Fenced, "{request:?}");
            let Request { origin, command, .. } = request;
            let (Command::Operate { id, operation }, Response::Settled { outcome, .. }) =
                (command, *response)
            else {
                continue;
            };
            match origin {
                Origin::Session(_) => self.unnamed += moved(outcome),
                Origin::Terminal(name) if *operation != Operation::Inquiry => {
                    let told = self.outcomes.insert((name.to_string(), *id), (*operation, outcome));
                    assert!(told.is_none_or(|told| told == (*operation, outcome)), "{request:?}: {told:?}");
                }
                Origin::Terminal(_) => {}
            }
        }
    }

    /// All that was told is in the books, once, and nothing else that moved money.
    fn check(&self, keeper: &Keeper) {
        let view = keeper.store().unwrap().view().unwrap();
        let report = verify(&view, |_| ()).unwrap();
        assert_eq!(report.faults, [""; 0]);
        let (mut unnamed, mut booked) = (0, HashMap::new());
        view.entries(1, |_, line| {
            if let Fact::Settled { key, outcome, .. } = Entry::parse(line).unwrap().fact {
                match key {
                    None => unnamed += moved(outcome),
                    Some((name, id)) => {
                        assert_eq!(booked.insert((name.to_string(), id), outcome), None, "{line}");
                    }
                }
            }
            Ok::<(), atm_host::ledger::error::Fault>(())
        })
        .unwrap();
        assert_eq!(unnamed, self.unnamed);
        let sum: i128 = booked.values().map(|outcome| moved(*outcome)).sum();
        assert_eq!(i128::from(keeper.books().unwrap().balance().minor()), 10_000 + unnamed + sum);
        for (key, (operation, outcome)) in &self.outcomes {
            let later = || booked.keys().any(|(name, id)| *name == key.0 && *id > key.1);
            match booked.get(key) {
                // Of two requests in one batch, asked again when both stand, only the later is still remembered.
                Some(_) if *outcome == Outcome::Unknown && later() => {}
                Some(booked) => assert_eq!(booked, outcome, "{key:?}"),
                // What is not written down was refused, for another reason than the money, or not known.
                None => assert_eq!(moved(*outcome), 0, "{key:?}: {operation:?}"),
            }
        }
        for (key, outcome) in &booked {
            let told = self.outcomes.get(key).map(|(_, outcome)| outcome);
            assert!(
                told == Some(outcome) || moved(*outcome) == 0,
                "{key:?}: {outcome:?} and {told:?} was told"
            );
        }
    }
}

fn moved(outcome: Outcome) -> i128 {
    match outcome {
        Outcome::Done(Receipt::Deposited { amount, .. }) => i128::from(amount.minor()),
        Outcome::Done(Receipt::Withdrawn { amount, .. }) => -i128::from(amount.minor()),
        _ => 0,
    }
}

/// After a loss of power: a terminal asks again under the same id; a session without a name is told nothing, and what it
/// moved is what the books say.
fn ask_again(keeper: &mut Keeper, batch: &[Request], told: &mut Told) {
    let before = told.unnamed;
    // Each says hello to the new process first.
    keeper.serve(hellos()).unwrap();
    let named = |request: &&Request| matches!(request.origin, Origin::Terminal(_));
    let answers = keeper.serve(batch.iter().filter(named).cloned().collect()).unwrap();
    told.hear(&answers);
    let view = keeper.store().unwrap().view().unwrap();
    let mut booked = 0;
    view.entries(1, |_, line| {
        if let Fact::Settled { key: None, outcome, .. } = Entry::parse(line).unwrap().fact {
            booked += moved(outcome);
        }
        Ok::<(), atm_host::ledger::error::Fault>(())
    })
    .unwrap();
    let asked: i128 = batch
        .iter()
        .map(|request| match (&request.origin, request.command) {
            (Origin::Session(_), Command::Operate { operation: Operation::Deposit(amount), .. }) => {
                i128::from(amount.minor())
            }
            _ => 0,
        })
        .sum();
    assert!(booked == before || booked == before + asked, "{before} {booked} {asked}");
    told.unnamed = booked;
}

/// Calls of a day without a fault.
fn calls() -> u64 {
    let disk = FaultyDisk::new(1);
    let mut keeper = open(&disk).unwrap();
    let mut told = Told::default();
    for batch in day() {
        told.hear(&keeper.serve(batch).unwrap());
    }
    told.check(&keeper);
    keeper.close().unwrap();
    drop(told);
    disk.calls()
}

#[test]
fn the_power_goes_at_every_call() {
    let calls = calls();
    println!("{calls} calls");
    assert!(calls > 150, "{calls}");
    for call in 1..=calls {
        // What reaches the disk is drawn anew each time.
        for seed in 0..2 {
            let disk = FaultyDisk::new(call * 100 + seed);
            disk.fail(DiskFailure::PowerLoss(call));
            let mut told = Told::default();
            let mut keeper = open(&disk).ok();
            for batch in day() {
                let served = match &mut keeper {
                    Some(keeper) => keeper.serve(batch.clone()).ok(),
                    None => None,
                };
                match served {
                    Some(answers) => told.hear(&answers),
                    None => {
                        drop(keeper.take());
                        disk.power_on();
                        let mut back = open(&disk).unwrap_or_else(|error| panic!("{call} {seed}: {error}"));
                        ask_again(&mut back, &batch, &mut told);
                        keeper = Some(back);
                    }
                }
            }
            let mut keeper = keeper.unwrap();
            told.check(&keeper);
            // The power may go while the file is closed.
            let _ = keeper.serve(Vec::new());
            let _ = keeper.close();
            disk.power_on();
            told.check(&open(&disk).unwrap());
        }
    }
}

#[test]
fn the_disk_fails_once_at_every_call() {
    let calls = calls();
    let (mut stood, mut fell) = (0, 0);
    for call in 1..=calls {
        for seed in 0..2 {
            let disk = FaultyDisk::new(call * 100 + seed);
            disk.fail(DiskFailure::Once(call));
            let mut told = Told::default();
            // A server that cannot open its ledger says so and ends; it is started again.
            let mut keeper = open(&disk).or_else(|_| open(&disk)).unwrap();
            for batch in day() {
                let asked = batch.len();
                let answers = match keeper.serve(batch) {
                    Ok(answers) => answers,
                    Err(_) => {
                        let answers = keeper.recover().or_else(|_| keeper.recover()).unwrap();
                        // Nobody voids a deposit here, but a ledger that has lost it.
                        let lost = answers.iter().any(|(request, response)| {
                            matches!(
                                request.command,
                                Command::Operate { operation: Operation::Deposit(_), .. }
                            ) && matches!(response, Response::Settled { outcome: Outcome::NotDone, .. })
                        });
                        *(if lost { &mut fell } else { &mut stood }) += 1;
                        answers
                    }
                };
                assert_eq!(answers.len(), asked, "everybody is told");
                told.hear(&answers);
            }
            told.check(&keeper);
            let _ = keeper.close();
            told.check(&open(&disk).unwrap());
        }
    }
    println!("{calls} calls; of the batches in doubt {stood} stood and {fell} did not");
    assert!(stood > 10 && fell > 10, "{stood} {fell}");
}

/// Which calls of the recovery from a fault at `call` fail too. It makes from 28 to 69 calls; two of them are taken each time,
/// so that over a day each comes up eight times, after different faults.
fn in_recovery(call: u64) -> [u64; 2] {
    const CALLS: u64 = 56;
    [call % CALLS + 1, (call + CALLS / 2) % CALLS + 1]
}

#[test]
fn the_disk_fails_again_while_the_ledger_is_opened_anew() {
    let calls = calls();
    let (mut again, mut doubts) = (0, 0);
    for call in 1..=calls {
        for after in in_recovery(call) {
            let disk = FaultyDisk::new(call * 31 + after);
            disk.fail(DiskFailure::Once(call));
            let mut told = Told::default();
            let mut keeper = open(&disk).or_else(|_| open(&disk)).unwrap();
            for batch in day() {
                let asked = batch.len();
                let answers = match keeper.serve(batch) {
                    Ok(answers) => answers,
                    Err(_) => {
                        doubts += 1;
                        let mut tries = 0;
                        loop {
                            if tries < 3 {
                                disk.fail(DiskFailure::Once(disk.calls() + after));
                            }
                            match keeper.recover() {
                                Ok(answers) => break answers,
                                Err(error) => assert!(!error.fault.is_final(), "{call} {after}: {error}"),
                            }
                            again += 1;
                            tries += 1;
                            assert!(tries <= 3, "{call} {after}: the fault is gone");
                        }
                    }
                };
                assert_eq!(answers.len(), asked, "everybody is told");
                told.hear(&answers);
            }
            disk.fail(DiskFailure::Never);
            told.check(&keeper);
            let _ = keeper.close();
            told.check(&open(&disk).unwrap());
        }
    }
    println!("{calls} calls, {doubts} batches in doubt, {again} recoveries failed");
    assert!(again > 400, "{again}");
}

#[test]
fn the_power_goes_while_the_ledger_is_opened_anew() {
    let calls = calls();
    let mut gone = 0;
    for call in 1..=calls {
        for after in in_recovery(call) {
            let disk = FaultyDisk::new(call * 37 + after);
            disk.fail(DiskFailure::Once(call));
            let mut told = Told::default();
            let mut keeper = open(&disk).or_else(|_| open(&disk)).unwrap();
            for batch in day() {
                match keeper.serve(batch.clone()) {
                    Ok(answers) => told.hear(&answers),
                    Err(_) => {
                        disk.fail(DiskFailure::PowerLoss(disk.calls() + after));
                        match keeper.recover() {
                            Ok(answers) => {
                                disk.fail(DiskFailure::Never);
                                told.hear(&answers);
                            }
                            Err(_) => {
                                gone += 1;
                                drop(keeper);
                                disk.power_on();
                                keeper =
                                    open(&disk).unwrap_or_else(|error| panic!("{call} {after}: {error}"));
                                ask_again(&mut keeper, &batch, &mut told);
                            }
                        }
                    }
                }
            }
            disk.fail(DiskFailure::Never);
            told.check(&keeper);
        }
    }
    println!("{calls} calls, the power was gone {gone} times");
    assert!(gone > 150, "{gone}");
}
