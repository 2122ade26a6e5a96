//! Connection: moves bytes between a non-blocking socket and its endpoint, and closes so that the peer can
//! read the goodbye.
use super::{
    admission::Standing,
    opening::{Opening, Protocol},
    timers::Alarm,
};
use crate::{stream::Stream, tls::NameError};
use atm_core::{
    host::{self, Event, Host, IN, OUT},
    ledger::{Name, Origin, SessionId, card::CardKeys},
    message::{Fault, Notice},
    time::{Duration, Instant},
    wire::Counters,
};
use mio::{Interest, Registry, Token, event};
use std::{
    io::{self, ErrorKind},
    net::IpAddr,
};
use zeroize::{Zeroize, Zeroizing};

/// Most steps of one connection before the others have their turn.
const STEPS_PER_TURN: usize = 64;

/// Frames that are not authentic after which a connection ends on which no terminal has said hello.
const MAX_UNAUTHENTIC: u32 = 16;

/// How long to read on after the goodbye. To close a socket with unread input resets the connection, and the
/// reset may overtake the goodbye (RFC 1122, 4.2.2.13).
const LINGER: Duration = Duration::from_secs(2);

/// Why [`Connection::advance`] returned.
#[expect(clippy::large_enum_variant, reason = "most are the large one")]
pub(super) enum AdvanceResult {
    /// The server is to handle an event.
    Event(Event),
    /// The peer speaks another protocol: nothing of it was acted on, and the connection ends.
    Foreign(Protocol),
    /// The TLS handshake has ended; the terminal that the peer's certificate names, which was verified.
    Certificate(Result<Name, NameError>),
    /// The TLS session has failed: nothing more is read of the peer, and the connection ends.
    TlsFailed(io::Error),
    /// The connection is in the reserve, and has not said the hello of a named terminal.
    NoHello,
    /// The connection waits for its socket or its deadline.
    Blocked,
    /// The connection has more to do, after the others.
    Yield,
    /// The connection is closed.
    Closed,
}

/// A socket and its endpoint.
pub(super) struct Connection {
    stream: Stream,
    pub(super) peer: IpAddr,
    pub(super) host: Host<IN, OUT>,
    /// Discarded frames that were counted.
    discarded: u32,
    /// Frames that are not authentic and were counted.
    unauthentic: u32,
    /// Until when a terminal must have said hello, where there is no greeting.
    hello_until: Option<Instant>,
    /// Whether it counts against the limit of sessions.
    pub(super) is_session: bool,
    /// Until when it may say hello, in the reserve.
    reserve_until: Option<Instant>,
    opened: Instant,
    /// Under TLS: the terminal that the peer's certificate names, once that is served.
    pub(super) certified: Option<Name>,
    /// Until when its TLS handshake must have ended.
    handshake_until: Option<Instant>,
    /// Why its TLS session has failed, until the server has logged it.
    tls_error: Option<io::Error>,
    /// When it is woken next.
    pub(super) alarm: Alarm,
    opening: Opening,
    /// The protocol of a peer that does not speak ours, until the server has logged it.
    foreign: Option<Protocol>,
    /// Input that the endpoint has not taken yet, which may have a PIN.
    unread: Zeroizing<Vec<u8>>,
    /// Whether input is wiped once it is fed, as it may have a PIN.
    is_by_card: bool,
    /// Readiness by the last edge-triggered event; cleared when the socket would block.
    readable: bool,
    writable: bool,
    /// The peer has shut down its writing side, so a read will find the end.
    peer_closed: bool,
    /// A read has found the end of the peer's stream.
    at_eof: bool,
    /// Set once the goodbye is sent: the time until which input is read and discarded.
    linger_until: Option<Instant>,
    /// It is to be closed without a goodbye.
    pub(super) ends_in_silence: bool,
    is_closed: bool,
}

impl Connection {
    pub(super) fn open(
        mut stream: Stream,
        peer: IpAddr,
        registry: &Registry,
        token: Token,
        host_number: u32,
        config: &host::Config,
        now: Instant,
    ) -> io::Result<Self> {
        // A reply is one write, so Nagle's algorithm (RFC 896) would only delay it.
        stream.socket().set_nodelay(true)?;
        registry.register(stream.socket(), token, Interest::READABLE | Interest::WRITABLE)?;
        let number = u64::try_from(token.0).unwrap_or(u64::MAX);
        let session = SessionId { host: host_number, number };
        let handshake_until = stream.is_handshaking().then(|| now + config.frame_timeout);
        Ok(Self {
            stream,
            peer,
            host: Host::new(*config, session, now),
            discarded: 0,
            unauthentic: 0,
            hello_until: config.sealed_only.then(|| now + config.frame_timeout),
            is_session: false,
            reserve_until: None,
            opened: now,
            certified: None,
            handshake_until,
            tls_error: None,
            alarm: Alarm::default(),
            opening: Opening::default(),
            foreign: None,
            unread: Zeroizing::default(),
            is_by_card: false,
            readable: true,
            writable: true,
            peer_closed: false,
            at_eof: false,
            linger_until: None,
            ends_in_silence: false,
            is_closed: false,
        })
    }

