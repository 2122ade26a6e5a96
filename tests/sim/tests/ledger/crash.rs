//! Crashes of the machine at each write and sync of a day, of a recovery and of a settling write: everything acknowledged
//! is there, nothing twice, and every caller gets a true outcome afterwards.
use crate::day::{Day, Processes};
use atm_faulty_vfs::{Call, Cut, Fault, Operation, When};
use atm_sim::faulty_disk::{Machine, WAL};

/// The calls of a day without a fault.
fn calls() -> Vec<(u64, Call)> {
    let machine = Machine::first();
    let mut day = Day::new();
    day.run(&machine, &mut Processes::default()).unwrap();
    day.check(&machine);
    (0..).zip(machine.disk.take_log()).collect()
}

/// The numbers of those that change the disk.
fn changes() -> Vec<u64> {
    calls().into_iter().filter(|(_, call)| call.is_change()).map(|(number, _)| number).collect()
}

/// What a loss of power may leave: `random` of the cuts are drawn from seeds that differ from call to call.
fn cuts(call: u64, random: u64) -> impl Iterator<Item = Cut> {
    let random = (0..random).map(move |seed| Cut::Random(call * 1000 + seed));
    [Cut::Lost, Cut::Kept].into_iter().chain(random)
}

/// The day until the machine stops at this call; whether it did.
fn until_stop(call: u64) -> Option<(Machine, Day)> {
    let machine = Machine::first();
    machine.disk.inject(When::Call(call), Fault::Stop);
    let mut day = Day::new();
    let stopped = day.run(&machine, &mut Processes::default());
    stopped.is_err().then_some((machine, day))
}

/// Finishes a day on the machine as it is.
fn finish(machine: &Machine, mut day: Day) {
    day.check(machine);
    let mut processes = Processes::default();
    day.run(machine, &mut processes).unwrap();
    day.check(machine);
    // A last loss of power: all of it was acknowledged.
    day.check(&machine.power_cut(Cut::Lost));
}

#[test]
fn a_crash_at_each_write_and_sync_of_a_day() {
    let changes = changes();
    assert!(changes.len() > 150, "{}", changes.len());
    let mut restarts = 0;
    for call in changes {
        let Some((machine, day)) = until_stop(call) else { continue };
        for cut in cuts(call, 2) {
            println!("call {call}, {cut:?}");
            finish(&machine.power_cut(cut), day.clone());
            restarts += 1;
        }
        if call % 4 == 0 {
            println!("call {call}, kill");
            finish(&machine.kill(), day);
        }
    }
    println!("{restarts} restarts");
    assert!(restarts > 500, "{restarts}");
}

#[test]
fn a_crash_while_a_process_recovers() {
    let mut restarts = 0;
    for (nth, call) in (0..).zip(changes()) {
        let Some((machine, day)) = until_stop(call) else { continue };
        // Each call of a recovery, spread over the crashes of the day.
        for again in (nth % 32..160).step_by(32) {
            let machine = machine.power_cut(Cut::Random(call));
            machine.disk.inject(When::Call(again), Fault::Stop);
            let mut day = day.clone();
            if day.run(&machine, &mut Processes::default()).is_ok() {
                continue;
            }
            let cut = if again % 2 == 0 { Cut::Lost } else { Cut::Random(call + again) };
            println!("call {call}, {:?}, call {again}, {cut:?}", Cut::Random(call));
            finish(&machine.power_cut(cut), day);
            restarts += 1;
        }
    }
    println!("{restarts} restarts");
    assert!(restarts > 300, "{restarts}");
}

#[test]
fn a_crash_while_a_batch_is_settled() {
    let syncs =
        calls().into_iter().filter(|(_, call)| call.operation == Operation::Sync && &*call.file == WAL);
    let mut restarts = 0;
    for (nth, (sync, _)) in (0..).zip(syncs) {
        for after in (1 + nth % 12..84).step_by(12) {
            let machine = Machine::first();
            let failed = [Cut::Lost, Cut::Kept, Cut::Random(sync + after)][(nth % 3) as usize];
            machine.disk.inject(When::Call(sync), Fault::FailedSync(failed));
            machine.disk.inject(When::Call(sync + after), Fault::Stop);
            let mut day = Day::new();
            let mut processes = if nth % 2 == 0 { Processes::default() } else { Processes::with_reader() };
            if day.run(&machine, &mut processes).is_ok() {
                continue;
            }
            drop(processes);
            for cut in cuts(sync, 1) {
                println!("sync {sync}, {failed:?}, call {}, {cut:?}", sync + after);
                finish(&machine.power_cut(cut), day.clone());
                restarts += 1;
            }
        }
    }
    println!("{restarts} restarts");
    assert!(restarts > 300, "{restarts}");
}

/// As after `kill -9`, the page cache still has the frames that a failed sync has dropped.
#[test]
fn a_process_is_killed_after_a_sync_that_failed() {
    let syncs =
        calls().into_iter().filter(|(_, call)| call.operation == Operation::Sync && &*call.file == WAL);
    for (sync, _) in syncs {
        for cut in cuts(sync, 1) {
            let machine = Machine::first();
            machine.disk.inject(When::Call(sync), Fault::FailedSync(cut));
            machine.disk.inject(When::Call(sync + 1), Fault::Stop);
            let mut day = Day::new();
            if day.run(&machine, &mut Processes::default()).is_ok() {
                // The day ended with that sync.
                continue;
            }
            println!("sync {sync}, {cut:?}");
            let machine = machine.kill();
            day.run(&machine, &mut Processes::default()).unwrap();
            day.check(&machine.power_cut(Cut::Lost));
        }
    }
}
