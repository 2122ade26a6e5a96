//! One line, whatever it is made of: read, written and waited for without blocking on anything else.
use super::{DEFAULT_ADDRESS, Options, Target};
use crate::serial::Port;
use atm_core::wire::Wire;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use std::{
    error, fmt,
    io::{self, ErrorKind, Read as _, Write as _},
    net::ToSocketAddrs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long one address of a server may take to accept.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest wait on a serial line: there, a [`Wake`] is noticed only in between.
const SLICE: Duration = Duration::from_millis(20);

const STREAM: Token = Token(0);
const WAKER: Token = Token(1);

/// Why a line could not be opened; it displays as one line that says what to do about it.
#[derive(Debug)]
pub enum OpenError {
    /// The server's address is none, or its name is not known.
    Address {
        /// The address.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// Nobody listens at the address.
    NoServer {
        /// The address.
        address: String,
        /// The wire that was wanted.
        wire: Wire,
        /// What the system says.
        error: io::Error,
    },
    /// The serial port is not there, or not free.
    Serial(io::Error),
    /// There is no hello on this wire, without which a serial line stays silent.
    NoHello(Wire),
    /// The system cannot wait for a line.
    System(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, error } => {
                write!(f, "no server at {address}: {error} (an address is host:port)")
            }
            Self::NoServer { address, wire, error } => {
                write!(f, "no server at {address}")?;
                if error.kind() != ErrorKind::ConnectionRefused {
                    write!(f, " ({error})")?;
                }
                f.write_str(": start one with: atm serve")?;
                if address != DEFAULT_ADDRESS {
                    write!(f, " --listen {address}")?;
                }
                if *wire != Wire::Json {
                    write!(f, " --wire {wire}")?;
                }
                Ok(())
            }
            Self::Serial(error) => write!(f, "{error}"),
            Self::NoHello(wire) => {
                write!(f, "--wire {wire} has no hello, without which a serial line stays silent: use another")
            }
            Self::System(error) => write!(f, "the system cannot wait for a line: {error}"),
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Address { error, .. } | Self::NoServer { error, .. } => Some(error),
            Self::Serial(error) | Self::System(error) => Some(error),
            Self::NoHello(_) => None,
        }
    }
}

/// Wakes whoever waits for a [`Link`](super::Link), from any thread.
#[derive(Clone, Debug, Default)]
pub struct Wake {
    asked: Arc<AtomicBool>,
    waker: Option<Arc<mio::Waker>>,
}

impl Wake {
    /// Makes the present or the next wait end.
    pub fn wake(&self) {
        self.asked.store(true, Ordering::Release);
        self.nudge();
    }

    /// Makes the present or the next wait end, and says nothing of it.
    pub(super) fn nudge(&self) {
        if let Some(waker) = &self.waker {
            // It fails only where the system's waiting does, which whoever waits is told of.
            let _ = waker.wake();
        }
    }

    /// Was it asked for since the last call?
    pub(super) fn take(&self) -> bool {
        self.asked.swap(false, Ordering::AcqRel)
    }
}

/// A line that was opened.
pub(super) enum Transport {
    /// The stream is `None` while the connection is lost.
    Tcp {
        stream: Option<TcpStream>,
        poll: Poll,
        events: Events,
    },
    Serial(Box<Port>),
}

impl Transport {
    /// Opens the line to a target.
    pub(super) fn open(options: &Options) -> Result<(Self, Wake), OpenError> {
        match &options.target {
            Target::Tcp(address) => {
                let stream = connect(address, options.wire)?;
                Self::over(stream).map_err(OpenError::System)
            }
            Target::Serial { .. } if !options.wire.is_numbered() => Err(OpenError::NoHello(options.wire)),
            Target::Serial { path, baud } => {
                let port = Port::open(path, *baud).map_err(OpenError::Serial)?;
                Ok((Self::Serial(Box::new(port)), Wake::default()))
            }
        }
    }