    /// Has access by card: there is no greeting, and the connection ends at `hello_until` unless a terminal has said hello.
    pub(super) fn serve_cards(&mut self, keys: CardKeys, hello_until: Instant) {
        self.host.serve_cards(keys);
        self.is_by_card = true;
        self.hello_until = Some(hello_until);
    }

    /// Takes over the readiness that an event reports.
    pub(super) fn update_readiness(&mut self, event: &event::Event) {
        self.peer_closed |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Whether the conversation of this terminal is held here.
    pub(super) fn serves(&self, name: &Name) -> bool {
        let conversation = self.host.conversation();
        conversation.is_some_and(
            |conversation| matches!(conversation.origin(), Origin::Terminal(here) if here == name),
        )
    }

    /// Waits in the reserve for a hello, which would discard the greeting: that is not sent.
    pub(super) fn wait_in_reserve(&mut self, until: Instant, now: Instant) {
        self.reserve_until = Some(until);
        self.host.consume(self.host.output().len(), now);
    }

    pub(super) fn leave_reserve(&mut self) {
        self.reserve_until = None;
    }

    pub(super) fn is_in_reserve(&self) -> bool {
        self.reserve_until.is_some()
    }

    /// Where it is a session that may make room for another: at a prompt, or without a proof; and since when. Only an answer
    /// opens another prompt; one that was open before the session was resumed here counts from then on.
    pub(super) fn idle_since(&self) -> Option<(Standing, Instant)> {
        if !self.is_session || self.ends_in_silence {
            return None;
        }
        if self.handshake_until.or(self.hello_until).is_some() {
            return Some((Standing::Unproven, self.opened));
        }
        let conversation = self.host.conversation()?;
        let is_named = matches!(conversation.origin(), Origin::Terminal(_));
        let standing = if is_named { Standing::Named } else { Standing::Unnamed };
        conversation.idle_since().map(|since| (standing, since.max(self.opened)))
    }

    /// Frames that were discarded, and that were not authentic, since the last call. Where a terminal must say hello, a connection
    /// without one ends after several of the latter.
    pub(super) fn newly_counted(&mut self) -> (u32, u32) {
        let Counters { discarded, unauthentic, .. } = self.host.counters();
        let newly = (discarded.wrapping_sub(self.discarded), unauthentic.wrapping_sub(self.unauthentic));
        (self.discarded, self.unauthentic) = (discarded, unauthentic);
        self.ends_in_silence |= newly.1 > 0 && unauthentic >= MAX_UNAUTHENTIC && self.hello_until.is_some();
        newly
    }

    /// Notes that a terminal has said hello.
    pub(super) fn note_hello(&mut self) {
        self.hello_until = None;
    }

    /// Whether the endpoint has ended the connection, and not the peer.
    pub(super) fn is_ended_by_host(&self) -> bool {
        self.linger_until.is_some() && !self.at_eof
    }

    /// Whether the goodbye is sent, and input is only discarded.
    pub(super) fn is_lingering(&self) -> bool {
        self.linger_until.is_some()
    }

    /// When [`tick`](Self::tick) is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits_until = self.linger_until.or_else(|| self.host.deadline());
        [waits_until, self.reserve_until, self.handshake_until, self.hello_until].into_iter().flatten().min()
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if self.handshake_until.take_if(|until| *until <= now).is_some() {
            self.tls_error = Some(io::Error::new(ErrorKind::TimedOut, "the handshake has not ended in time"));
        }
        self.ends_in_silence |= self.hello_until.is_some_and(|until| until <= now);
        match self.linger_until {
            Some(until) => self.is_closed |= until <= now,
            None => self.host.tick(now),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // The socket is closed next, which ends a registration too.
        let _ = registry.deregister(self.stream.socket());
    }

    /// Moves bytes until there is an event, the socket would block, or the turn is over; `buffer` is for one
    /// read.
    pub(super) fn advance(&mut self, buffer: &mut [u8], now: Instant) -> AdvanceResult {
        for _ in 0..STEPS_PER_TURN {
            if self.is_closed {
                // Requests that are still to be submitted to the ledger.
                return self.host.poll_event().map_or(AdvanceResult::Closed, AdvanceResult::Event);
            }
            if self.reserve_until.is_some_and(|until| until <= now || !self.host.output().is_empty()) {
                return AdvanceResult::NoHello;
            }
            if self.linger_until.is_some() {
                if !self.discard_input(buffer) {
                    return if self.is_closed { AdvanceResult::Closed } else { AdvanceResult::Blocked };
                }
                continue;
            }
            if std::mem::take(&mut self.ends_in_silence) {
                self.start_lingering(now);
                continue;
            }
            if let Some(protocol) = self.foreign.take() {
                return AdvanceResult::Foreign(protocol);
            }
            if let Some(error) = self.tls_error.take() {
                self.start_lingering(now);
                return AdvanceResult::TlsFailed(error);
            }
            if self.handshake_until.is_some()
                && !self.stream.is_handshaking()
                && let Some(session) = self.stream.session()
            {
                self.handshake_until = None;
                return AdvanceResult::Certificate(session.peer_name());
            }
            if let Some(event) = self.host.poll_event() {
                return AdvanceResult::Event(event);
            }
            if self.write_output(now) || self.feed_unread(now) || self.read_input(buffer, now) {
                continue;
            }
            if self.host.is_finished() {
                self.start_lingering(now);
                continue;
            }
            return if self.is_closed { AdvanceResult::Yield } else { AdvanceResult::Blocked };
        }
        AdvanceResult::Yield
    }

    /// Writes output; true where any was written, or the connection failed.
    fn write_output(&mut self, now: Instant) -> bool {
        let output = if self.stream.is_handshaking() { &[] } else { self.host.output() };
        if output.is_empty() && !self.stream.wants_write() || !self.writable {
            return false;
        }
        match self.stream.write(output) {
            Ok(count) => self.host.consume(count, now),
            Err(error) => {
                self.writable = false;
                return self.handle_io_error(error);
            }
        }
        true
    }

    /// Feeds unread input to the endpoint; true where it took any.
    fn feed_unread(&mut self, now: Instant) -> bool {
        if self.unread.is_empty() {
            return false;
        }
        let taken = self.host.feed(&self.unread, now).min(self.unread.len());
        self.unread.drain(..taken);
        if self.unread.is_empty() {
            // Frees the buffer: most sessions never need one.
            self.unread = Zeroizing::default();
        }
        taken > 0
    }

    /// Reads and feeds the endpoint; true where bytes, the end or an error came.
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
                // A short read has emptied the socket, and later input brings another edge (epoll(7), on
                // stream sockets; a read also stops short before urgent data, which this protocol does not
                // use). On Windows mio reports more input only after a read that would block.
                self.readable = !self.stream.is_drained() || self.peer_closed || cfg!(windows);
                let bytes = buffer.get_mut(..count).unwrap_or_default();
                if let Some(protocol) = self.opening.push(bytes) {
                    self.foreign = Some(protocol);
                    self.host.reject(Notice::Fault(Fault::WrongWire), now);
                    return true;
                }
                let taken = self.host.feed(bytes, now);
                self.unread.extend_from_slice(bytes.get(taken..).unwrap_or_default());
                if self.is_by_card {
                    bytes.zeroize();
                }
            }
            Err(error) => {
                self.readable = false;
                return self.handle_io_error(error);
            }
        }
        true
    }

    /// Shuts down the writing side after the goodbye, and discards input until the peer closes.
    fn start_lingering(&mut self, now: Instant) {
        self.unread = Zeroizing::default();
        (self.reserve_until, self.handshake_until, self.hello_until) = (None, None, None);
        self.linger_until = Some(now + LINGER);
        self.is_closed |= self.stream.close_writing().is_err() || self.at_eof;
    }

    /// Reads and discards input; false where none came, or the peer has closed.
    fn discard_input(&mut self, buffer: &mut [u8]) -> bool {
        if !self.readable {
            return false;
        }
        match self.stream.discard(buffer) {
            Ok(0) => self.is_closed = true,
            Ok(_) => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(_) => self.is_closed = true,
        }
        false
    }

    /// Handles an error of the socket; true where the connection is to be advanced again.
    fn handle_io_error(&mut self, error: io::Error) -> bool {
        match error.kind() {
            ErrorKind::WouldBlock => false,
            ErrorKind::Interrupted => {
                self.readable = true;
                self.writable = true;
                true
            }
            ErrorKind::InvalidData | ErrorKind::PermissionDenied => {
                // What has arrived is discarded.
                (self.readable, self.tls_error) = (true, Some(error));
                true
            }
            _ => {
                self.is_closed = true;
                true
            }
        }
    }
}
