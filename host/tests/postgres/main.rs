//! The ledger in PostgreSQL: the contract, several hosts on one ledger, and faults of the database.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod audit;
mod bank;
mod commands;
mod contract;
mod decoy;
mod doubt;
mod engine;
mod faults;
mod hosts;
mod locks;
mod moved;
mod operation;
mod serve;
mod servers;

use atm_cluster::Cluster;
use atm_core::{
    ledger::{
        Command, Epoch, HelloClaim, InDoubt, Ledger, LedgerId, Operation, Origin, Request, Response, Ticket,
    },
    money::Amount,
    time::UnixTime,
};
use atm_host::ledger::{
    committer::GroupCommitter,
    mark::{Mark, MarkFile},
    postgres::{Database, Postgres, tables},
    sqlite::Beginning,
    store::{Head, StoreFault},
};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// A mark in memory, which outlives the host.
#[derive(Clone, Debug)]
struct MemoryMark(Arc<Mutex<Vec<u8>>>);

impl MemoryMark {
    fn new() -> Self {
        let mark = Self(Arc::default());
        mark.open().reset(&Head::default()).unwrap();
        mark
    }

    fn open(&self) -> Mark {
        Mark::new(Box::new(self.clone()), 0)
    }
}

impl MarkFile for MemoryMark {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = file.len().max(start + bytes.len());
        file.resize(end, 0);
        file.get_mut(start..start + bytes.len()).unwrap().copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A database without tables.
fn create(cluster: &Cluster, name: &str) -> Database {
    cluster.create(name);
    database(cluster, name)
}

/// The database of this name.
fn database(cluster: &Cluster, name: &str) -> Database {
    Database::new(&cluster.url(name), None, false).unwrap()
}

/// A host's ledger, one request at a time.
struct Host(GroupCommitter<Postgres>);

impl Ledger for Host {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        self.0.submit(request.clone())?;
        self.0.commit();
        // Nothing has an outcome before a fault is over.
        while let Some(at) = self.0.deadline() {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            self.0.commit();
        }
        self.0.responses()?.pop().map(|(_, response)| response).ok_or(InDoubt)
    }
}

/// Makes the tables of a new ledger with 100 units.
fn migrate(database: &Database) {
    let new = Beginning { identity: LedgerId(7), balance: units(100), time: UnixTime::from_millis(1) };
    assert!(tables::migrate(database, new).unwrap());
}

/// Opens a ledger under a host's name, whose clock is `now` in milliseconds.
fn open(
    database: &Database,
    name: &str,
    mark: &MemoryMark,
    now: &Arc<AtomicU64>,
) -> Result<Host, StoreFault> {
    static OWNERS: AtomicU64 = AtomicU64::new(1);
    let store = Postgres::open(database.clone(), name, mark.open())?;
    let now = now.clone();
    let clock = Box::new(move || UnixTime::from_millis(now.load(Ordering::Relaxed)));
    let owner = OWNERS.fetch_add(1, Ordering::Relaxed);
    Ok(Host(GroupCommitter::open(store, owner, clock, Arc::default())?))
}

fn named(name: &str, turn: u32, command: Command) -> Request {
    Request { ticket: Ticket::default(), origin: Origin::Terminal(name.parse().unwrap()), turn, command }
}

fn hello(start: u64) -> Command {
    let epoch = Epoch::clear(start, 1);
    Command::Hello(HelloClaim { epoch, admit_equal: false, ledger: Some(LedgerId(7)), seen: 0 })
}

fn deposit(id: u64, amount: u64) -> Command {
    Command::Operate { id, operation: Operation::Deposit(units(amount)) }
}

/// Says hello at a host; returns the turn.
fn turn(host: &mut Host, name: &str) -> u32 {
    admitted(&host.apply(&named(name, 0, hello(1))).unwrap())
}

/// The turn that a hello gets.
fn admitted(response: &Response) -> u32 {
    match response {
        Response::Admitted(admission) => admission.turn,
        other => panic!("not admitted: {other:?}"),
    }
}
