//! Pair of PostgreSQL servers: a primary and its synchronous standby, which takes its place when it is gone.
//!
//! While there is no standby after a failover, the primary acknowledges alone, as `pg_auto_failover` lets it; the next failover has to
//! wait until the new standby has all that was acknowledged.
use atm_cluster::Cluster;
use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{proxy::Target, tables::DATABASE};

const SYNCHRONOUS: &str = "synchronous_standby_names";

/// How long a standby may take to have what its primary has.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The two servers. Their places, 0 and 1, stay when their parts change.
pub(crate) struct Pair {
    servers: [Cluster; 2],
    primary: usize,
}

impl Pair {
    /// Starts both, with an empty database.
    pub(crate) fn start() -> Self {
        let primary = Cluster::start();
        primary.create(DATABASE);
        let standby = primary.standby();
        let pair = Self { servers: [primary, standby], primary: 0 };
        pair.require_standby();
        pair
    }

    /// The place of the primary.
    pub(crate) fn place(&self) -> usize {
        self.primary
    }

    pub(crate) fn primary(&self) -> &Cluster {
        let [first, second] = &self.servers;
        if self.primary == 0 { first } else { second }
    }

    pub(crate) fn standby(&self) -> &Cluster {
        let [first, second] = &self.servers;
        if self.primary == 0 { second } else { first }
    }

    pub(crate) fn primary_mut(&mut self) -> &mut Cluster {
        let [first, second] = &mut self.servers;
        if self.primary == 0 { first } else { second }
    }

    pub(crate) fn standby_mut(&mut self) -> &mut Cluster {
        let [first, second] = &mut self.servers;
        if self.primary == 0 { second } else { first }
    }

    /// Where each server listens.
    pub(crate) fn targets(&self) -> [Target; 2] {
        self.servers.each_ref().map(|server| Target::Unix(server.socket()))
    }

    /// From here on the standby is asynchronous, and stopped: what is acknowledged now, it does not have.
    pub(crate) fn leave_standby(&mut self) {
        self.primary().set(SYNCHRONOUS, "");
        self.standby_mut().stop();
    }

    /// Promotes the standby. The server that was the primary is in the standby's place then, whatever its state.
    pub(crate) fn promote(&mut self) {
        // It has no standby yet.
        self.standby().set(SYNCHRONOUS, "");
        self.standby().promote();
        self.primary ^= 1;
    }

    /// Replaces the standby's server by a new copy of the primary.
    pub(crate) fn renew_standby(&mut self) {
        *self.standby_mut() = self.primary().standby();
        self.require_standby();
    }

    /// From here on nothing is acknowledged that the standby does not have; waits until it has all that was.
    fn require_standby(&self) {
        let primary = self.primary();
        primary.set(SYNCHRONOUS, "standby");
        let synchronous = || {
            primary.sql("postgres", "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
                == "1"
        };
        wait_until("the standby is not synchronous", synchronous);
        let end = primary.sql("postgres", "SELECT pg_current_wal_lsn()");
        let sql = format!("SELECT bool_and(flush_lsn >= '{end}') FROM pg_stat_replication");
        wait_until("the standby does not get on", || primary.sql("postgres", &sql) == "t");
    }
}

fn wait_until(failure: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < until, "{failure}");
        thread::yield_now();
    }
}
