//! The ledger of a run in PostgreSQL: hosts with a store and a committer each, on one database, with faults of the connections, of the
//! server and of the hosts.
//!
//! Only one request is out at a time, so the database's answers follow from the seed, but for silence, which a deadline ends. What
//! hosts do at the same instant is tried by `host/tests/postgres`.
use super::{PowerLost, StoredLedger, entries};
use crate::{
    auditor::{Auditor, Order},
    bank::{self, Bank, OWNERS},
    faulty_disk::{make_mark, open_mark},
    tables::{self, Tables},
};
use atm_cluster::{Fault, Proxy, When, held};
use atm_core::{
    ledger::{AccountNumber, LedgerId, Request, Response, card::Claim},
    money::Amount,
    time::UnixTime,
};
use atm_faulty_vfs::{Cut, Disk};
use atm_host::ledger::{
    card_order::{AccountOrder, CardOrder},
    committer::GroupCommitter,
    operator::{Operator, OrderFault},
    postgres::{Database, Postgres, tables::migrate},
    sqlite::Beginning,
    store::StoreFault,
};
use fastrand::Rng;
use mirror::Mirror;
pub(crate) use server::Server;
use server::lock;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
    thread,
    time::{Duration, Instant},
};

mod mirror;
mod server;

/// Of each exchange: a fault that is silent takes as long.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long a batch may take until it is settled.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An injected fault hits one of the next requests, up to this number: about what a connection and a batch take.
const REQUESTS: u64 = 45;

/// A host: its journal has its name.
struct Host {
    name: String,
    proxy: Arc<Proxy>,
    /// With the high-water mark.
    disk: Disk,
    clock: Arc<AtomicU64>,
    /// `None` while it is started again.
    committer: Option<GroupCommitter<Postgres>>,
}

/// A ledger in PostgreSQL.
pub(super) struct SharedLedger {
    cluster: Arc<Mutex<atm_cluster::Cluster>>,
    name: String,
    url: String,
    hosts: Vec<Host>,
    mirror: Mirror,
    /// The hashes of the entries that the auditor has seen.
    seen: Vec<String>,
    bank: Option<Bank>,
    operator: Option<Operator>,
    faults_stopped: bool,
    starts: u64,
    doubts: u64,
    faults: BTreeMap<&'static str, u64>,
}

fn database(url: &str) -> Database {
    Database::new(url, None, false).expect("it is an address").with_deadline(DEADLINE)
}

impl SharedLedger {
    /// A new ledger on a server, with accounts and cards if there is a bank.
    pub(super) fn new(
        server: &Server,
        hosts: u32,
        beginning: (LedgerId, Amount),
        bank: Option<&Bank>,
    ) -> Self {
        let name = server.create();
        let (identity, balance) = beginning;
        let balance = if bank.is_some() { Amount::ZERO } else { balance };
        let url = lock(&server.cluster()).url(&name);
        let new = Beginning { identity, balance, time: UnixTime::from_millis(1) };
        assert!(migrate(&database(&url), new).expect("the tables can be made"));
        let host = |number: u32| {
            let disk = Disk::new();
            make_mark(&disk);
            let proxy = server.proxy(number as usize);
            Host { name: format!("host-{number}"), proxy, disk, clock: Arc::default(), committer: None }
        };
        let mut ledger = Self {
            cluster: server.cluster(),
            mirror: Mirror::new(server.cluster(), name.clone()),
            name,
            url,
            hosts: (0..hosts.max(1)).map(host).collect(),
            seen: Vec::new(),
            bank: bank.cloned(),
            operator: None,
            faults_stopped: false,
            starts: 0,
            doubts: 0,
            faults: BTreeMap::new(),
        };
        if let Some(bank) = bank {
            ledger.issue(bank);
        }
        for host in 0..ledger.hosts.len() {
            let started = ledger.start(host);
            ledger.hosts[host].committer = Some(started.expect("a new ledger opens"));
        }
        ledger
    }

