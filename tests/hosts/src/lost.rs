//! Asynchronous failover that loses acknowledged commits: each host whose commits are lost stops with its reason, starts no more, and neither
//! acknowledges anything nor reports anything as not done.
use crate::{
    audit::lost,
    campaign::Records,
    control::Control,
    record::Record,
    tables::{Journal, Tables},
    world::{Faulty, World},
};
use atm_e2e::println;
use atm_host::exit::Exit;
use std::{
    collections::BTreeMap,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// How long both hosts may take to acknowledge what will be lost.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a host says that stops.
const REASON: &str = "lost commits when another server took over";

impl World {
    /// Loses what both hosts acknowledge and the standby lacks, and promotes it.
    ///
    /// # Errors
    /// What a host has done that it must not.
    pub(crate) fn lose_commits(&mut self, control: &Control, records: &Records) -> Faulty {
        self.pair.leave_standby();
        let before = Tables::journals(self.pair.primary());
        let until = Instant::now() + TIMEOUT;
        loop {
            let now = Tables::journals(self.pair.primary());
            let has_more = |name| number(&now, name) > number(&before, name) + 20;
            if has_more("a") && has_more("b") {
                break;
            }
            if until < Instant::now() {
                return Err(format!("a host has nothing to lose: {now:?}"));
            }
            thread::yield_now();
        }
        self.pair.primary_mut().kill();
        control.begin_fault();
        self.pair.standby_mut().run();
        let learned = copy(records);
        self.pair.promote();
        for host in &mut self.hosts {
            let Some(server) = host.take() else { return Err(format!("{} does not run", host.name)) };
            // Another start finds the same.
            for (output, code) in
                [(server.program.finish(), Exit::Error), (host.start_in_vain(), Exit::Permanent)]
            {
                if output.code != Some(code as i32) || !output.stderr.contains(REASON) {
                    return Err(format!("{} has not ended with {code:?}: {output:?}", host.name));
                }
            }
        }
        if control.watch().first.is_some() || learned != copy(records) {
            return Err("an outcome was learned after the failover".to_owned());
        }
        let lost = lost(&Tables::read(self.pair.primary()), &learned);
        println!("an asynchronous failover lost {lost} acknowledged operations, and both hosts stopped");
        if lost > 0 { Ok(()) } else { Err("nothing was lost".to_owned()) }
    }
}

/// The number of entries of a host.
fn number(journals: &[Journal], name: &str) -> u64 {
    journals.iter().find(|row| row.name == name).map_or(0, |row| row.number)
}

/// What the terminals have learned.
fn copy(records: &Records) -> BTreeMap<String, Record> {
    let learned = |record: &Mutex<Record>| {
        let mut record = record.lock().unwrap().clone();
        record.operations.retain(|_, operation| operation.outcome.is_some());
        record
    };
    records.iter().map(|(name, record)| (name.clone(), learned(record))).collect()
}
