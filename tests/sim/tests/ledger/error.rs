//! Errors and hangs of the disk at each call of a day: the process goes on, no outcome changes, and what is acknowledged
//! is on the disk.
use crate::{
    callers::{Ask, Callers, units},
    day::{Day, Processes},
};
use atm_core::ledger::{Operation::Deposit, Outcome, Response};
use atm_faulty_vfs::{Call, Cut, Fault, Gate, Operation, When};
use atm_sim::{
    faulty_disk::{Machine, WAL},
    tables,
};
use rusqlite::ffi;
use std::{sync::mpsc::channel, thread, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(30);

fn processes(reads: bool) -> Processes {
    if reads { Processes::with_reader() } else { Processes::default() }
}

/// The calls of a day without a fault.
fn calls(reads: bool) -> Vec<(u64, Call)> {
    let machine = Machine::first();
    Day::new().run(&machine, &mut processes(reads)).unwrap();
    (0..).zip(machine.disk.take_log()).collect()
}

/// What may happen at a call.
fn faults(number: u64, call: &Call) -> Vec<Fault> {
    match call.operation {
        Operation::Sync => {
            let cuts = [Cut::Lost, Cut::Kept, Cut::Random(number)].map(Fault::FailedSync);
            cuts.into_iter().chain([Fault::Error(ffi::SQLITE_IOERR_FSYNC)]).collect()
        }
        Operation::Write => {
            vec![Fault::Error(ffi::SQLITE_IOERR_WRITE), Fault::Half(ffi::SQLITE_FULL)]
        }
        Operation::Read => vec![Fault::Error(ffi::SQLITE_IOERR_READ), Fault::Half(ffi::SQLITE_IOERR_READ)],
        _ => vec![Fault::Error(ffi::SQLITE_IOERR)],
    }
}

/// A day with faults planned; after the step in which the first one hits, at the call `first`, and at the end, nothing
/// acknowledged is lost in a loss of power.
fn day(machine: &Machine, reads: bool, first: u64) {
    let (mut day, mut processes) = (Day::new(), processes(reads));
    let mut steps_after = 0;
    while !day.is_over() && steps_after < 3 {
        day.step(machine, &mut processes).unwrap();
        if machine.disk.calls() > first {
            steps_after += 1;
            day.check(&machine.power_cut(Cut::Lost));
            day.check(&machine.power_cut(Cut::Random(first)));
        }
    }
    drop(processes);
    day.check(&machine.power_cut(Cut::Kept));
    // Once in a while, to its end.
    if first.is_multiple_of(7) {
        let machine = machine.power_cut(Cut::Lost);
        day.run(&machine, &mut Processes::default()).unwrap();
        day.check(&machine);
    }
}

fn an_error_at_each_call(reads: bool) {
    let calls = calls(reads);
    assert!(calls.len() > 400, "{}", calls.len());
    for (number, call) in calls {
        for fault in faults(number, &call) {
            println!("{number}: {call:?}: {fault:?}");
            let machine = Machine::first();
            machine.disk.inject(When::Call(number), fault);
            day(&machine, reads, number);
        }
    }
}

#[test]
fn an_error_at_each_call_of_a_day() {
    an_error_at_each_call(false);
}

#[test]
fn an_error_at_each_call_of_a_day_with_a_reader() {
    an_error_at_each_call(true);
}

#[test]
fn an_error_at_each_call_while_a_batch_is_settled() {
    for reads in [false, true] {
        let syncs = calls(reads).into_iter().filter(|(_, call)| call.operation == Operation::Sync);
        for (nth, (sync, _)) in (0..).zip(syncs.filter(|(_, call)| &*call.file == WAL)) {
            for after in (1 + nth % 8..80).step_by(8) {
                let machine = Machine::first();
                let cut = [Cut::Lost, Cut::Kept, Cut::Random(sync + after)][(nth % 3) as usize];
                println!("sync {sync}, {cut:?}, call {}", sync + after);
                machine.disk.inject(When::Call(sync), Fault::FailedSync(cut));
                machine.disk.inject(When::Call(sync + after), Fault::Error(ffi::SQLITE_IOERR));
                machine.disk.inject(When::Next(Operation::Sync, WAL, nth + 2), Fault::FailedSync(cut));
                day(&machine, reads, sync);
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_refuses_and_goes_on() {
    for room in (0..120_000).step_by(4_000) {
        let machine = Machine::first();
        let (mut day, mut processes) = (Day::new(), Processes::default());
        day.step(&machine, &mut processes).unwrap();
        let used: usize = machine
            .disk
            .names()
            .iter()
            .filter_map(|name| machine.disk.contents(name))
            .map(|bytes| bytes.len())
            .sum();
        machine.disk.set_capacity(Some(used + room));
        // There is room again after some attempts to settle.
        let disk = machine.disk.clone();
        processes.before_attempt = Some(Box::new(move |attempt| {
            if attempt == 3 {
                disk.set_capacity(None);
            }
        }));
        day.run(&machine, &mut processes).unwrap();
        day.check(&machine.power_cut(Cut::Lost));
    }
}

#[test]
fn a_hang_at_a_sync_delays_a_batch_and_nothing_is_acknowledged_meanwhile() {
    let machine = Machine::first();
    let mut committer = machine.start(1).unwrap();
    let mut callers = Callers::default();
    let hello = callers.request(Ask::Hello("a"));
    committer.submit(hello).unwrap();
    committer.commit();
    committer.responses().unwrap().iter().for_each(|(request, response)| callers.hear(request, response));
    let gate = Gate::new(TIMEOUT);
    machine.disk.inject(When::Next(Operation::Sync, WAL, 0), Fault::Hang(gate.clone()));
    let requests = [Ask::New("a", Deposit(units(5))), Ask::Unnamed(Deposit(units(6)))]
        .map(|ask| callers.request(ask))
        .to_vec();
    let (send, responses) = channel();
    let (asked, in_flight) = (requests.clone(), requests);
    let thread = thread::spawn(move || {
        asked.into_iter().for_each(|request| committer.submit(request).unwrap());
        committer.commit();
        send.send(committer.responses().unwrap()).unwrap();
    });
    assert!(gate.wait_for_call());
    assert!(responses.try_recv().is_err());
    // Another process neither sees the batch nor gets in between.
    let other = machine.connect().unwrap();
    let balance = || other.query_row("SELECT balance FROM accounts", [], |row| row.get::<_, u64>(0)).unwrap();
    assert_eq!(balance(), 10_000);
    other.busy_timeout(Duration::ZERO).unwrap();
    assert!(other.execute_batch("BEGIN IMMEDIATE").is_err());
    for cut in [Cut::Lost, Cut::Kept] {
        let after = machine.power_cut(cut);
        after.start(2).unwrap();
        callers.check(&tables::audit(&after.connect().unwrap()).unwrap(), &in_flight);
    }
    assert!(responses.try_recv().is_err());
    gate.release();
    for (request, response) in responses.recv_timeout(TIMEOUT).unwrap() {
        assert!(matches!(response, Response::Settled { outcome: Outcome::Done(_), .. }), "{response:?}");
        callers.hear(&request, &response);
    }
    thread.join().unwrap();
    assert_eq!(balance(), 11_100);
    let after = machine.power_cut(Cut::Lost);
    callers.check(&tables::audit(&after.connect().unwrap()).unwrap(), &[]);
}

/// The batch and the settling write of a process are lost, and another process takes the journal over with a commit that
/// leaves the same head in the same epoch: only the owner differs.
#[test]
fn a_process_that_was_replaced_while_a_batch_was_in_doubt_says_nothing() {
    let machine = Machine::first();
    let mut first = machine.start(1).unwrap();
    // With another connection open, no checkpoint syncs the log when the first one is closed.
    let _reader = machine.connect().and_then(|reader| {
        reader.query_row("SELECT count(*) FROM entries", [], |_| Ok(()))?;
        Ok(reader)
    });
    for _ in 0..2 {
        machine.disk.inject(When::Next(Operation::Sync, WAL, 0), Fault::FailedSync(Cut::Lost));
    }
    let mut callers = Callers::default();
    first.submit(callers.request(Ask::Unnamed(Deposit(units(5))))).unwrap();
    first.commit();
    first.commit();
    assert!(first.responses().unwrap().is_empty());
    let second = machine.start(2).unwrap();
    first.commit();
    assert!(first.responses().is_err(), "it is fenced, and has acknowledged nothing");
    drop((first, second));
    callers.check(&tables::audit(&machine.connect().unwrap()).unwrap(), &[]);
}
