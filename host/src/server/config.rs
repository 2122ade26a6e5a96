//! Server configuration: limits and timeouts of a server, and of the endpoints in it.
use crate::{names::NameQuota, stream::Stream, tls::ServerTls};
use atm_core::{
    host::{self, LinkKind},
    ledger::card::{CardKeys, Limits},
    money::Amount,
    seal::Key,
    session::Policy,
    time::Duration,
    wire::Wire,
};
use mio::net::TcpStream;
use std::{io, net::SocketAddr, time::Instant};

/// Access by card.
#[derive(Clone, Debug)]
pub struct CardAccess {
    /// The keys of the cards' tokens and PINs.
    pub keys: CardKeys,
    /// The limits of each card's withdrawals.
    pub limits: Limits,
    /// The refused verifications a minute, over all terminals, above which an alarm is raised.
    pub refusal_alarm: u32,
}

impl CardAccess {
    /// The defaults: 500 whole units a withdrawal, 1,000 a card and day, and an alarm above 20 refused verifications a minute.
    pub fn new(keys: CardKeys) -> Self {
        let units = |units| Amount::from_units(units).unwrap_or(Amount::ZERO);
        Self { keys, limits: Limits { withdrawal: units(500), day: units(1_000) }, refusal_alarm: 20 }
    }

    /// How long a prompt may stay open without an answer.
    pub const IDLE: Duration = Duration::from_secs(30);
}

/// Configuration of a server. [`ServerConfig::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How messages are framed and encoded.
    pub wire: Wire,
    /// The balance of a new ledger.
    pub balance: Amount,
    /// The largest amount that an answer may name.
    pub limit: Amount,
    /// How long a prompt may stay open without an answer.
    pub idle: Duration,
    /// How long a frame may take from its first byte to its last.
    pub frame: Duration,
    /// How long a peer may leave output unread before its connection is closed.
    pub stall: Duration,
    /// Most sessions at once, over TCP.
    pub max_sessions: usize,
    /// Most sessions at once of one address (of an IPv6 network of 64 bits), if they are limited.
    pub max_per_address: Option<usize>,
    /// Most names of terminals.
    pub max_terminals: u32,
    /// Most new names at once, and a minute.
    pub new_terminals: u32,
    /// This host's number, which no other host of the same ledger has; 0 for the only one.
    pub host: u32,
    /// TLS on every connection, with certificates that name the terminals. Without it any peer can use any name.
    pub tls: Option<ServerTls>,
    /// The master of the terminals' keys, if sealed hellos are read.
    pub terminal_keys: Option<Key>,
    /// Whether only sealed links are served.
    pub sealed_only: bool,
    /// Access by card; `None` is open access, to one account. A connection gets no greeting, and ends after the time of a frame
    /// unless a terminal says hello.
    pub cards: Option<CardAccess>,
    /// Whether a peer that is not on this machine may stop the server with `quit`.
    pub allow_remote_quit: bool,
}

impl ServerConfig {
    /// The defaults for a wire: 100 whole units, 10,000 sessions and names, 60 new names a minute, and the times of [`host::Config::new`].
    pub fn new(wire: Wire) -> Self {
        let host = host::Config::new(wire, LinkKind::Connection);
        Self {
            wire,
            balance: Amount::from_units(100).unwrap_or(Amount::ZERO),
            limit: Policy::LIMIT,
            idle: host.idle_timeout,
            frame: host.frame_timeout,
            stall: host.stall_timeout,
            max_sessions: 10_000,
            max_per_address: None,
            max_terminals: 100_000,
            new_terminals: 1_000,
            host: 0,
            tls: None,
            terminal_keys: None,
            sealed_only: false,
            cards: None,
            allow_remote_quit: false,
        }
    }

    pub(super) fn name_quota(&self) -> NameQuota {
        NameQuota::new(self.max_terminals.into(), self.new_terminals, Instant::now())
    }

    /// The stream of a connection that was just accepted.
    pub(super) fn tcp_stream(&self, socket: TcpStream) -> io::Result<Stream> {
        let session = self.tls.as_ref().map(|tls| tls.session().map(Box::new)).transpose()?;
        Ok(Stream::new(socket, session))
    }

    /// The configuration of the endpoint of a connection from `peer`; `salt` is drawn at the server's start.
    pub(super) fn tcp_endpoint(&self, peer: SocketAddr, salt: u64) -> host::Config {
        let local = peer.ip().to_canonical().is_loopback();
        host::Config {
            wire: self.wire,
            link: LinkKind::Connection,
            policy: Policy { limit: self.limit, may_quit: local || self.allow_remote_quit },
            idle_timeout: self.idle,
            frame_timeout: self.frame,
            stall_timeout: self.stall,
            sealed_only: self.sealed_only,
            salt,
        }
    }
}
