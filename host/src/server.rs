//! The ATM behind a TCP port: one event loop over non-blocking sockets, a [`Host`](atm_core::host::Host) a connection.
//!
//! One thread is enough: an answer costs the core a microsecond, and the ledger is asked from here, so that no lock is
//! ever held across an answer and a terminal's conversation moves between two connections without one. A ledger on
//! disk answers what was asked in a turn at the end of it, or later where its disk has a fault: an outcome goes to wherever
//! its terminal is then.
use crate::{clock::Clock, metrics::Metrics};
use atm_core::{
    host,
    ledger::{InDoubt, LedgerId, RamLedger},
    time::{Duration, Instant},
};
use committer::{Committer, InMemory};
use connection::{Connection, Progress};
use conversations::{ConversationTable, Location};
use mio::{Events, Interest, Poll, Token, Waker, net::TcpListener};
use rustc_hash::FxHashMap;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use timers::Timers;
use tracing::{error, info};

mod accept;
mod committer;
mod config;
mod connection;
mod conversations;
#[cfg(feature = "ledger")]
mod disk_ledger;
mod dispatch;
pub mod serial;
mod timers;
pub use config::Config;

/// What wakes the event loop.
fn wake_callback(waker: Arc<Waker>) -> impl Fn() + Send + Sync + 'static {
    move || {
        if let Err(error) = waker.wake() {
            error!(%error, "the server could not be woken");
        }
    }
}

/// Draws the identity of a new ledger.
fn new_identity() -> io::Result<LedgerId> {
    Ok(LedgerId(getrandom::u64().map_err(io::Error::other)?))
}

/// Terminals that the ledger in memory can remember, by name.
pub const TERMINALS: usize = 1024;

/// How long open sessions have to take their goodbye when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Connections that may wait to be accepted; the system may allow fewer.
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// What one read brings at the most.
const READ_BUFFER: usize = 4096;

/// Connections of which it is seen in one turn that they are ready.
const EVENTS_PER_TURN: usize = 1024;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

/// Stops a running [`Server`] from anywhere.
#[derive(Clone, Debug)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    /// Asks the server to say goodbye to open sessions and to return from [`Server::run`].
    pub fn stop(&self) {
        self.requested.store(true, Ordering::Release);
        wake_callback(self.waker.clone())();
    }
}

/// A bound server.
pub struct Server {
    config: Config,
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    stop: Stop,
    clock: Clock,
    /// When it woke up: one time for all that a turn of the loop brings.
    now: Instant,
    committer: Box<dyn Committer>,
    metrics: Arc<Metrics>,
    /// By tokens that are given here, in their order: no peer chooses one, and no hash need be kept from it.
    connections: FxHashMap<Token, Box<Connection>>,
    /// For what a read brings, whoever it is for: to clear a new one each time costs more than the answer.
    buffer: Box<[u8]>,
    conversations: ConversationTable,
    timers: Timers,
    next_token: usize,
    sessions: usize,
    /// Connections to be driven again before the next wait.
    ready_queue: Vec<Token>,
    /// Somebody waits to be accepted.
    accepting: bool,
    /// Set where there was no room for another connection: when to try again.
    accept_retry: Option<Instant>,
    /// The ledger answers nothing any more.
    ledger_failed: bool,
    /// Set while the server stops: when it does not wait any longer.
    stop_deadline: Option<Instant>,
}

