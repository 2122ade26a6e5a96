//! Proxy: a fault injector between a client of PostgreSQL and its server, which counts what the client asks for.
//!
//! It reads the frontend's messages (<https://www.postgresql.org/docs/15/protocol-message-formats.html>) as far as their type and length, and
//! the texts of prepared statements. A request is what ends with `Sync`, or a simple query: the server answers each with one
//! `ReadyForQuery`.
use crate::Cluster;
use std::{
    collections::HashSet,
    fs,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// The code of a `CancelRequest`, in place of a protocol's version.
const CANCEL: [u8; 4] = 80_877_102_u32.to_be_bytes();

/// No request is held for longer: a test that never releases one fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Which request a fault hits.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// The request of this number, counted from 0 since the fault was injected.
    Request(u64),
    /// The next `COMMIT`.
    Commit,
}

/// What happens to the request.
pub enum Fault {
    /// It does not reach the server, and the connection is lost.
    CutBefore,
    /// The server has answered it, and the connection is lost before the answer arrives.
    CutAfter,
    /// It does not reach the server, and neither does what follows: silence, until the client closes the connection.
    SilentBefore,
    /// It reaches the server, and so does what follows, but no answer comes back.
    SilentAfter,
    /// It reaches the server when this says so, or never, with `false`; the client's connection is lost at once and the server's stays open.
    Held(Receiver<bool>),
    /// The same, but the client's connection stays open, without an answer.
    SilentHeld(Receiver<bool>),
    /// This is called, then the connection is lost: before the request reaches the server, or after it was answered.
    Called(Box<dyn FnOnce() + Send>, bool),
}

/// Returns a held request and what sends it on.
pub fn held(make: impl FnOnce(Receiver<bool>) -> Fault) -> (SyncSender<bool>, Fault) {
    let (sender, receiver) = sync_channel(1);
    (sender, make(receiver))
}

#[derive(Default)]
struct Plan {
    fault: Mutex<Option<(When, Fault)>>,
    /// Requests since the fault was injected.
    requests: AtomicU64,
    is_hit: AtomicBool,
    cancels: AtomicU64,
    /// What the server says, and what the client reads in place of it.
    replaced: Mutex<Option<(Vec<u8>, Vec<u8>)>>,
}

/// A proxy, on a Unix socket of its own beside the server's.
pub struct Proxy {
    folder: PathBuf,
    port: u16,
    plan: Arc<Plan>,
}

impl Proxy {
    /// Listens beside the server of this cluster, on another port of the same folder.
    ///
    /// # Panics
    /// The port is in use.
    pub fn start(cluster: &Cluster, port: u16) -> Self {
        let folder = cluster.folder().to_owned();
        let listener = UnixListener::bind(socket(&folder, port)).unwrap();
        let plan = Arc::new(Plan::default());
        let (shared, server) = (plan.clone(), socket(&folder, 5432));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (plan, server) = (shared.clone(), server.clone());
                // Ends when the server's side is closed; nothing waits for it.
                thread::spawn(move || {
                    // Without a server the client reads the end.
                    UnixStream::connect(server).and_then(|server| carry(&client, &server, &plan)).err()
                });
            }
        });
        Self { folder, port, plan }
    }

    /// The address of a database, through this proxy.
    pub fn url(&self, name: &str) -> String {
        crate::url(&self.folder, &self.port.to_string(), name)
    }

    /// Plans a fault, in place of an earlier one that has not happened.
    pub fn inject(&self, when: When, fault: Fault) {
        let mut plan = lock(&self.plan.fault);
        self.plan.requests.store(0, Ordering::SeqCst);
        self.plan.is_hit.store(false, Ordering::SeqCst);
        *plan = Some((when, fault));
    }

    /// Whether the fault that was planned last has happened. It is not planned any more after this.
    pub fn cancel(&self) -> bool {
        *lock(&self.plan.fault) = None;
        self.plan.is_hit.load(Ordering::SeqCst)
    }

    /// How often a client has asked the server to cancel what another connection does.
    pub fn cancel_requests(&self) -> u64 {
        self.plan.cancels.load(Ordering::SeqCst)
    }

    /// From here on a client reads `other` where the server's messages have `text`.
    ///
    /// # Panics
    /// Their lengths differ.
    pub fn replace(&self, text: &str, other: &str) {
        assert_eq!(text.len(), other.len());
        *lock(&self.plan.replaced) = Some((text.into(), other.into()));
    }

    /// Waits until the planned fault has happened.
    ///
    /// # Panics
    /// It does not within a minute.
    pub fn wait(&self) {
        let until = Instant::now() + TIMEOUT;
        while !self.plan.is_hit.load(Ordering::SeqCst) {
            assert!(Instant::now() < until, "the request does not come");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The thread that accepts ends with the process; nothing finds it any more.
        let _ = fs::remove_file(socket(&self.folder, self.port));
    }
}

fn socket(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A message with its type, 0 for that of a start.
fn read_message(stream: &mut impl Read, is_start: bool) -> io::Result<(u8, Vec<u8>)> {
    let mut bytes = vec![0; if is_start { 4 } else { 5 }];
    stream.read_exact(&mut bytes)?;
    let (kind, length) = match *bytes {
        [a, b, c, d] => (0, u32::from_be_bytes([a, b, c, d])),
        [kind, a, b, c, d] => (kind, u32::from_be_bytes([a, b, c, d])),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let rest = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    let begun = bytes.len();
    bytes.resize(begun + rest.ok_or(io::ErrorKind::InvalidData)?, 0);
    stream.read_exact(bytes.get_mut(begun..).unwrap_or_default())?;
    Ok((kind, bytes))
}

/// The texts up to each zero.
fn texts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0)
}