    /// Opens the accounts and issues the cards, numbered from 1.
    fn issue(&mut self, bank: &Bank) {
        let time = UnixTime::from_millis(1);
        for ((number, balance), owner) in bank.accounts.iter().zip(OWNERS) {
            let owner = format!("Owner {owner}");
            let balance = Amount::from_minor(*balance).expect("it is small");
            self.operate(|operator| {
                let owner = owner.parse().expect("it is a name");
                operator.open_account(Some(AccountNumber(*number)), owner, balance, time).map(drop)
            });
        }
        for (row, card) in bank.rows().iter().zip(&bank.cards) {
            let claim = bank::keys().claim(&card.number.parse().expect("it is a number"));
            self.operate(|operator| operator.issue(&claim, row, time).map(drop));
        }
    }

    /// An operator gives an order, which may be refused: a block of a blocked card. Its session may be gone, with the server's last start.
    fn operate(&mut self, mut order: impl FnMut(&mut Operator) -> Result<(), OrderFault>) {
        for _ in 0..2 {
            let operator = self.operator.get_or_insert_with(|| {
                drop(lock(&self.cluster));
                Operator::open_database(&database(&self.url), 9).expect("no fault hits an operator")
            });
            match order(operator) {
                Ok(()) | Err(OrderFault::Account(..) | OrderFault::Card(..)) => return,
                Err(_) => self.operator = None,
            }
        }
        panic!("an operator's order fails");
    }

    /// Starts a process of this host, which fences its last one.
    fn start(&mut self, host: usize) -> Result<GroupCommitter<Postgres>, StoreFault> {
        let until = Instant::now() + TIMEOUT;
        loop {
            // Not before the server has started.
            drop(lock(&self.cluster));
            self.starts += 1;
            match self.try_start(host, self.starts) {
                Err(StoreFault::Failed(_) | StoreFault::Busy) if Instant::now() < until => {}
                started => return started,
            }
        }
    }

    fn try_start(&self, host: usize, owner: u64) -> Result<GroupCommitter<Postgres>, StoreFault> {
        let Host { name, proxy, disk, clock, .. } = &self.hosts[host];
        let store = Postgres::open(database(&proxy.url(&self.name)), name, open_mark(disk, 0)?)?;
        let clock = clock.clone();
        let clock = Box::new(move || UnixTime::from_millis(clock.load(Ordering::Relaxed)));
        let mut committer = GroupCommitter::open(store, owner, clock, Default::default())?;
        if let Some(bank) = &self.bank {
            committer.set_limits(bank.limits);
        }
        Ok(committer)
    }

    fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Plans a fault of one of the next requests of a host; returns its name, and what sends a request on that is held.
    fn inject(&mut self, host: usize, rng: &mut Rng) -> (&'static str, Option<(SyncSender<bool>, bool)>) {
        let when = if rng.bool() { When::Commit } else { When::Request(rng.u64(0..REQUESTS)) };
        let restart = |is_sent| {
            let cluster = self.cluster.clone();
            Fault::Called(Box::new(move || lock(&cluster).restart()), is_sent)
        };
        let (name, fault) = match rng.u32(0..40) {
            0..10 => ("cut before a request", Fault::CutBefore),
            10..24 => ("cut after a request", Fault::CutAfter),
            24 => ("silence before a request", Fault::SilentBefore),
            25 => ("silence after a request", Fault::SilentAfter),
            26 => ("the server killed before a request", restart(false)),
            27 => ("the server killed after a request", restart(true)),
            kind => {
                let is_sent = rng.bool();
                let (release, fault) = held(if kind == 28 { Fault::SilentHeld } else { Fault::Held });
                self.hosts[host].proxy.inject(when, fault);
                let name =
                    if is_sent { "a request that arrives late" } else { "a request held until its end" };
                return (name, Some((release, is_sent)));
            }
        };
        self.hosts[host].proxy.inject(when, fault);
        (name, None)
    }

