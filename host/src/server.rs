//! TCP server: one event loop over non-blocking sockets, with one endpoint ([`Host`](atm_core::host::Host)) per
//! connection.
//!
//! One thread is enough: an answer costs the core a microsecond. It also commits to the ledger, so a
//! conversation moves between two connections without a lock. Requests to a ledger on disk are committed at
//! the end of a turn, as one batch (group commit); after a fault of the disk their responses come later. An
//! outcome goes to the connection where its terminal is when the response comes.
//!
//! * `accept` accepts connections, `admission` makes them sessions or turns them away;
//! * `connection` is a socket and its endpoint, `opening` what its first bytes must not be;
//! * `certificates` takes the terminal of a TLS connection from its certificate, `enrolment` asks the ledger whether it is served;
//! * `dispatch` carries requests to the ledger and outcomes to their terminals;
//! * `conversations` locates each named terminal's conversation;
//! * `committer` is the way to the ledger, `memory_ledger` the one in memory, `disk_ledger` the one on disk;
//! * `terminal_keys` computes the keys that sealed hellos claim, `unauthentic` logs what was not authentic;
//! * `alarm` warns of too many refused verifications of cards;
//! * `timers` holds the deadlines, `response_log` logs operations;
//! * [`serial`] serves one serial line without any of these.
use crate::{
    clock::Clock,
    log::{SERVER, SESSION, limit::LogLimit},
    metrics::Metrics,
};
use admission::SessionsByAddress;
use alarm::Alarm;
use atm_core::{
    ledger::{InDoubt, LedgerId, Ticket},
    time::{Duration, Instant},
};
use committer::Committer;
use connection::{AdvanceResult, Connection};
use conversations::{ConversationTable, Location};
use mio::{Events, Interest, Poll, Token, Waker, net::TcpListener};
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};
#[cfg(feature = "ledger")]
use terminal_keys::TerminalKeys;
use timers::Timers;
use tracing::{info, warn};

mod accept;
mod admission;
mod alarm;
mod certificates;
mod committer;
mod config;
mod connection;
mod conversations;
#[cfg(feature = "ledger")]
mod disk_ledger;
mod dispatch;
mod enrolment;
#[cfg(feature = "postgres")]
mod ledger_thread;
mod memory_ledger;
mod opening;
mod response_log;
pub mod serial;
#[cfg(feature = "postgres")]
mod shared_ledger;
mod stop;
#[cfg(feature = "ledger")]
mod terminal_keys;
mod timers;
mod unauthentic;
mod wipe;
pub use admission::RESERVE;
pub use config::{CardAccess, ServerConfig};
pub use memory_ledger::{CardsInMemory, TERMINALS};
pub use stop::Stop;

/// Draws the identity of a new ledger.
fn new_identity() -> io::Result<LedgerId> {
    Ok(LedgerId(getrandom::u64().map_err(io::Error::other)?))
}

/// How long the server waits, when it stops, for open sessions to read the goodbye.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Most bytes of one read.
const READ_BUFFER: usize = 4096;

/// Most readiness events that one turn takes from the system.
const EVENTS_PER_TURN: usize = 1024;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
/// A connection's token is the number of its session, in the log too.
const FIRST_CONNECTION: usize = 1;

/// The limits of the warnings that peers cause.
#[derive(Debug, Default)]
struct LogLimits {
    tls: LogLimit,
    turned_away: LogLimit,
    foreign: LogLimit,
    refused: LogLimit,
    /// One a minute; it counts frames.
    unauthentic: LogLimit<1, 60>,
}

/// A bound server.
pub struct Server {
    config: ServerConfig,
    poll: Poll,
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    stop: Stop,
    clock: Clock,
    /// When the current turn woke up: one time for all of its events.
    now: Instant,
    committer: Box<dyn Committer>,
    metrics: Arc<Metrics>,
    /// When each operation was submitted whose response has not come.
    in_flight: FxHashMap<Ticket, std::time::Instant>,
    /// By token. Tokens are counted up, never chosen by a peer, so a hash that withstands chosen keys is not
    /// needed.
    connections: FxHashMap<Token, Box<Connection>>,
    /// Shared by the reads of all connections: to zero a new buffer for each read costs more than the answer.
    buffer: Box<[u8]>,
    conversations: ConversationTable,
    timers: Timers,
    next_token: usize,
    sessions: usize,
    by_address: SessionsByAddress,
    /// Connections that wait for a hello beyond the limit of sessions, the oldest first; some have left since.
    reserve: VecDeque<Token>,
    /// Connections with more to do, which are advanced before the next wait.
    ready_queue: Vec<Token>,
    /// There may be connections to accept.
    accepting: bool,
    /// When to accept again, after the system had no room for another connection.
    accept_retry: Option<Instant>,
    /// Random bytes of this start, for the endpoints.
    salt: u64,
    #[cfg(feature = "ledger")]
    keys: Option<TerminalKeys>,
    /// Events that are handled once a row of the ledger was read.
    #[cfg(feature = "ledger")]
    waiting_for_rows: Vec<(Token, atm_core::host::Event)>,
    log_limits: LogLimits,
    /// Where access is by card.
    alarm: Option<Alarm>,
    /// The ledger has failed for good.
    ledger_failed: bool,
    /// Set while the server stops: until when it waits for the sessions to end.
    stop_deadline: Option<Instant>,
}

