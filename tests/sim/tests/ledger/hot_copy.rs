//! A hot copy: the files of a ledger, copied one after the other in any order while a process commits. It has everything that
//! was acknowledged before its mark was copied, or is refused.
use crate::day::{Day, Processes};
use atm_host::ledger::{mark, sqlite};
use atm_sim::{
    faulty_disk::{Machine, WAL},
    tables::{Tables, audit},
};

/// Steps of the day in which a copy is made, at most.
const SPAN: usize = 6;

/// The files after a step of a day, and what was acknowledged then.
struct Moment {
    files: [(&'static str, Option<Vec<u8>>); 3],
    acknowledged: Tables,
}

fn moments() -> Vec<Moment> {
    let machine = Machine::first();
    let (mut day, mut processes, mut moments) = (Day::new(), Processes::default(), Vec::new());
    while !day.is_over() {
        day.step(&machine, &mut processes).unwrap();
        let files = [sqlite::FILE, WAL, mark::FILE].map(|name| (name, machine.disk.contents(name)));
        // On a copy: a connection that is closed changes its files.
        let acknowledged = audit(&machine.kill().connect().unwrap()).unwrap();
        assert_eq!(acknowledged.faults, [""; 0]);
        moments.push(Moment { files, acknowledged });
    }
    moments
}

/// What a start makes of the three files, each as it was at its own moment; `None` if it is refused.
fn open(moments: &[&Moment; 3]) -> Option<Tables> {
    let machine = Machine::first();
    for (file, moment) in moments.iter().enumerate() {
        let (name, contents) = &moment.files[file];
        machine.disk.replace(name, contents.clone());
    }
    drop(machine.start(99).ok()?);
    Some(audit(&machine.connect().unwrap()).unwrap())
}

#[test]
fn a_hot_copy_has_what_its_mark_says_or_is_refused() {
    let moments = moments();
    let all = &moments.last().unwrap().acknowledged;
    let (mut whole, mut refused) = (0, 0);
    for first in 0..moments.len() {
        let span = || first..moments.len().min(first + SPAN);
        let copies = span().flat_map(|database| span().map(move |log| (database, log)));
        for (database, log) in copies {
            // A copy that begins later is tried there.
            for mark in span().filter(|mark| [database, log, *mark].contains(&first)) {
                let case = format!("database {database}, log {log}, mark {mark}");
                match open(&[&moments[database], &moments[log], &moments[mark]]) {
                    None => refused += 1,
                    Some(tables) => {
                        assert_eq!(tables.faults, [""; 0], "{case}");
                        let noted = &moments[mark].acknowledged;
                        assert!(tables.settled.starts_with(&noted.settled), "{case}: it is older");
                        assert!(all.settled.starts_with(&tables.settled), "{case}: another history");
                        let reserved =
                            |(name, next)| tables.terminals.get(name).is_some_and(|own| own >= next);
                        assert!(noted.terminals.iter().all(reserved), "{case}: numbers are forgotten");
                        whole += 1;
                    }
                }
            }
        }
    }
    println!("{whole} are whole, {refused} refused");
    assert!(whole > refused / 10 && refused > 0);
}
