//! Several servers in one address: the one that takes writes is found beside one that is silent.
use super::{Host, MemoryMark, admitted, deposit, hello, migrate, named, open};
use atm_cluster::Cluster;
use atm_core::ledger::{Ledger, Outcome, Response};
use atm_host::ledger::{postgres::Database, store::StoreFault};
use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU64},
    thread,
    time::Duration,
};

/// A server's second address, whose connections can be closed. Afterwards it accepts connections, and is silent on them.
struct Relay {
    port: u16,
    /// The accepted connections.
    accepted: Arc<Mutex<Vec<TcpStream>>>,
    is_silent: Arc<Mutex<bool>>,
}

impl Relay {
    fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, is_silent) = (Arc::default(), Arc::default());
        let relay = Self { port, accepted, is_silent };
        let (accepted, is_silent) = (relay.accepted.clone(), relay.is_silent.clone());
        thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let is_silent = is_silent.lock().unwrap();
                accepted.lock().unwrap().push(client.try_clone().unwrap());
                if !*is_silent {
                    join(client, UnixStream::connect(&socket).unwrap());
                }
            }
        });
        relay
    }

    /// Closes the connections, and is silent from here on.
    fn fall_silent(&self) {
        *self.is_silent.lock().unwrap() = true;
        self.close();
    }

    /// Closes the connections.
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

/// Carries bytes both ways, until both ends have closed.
fn join(client: TcpStream, server: UnixStream) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from_server, mut to_client) = (server, client);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
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
    let response = host.apply(&named("kiosk", turn, deposit(1, 1))).unwrap();
    assert!(matches!(response, Response::Settled { outcome: Outcome::Done(_), .. }), "{response:?}");
    assert_eq!(relay.accepted(), 0, "the silent server was tried first");
}

/// A server and a copy of it, which takes writes too and does not follow it any more.
fn with_a_copy() -> [Cluster; 2] {
    let cluster = Cluster::start();
    migrate(&super::create(&cluster, "ledger"));
    let copy = cluster.standby();
    copy.promote();
    [copy, cluster]
}

#[test]
fn a_server_that_lacks_what_was_acknowledged_is_passed_over_and_a_host_stops_where_none_has_it() {
    let [copy, cluster] = with_a_copy();
    let (relay, mark) = (Relay::to(cluster.socket()), MemoryMark::new());
    let start = |database: &Database| open(database, "host", &mark, &Arc::new(AtomicU64::new(1_000)));
    let mut host = start(&relay.before(&copy, "ledger")).unwrap();
    let turn = admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
    // The first connection is lost, and the copy's turn.
    relay.close();
    let response = host.apply(&named("kiosk", turn, deposit(1, 1))).unwrap();
    assert!(matches!(response, Response::Settled { outcome: Outcome::Done(_), .. }), "{response:?}");
    drop(host);
    let mut host = start(&Relay::to(copy.socket()).before(&cluster, "ledger")).unwrap();
    let response = host.apply(&named("kiosk", turn, deposit(2, 1))).unwrap();
    assert!(matches!(response, Response::Settled { outcome: Outcome::Done(_), .. }), "{response:?}");
    drop(host);
    let refused = start(&Relay::to(copy.socket()).before(&copy, "ledger")).err();
    assert!(matches!(refused, Some(StoreFault::Damaged(_))), "{refused:?}");
    assert_eq!(copy.sql("ledger", "SELECT balance FROM accounts"), "10000");
}

#[test]
fn a_host_starts_where_the_first_server_commits_nothing() {
    let [copy, cluster] = with_a_copy();
    let mark = MemoryMark::new();
    let start = |name: &str, deadline| {
        let database =
            Relay::to(cluster.socket()).before(&copy, "ledger").with_deadline(Duration::from_secs(deadline));
        open(&database, name, &mark, &Arc::new(AtomicU64::new(1_000)))
    };
    // A former primary, which waits for the standby that has become its successor.
    cluster.set("synchronous_standby_names", "standby");
    while cluster.sql("postgres", "SHOW synchronous_standby_names") != "standby" {
        thread::yield_now();
    }
    let mut host = start("host", 1).unwrap();
    let turn = admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
    drop(host);
    // And again, when the host has a mark that it lacks.
    let mut host = start("host", 1).unwrap();
    let response = host.apply(&named("kiosk", turn, deposit(1, 1))).unwrap();
    assert!(matches!(response, Response::Settled { outcome: Outcome::Done(_), .. }), "{response:?}");
    assert_eq!(copy.sql("ledger", "SELECT balance FROM accounts"), "10100");
}

#[test]
fn a_server_with_a_commit_that_was_not_acknowledged_is_passed_over() {
    let cluster = Cluster::start();
    migrate(&super::create(&cluster, "ledger"));
    let (mark, now) = (MemoryMark::new(), Arc::new(AtomicU64::new(1_000)));
    let former = Relay::to(cluster.socket());
    // The successor has two addresses, one of which can be cut.
    let copy = cluster.standby();
    let relay = Relay::to(copy.socket());
    let url = cluster.url("ledger");
    let (user, rest) = url.split_once('@').unwrap();
    let name = rest.rsplit('/').next().unwrap();
    let url = format!("{user}@127.0.0.1:{},127.0.0.1:{}/{name}", former.port, relay.port);
    let mut host = open(&Database::new(&url, None, false).unwrap(), "host", &mark, &now).unwrap();
    admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
    let seen = "SELECT batches FROM journals WHERE name = 'host'";
    while copy.sql("ledger", seen) != cluster.sql("ledger", seen) {
        thread::yield_now();
    }
    copy.promote();
    // The host goes on at the successor, with a settling write. The former primary has a block of numbers instead, which no standby has.
    let mut settled = |relay: &Relay| {
        relay.close();
        host.0.probe();
        while host.0.deadline().is_some() {
            host.0.commit();
        }
        assert_eq!(host.0.failure(), None);
    };
    settled(&former);
    cluster.sql("ledger", "UPDATE journals SET batches = batches + 1 WHERE name = 'host'");
    assert_eq!(cluster.sql("ledger", seen), copy.sql("ledger", seen));
    settled(&relay);
    let response = host.apply(&named("another", 0, hello(1))).unwrap();
    admitted(&response);
    assert_eq!(copy.sql("ledger", "SELECT count(*) FROM terminals"), "2");
}

#[test]
fn an_address_without_an_answer_does_not_hide_the_next_of_one_server() {
    let cluster = Cluster::start();
    migrate(&super::create(&cluster, "ledger"));
    // Its queue of connections is full: as with a machine that is gone, nothing answers.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    let connect = |_: &u32| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let _waiting: Vec<_> = (0..10_000).map_while(|at| connect(&at)).collect();
    let relay = Relay::to(cluster.socket());
    // As a name that has two addresses.
    let url = format!(
        "postgres://postgres@/ledger?hostaddr=127.0.0.1,127.0.0.1&port={},{}",
        address.port(),
        relay.port
    );
    let mut host = host(&Database::new(&url, None, false).unwrap());
    admitted(&host.apply(&named("kiosk", 0, hello(1))).unwrap());
}