impl Server {
    /// Listens on each address (of `host:port`; port 0 takes a free one), with a ledger in memory. An address that the
    /// system does not have is skipped if there is another.
    ///
    /// # Errors
    /// An address is malformed, in use or not permitted, or the system is out of file descriptors.
    pub fn bind(addresses: impl ToSocketAddrs, config: ServerConfig) -> io::Result<Self> {
        let (mut listeners, address) = accept::listen(addresses)?;
        let poll = Poll::new()?;
        for listener in &mut listeners {
            poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        }
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let clock = Clock::start();
        #[cfg(feature = "ledger")]
        let keys = config.terminal_keys.clone().map(|key| TerminalKeys::new(key, std::time::Instant::now()));
        let cards = config.cards.as_ref();
        let alarm = cards.map(|cards| Alarm::new(cards.refusal_alarm, std::time::Instant::now()));
        let metrics = Arc::<Metrics>::default();
        Ok(Self {
            committer: memory_ledger::committer(&config, &metrics)?,
            metrics,
            config,
            poll,
            listeners,
            address,
            stop: Stop::new(waker),
            now: clock.now(),
            clock,
            in_flight: FxHashMap::default(),
            connections: FxHashMap::default(),
            buffer: vec![0; READ_BUFFER].into(),
            conversations: ConversationTable::default(),
            timers: Timers::default(),
            next_token: FIRST_CONNECTION,
            sessions: 0,
            by_address: SessionsByAddress::default(),
            reserve: VecDeque::new(),
            ready_queue: Vec::new(),
            accepting: false,
            accept_retry: None,
            salt: getrandom::u64().map_err(io::Error::other)?,
            #[cfg(feature = "ledger")]
            keys,
            #[cfg(feature = "ledger")]
            waiting_for_rows: Vec::new(),
            log_limits: LogLimits::default(),
            alarm,
            ledger_failed: false,
            stop_deadline: None,
        })
    }

