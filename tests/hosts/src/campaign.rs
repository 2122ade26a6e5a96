//! Campaign: makes one fault after the other, waits until every terminal is served again, and audits.
use crate::{
    audit::{audit, check_progress},
    client::Client,
    control::Control,
    faults::Kind,
    host::{Host, Programs},
    record::Record,
    report::Report,
    tables::{DATABASE, Tables},
    terminal::Customer,
    world::World,
};
use atm_core::wire::Wire;
use atm_e2e::{Rng, println};
use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long after a fault every terminal is served again, at the latest.
const SERVICE: Duration = Duration::from_secs(120);

/// The record of each terminal, by its name.
pub(crate) type Records = BTreeMap<String, Arc<Mutex<Record>>>;

/// A running campaign.
pub(crate) struct Campaign {
    world: World,
    atm: std::path::PathBuf,
    control: Arc<Control>,
    terminals: Vec<JoinHandle<()>>,
    records: Records,
    report: Report,
    faults: u32,
    failures: Vec<String>,
    audited: Tables,
    began: Instant,
    _folder: TempDir,
}

impl Campaign {
    /// Starts servers, hosts and terminals.
    pub(crate) fn start(
        programs: &Programs,
        wire: Wire,
        (terminals, clients): (usize, usize),
        rng: &mut Rng,
        control: &Arc<Control>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::start(programs, wire, folder.path(), rng.fork());
        let url = world.pair.primary().url(DATABASE);
        let made = run(Command::new(&programs.atm).args(["ledger", "migrate", "--database", &url]));
        made.expect("the tables are made");
        world.hosts.iter_mut().for_each(Host::start);
        let hosts = world.hosts.each_ref().map(|host| host.door.address);
        let (mut threads, mut records) = (Vec::new(), BTreeMap::new());
        for number in 0..terminals {
            let customer = Customer::new(number, wire, hosts, rng.fork());
            records.insert(customer.name.to_string(), customer.record.clone());
            let control = control.clone();
            threads.push(thread::spawn(move || customer.run(&control)));
        }
        for number in terminals..terminals + clients {
            let client = Client::new(number, &programs.atm, wire, hosts, folder.path(), rng.fork());
            records.insert(client.name.clone(), client.record.clone());
            let control = control.clone();
            threads.push(thread::spawn(move || client.run(&control)));
        }
        let mut campaign = Self {
            world,
            atm: programs.atm.clone(),
            control: control.clone(),
            terminals: threads,
            records,
            report: Report::default(),
            faults: 0,
            failures: Vec::new(),
            audited: Tables::default(),
            began: Instant::now(),
            _folder: folder,
        };
        control.begin_fault();
        if control.await_service(SERVICE).is_none() {
            campaign.failures.push("the terminals are not served".to_owned());
        }
        let apart = Duration::from_millis(Tables::apart(campaign.world.pair.primary()));
        if apart < Duration::from_secs(3000) {
            campaign.failures.push(format!("the hosts' clocks are {apart:?} apart"));
        }
        campaign
    }

    /// An asynchronous failover that loses acknowledged commits: the hosts stop, and say nothing any more. The campaign is over.
    pub(crate) fn lose_commits(mut self) -> Vec<String> {
        let result = self.world.lose_commits(&self.control, &self.records);
        self.failures.extend(result.err());
        // No host is left to learn the other outcomes from.
        self.control.give_up();
        self.end()
    }

    /// Makes a fault of this kind; false if the campaign is over.
    pub(crate) fn fault(&mut self, number: u32, kind: Kind) -> bool {
        self.faults = number;
        let result = self.world.make(kind, &self.control);
        let watch = self.control.await_service(SERVICE);
        self.failures
            .extend(result.err().map(|failure| format!("fault {number}, {}: {failure}", kind.name())));
        match watch.filter(|watch| watch.all.is_some()) {
            Some(watch) => self.report.add(kind, watch),
            None => {
                let watch = self.control.watch();
                self.failures.push(format!(
                    "not every terminal is served after fault {number}, {}: {watch:?}",
                    kind.name()
                ));
            }
        }
        for host in &mut self.world.hosts {
            if !host.is_running() {
                let end = host.take().map(|server| server.program.finish());
                self.failures.push(format!("host {} has ended after fault {number}: {end:?}", host.name));
            }
        }
        self.failures.extend(self.control.take_failures());
        self.failures.is_empty() && !self.control.is_interrupted()
    }

    /// Compares what the terminals have learned with the tables, and lets them go on.
    pub(crate) fn audit(&mut self, faults: u32) {
        self.audit_paused(faults);
        self.control.resume();
    }

    /// Waits until every terminal has learned every outcome, and compares these with the tables.
    fn audit_paused(&mut self, faults: u32) {
        if !self.control.pause(SERVICE) {
            self.failures.push("not every terminal has learned its outcomes".to_owned());
            return;
        }
        let primary = self.world.pair.primary();
        let verified =
            run(Command::new(&self.atm).args(["ledger", "verify", "--database", &primary.url(DATABASE)]));
        self.failures.extend(verified.err());
        let tables = Tables::read(primary);
        let records =
            self.records.iter().map(|(name, record)| (name.clone(), record.lock().unwrap().clone()));
        self.failures.extend(audit(&tables, &records.collect()));
        self.failures.extend(check_progress(&self.audited, &tables));
        let (entries, seconds) = (tables.entries.len(), self.began.elapsed().as_secs());
        println!("{faults} faults, {entries} entries, {seconds} s");
        self.audited = tables;
    }

    /// Audits once more, after a change of the tables if there is one, stops the terminals and reports; returns what is not as it must be.
    pub(crate) fn finish(mut self, change: Option<&str>) -> Vec<String> {
        if self.failures.is_empty() && !self.control.is_interrupted() {
            if let Some(sql) = change {
                self.audit_paused(self.faults);
                self.world.pair.primary().sql(DATABASE, sql);
            }
            self.audit_paused(self.faults);
        }
        if self.control.is_interrupted() {
            self.failures.push("interrupted".to_owned());
        }
        self.report.print();
        self.end()
    }

    /// Ends the terminals, those without an outcome too if something has failed.
    fn end(mut self) -> Vec<String> {
        if !self.failures.is_empty() {
            self.control.give_up();
        }
        self.control.stop();
        for terminal in self.terminals {
            if terminal.join().is_err() {
                self.failures.push("a terminal's thread has panicked".to_owned());
            }
        }
        self.failures.extend(self.control.take_failures());
        self.failures
    }
}

/// Runs a program that must succeed.
///
/// # Errors
/// What it says.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {text}")) }
}
