//! Relay: an address in front of a server that is killed and started again at another one. It can lose what either side sends.
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// What a relay loses from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loses {
    Nothing,
    Answers,
    Replies,
}

struct Shared {
    /// The server's address.
    server: String,
    loses: Loses,
}

/// It ends with the process.
pub(super) struct Relay {
    pub(super) address: String,
    shared: Arc<Mutex<Shared>>,
    /// How many bytes were lost since the server was set.
    lost: Arc<AtomicUsize>,
    /// How many connections are open.
    open: Arc<AtomicUsize>,
}

impl Relay {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared { server: String::new(), loses: Loses::Nothing }));
        let (lost, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let relay = Self { address, shared: shared.clone(), lost: lost.clone(), open: open.clone() };
        thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let server = shared.lock().unwrap().server.clone();
                // A server that is gone closes the connection.
                let Ok(server) = TcpStream::connect(server) else { continue };
                open.fetch_add(1, SeqCst);
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                for (from, to, what) in [(client, server, Loses::Answers), (back.0, back.1, Loses::Replies)] {
                    let (shared, lost, open) = (shared.clone(), lost.clone(), open.clone());
                    thread::spawn(move || {
                        carry(from, to, |bytes| {
                            let is_lost = shared.lock().unwrap().loses == what;
                            lost.fetch_add(if is_lost { bytes } else { 0 }, SeqCst);
                            is_lost
                        });
                        if what == Loses::Replies {
                            open.fetch_sub(1, SeqCst);
                        }
                    });
                }
            }
        });
        relay
    }

    /// Leads to this server, and loses nothing.
    pub(super) fn lead_to(&self, server: &str) {
        *self.shared.lock().unwrap() = Shared { server: server.to_owned(), loses: Loses::Nothing };
        self.lost.store(0, SeqCst);
    }

    pub(super) fn lose(&self, loses: Loses) {
        self.shared.lock().unwrap().loses = loses;
    }

    pub(super) fn has_lost(&self) -> bool {
        self.lost.load(SeqCst) > 0
    }

    pub(super) fn is_used(&self) -> bool {
        self.open.load(SeqCst) > 0
    }
}

/// Carries bytes until an end is closed, and then closes the other one.
fn carry(mut from: TcpStream, mut to: TcpStream, is_lost: impl Fn(usize) -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(count) = from.read(&mut buffer)
        && count > 0
    {
        if !is_lost(count) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
