//! Transport: a TCP connection or a serial port behind one non-blocking interface (read, write, wait), and the [`Wake`]
//! that interrupts a wait from another thread. It neither interprets the bytes nor reconnects; the link does both.
use super::{DEFAULT_ADDRESS, Options, Target};
use crate::{
    serial::{Port, PortName},
    stream::Stream,
    tls::{ClientTls, Session},
};
use atm_core::wire::Wire;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use std::{
    error, fmt,
    io::{self, ErrorKind},
    net::ToSocketAddrs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long an attempt to connect to one address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest single wait on a serial port, which a [`Wake`] cannot interrupt.
const SERIAL_SLICE: Duration = Duration::from_millis(20);

const STREAM: Token = Token(0);
const WAKER: Token = Token(1);

/// Why a link could not be opened. Its text is one line that says what to do about it.
#[derive(Debug)]
pub enum OpenError {
    /// The server's address is invalid, or its name cannot be resolved.
    Address {
        /// The address.
        address: String,
        /// The system's error.
        error: io::Error,
    },
    /// No connection could be made to the address.
    NoServer {
        /// The address.
        address: String,
        /// The wire that the client wanted to speak.
        wire: Wire,
        /// The system's error.
        error: io::Error,
    },
    /// The server is reached, but not by TLS: it is not the server that was expected, or does not speak TLS.
    Tls {
        /// The address.
        address: String,
        /// What failed.
        error: io::Error,
    },
    /// The serial port does not exist or is in use.
    Serial(io::Error),
    /// This wire has no hello, without which a host on a serial line sends nothing.
    NoHello(Wire),
    /// The system refused the resources for polling.
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
            Self::Tls { address, error } => {
                write!(f, "no TLS with the server at {address}: {error}")?;
                if error.kind() == ErrorKind::UnexpectedEof {
                    f.write_str(" (does it speak TLS?)")?;
                }
                Ok(())
            }
            Self::Serial(error) => write!(f, "{error}"),
            Self::NoHello(wire) => {
                write!(f, "--wire {wire} has no hello, which a serial line needs: use another wire")
            }
            Self::System(error) => write!(f, "the link cannot be polled: {error}"),
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Address { error, .. } | Self::NoServer { error, .. } | Self::Tls { error, .. } => {
                Some(error)
            }
            Self::Serial(error) | Self::System(error) => Some(error),
            Self::NoHello(_) => None,
        }
    }
}

/// Makes [`Link::next`](super::Link::next) return, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Wake {
    requested: Arc<AtomicBool>,
    waker: Option<Arc<mio::Waker>>,
}

impl Wake {
    /// Makes the present or the next call of `next` return [`LinkEvent::Woken`](super::LinkEvent::Woken).
    pub fn wake(&self) {
        self.requested.store(true, Ordering::Release);
        self.interrupt();
    }

    /// Ends the present or the next wait, so that the link looks for work, without an event.
    pub(super) fn interrupt(&self) {
        if let Some(waker) = &self.waker {
            // It fails only where polling fails too, and polling returns that error.
            let _ = waker.wake();
        }
    }

    /// Was [`wake`](Self::wake) called since the last call of this?
    pub(super) fn take(&self) -> bool {
        self.requested.swap(false, Ordering::AcqRel)
    }
}

/// What carries the bytes of a link.
pub(super) enum Transport {
    /// A connection to a server; `stream` is `None` while it is lost.
    Tcp { stream: Option<Stream>, poll: Poll, events: Events },
    /// A serial port; `None` while its device is gone.
    Serial(Option<Box<Port>>),
}

/// A connection that was just opened, with its TLS session if it has one.
pub(super) struct Connected {
    socket: std::net::TcpStream,
    session: Option<Box<Session>>,
}

/// What a transport is attached to.
pub(super) enum Opened {
    Connection(Connected),
    Port(Box<Port>),
}

