//! Several servers in one address: the one that takes writes is found beside one that is silent.
use super::{Host, MemoryMark, admitted, deposit, hello, migrate, named, open};
use atm_cluster::Cluster;
use atm_core::ledger::{Ledger, Outcome, Response};
use atm_host::ledger::postgres::Database;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A server's second address, which can be silenced: it accepts connections, and carries nothing on them.
struct Relay {
    port: u16,
    /// The accepted connections.
    accepted: Arc<Mutex<Vec<TcpStream>>>,
    is_silent: Arc<AtomicBool>,
}

impl Relay {
    fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = Self { port, accepted: Arc::default(), is_silent: Arc::default() };
        let (accepted, is_silent) = (relay.accepted.clone(), relay.is_silent.clone());
        thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                accepted.lock().unwrap().push(client.try_clone().unwrap());
                let server = UnixStream::connect(&socket).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                carry(from, to, is_silent.clone());
                carry(server, client, is_silent.clone());
            }
        });
        relay
    }

    /// Is silent from here on, on the connections that it has, too.
    fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }

    /// Closes its connections, and forgets them.
    fn close(&self) {
        for client in self.accepted.lock().unwrap().drain(..) {
            // Some were closed by the other end.
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    fn accepted(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// The address of a database whose servers are this, and the server after it.
    fn before(&self, cluster: &Cluster, name: &str) -> Database {
        let url = cluster.url(name).replacen('@', &format!("@127.0.0.1:{},", self.port), 1);
        Database::new(&url, None, false).unwrap()
    }
}

/// Carries bytes one way, as long as it is not to be silent.
fn carry(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    is_silent: Arc<AtomicBool>,
) {
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if !is_silent.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
    });
}

fn host(database: &Database) -> Host {
    open(database, "host", &MemoryMark::new(), &Arc::new(AtomicU64::new(1_000))).unwrap()
}

#[test]
fn a_server_that_accepts_a_connection_and_is_silent_does_not_hide_the_next() {
    let cluster = Cluster::start();
    cluster.create("ledger");
    let silent = Relay::to(cluster.socket());
    silent.fall_silent();
    let database = silent.before(&cluster, "ledger");
    migrate(&database);
    let mut host = host(&database);
    admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
    assert!(silent.accepted() > 0, "the first server was not tried");
}

#[test]
fn a_host_whose_connection_is_lost_tries_the_other_server_first() {
    let cluster = Cluster::start();
    cluster.create("ledger");
    let relay = Relay::to(cluster.socket());
    let database = relay.before(&cluster, "ledger");
    migrate(&database);
    let mut host = host(&database);
    let turn = admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
    relay.fall_silent();
    relay.close();
    let response = host.apply(&named("kiosk", turn, deposit(1, 1))).unwrap();
    assert!(matches!(response, Response::Settled { outcome: Outcome::Done(_), .. }), "{response:?}");
    assert_eq!(relay.accepted(), 0, "the silent server was tried first");
}

#[test]
fn a_host_waits_once_for_a_server_that_falls_silent() {
    let cluster = Cluster::start();
    cluster.create("ledger");
    let relay = Relay::to(cluster.socket());
    let database = relay.before(&cluster, "ledger");
    migrate(&database);
    let mut host = host(&database);
    let turn = admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
    relay.fall_silent();
    let began = Instant::now();
    let response = host.apply(&named("kiosk", turn, deposit(1, 1))).unwrap();
    assert!(matches!(response, Response::Settled { outcome: Outcome::Done(_), .. }), "{response:?}");
    // An exchange has ten seconds.
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(10), "{took:?}");
    assert!(took < Duration::from_secs(19), "{took:?}");
}
