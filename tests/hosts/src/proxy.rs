//! TCP proxy between two programs: closes their connections, hangs them in one or both directions (silence, without closing them), and lets
//! them go on, with what was sent meanwhile.
//!
//! In front of a database it also acts at the moment at which a client sends `COMMIT`.
use crate::commits::{Commits, Messages};
use rustix::net::{Shutdown, shutdown};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

pub(crate) const BOTH: [Way; 2] = [Way::ToServer, Way::ToClient];

/// Where the server listens.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Target {
    fn connect(&self) -> std::io::Result<OwnedFd> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(stream.into())
            }
            Self::Unix(path) => Ok(UnixStream::connect(path)?.into()),
        }
    }
}

/// What the next `COMMIT` of any connection causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtCommit {
    /// It is held back, and what comes after it on its connection, until [`Proxy::heal`].
    Hold,
    /// It is forwarded, and its connection closed at once: its outcome is lost.
    Close,
}

#[derive(Default)]
struct State {
    /// `None`: connections are closed at once.
    target: Option<Target>,
    hung: [bool; 2],
    /// Connections and their sockets, that of the client first.
    open: BTreeMap<u64, [Arc<OwnedFd>; 2]>,
    next: u64,
    at_commit: Option<AtCommit>,
    /// The connection whose `COMMIT` is held.
    held: Option<u64>,
    /// Connections whose server's bytes are dropped.
    muted: Vec<u64>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits while this is so, or until the proxy ends.
    fn wait_while(&self, is_so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), |state| !state.ended && is_so(state)).unwrap()
    }
}

/// A proxy. Its connections are closed when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy on a free port of the loopback address, without a server yet.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let target = accepting.lock();
                if target.ended {
                    return;
                }
                let target = target.target.clone();
                // Connecting to a halted server may block.
                if let (Ok(client), Some(target)) = (client, target) {
                    let shared = accepting.clone();
                    thread::spawn(move || serve(&shared, client, &target));
                }
            }
        });
        Self { address, shared }
    }

    /// Leads new connections to this server; `None` closes them.
    pub(crate) fn lead_to(&self, target: Option<Target>) {
        self.shared.change(|state| state.target = target);
    }

    /// Hangs these directions of all connections, new ones too, and lets the others go on.
    pub(crate) fn hang(&self, ways: &[Way]) {
        self.shared.change(|state| state.hung = BOTH.map(|way| ways.contains(&way)));
    }

    /// Closes all connections.
    pub(crate) fn close(&self) {
        for socket in self.shared.lock().open.values().flatten() {
            // It may be closed already.
            let _ = shutdown(socket, Shutdown::Both);
        }
    }

    /// What the next `COMMIT` causes.
    pub(crate) fn at_commit(&self, what: Option<AtCommit>) {
        self.shared.change(|state| state.at_commit = what);
    }

    /// Waits until a `COMMIT` has come for which [`at_commit`](Self::at_commit) was called; false if none has come in time.
    pub(crate) fn await_commit(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.shared.lock();
        while state.at_commit.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
        true
    }

    /// Nothing is hung, held or awaited any more.
    pub(crate) fn heal(&self) {
        self.shared.change(|state| {
            (state.hung, state.at_commit, state.held) = ([false; 2], None, None);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
        self.close();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// Serves one connection, until it ends.
fn serve(shared: &Arc<Shared>, client: TcpStream, target: &Target) {
    // A server that is gone closes the connection.
    let Ok(server) = target.connect() else { return };
    let _ = client.set_nodelay(true);
    let sockets = [Arc::new(OwnedFd::from(client)), Arc::new(server)];
    let number = shared.change(|state| {
        state.next += 1;
        state.open.insert(state.next, sockets.clone());
        state.next
    });
    let other = {
        let (shared, sockets) = (shared.clone(), sockets.clone());
        thread::spawn(move || carry(&shared, number, Way::ToClient, &sockets))
    };
    carry(shared, number, Way::ToServer, &sockets);
    let _ = other.join();
    shared.change(|state| {
        state.open.remove(&number);
        state.muted.retain(|muted| *muted != number);
        state.held.take_if(|held| *held == number);
    });
}

/// Carries the bytes of one direction until an end is closed, and then closes the other one.
fn carry(shared: &Shared, number: u64, way: Way, [client, server]: &[Arc<OwnedFd>; 2]) {
    let (from, to) = if way == Way::ToServer { (client, server) } else { (server, client) };
    let copy = |socket: &Arc<OwnedFd>| socket.try_clone().map(File::from);
    let (Ok(mut from), Ok(mut to)) = (copy(from), copy(to)) else { return };
    let (mut buffer, mut commits) = (vec![0; 1 << 16], Commits::default());
    let is_hung = |state: &State| state.hung.get(way as usize) == Some(&true);
    // The stream to a database alone is read.
    let is_database = matches!(shared.lock().target, Some(Target::Unix(_)));
    while let Ok(count) = from.read(&mut buffer)
        && count > 0
    {
        let bytes = buffer.get(..count).unwrap_or_default();
        let Messages { before, commit } = match (way, is_database) {
            (Way::ToServer, true) => commits.push(bytes),
            _ => Messages { before: bytes.to_vec(), commit: Vec::new() },
        };
        drop(shared.wait_while(is_hung));
        if way == Way::ToClient && shared.lock().muted.contains(&number) {
            continue;
        }
        if to.write_all(&before).is_err() {
            break;
        }
        if commit.is_empty() {
            continue;
        }
        let what = shared.change(|state| {
            let what = state.at_commit.take();
            match what {
                Some(AtCommit::Hold) => state.held = Some(number),
                Some(AtCommit::Close) => state.muted.push(number),
                None => {}
            }
            what
        });
        drop(shared.wait_while(|state| state.held == Some(number)));
        if to.write_all(&commit).is_err() || what == Some(AtCommit::Close) {
            break;
        }
    }
    // Silence hides the end too.
    drop(shared.wait_while(is_hung));
    for socket in [client, server] {
        let _ = shutdown(socket, Shutdown::Both);
    }
}
