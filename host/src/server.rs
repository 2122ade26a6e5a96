//! The ATM behind a TCP port: one event loop over non-blocking sockets, a [`Host`](atm_core::host::Host) a connection.
//!
//! One thread is enough: an answer costs the core a microsecond, and the ledger is asked from here, so that no lock is
//! ever held across an answer and a terminal's conversation moves between two connections without one.
use crate::clock::Clock;
use atm_core::{
    host::{self, Link},
    ledger::{Ledger, LedgerId, RamLedger},
    money::Amount,
    session::Policy,
    time::{Duration, Instant},
    wire::Wire,
};
use connection::{Connection, Phase};
use lobby::{Lobby, Place};
use mio::{Events, Interest, Poll, Token, Waker, net::TcpListener};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use timers::Timers;
use tracing::{debug, error, info, warn};

mod connection;
mod lobby;
pub mod serial;
mod timers;

/// What a server is made for. Every limit has its default in [`Config::new`].
#[derive(Clone, Debug)]
pub struct Config {
    /// How messages cross the line.
    pub wire: Wire,
    /// The balance at the start.
    pub balance: Amount,
    /// The most that an answer may name.
    pub limit: Amount,
    /// How long a prompt stays open without an answer.
    pub idle: Duration,
    /// How long a frame may take from its first byte to its last.
    pub frame: Duration,
    /// How long a peer may leave output unread.
    pub stall: Duration,
    /// How many sessions there may be at once.
    pub max_sessions: usize,
    /// May a peer that is not on this machine stop the server?
    pub allow_remote_quit: bool,
}

impl Config {
    /// The defaults for a wire: 100 whole units, 10,000 sessions, and the times of [`host::Config::new`].
    pub fn new(wire: Wire) -> Self {
        let host = host::Config::new(wire, Link::Connection);
        Self {
            wire,
            balance: Amount::from_units(100).unwrap_or(Amount::ZERO),
            limit: Policy::LIMIT,
            idle: host.idle,
            frame: host.frame,
            stall: host.stall,
            max_sessions: 10_000,
            allow_remote_quit: false,
        }
    }

    /// What the endpoint of a connection from `peer` is made for.
    fn host(&self, peer: SocketAddr) -> host::Config {
        let local = peer.ip().to_canonical().is_loopback();
        host::Config {
            wire: self.wire,
            link: Link::Connection,
            policy: Policy { limit: self.limit, may_quit: local || self.allow_remote_quit },
            idle: self.idle,
            frame: self.frame,
            stall: self.stall,
        }
    }
}

/// Terminals that the ledger in memory can remember, by name.
pub const TERMINALS: usize = 1024;

/// How long open sessions have to take their goodbye when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Connections that may wait to be accepted; the system may allow fewer.
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// Connections to accept before the open ones have their turn.
const ACCEPTS: usize = 64;

/// How long to wait before accepting again when the system had no room for another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

