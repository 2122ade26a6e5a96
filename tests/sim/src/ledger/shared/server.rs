//! A database server of simulations: one PostgreSQL for all runs of a thread, a database for each run, and a proxy for each host.
use atm_cluster::{Cluster, Proxy};
use std::{
    cell::{Cell, RefCell},
    sync::{Arc, Mutex, MutexGuard},
};

/// The first proxy's port, which only names a socket.
const FIRST_PORT: u16 = 6_000;

/// A server.
pub(crate) struct Server {
    cluster: Arc<Mutex<Cluster>>,
    proxies: RefCell<Vec<Arc<Proxy>>>,
    created: Cell<u64>,
}

impl Server {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let cluster = Arc::new(Mutex::new(Cluster::start()));
        Self { cluster, proxies: RefCell::default(), created: Cell::new(0) }
    }

    /// Makes a database without tables; returns its name.
    pub(super) fn create(&self) -> String {
        self.created.set(self.created.get() + 1);
        let name = format!("run{}", self.created.get());
        lock(&self.cluster).create(&name);
        name
    }

    /// What starts the server again, as after a loss of power.
    pub(super) fn cluster(&self) -> Arc<Mutex<Cluster>> {
        self.cluster.clone()
    }

    /// The proxy of a host, from 0 on.
    pub(super) fn proxy(&self, host: usize) -> Arc<Proxy> {
        let mut proxies = self.proxies.borrow_mut();
        while proxies.len() <= host {
            let port = FIRST_PORT + u16::try_from(proxies.len()).expect("there are few hosts");
            proxies.push(Arc::new(Proxy::start(&lock(&self.cluster), port)));
        }
        proxies[host].clone()
    }
}

/// Waits until the server is not being started.
pub(super) fn lock(cluster: &Mutex<Cluster>) -> MutexGuard<'_, Cluster> {
    cluster.lock().expect("the server starts again")
}