impl Transport {
    /// Opens the transport to the options' target.
    pub(super) fn open(options: &Options) -> Result<(Self, Wake), OpenError> {
        match &options.target {
            Target::Tcp(address) => {
                let connected = connect(address, options.wire, options.tls.as_ref())?;
                Self::tcp(connected).map_err(OpenError::System)
            }
            Target::Serial { .. } if !options.wire.is_numbered() => Err(OpenError::NoHello(options.wire)),
            Target::Serial { path, baud } => {
                let port = Port::open(path, *baud).map_err(OpenError::Serial)?;
                Ok((Self::Serial(Some(Box::new(port))), Wake::default()))
            }
        }
    }

    fn tcp(connected: Connected) -> io::Result<(Self, Wake)> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let mut transport = Self::Tcp { stream: None, poll, events: Events::with_capacity(8) };
        transport.attach(Opened::Connection(connected))?;
        Ok((transport, Wake { waker: Some(waker), ..Wake::default() }))
    }

    /// Replaces a connection that was lost, or a port whose device was gone.
    pub(super) fn attach(&mut self, new: Opened) -> io::Result<()> {
        let (stream, poll, Connected { socket, session }) = match (self, new) {
            (Self::Tcp { stream, poll, .. }, Opened::Connection(new)) => (stream, poll, new),
            (Self::Serial(port), Opened::Port(new)) => {
                *port = Some(new);
                return Ok(());
            }
            _ => return Ok(()),
        };
        // Nagle's algorithm (RFC 896) would hold back an answer, which is one small write, until the previous one is
        // acknowledged.
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        keep_alive(&socket)?;
        let new = stream.insert(Stream::new(TcpStream::from_std(socket), session));
        poll.registry().register(new.socket(), STREAM, Interest::READABLE | Interest::WRITABLE)
    }

    /// Closes a connection that is lost, or a port whose device is gone.
    pub(super) fn close(&mut self) {
        match self {
            Self::Tcp { stream, poll, .. } => {
                if let Some(mut old) = stream.take() {
                    // Dropping the stream closes it, registered or not.
                    let _ = poll.registry().deregister(old.socket());
                }
            }
            Self::Serial(port) => *port = None,
        }
    }

    /// The name by which the serial port can be opened again, if its device may come back under it.
    pub(super) fn port_name(&self) -> Option<PortName> {
        let Self::Serial(Some(port)) = self else { return None };
        Some(port.name().clone()).filter(PortName::is_lasting)
    }

    /// Is there a serial port or a connection to read and write?
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Tcp { stream: None, .. } | Self::Serial(None))
    }

    /// Reads what has arrived: `None` if nothing has, `Some(0)` at the end of the stream.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Tcp { stream: Some(stream), .. } => match non_blocking(|| stream.read(buffer)) {
                // TLS without its end: a lost connection, as in clear.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Some(0)),
                read => read,
            },
            Self::Tcp { stream: None, .. } | Self::Serial(None) => Ok(None),
            Self::Serial(Some(port)) => Ok(if port.read_ready()? { Some(port.read(buffer)?) } else { None }),
        }
    }

    /// Writes as many bytes as fit without blocking, which may be none.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream: Some(stream), .. } => {
                non_blocking(|| stream.write(bytes)).map(|count| count.unwrap_or(0))
            }
            Self::Tcp { stream: None, .. } | Self::Serial(None) => Ok(0),
            Self::Serial(Some(port)) => Ok(if port.write_ready()? { port.write(bytes)? } else { 0 }),
        }
    }

    /// Waits until the transport may be readable or writable, at most for `timeout`. Reads and writes must have blocked
    /// before: mio's events are edge-triggered.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp { poll, events, .. } => match poll.poll(events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
                result => result,
            },
            Self::Serial(port) => {
                let timeout = timeout.unwrap_or(SERIAL_SLICE).min(SERIAL_SLICE);
                match port {
                    Some(port) => port.wait(timeout).map(|_| ()),
                    None => {
                        std::thread::sleep(timeout);
                        Ok(())
                    }
                }
            }
        }
    }

    /// Is it a connection: reliable until it closes, and closed at the end of the session?
    pub(super) fn is_connection(&self) -> bool {
        matches!(self, Self::Tcp { .. })
    }
}