    fn over(stream: std::net::TcpStream) -> io::Result<(Self, Wake)> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let mut transport = Self::Tcp { stream: None, poll, events: Events::with_capacity(8) };
        transport.attach(stream)?;
        Ok((transport, Wake { waker: Some(waker), ..Wake::default() }))
    }

    /// Puts a connection in the place of one that was lost.
    pub(super) fn attach(&mut self, new: std::net::TcpStream) -> io::Result<()> {
        let Self::Tcp { stream, poll, .. } = self else { return Ok(()) };
        // An answer is one small write, which would otherwise wait for the acknowledgement of the one before.
        new.set_nodelay(true)?;
        new.set_nonblocking(true)?;
        keep_alive(&new)?;
        let new = stream.insert(TcpStream::from_std(new));
        poll.registry().register(new, STREAM, Interest::READABLE | Interest::WRITABLE)
    }

    /// Closes the connection that is lost.
    pub(super) fn close(&mut self) {
        if let Self::Tcp { stream, poll, .. } = self
            && let Some(mut old) = stream.take()
        {
            // It is closed in a moment anyway; that it was not registered any more changes nothing.
            let _ = poll.registry().deregister(&mut old);
        }
    }

    /// Is there something to read from and to write to?
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Tcp { stream: None, .. })
    }

    /// Reads what is there; `None` where nothing is, `Some(0)` at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Tcp { stream: Some(stream), .. } => now(|| stream.read(buffer)),
            Self::Tcp { stream: None, .. } => Ok(None),
            Self::Serial(port) => Ok(if port.read_ready()? { Some(port.read(buffer)?) } else { None }),
        }
    }

    /// Writes what the line takes now, which may be nothing.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream: Some(stream), .. } => {
                now(|| stream.write(bytes)).map(|count| count.unwrap_or(0))
            }
            Self::Tcp { stream: None, .. } => Ok(0),
            Self::Serial(port) => Ok(if port.write_ready()? { port.write(bytes)? } else { 0 }),
        }
    }

    /// Waits until there may be something to do, at most for `timeout`. Reading and writing must have come to nothing
    /// before: the system tells only what is new.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp { poll, events, .. } => match poll.poll(events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
                result => result,
            },
            Self::Serial(port) => port.wait(timeout.unwrap_or(SLICE).min(SLICE)).map(|_| ()),
        }
    }

    /// Does the line end with the session, and lose nothing before?
    pub(super) fn is_connection(&self) -> bool {
        matches!(self, Self::Tcp { .. })
    }
}

/// Lets the system ask now and then whether the server's machine is still there: one that lost its power says nothing,
/// and whoever stands at the prompt would wait for ever.
fn keep_alive(stream: &std::net::TcpStream) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos"))]
    {
        use rustix::net::sockopt;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
        sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
        sockopt::set_tcp_keepcnt(stream, 3)?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos")))]
    let _ = stream;
    Ok(())
}

/// Connects to the first of a name's addresses that accepts.
pub(super) fn connect(address: &str, wire: Wire) -> Result<std::net::TcpStream, OpenError> {
    let unknown = |error| OpenError::Address { address: address.into(), error };
    let mut failure = None;
    for candidate in address.to_socket_addrs().map_err(unknown)? {
        match std::net::TcpStream::connect_timeout(&candidate, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(OpenError::NoServer { address: address.into(), wire, error }),
        None => Err(unknown(io::Error::other("the name has no address"))),
    }
}

/// Does it at once; `None` where that cannot be.
fn now<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    loop {
        return match act() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            result => result.map(Some),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    #[test]
    fn where_nobody_listens_one_line_says_how_to_start_a_server() {
        let open = |address: &str, wire| {
            let options = Options { wire, ..Options::new(Target::Tcp(address.into())) };
            Transport::open(&options).err().unwrap().to_string()
        };
        let address = nobody();
        let expected = format!("no server at {address}: start one with: atm serve --listen {address}");
        assert_eq!(open(&address, Wire::Json), expected);
        assert_eq!(open(&address, Wire::Raw), format!("{expected} --wire raw"));
        let error = ErrorKind::ConnectionRefused.into();
        let usual = OpenError::NoServer { address: DEFAULT_ADDRESS.into(), wire: Wire::Json, error };
        assert_eq!(usual.to_string(), "no server at 127.0.0.1:65432: start one with: atm serve");
        assert!(open("nowhere", Wire::Json).contains("(an address is host:port)"));
        assert!(open("127.0.0.1:99999", Wire::Json).starts_with("no server at 127.0.0.1:99999: "));
    }

    #[test]
    fn a_serial_line_needs_a_wire_with_a_hello() {
        let target = Target::Serial { path: "/dev/no-such-port".into(), baud: 9600 };
        let raw = Options { wire: Wire::Raw, ..Options::new(target.clone()) };
        assert!(matches!(Transport::open(&raw), Err(OpenError::NoHello(Wire::Raw))));
        let error = Transport::open(&Options::new(target)).err().unwrap().to_string();
        assert!(error.contains("/dev/no-such-port"), "{error}");
    }
}