fn is_commit(text: &[u8]) -> bool {
    text.trim_ascii().eq_ignore_ascii_case(b"COMMIT")
}

/// Reads the client's requests.
struct Requests<'a> {
    client: &'a UnixStream,
    /// The names of the statements that commit.
    commits: HashSet<Vec<u8>>,
}

impl Requests<'_> {
    /// The next request, and whether it commits.
    fn read(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let (mut request, mut commits) = (Vec::new(), false);
        loop {
            let (kind, message) = read_message(&mut self.client, false)?;
            let mut texts = texts(message.get(5..).unwrap_or_default());
            let (one, other) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
            match kind {
                b'P' if is_commit(other) => drop(self.commits.insert(one.to_vec())),
                b'B' => commits |= self.commits.contains(other),
                b'Q' => commits |= is_commit(one),
                _ => {}
            }
            request.extend_from_slice(&message);
            if matches!(kind, b'S' | b'Q' | b'X') {
                return Ok((request, commits));
            }
        }
    }
}

/// What the answers of the server do.
#[derive(Default)]
struct Answers {
    /// How many come back; all, before a fault.
    limit: Mutex<Option<u64>>,
    /// How many there were.
    seen: AtomicU64,
}

/// Carries the bytes of a connection, until one side closes it or a fault does.
fn carry(client: &UnixStream, server: &UnixStream, plan: &Plan) -> io::Result<()> {
    let (_, start) = read_message(&mut &*client, true)?;
    if start.get(4..8) == Some(&CANCEL) {
        plan.cancels.fetch_add(1, Ordering::SeqCst);
    }
    (&*server).write_all(&start)?;
    let answers = Answers::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = answer(client, server, plan, &answers);
            // The server has closed it.
            let _ = client.shutdown(Shutdown::Both);
        });
        let carried = ask(client, server, plan, &answers);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        carried
    })
}

/// Carries the server's answers, as many as may come back.
fn answer(client: &UnixStream, server: &UnixStream, plan: &Plan, answers: &Answers) -> io::Result<()> {
    loop {
        let (kind, mut message) = read_message(&mut &*server, false)?;
        if let Some((text, other)) = &*lock(&plan.replaced)
            && let Some(at) = message.windows(text.len()).position(|found| found == text)
            && let Some(found) = message.get_mut(at..at + text.len())
        {
            found.copy_from_slice(other);
        }
        {
            // While it is written, no fault happens.
            let limit = lock(&answers.limit);
            if limit.is_none_or(|limit| answers.seen.load(Ordering::SeqCst) < limit) {
                // The client may be gone, and the server is read all the same.
                let _ = (&*client).write_all(&message);
            }
        }
        if kind == b'Z' {
            answers.seen.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Carries the client's requests, with a fault if it is time.
fn ask(client: &UnixStream, server: &UnixStream, plan: &Plan, answers: &Answers) -> io::Result<()> {
    let mut requests = Requests { client, commits: HashSet::new() };
    // The first answer is that to the start.
    let mut sent = 1;
    loop {
        let (request, commits) = requests.read()?;
        let fault = {
            let mut planned = lock(&plan.fault);
            let number = plan.requests.fetch_add(1, Ordering::SeqCst);
            planned.take_if(|(when, _)| match when {
                When::Request(at) => number >= *at,
                When::Commit => commits,
            })
        };
        let send = |request: &[u8]| (&*server).write_all(request);
        let Some((_, fault)) = fault else {
            send(&request)?;
            sent += 1;
            continue;
        };
        let hit = || plan.is_hit.store(true, Ordering::SeqCst);
        // What was answered before comes back.
        let wait = |count: u64| {
            let until = Instant::now() + TIMEOUT;
            while answers.seen.load(Ordering::SeqCst) < count && Instant::now() < until {
                thread::sleep(Duration::from_micros(100));
            }
        };
        wait(sent);
        *lock(&answers.limit) = Some(sent);
        match fault {
            Fault::CutBefore => hit(),
            Fault::CutAfter => {
                send(&request)?;
                wait(sent + 1);
                hit();
            }
            Fault::SilentBefore => {
                hit();
                while requests.read().is_ok() {}
            }
            Fault::SilentAfter => {
                send(&request)?;
                hit();
                while let Ok((request, _)) = requests.read() {
                    send(&request)?;
                }
            }
            Fault::Held(release) => {
                let _ = client.shutdown(Shutdown::Both);
                hit();
                if is_released(&release) {
                    send(&request)?;
                    wait(sent + 1);
                }
            }
            Fault::SilentHeld(release) => {
                hit();
                if is_released(&release) {
                    send(&request)?;
                    wait(sent + 1);
                }
            }
            Fault::Called(call, is_sent) => {
                if is_sent {
                    send(&request)?;
                    wait(sent + 1);
                }
                call();
                hit();
            }
        }
        return Ok(());
    }
}

/// Whether a held request is sent on, once it is known.
fn is_released(release: &Receiver<bool>) -> bool {
    release.recv_timeout(TIMEOUT) == Ok(true)
}