    /// The responses to all of a batch; `None` where the ledger has failed for good. With `gives_up` the host settles nothing.
    fn serve(
        &mut self,
        host: usize,
        batch: Vec<Request>,
        mut held: Option<(SyncSender<bool>, bool)>,
        gives_up: bool,
        rng: &mut Rng,
    ) -> Option<Vec<(Request, Response)>> {
        let count = batch.len();
        let mut committer = self.hosts[host].committer.take()?;
        let submitted = batch.into_iter().try_for_each(|request| committer.submit(request));
        let (mut responses, until, mut attempts) = (Vec::new(), Instant::now() + TIMEOUT, 0);
        let served = loop {
            committer.commit();
            match committer.responses() {
                Ok(found) => responses.extend(found),
                Err(_) => break None,
            }
            if responses.len() == count {
                break Some(std::mem::take(&mut responses));
            }
            if submitted.is_err() || Instant::now() > until {
                break None;
            }
            self.doubts += u64::from(attempts == 0);
            attempts += 1;
            if let Some((release, is_sent)) = held.take() {
                // At once, or while the settling commit waits for the locks.
                let wait = Duration::from_millis(if rng.bool() { 20 } else { 0 });
                thread::spawn(move || {
                    thread::sleep(wait);
                    let _ = release.send(is_sent);
                });
            }
            if gives_up {
                break None;
            }
            if attempts < 3 && rng.u32(0..3) == 0 {
                // Settling may fail too.
                let fault = if rng.bool() { Fault::CutBefore } else { Fault::CutAfter };
                self.hosts[host].proxy.inject(When::Request(rng.u64(0..REQUESTS)), fault);
            }
            // Not before the server has started.
            drop(lock(&self.cluster));
        };
        self.hosts[host].committer = Some(committer);
        served
    }

    /// Ends a host as a loss of power does, and starts it again.
    fn restart(&mut self, host: usize, rng: &mut Rng, auditor: &mut Auditor) {
        self.hosts[host].proxy.cancel();
        self.hosts[host].committer = None;
        self.hosts[host].disk.stop();
        self.hosts[host].disk = self.hosts[host].disk.power_cut(match rng.u32(0..4) {
            0 => Cut::Lost,
            1 => Cut::Kept,
            _ => Cut::Random(rng.u64(..)),
        });
        match self.start(host) {
            Ok(committer) => self.hosts[host].committer = Some(committer),
            Err(error) => {
                auditor
                    .violation(format!("host {host} does not open the ledger after a power loss: {error}"));
            }
        }
        self.report_entries(auditor);
    }

    fn report_entries(&mut self, auditor: &mut Auditor) {
        let tables: &[&str] = if self.bank.is_some() { &["accounts", "cards"] } else { &[] };
        let copy = self.mirror.copy(tables);
        if let Err(error) = entries::report(copy, self.bank.as_ref(), &mut self.seen, auditor) {
            auditor.violation(format!("the entries cannot be read: {error}"));
        }
    }

    /// A second process under a host's name: the first does nothing more, and stops.
    fn fence(&mut self, host: usize, batch: Vec<Request>, rng: &mut Rng, auditor: &mut Auditor) {
        self.count("fenced");
        // Those of orders since the last commit.
        self.report_entries(auditor);
        let second = self.start(host);
        let entries = self.seen.len();
        if self.serve(host, batch, None, false, rng).is_some() {
            auditor.violation(format!("host {host} goes on, although it is fenced"));
        }
        self.report_entries(auditor);
        if self.seen.len() != entries || second.is_err() {
            auditor.violation(format!("host {host} is fenced: {:?}", second.err()));
        }
    }

    fn set_time(&self, host: usize, wall: UnixTime, rng: &mut Rng) {
        // With open access nothing depends on the clock.
        let now = if self.bank.is_some() { wall.millis() } else { rng.u64(0..1 << 53) };
        self.hosts[host].clock.store(now, Ordering::Relaxed);
    }
}