impl Server {
    /// Listens on `address` (`host:port`; port 0 takes any that is free).
    ///
    /// # Errors
    /// Whatever the system says against it.
    pub fn bind(address: &str, config: Config) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        // std lets 128 connections wait. Of more that come at once it drops the rest, and each of those tries again only
        // after a second, then after three, then after seven.
        #[cfg(unix)]
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let clock = Clock::start();
        let identity = new_identity()?;
        Ok(Self {
            committer: Box::new(InMemory(RamLedger::<TERMINALS>::new(identity, config.balance))),
            metrics: Arc::default(),
            config,
            poll,
            listener,
            address,
            stop: Stop { requested: Arc::default(), waker },
            now: clock.now(),
            clock,
            connections: FxHashMap::default(),
            buffer: vec![0; READ_BUFFER].into(),
            conversations: ConversationTable::default(),
            timers: Timers::default(),
            next_token: FIRST_CONNECTION,
            sessions: 0,
            ready_queue: Vec::new(),
            accepting: false,
            accept_retry: None,
            ledger_failed: false,
            stop_deadline: None,
        })
    }

    /// What it counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What stops it from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves until it is stopped: by a [`Stop`], or by a person who may.
    ///
    /// # Errors
    /// Whatever makes waiting for sockets impossible.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        // The turns in a row in which more were ready than one turn sees, and when the first of them began.
        let (mut full_turns, mut full_since) = (0, self.now);
        loop {
            self.now = self.clock.now();
            if self.stop_deadline.is_some_and(|until| self.connections.is_empty() || until <= self.now) {
                info!("stopped");
                // What is out is committed first.
                let is_closed = self.committer.close();
                return match (self.ledger_failed, is_closed) {
                    (true, _) => Err(io::Error::other(InDoubt)),
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
            for event in &events {
                match event.token() {
                    LISTENER => self.accepting = true,
                    WAKER => self.deliver_responses(),
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
            if self.stop.requested.load(Ordering::Acquire) {
                self.start_shutdown();
            }
            // Whoever was ready before its time was over is heard, however long the disk took or the process was stopped: the
            // system has shown all of them now, or does in this many turns.
            full_turns = if events.iter().count() < EVENTS_PER_TURN { 0 } else { full_turns + 1 };
            if full_turns == 0 || full_turns > self.connections.len() / EVENTS_PER_TURN {
                full_turns = 0;
                self.expire(full_since);
            }
            if self.committer.has_queued() {
                self.committer.commit();
                // It may have taken long: the time at the prompts that are asked now begins behind it.
                self.now = self.clock.now();
                self.deliver_responses();
            }
        }
    }

    /// How long nothing needs to be done.
    fn poll_timeout(&self) -> Option<std::time::Duration> {
        let deadlines = [
            self.timers.next_deadline(),
            self.conversations.next_deadline(),
            self.accept_retry,
            self.stop_deadline,
        ];
        let first = deadlines.into_iter().flatten().min()?;
        Some(std::time::Duration::from_millis(u64::from(self.now.until(first).millis())))
    }

    /// Lets a connection do what it can, and sees to what it asks for.
    fn advance(&mut self, token: Token) {
        // It is taken out, so that what it asks for may reach the others.
        let Some(mut connection) = self.connections.remove(&token) else { return };
        loop {
            match connection.advance(&mut self.buffer, self.now) {
                Progress::Event(event) => self.handle_event(token, &mut connection, event),
                Progress::Blocked => {
                    // Its goodbye is said: what is left of it is no session.
                    if connection.is_lingering() && std::mem::take(&mut connection.is_session) {
                        self.end_session(token, &connection);
                    }
                    if let Some(deadline) = connection.deadline() {
                        self.timers.set(token, &mut connection.alarm, deadline);
                    }
                    break;
                }
                Progress::Yield => {
                    self.ready_queue.push(token);
                    break;
                }
                Progress::Closed => {
                    self.close_connection(token, connection);
                    return;
                }
            }
        }
        self.connections.insert(token, connection);
    }

    fn handle_event(&mut self, token: Token, connection: &mut Connection, event: host::Event) {
        let now = self.now;
        match event {
            host::Event::Request(request) => {
                if let Some(response) = self.submit(&request) {
                    connection.host.complete(&request, response, now);
                }
            }
            host::Event::Quit => {
                info!(session = token.0, "asked to stop by the person at this session");
                self.stop.stop();
            }
            host::Event::Arrival(name) => self.handle_hello(token, connection, name),
        }
    }

    fn close_connection(&mut self, token: Token, mut connection: Box<Connection>) {
        connection.deregister(self.poll.registry());
        if let Some(conversation) = connection.host.park() {
            let until = self.now + self.config.idle;
            self.conversations.park(token, conversation, until, self.config.max_sessions);
        }
        self.conversations.disconnect(token);
        if connection.is_session {
            self.end_session(token, &connection);
        }
    }

    fn end_session(&mut self, token: Token, connection: &Connection) {
        self.sessions = self.sessions.saturating_sub(1);
        self.metrics.open_sessions.fetch_sub(1, Ordering::Relaxed);
        let counters = connection.host.counters();
        info!(session = token.0, frames = counters.frames, discarded = counters.discarded, "session closed");
    }

    /// Serves the deadlines that had passed at `now`.
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

    fn start_shutdown(&mut self) {
        if self.stop_deadline.is_some() {
            return;
        }
        let now = self.now;
        info!(sessions = self.sessions, "stopping");
        self.stop_deadline = Some(now + SHUTDOWN_GRACE);
        let tokens: Vec<Token> = self.connections.keys().copied().collect();
        for token in tokens {
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.host.shut_down(now);
                self.ready_queue.push(token);
            }
        }
    }
}