    /// The server's counters.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// The address that the server listens on, the first of those of a name.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The addresses that the server listens on.
    pub fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok())
    }

    /// A handle that stops the server from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves until a [`Stop`] or a person who may do so stops it; then ends the sessions and closes the
    /// ledger.
    ///
    /// # Errors
    /// The sockets cannot be polled, the ledger has failed for good ([`InDoubt`]), or it could not be closed
    /// in order.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        // How many turns in a row have taken as many events as one turn can, and when the first of them
        // began.
        let (mut full_turns, mut full_since) = (0, self.now);
        loop {
            self.now = self.clock.now();
            if self.stop_deadline.is_some_and(|until| self.connections.is_empty() || until <= self.now) {
                info!(target: SERVER, "stopped");
                // The requests that are still queued.
                self.committer.commit();
                self.deliver_responses();
                let failure = self.committer.failure().unwrap_or_else(|| InDoubt.to_string());
                let is_closed = self.committer.close();
                return match (self.ledger_failed, is_closed) {
                    (true, _) => Err(io::Error::other(failure)),
                    (false, false) => Err(io::Error::other("the ledger could not be closed in order")),
                    (false, true) => Ok(()),
                };
            }
            let is_idle = self.ready_queue.is_empty() && !self.accepting && !self.committer.has_queued();
            let timeout = if is_idle { self.poll_timeout() } else { Some(std::time::Duration::ZERO) };
            full_since = if full_turns == 0 { self.now } else { full_since };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.now = self.clock.now();
            for token in std::mem::take(&mut self.ready_queue) {
                self.advance(token);
            }
            let mut ready = 0;
            for event in &events {
                ready += 1;
                match event.token() {
                    LISTENER => self.accepting = true,
                    WAKER => {
                        self.deliver_responses();
                        #[cfg(feature = "ledger")]
                        self.resume_with_rows();
                    }
                    token => {
                        if let Some(connection) = self.connections.get_mut(&token) {
                            connection.update_readiness(event);
                            self.advance(token);
                        }
                    }
                }
            }
            if self.accepting {
                self.accept();
            }
            if self.stop.is_requested() {
                self.start_shutdown();
            }
            // A deadline is served only after every answer that came before it, however long the disk took or
            // the process was stopped: by now the system has reported each ready connection, or does within
            // this many turns.
            full_turns = if ready < EVENTS_PER_TURN { 0 } else { full_turns + 1 };
            if full_turns == 0 || full_turns > self.connections.len() / EVENTS_PER_TURN {
                full_turns = 0;
                self.expire(full_since);
            }
            if self.committer.has_queued() {
                self.committer.commit();
                // A commit may take long, and the idle time of the prompts that are sent now begins after it.
                self.now = self.clock.now();
                self.deliver_responses();
            }
        }
    }

    /// How long to wait for events, until the next deadline.
    fn poll_timeout(&self) -> Option<std::time::Duration> {
        let deadlines = [
            self.timers.next_deadline(),
            self.conversations.next_deadline(),
            self.accept_retry,
            self.stop_deadline,
        ];
        let first = deadlines.into_iter().flatten().min();
        let wait =
            first.map(|first| std::time::Duration::from_millis(u64::from(self.now.until(first).millis())));
        let retry =
            self.committer.retry_at().map(|at| at.saturating_duration_since(std::time::Instant::now()));
        match (wait, retry) {
            (Some(wait), Some(retry)) => Some(wait.min(retry)),
            (wait, retry) => wait.or(retry),
        }
    }

    /// Advances a connection until it is blocked, and handles its events.
    fn advance(&mut self, token: Token) {
        // It is taken out of the map, because an event may concern other connections.
        let Some(mut connection) = self.connections.remove(&token) else { return };
        let is_closed = loop {
            match connection.advance(&mut self.buffer, self.now) {
                AdvanceResult::Event(event) => self.handle_event(token, &mut connection, event),
                AdvanceResult::Foreign(protocol) => {
                    let peer = connection.peer;
                    self.log_limits.foreign.log(1, |unlogged| {
                        warn!(target: SESSION, %peer, session = token.0, %protocol, unlogged, "connection ended: its peer speaks another protocol");
                    });
                }
                AdvanceResult::Certificate(name) => self.admit_certificate(token, &mut connection, name),
                AdvanceResult::TlsFailed(error) => self.log_tls_failure(token, &connection, &error),
                AdvanceResult::NoHello => self.turn_away(token, &mut connection),
                AdvanceResult::Blocked => {
                    // The goodbye is sent: a lingering connection is no session.
                    if connection.is_lingering() {
                        self.end_session(token, &mut connection);
                    }
                    if let Some(deadline) = connection.deadline() {
                        self.timers.set(token, &mut connection.alarm, deadline);
                    }
                    break false;
                }
                AdvanceResult::Yield => {
                    self.ready_queue.push(token);
                    break false;
                }
                AdvanceResult::Closed => break true,
            }
        };
        if self.config.cards.is_some() {
            wipe::stack();
        }
        let (discarded, unauthentic) = connection.newly_counted();
        if discarded > 0 {
            self.metrics.update(|counters| counters.discarded += u64::from(discarded));
        }
        if unauthentic > 0 {
            self.count_unauthentic(token, &connection, unauthentic);
            if connection.ends_in_silence {
                self.ready_queue.push(token);
            }
        }
        if is_closed {
            self.close_connection(token, connection);
        } else {
            self.connections.insert(token, connection);
        }
    }

    /// Serves the deadlines that have passed at `now`.
    fn expire(&mut self, now: Instant) {
        self.conversations.expire(now);
        self.accepting |= self.accept_retry.take_if(|at| *at <= now).is_some();
        while let Some((token, deadline)) = self.timers.pop(now) {
            if let Some(connection) = self.connections.get_mut(&token)
                && connection.alarm.take_if_due(deadline)
            {
                connection.tick(now);
                self.advance(token);
            }
        }
    }

    /// Sends a goodbye to every session, once.
    fn start_shutdown(&mut self) {
        if self.stop_deadline.is_some() {
            return;
        }
        let now = self.now;
        info!(target: SERVER, sessions = self.sessions, "stopping");
        self.stop_deadline = Some(now + SHUTDOWN_GRACE);
        self.metrics.update(|counters| counters.is_stopping = true);
        let tokens: Vec<Token> = self.connections.keys().copied().collect();
        for token in tokens {
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.host.shut_down(now);
                self.ready_queue.push(token);
            }
        }
    }
}
