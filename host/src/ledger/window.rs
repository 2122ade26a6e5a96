//! A window through which the books of a running server are read: a local socket in the ledger's folder that only its
//! owner can use.
//!
//! Whoever connects says which entries it wants, `read N` (from the entry N on) or `tail N` (the last N), and is shown the
//! ledger as it was at that moment, however long that takes, in lines: [`GREETING`], `state,KEY,VALUE`,
//! `account,NUMBER,BALANCE`, `terminal,NAME,ENTRY,CASH`, then `entries`, then each entry with its hash behind it, then
//! `end`; or `fault,WHAT`; or nothing more, where the ledger was closed meanwhile. Threads of their own read it, so
//! that nobody at a terminal waits for it. Whoever leaves what it is shown unread for too long is left alone, and asks for
//! the rest when it is ready.
use super::{
    error::{Error, Fault},
    store::{Shared, View},
};
use std::{
    fs,
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tracing::{debug, warn};

/// The socket in the ledger's folder.
pub const SOCKET: &str = "ledger.sock";

/// The first line.
pub const GREETING: &str = "atm ledger 1";

/// Readers at once, each with a thread and a file descriptor; one more is told so.
pub const READERS: usize = 8;

/// How long a reader may leave what it is shown unread: the file cannot be tidied as long as somebody looks at it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The open window. It is shut when this is dropped.
#[derive(Debug)]
pub struct Window(PathBuf);

impl Window {
    /// Opens it in `folder`, for what is `shared`.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open(folder: &Path, shared: Shared) -> Result<Self, Error> {
        let path = folder.join(SOCKET);
        let opened = listen(&path).and_then(|listener| {
            thread::Builder::new().name("window".into()).spawn(move || serve(&listener, &shared))
        });
        opened.map_err(|error| Error { path: path.clone(), fault: error.into() })?;
        Ok(Self(path))
    }
}

impl Window {
    /// Opens it where that can be: on a disk that has no sockets the books are read when the server does not run.
    pub fn try_open(folder: &Path, shared: Shared) -> Option<Self> {
        let opened = Self::open(folder, shared);
        opened.inspect_err(|error| warn!(%error, "nobody can read the books while the server runs")).ok()
    }
}

/// Its thread ends with the process.
impl Drop for Window {
    fn drop(&mut self) {
        // What is left of it is taken away by the next start.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a socket of the path of the one in `folder`. A path may be longer than the 107 bytes that a socket's name may have
/// (`sockaddr_un`, unix(7)): Linux has a short one for it.
pub(super) fn at<T>(folder: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    match make(&folder.join(SOCKET)) {
        #[cfg(target_os = "linux")]
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            use std::os::fd::AsRawFd;
            let folder = fs::File::open(folder)?;
            make(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(SOCKET))
        }
        #[cfg(not(target_os = "linux"))]
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            Err(io::Error::new(error.kind(), "the folder's path is too long for a socket in it"))
        }
        result => result,
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // The folder is ours: what is there is of a server that was killed.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let listener = at(folder, |path| UnixListener::bind(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn serve(listener: &UnixListener, shared: &Shared) {
    let readers = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                debug!(%error, "a reader of the books was lost");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let count = readers.fetch_add(1, Ordering::AcqRel);
        let (shared, done) = (shared.clone(), Counted(readers.clone()));
        if count >= READERS {
            turn_away(&stream);
            continue;
        }
        let reader = thread::Builder::new().name("reader".into()).spawn(move || {
            let _done = done;
            if let Err(error) = show(&stream, &shared) {
                debug!(%error, "a reader of the books is gone");
            }
        });
        if let Err(error) = reader {
            warn!(%error, "there is no thread for a reader of the books");
        }
    }
}

/// Tells a reader that it is one too many. What a new socket takes waits for nobody.
fn turn_away(mut stream: &UnixStream) {
    let told = format!("fault,{READERS} others read the books, and no more may at once\n");
    let sent = stream.set_nonblocking(true).and_then(|()| stream.write_all(told.as_bytes()));
    if let Err(error) = sent {
        debug!(%error, "a reader of the books was turned away");
    }
}

/// One reader less, however it ends.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn show(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(64)).read_line(&mut line)?;
    let mut out = BufWriter::with_capacity(1 << 16, stream);
    #[cfg(target_os = "linux")]
    if !is_owner(stream)? {
        out.write_all(b"fault,only the owner of the ledger may read it\n")?;
        return out.flush();
    }
    let wanted = match line.trim_end().split_once(' ').map(|(word, number)| (word, number.parse::<u64>())) {
        Some(("read", Ok(first))) => Wanted::From(first),
        Some(("tail", Ok(count))) => Wanted::Last(count),
        _ => {
            out.write_all(b"fault,that is not a question\n")?;
            return out.flush();
        }
    };
    let shown = shared.view().and_then(|view| write(&view, wanted, &mut out));
    match shown {
        Ok(()) => writeln!(out, "end")?,
        // Whoever asks again is shown the rest, by the next server or when a fault is over.
        Err(Fault::Closed) => {}
        Err(fault) => writeln!(out, "fault,{}", fault.to_string().replace('\n', " "))?,
    }
    out.flush()
}

enum Wanted {
    From(u64),
    Last(u64),
}

fn write(view: &View, wanted: Wanted, out: &mut impl Write) -> Result<(), Fault> {
    let stored = view.stored()?;
    writeln!(out, "{GREETING}")?;
    for (key, value) in &stored.state {
        writeln!(out, "state,{key},{value}")?;
    }
    for (number, balance) in &stored.accounts {
        writeln!(out, "account,{number},{balance}")?;
    }
    for (name, (last, cash)) in &stored.terminals {
        writeln!(out, "terminal,{name},{last},{cash}")?;
    }
    writeln!(out, "entries")?;
    let first = match wanted {
        Wanted::From(first) => first,
        Wanted::Last(count) => stored.get("head")?.saturating_sub(count).saturating_add(1),
    };
    view.entries(first, |head, line| Ok::<(), Fault>(writeln!(out, "{line},{}", head.hash)?))
}

/// Is it the user that the server runs as, or the administrator?
#[cfg(target_os = "linux")]
fn is_owner(stream: &UnixStream) -> io::Result<bool> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}