impl StoredLedger for SharedLedger {
    fn order(&mut self, card: usize, order: &Order) {
        let number = card as u64 + 1;
        self.operate(|operator| {
            let order = |row: &atm_core::ledger::card::Card| {
                Ok(match order {
                    Order::Block => CardOrder::Block,
                    Order::Unblock => CardOrder::Unblock,
                    Order::SetPin(pin) => CardOrder::SetPin(Bank::verifier(&Claim::of(row.token), pin)),
                })
            };
            operator.order_card(number, order, UnixTime::from_millis(1))
        });
    }

    fn freeze(&mut self, account: usize, is_frozen: bool) {
        let number = AccountNumber(self.bank.as_ref().map_or(0, |bank| bank.accounts[account].0));
        let order = if is_frozen { AccountOrder::Freeze } else { AccountOrder::Unfreeze };
        self.operate(|operator| operator.order_account(number, order, UnixTime::from_millis(1)));
    }

    fn files(&self) -> Vec<Vec<u8>> {
        let log = lock(&self.cluster).folder().join("log");
        [std::fs::read(log).unwrap_or_default()].into()
    }

    /// Commits a batch, with a fault in 1 of 12.
    fn commit(
        &mut self,
        host: usize,
        batch: Vec<Request>,
        wall: UnixTime,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) -> Result<Vec<(Request, Response)>, PowerLost> {
        self.set_time(host, wall, rng);
        let (mut held, mut gives_up, mut planned) = (None, false, None);
        match if self.faults_stopped { 0 } else { rng.u32(0..240) } {
            1..16 => {
                let (fault, release) = self.inject(host, rng);
                (held, planned) = (release, Some(fault));
            }
            16..20 => {
                let (fault, release) = self.inject(host, rng);
                (held, planned, gives_up) = (release, Some(fault), true);
            }
            20..22 => {
                self.fence(host, batch, rng, auditor);
                self.restart(host, rng, auditor);
                return Err(PowerLost);
            }
            22..24 => {
                self.count("sessions ended by the server");
                let end =
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atm'";
                lock(&self.cluster).sql(&self.name, end);
            }
            _ => {}
        }
        let responses = self.serve(host, batch, held, gives_up, rng);
        if self.hosts[host].proxy.cancel()
            && let Some(fault) = planned
        {
            self.count(fault);
        }
        if gives_up {
            // All or none were answered before.
            self.restart(host, rng, auditor);
            return responses.ok_or(PowerLost);
        }
        if responses.is_none() {
            auditor.violation("a batch is not settled, although the database answers".to_owned());
        }
        self.report_entries(auditor);
        responses.ok_or(PowerLost)
    }

    fn lose_power(
        &mut self,
        host: usize,
        batch: Vec<Request>,
        wall: UnixTime,
        rng: &mut Rng,
        auditor: &mut Auditor,
    ) {
        self.set_time(host, wall, rng);
        if !batch.is_empty() {
            let (_, held) = self.inject(host, rng);
            let _ = self.serve(host, batch, held, true, rng);
        }
        self.restart(host, rng, auditor);
    }

    fn stop_faults(&mut self) {
        self.faults_stopped = true;
    }

    fn doubts(&self) -> u64 {
        self.doubts
    }

    fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.faults.clone()
    }

    fn verify(&mut self) -> (Amount, Vec<String>) {
        match tables::audit(self.mirror.copy_all()) {
            Ok(Tables { balance, accounts, faults, .. }) => {
                let sum =
                    accounts.iter().filter(|(number, _)| **number != 1).map(|(_, balance)| balance).sum();
                (
                    Amount::from_minor(if self.bank.is_some() { sum } else { balance }).unwrap_or_default(),
                    faults,
                )
            }
            Err(error) => (Amount::ZERO, vec![error.to_string()]),
        }
    }
}
