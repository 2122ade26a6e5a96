//! Transport: a TCP connection or a serial port behind one non-blocking interface (read, write, wait), and the [`Wake`]
//! that interrupts a wait from another thread. It neither interprets the bytes nor reconnects; the link does both.
use super::{
    DEFAULT_ADDRESS, Options, Target,
    connect::{Connected, connect},
    hosts::Hosts,
};
use crate::{
    serial::{Port, PortName},
    stream::Stream,
};
use atm_core::wire::Wire;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use mio::{Events, Interest, Poll, Token};
use std::{
    error, fmt,
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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
        /// The options of a server for this client, each with a blank before it.
        serve: String,
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
    /// No server of a list of several could be used; why, for each.
    NoHost(Vec<OpenError>),
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
            Self::NoServer { address, serve, error } => {
                write!(f, "no server at {address}")?;
                if error.kind() != ErrorKind::ConnectionRefused {
                    write!(f, " ({error})")?;
                }
                f.write_str(": start one with: atm serve")?;
                if address != DEFAULT_ADDRESS {
                    write!(f, " --listen {address}")?;
                }
                f.write_str(serve)
            }
            Self::Tls { address, error } => {
                write!(f, "no TLS with the server at {address}: {error}")?;
                if error.kind() == ErrorKind::UnexpectedEof {
                    f.write_str(" (does it speak TLS?)")?;
                }
                Ok(())
            }
            Self::NoHost(failures) => {
                for (number, failure) in failures.iter().enumerate() {
                    write!(f, "{}{failure}", if number == 0 { "" } else { "; " })?;
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
            Self::NoHello(_) | Self::NoHost(_) => None,
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

/// What a transport is attached to.
pub(super) enum Opened {
    Connection(Connected),
    Port(Box<Port>),
}

impl Transport {
    /// Opens the transport to the options' target: to the first of the hosts that can be used.
    pub(super) fn open(options: &Options, hosts: &mut Hosts) -> Result<(Self, Wake), OpenError> {
        match &options.target {
            Target::Tcp(_) => {
                let connected = Self::connect_to_first(options, hosts)?;
                Self::tcp(connected).map_err(OpenError::System)
            }
            Target::Serial { .. } if !options.wire.is_numbered() => Err(OpenError::NoHello(options.wire)),
            Target::Serial { path, baud } => {
                let port = Port::open(path, *baud).map_err(OpenError::Serial)?;
                Ok((Self::Serial(Some(Box::new(port))), Wake::default()))
            }
        }
    }

    fn connect_to_first(options: &Options, hosts: &mut Hosts) -> Result<Connected, OpenError> {
        let (mut failures, serve) = (Vec::new(), options.serve());
        loop {
            match connect(hosts.present(), &serve, options.tls.as_ref()) {
                Ok(connected) => return Ok(connected),
                Err(error) if !hosts.are_several() => return Err(error),
                Err(error) => failures.push(error),
            }
            if !hosts.go_on() {
                return Err(OpenError::NoHost(failures));
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
        let (stream, poll, new) = match (self, new) {
            (Self::Tcp { stream, poll, .. }, Opened::Connection(new)) => (stream, poll, new),
            (Self::Serial(port), Opened::Port(new)) => {
                *port = Some(new);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let new = stream.insert(new.into_stream()?);
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
    use atm_core::{
        ledger::Name,
        seal::{Key, TerminalKey},
        terminal::Profile,
    };
    use std::{net::TcpListener, num::NonZeroU32};

    fn unused_address() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    fn open(options: &Options) -> Result<(Transport, Wake), OpenError> {
        Transport::open(options, &mut options.hosts())
    }

    #[test]
    fn a_refused_connection_is_an_error_that_says_how_to_start_a_server() {
        let options =
            |address: &str, wire| Options { wire, ..Options::new(Target::Tcp(vec![address.into()])) };
        let error_of = |address, wire| open(&options(address, wire)).err().unwrap().to_string();
        let address = unused_address();
        let expected = format!("no server at {address}: start one with: atm serve --listen {address}");
        assert_eq!(error_of(&address, Wire::Json), expected);
        assert_eq!(error_of(&address, Wire::Raw), format!("{expected} --wire raw"));
        let name = "kiosk-7".parse::<Name>().unwrap();
        let key = Some(TerminalKey::new(Key::from([7; 32]), NonZeroU32::MIN, 0));
        let profile = Some(Profile { name: Some(name), key, ..Profile::default() });
        let sealed = open(&Options { profile, ..options(&address, Wire::Postcard) }).err().unwrap();
        assert_eq!(sealed.to_string(), format!("{expected} --secrets FILE --data DIR"));
        let error = ErrorKind::ConnectionRefused.into();
        let default = OpenError::NoServer { address: DEFAULT_ADDRESS.into(), serve: String::new(), error };
        assert_eq!(default.to_string(), "no server at 127.0.0.1:65432: start one with: atm serve");
        assert!(error_of("nowhere", Wire::Json).contains("(an address is host:port)"));
        assert!(error_of("127.0.0.1:99999", Wire::Json).starts_with("no server at 127.0.0.1:99999: "));
    }

    #[test]
    fn the_first_server_of_a_list_that_accepts_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (gone, served) = (unused_address(), listener.local_addr().unwrap().to_string());
        let options = Options::new(Target::Tcp(vec![gone.clone(), served.clone(), "nowhere".into()]));
        let mut hosts = options.hosts();
        assert!(Transport::open(&options, &mut hosts).is_ok());
        assert_eq!(hosts.present(), served);
        let options = Options::new(Target::Tcp(vec![gone.clone(), "127.0.0.1:99999".into()]));
        let error = open(&options).err().unwrap().to_string();
        let begin = format!(
            "no server at {gone}: start one with: atm serve --listen {gone}; no server at 127.0.0.1:99999: "
        );
        assert!(error.starts_with(&begin), "{error}");
    }

    #[test]
    fn a_serial_link_without_a_hello_is_refused() {
        let target = Target::Serial { path: "/dev/no-such-port".into(), baud: 9600 };
        let raw = Options { wire: Wire::Raw, ..Options::new(target.clone()) };
        assert!(matches!(open(&raw), Err(OpenError::NoHello(Wire::Raw))));
        let error = open(&Options::new(target)).err().unwrap().to_string();
        assert!(error.contains("/dev/no-such-port"), "{error}");
    }
}
