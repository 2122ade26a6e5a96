//! One connection: a socket and its endpoint.
use super::timers::Alarm;
use atm_core::{
    host::{self, Event, Host, IN, OUT},
    ledger::{Name, Origin},
    time::{Duration, Instant},
};
use mio::{Interest, Registry, Token, event, net::TcpStream};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
};

/// Steps before the other connections have their turn.
const STEPS_PER_TURN: usize = 64;

/// How long a peer that was told goodbye may go on sending. A socket that is closed with something unread resets the
/// connection, and the reset may overtake the goodbye (RFC 1122, 4.2.2.13).
const LINGER: Duration = Duration::from_secs(2);

/// What a connection came to.
pub(super) enum Progress {
    /// Something is to be done.
    Event(Event),
    /// It waits for its socket or for time to pass.
    Blocked,
    /// It has more to do; the others first.
    Yield,
    /// It is over.
    Closed,
}

/// A socket and its endpoint.
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) host: Host<IN, OUT>,
    /// Does it count against the limit of sessions?
    pub(super) is_session: bool,
    /// When it is ticked next.
    pub(super) alarm: Alarm,
    /// What was read and not taken yet.
    unread: Vec<u8>,
    /// The socket's edges: what it said last and has not taken back.
    readable: bool,
    writable: bool,
    /// The peer has shut its side: there is an end to be read.
    peer_closed: bool,
    /// The peer sends nothing more.
    at_eof: bool,
    /// Everything is said; until then what still comes is thrown away.
    linger_until: Option<Instant>,
    is_closed: bool,
}

impl Connection {
    pub(super) fn open(
        mut stream: TcpStream,
        registry: &Registry,
        token: Token,
        config: &host::Config,
        now: Instant,
    ) -> io::Result<Self> {
        // A reply is one write: there is nothing that it would pay to wait for.
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let session = u64::try_from(token.0).unwrap_or(u64::MAX);
        Ok(Self {
            stream,
            host: Host::new(*config, session, now),
            is_session: false,
            alarm: Alarm::default(),
            unread: Vec::new(),
            readable: true,
            writable: true,
            peer_closed: false,
            at_eof: false,
            linger_until: None,
            is_closed: false,
        })
    }

    /// Notes what the socket says.
    pub(super) fn update_readiness(&mut self, event: &event::Event) {
        self.peer_closed |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Is the conversation with this terminal held here?
    pub(super) fn serves(&self, name: &Name) -> bool {
        let conversation = self.host.conversation();
        conversation.is_some_and(
            |conversation| matches!(conversation.origin(), Origin::Terminal(here) if here == name),
        )
    }

    /// Is everything said?
    pub(super) fn is_lingering(&self) -> bool {
        self.linger_until.is_some()
    }

    /// When [`tick`](Self::tick) is to be called at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.linger_until.or_else(|| self.host.deadline())
    }

    pub(super) fn tick(&mut self, now: Instant) {
        match self.linger_until {
            Some(until) => self.is_closed |= until <= now,
            None => self.host.tick(now),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // It is closed in a moment anyway; that it was not registered any more changes nothing.
        let _ = registry.deregister(&mut self.stream);
    }

    /// Moves bytes until it has to wait; `buffer` is for what one read brings.
    pub(super) fn advance(&mut self, buffer: &mut [u8], now: Instant) -> Progress {
        for _ in 0..STEPS_PER_TURN {
            if self.is_closed {
                // What the ledger was asked is still to be seen to.
                return self.host.poll_event().map_or(Progress::Closed, Progress::Event);
            }
            if self.linger_until.is_some() {
                if !self.discard_input(buffer) {
                    return if self.is_closed { Progress::Closed } else { Progress::Blocked };
                }
                continue;
            }
            if let Some(event) = self.host.poll_event() {
                return Progress::Event(event);
            }
            if self.write_output(now) || self.feed_unread(now) || self.read_input(buffer, now) {
                continue;
            }
            if self.host.is_finished() {
                self.start_lingering(now);
                continue;
            }
            return if self.is_closed { Progress::Yield } else { Progress::Blocked };
        }
        Progress::Yield
    }

    /// Sends output; true where it sent any, or the line broke.
    fn write_output(&mut self, now: Instant) -> bool {
        if self.host.output().is_empty() || !self.writable {
            return false;
        }
        match self.stream.write(self.host.output()) {
            Ok(count) => self.host.consume(count, now),
            Err(error) => {
                self.writable = false;
                return self.handle_io_error(&error);
            }
        }
        true
    }

    /// Feeds what is held; true where any of it was taken.
    fn feed_unread(&mut self, now: Instant) -> bool {
        if self.unread.is_empty() {
            return false;
        }
        let taken = self.host.feed(&self.unread, now).min(self.unread.len());
        self.unread.drain(..taken);
        if self.unread.is_empty() {
            // Most sessions never hold anything.
            self.unread = Vec::new();
        }
        taken > 0
    }

    /// Reads; true where something came, or the line broke or ended.
    fn read_input(&mut self, buffer: &mut [u8], now: Instant) -> bool {
        if !self.readable || self.at_eof || !self.unread.is_empty() {
            return false;
        }
        match self.stream.read(buffer) {
            Ok(0) => {
                self.at_eof = true;
                self.host.end(now);
            }
            Ok(count) => {
                // It was all that there was: what comes later, comes with an edge of its own (epoll(7), of streams; a read
                // ends before urgent data too, which nobody sends here). On Windows mio tells of more only after a read
                // that found nothing.
                self.readable = count == buffer.len() || self.peer_closed || cfg!(windows);
                let bytes = buffer.get(..count).unwrap_or_default();
                let taken = self.host.feed(bytes, now);
                self.unread.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            }
            Err(error) => {
                self.readable = false;
                return self.handle_io_error(&error);
            }
        }
        true
    }

    /// Everything is said: tells the peer so, and waits for it to go.
    fn start_lingering(&mut self, now: Instant) {
        self.unread = Vec::new();
        self.linger_until = Some(now + LINGER);
        self.is_closed |= self.at_eof || self.stream.shutdown(Shutdown::Write).is_err();
    }

    /// Reads and forgets; false where nothing came or the peer is gone.
    fn discard_input(&mut self, buffer: &mut [u8]) -> bool {
        if !self.readable {
            return false;
        }
        match self.stream.read(buffer) {
            Ok(0) => self.is_closed = true,
            Ok(_) => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(_) => self.is_closed = true,
        }
        false
    }

    /// Is there anything to do about an error of the socket?
    fn handle_io_error(&mut self, error: &io::Error) -> bool {
        match error.kind() {
            ErrorKind::WouldBlock => false,
            ErrorKind::Interrupted => {
                self.readable = true;
                self.writable = true;
                true
            }
            _ => {
                self.is_closed = true;
                true
            }
        }
    }
}