/// Enables TCP keep-alive (RFC 9293, section 3.8.4): without it, a connection to a machine that lost its power stays open
/// and the person at the prompt waits for ever. The loss is noticed after 30 + 3 × 10 seconds.
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

/// Connects to the first of a name's addresses that accepts, and makes the TLS handshake there.
pub(super) fn connect(address: &str, wire: Wire, tls: Option<&ClientTls>) -> Result<Connected, OpenError> {
    let unknown = |error| OpenError::Address { address: address.into(), error };
    let mut failure = None;
    for candidate in address.to_socket_addrs().map_err(unknown)? {
        let connected = std::net::TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT);
        match connected.and_then(refuse_itself) {
            Ok(mut socket) => {
                let session = tls.map(|tls| tls.connect(address, &mut socket, CONNECT_TIMEOUT)).transpose();
                let session = session.map_err(|error| OpenError::Tls { address: address.into(), error })?;
                return Ok(Connected { socket, session: session.map(Box::new) });
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(OpenError::NoServer { address: address.into(), wire, error }),
        None => Err(unknown(io::Error::other("the name has no address"))),
    }
}

/// Refuses a connection of a socket with itself (simultaneous open, RFC 9293, section 3.5): where no server listens on a port of
/// the ephemeral range, the system may choose that port for the client.
fn refuse_itself(stream: std::net::TcpStream) -> io::Result<std::net::TcpStream> {
    if stream.local_addr()? != stream.peer_addr()? {
        return Ok(stream);
    }
    // Without the state TIME-WAIT, in which a server could not listen on the port for a minute.
    #[cfg(unix)]
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    Err(ErrorKind::ConnectionRefused.into())
}

/// Does I/O without blocking; `None` where it would block. Repeats what a signal interrupted.
fn non_blocking<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
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

    fn unused_address() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    #[test]
    fn a_refused_connection_is_an_error_that_says_how_to_start_a_server() {
        let open = |address: &str, wire| {
            let options = Options { wire, ..Options::new(Target::Tcp(address.into())) };
            Transport::open(&options).err().unwrap().to_string()
        };
        let address = unused_address();
        let expected = format!("no server at {address}: start one with: atm serve --listen {address}");
        assert_eq!(open(&address, Wire::Json), expected);
        assert_eq!(open(&address, Wire::Raw), format!("{expected} --wire raw"));
        let error = ErrorKind::ConnectionRefused.into();
        let default = OpenError::NoServer { address: DEFAULT_ADDRESS.into(), wire: Wire::Json, error };
        assert_eq!(default.to_string(), "no server at 127.0.0.1:65432: start one with: atm serve");
        assert!(open("nowhere", Wire::Json).contains("(an address is host:port)"));
        assert!(open("127.0.0.1:99999", Wire::Json).starts_with("no server at 127.0.0.1:99999: "));
    }

    #[cfg(unix)]
    #[test]
    fn a_connection_of_a_socket_with_itself_is_refused_and_frees_the_port() {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let address: std::net::SocketAddr = unused_address().parse().unwrap();
        let itself = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&itself, &address).unwrap();
        connect(&itself, &address).unwrap();
        let error = refuse_itself(itself.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let listener = TcpListener::bind(address).unwrap();
        let stream = std::net::TcpStream::connect(address).unwrap();
        assert!(refuse_itself(stream).is_ok());
        drop(listener);
    }

    #[test]
    fn a_serial_link_without_a_hello_is_refused() {
        let target = Target::Serial { path: "/dev/no-such-port".into(), baud: 9600 };
        let raw = Options { wire: Wire::Raw, ..Options::new(target.clone()) };
        assert!(matches!(Transport::open(&raw), Err(OpenError::NoHello(Wire::Raw))));
        let error = Transport::open(&Options::new(target)).err().unwrap().to_string();
        assert!(error.contains("/dev/no-such-port"), "{error}");
    }
}