/// Stops a running [`Server`] from anywhere.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    /// Asks the server to say goodbye to open sessions and to return from [`Server::run`].
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            error!(%error, "the server could not be woken");
        }
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
    ledger: Box<dyn Ledger + Send>,
    connections: HashMap<Token, Connection>,
    lobby: Lobby,
    timers: Timers,
    next: usize,
    sessions: usize,
    /// Connections to be driven again before the next wait.
    again: Vec<Token>,
    /// Somebody waits to be accepted.
    accepting: bool,
    /// Set while the server stops: when it does not wait any longer.
    stopping: Option<Instant>,
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
        let identity = LedgerId(getrandom::u64().map_err(io::Error::other)?);
        Ok(Self {
            ledger: Box::new(RamLedger::<TERMINALS>::new(identity, config.balance)),
            config,
            poll,
            listener,
            address,
            stop: Stop { asked: Arc::default(), waker },
            clock: Clock::start(),
            connections: HashMap::new(),
            lobby: Lobby::default(),
            timers: Timers::default(),
            next: FIRST_CONNECTION,
            sessions: 0,
            again: Vec::new(),
            accepting: false,
            stopping: None,
        })
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
        let mut events = Events::with_capacity(1024);
        loop {
            let now = self.clock.now();
            if self.stopping.is_some_and(|until| self.connections.is_empty() || until <= now) {
                info!("stopped");
                return Ok(());
            }
            let rests = self.again.is_empty() && !self.accepting;
            let timeout = if rests { self.wait(now) } else { Some(std::time::Duration::ZERO) };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            for token in std::mem::take(&mut self.again) {
                self.drive(token);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accepting = true,
                    WAKER => {}
                    token => {
                        if let Some(connection) = self.connections.get_mut(&token) {
                            connection.ready(event);
                            self.drive(token);
                        }
                    }
                }
            }
            if self.accepting {
                self.accept();
            }
            if self.stop.asked.load(Ordering::Acquire) {
                self.begin_to_stop();
            }
            self.tick();
        }
    }

    /// How long nothing needs to be done.
    fn wait(&self, now: Instant) -> Option<std::time::Duration> {
        let first = [self.timers.next(), self.lobby.next(), self.stopping].into_iter().flatten().min()?;
        Some(if first <= now { std::time::Duration::ZERO } else { self.clock.until(first) })
    }

    /// Accepts whoever waits, but no more than a turn's worth: one client that connects again and again would keep all
    /// the others waiting.
    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok((stream, peer)) => self.open(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accepting = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The peer was gone before it was let in.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Most likely no file descriptor is left; the socket says no second time that somebody waits.
                    warn!(%error, "a connection could not be accepted; trying again");
                    self.accepting = false;
                    self.timers.set(LISTENER, self.clock.now() + ACCEPT_AGAIN);
                    return;
                }
            }
        }
    }

    fn open(&mut self, stream: mio::net::TcpStream, peer: SocketAddr) {
        let token = Token(self.next);
        self.next = self.next.wrapping_add(1).max(FIRST_CONNECTION);
        let now = self.clock.now();
        let opened = Connection::open(stream, self.poll.registry(), token, &self.config.host(peer), now);
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => {
                debug!(%peer, %error, "a connection was lost as it opened");
                return;
            }
        };
        if self.stopping.is_some() {
            connection.host.shut_down(now);
        } else if self.sessions >= self.config.max_sessions {
            warn!(%peer, sessions = self.sessions, "turned away: there are as many sessions as there may be");
            connection.host.turn_away(now);
        } else {
            connection.counted = true;
            self.sessions = self.sessions.saturating_add(1);
            info!(%peer, session = token.0, "session opened");
        }
        self.connections.insert(token, connection);
        self.drive(token);
    }

    /// Lets a connection do what it can, and sees to what it asks for.
    fn drive(&mut self, token: Token) {
        // It is taken out, so that what it asks for may reach the others.
        let Some(mut connection) = self.connections.remove(&token) else { return };
        loop {
            match connection.drive(self.clock.now()) {
                Phase::Event(event) => self.on_event(token, &mut connection, event),
                Phase::Wait => {
                    // Its goodbye is said: what is left of it is no session.
                    if connection.is_lingering() && std::mem::take(&mut connection.counted) {
                        self.end_session(token, &connection);
                    }
                    if let Some(deadline) = connection.deadline() {
                        self.timers.set(token, deadline);
                    }
                    break;
                }
                Phase::Again => {
                    self.again.push(token);
                    break;
                }
                Phase::Closed => {
                    self.close(token, connection);
                    return;
                }
            }
        }
        self.connections.insert(token, connection);
    }

    fn on_event(&mut self, token: Token, connection: &mut Connection, event: host::Event) {
        let now = self.clock.now();
        match event {
            host::Event::Request(request) => match self.ledger.apply(&request) {
                Ok(response) => {
                    connection.host.complete(&request, response, now);
                }
                Err(error) => {
                    // Nobody may be told anything: whoever asked comes back and asks what became of it.
                    error!(%error, "the server stops");
                    self.begin_to_stop();
                }
            },
            host::Event::Quit => {
                info!(session = token.0, "asked to stop by the person at this session");
                self.stop.stop();
            }
            host::Event::Arrival(name) => {
                let Some(hello) = connection.host.arriving() else { return };
                let held = match self.lobby.place(&name) {
                    None => Ok(None),
                    Some(Place::Parked(visit)) if !visit.yields_to(hello) => Err(()),
                    Some(Place::Parked(_)) => Ok(self.lobby.unpark(&name)),
                    Some(Place::Connected(elsewhere)) => match self.connections.get_mut(elsewhere) {
                        None => Ok(None),
                        Some(other) if other.host.visit().is_some_and(|visit| !visit.yields_to(hello)) => {
                            Err(())
                        }
                        Some(other) => {
                            self.again.push(*elsewhere);
                            Ok(other.host.hand_over(now))
                        }
                    },
                };
                match held {
                    Ok(visit) => {
                        info!(session = token.0, terminal = %name, known = visit.is_some(), "terminal arrived");
                        self.lobby.connect(name, token);
                        connection.host.admit(visit, now);
                    }
                    Err(()) => {
                        info!(session = token.0, terminal = %name, "terminal refused: a later one has its name");
                        connection.host.refuse(now);
                    }
                }
            }
        }
    }

    fn close(&mut self, token: Token, mut connection: Connection) {
        connection.deregister(self.poll.registry());
        if let Some(visit) = connection.host.park() {
            let until = self.clock.now() + self.config.idle;
            self.lobby.park(token, visit, until, self.config.max_sessions);
        }
        self.lobby.disconnect(token);
        self.timers.clear(token);
        if connection.counted {
            self.end_session(token, &connection);
        }
    }

    fn end_session(&mut self, token: Token, connection: &Connection) {
        self.sessions = self.sessions.saturating_sub(1);
        let counters = connection.host.counters();
        info!(session = token.0, frames = counters.frames, discarded = counters.discarded, "session closed");
    }

    /// Serves the deadlines that have passed.
    fn tick(&mut self) {
        let now = self.clock.now();
        self.lobby.tick(now);
        while let Some(token) = self.timers.pop(now) {
            if token == LISTENER {
                self.accepting = true;
            } else if let Some(connection) = self.connections.get_mut(&token) {
                connection.tick(now);
                self.drive(token);
            }
        }
    }

    fn begin_to_stop(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let now = self.clock.now();
        info!(sessions = self.sessions, "stopping");
        self.stopping = Some(now + GRACE);
        let tokens: Vec<Token> = self.connections.keys().copied().collect();
        for token in tokens {
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.host.shut_down(now);
                self.again.push(token);
            }
        }
    }
}
