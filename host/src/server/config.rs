//! What a server is made for.
use atm_core::{
    host::{self, LinkKind},
    money::Amount,
    session::Policy,
    time::Duration,
    wire::Wire,
};
use std::net::SocketAddr;

/// What a server is made for. Every limit has its default in [`Config::new`].
#[derive(Clone, Debug)]
pub struct Config {
    /// How messages cross the line.
    pub wire: Wire,
    /// The balance that a new ledger begins with.
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
        let host = host::Config::new(wire, LinkKind::Connection);
        Self {
            wire,
            balance: Amount::from_units(100).unwrap_or(Amount::ZERO),
            limit: Policy::LIMIT,
            idle: host.idle_timeout,
            frame: host.frame_timeout,
            stall: host.stall_timeout,
            max_sessions: 10_000,
            allow_remote_quit: false,
        }
    }

    /// What the endpoint of a connection from `peer` is made for.
    pub(super) fn tcp_endpoint(&self, peer: SocketAddr) -> host::Config {
        let local = peer.ip().to_canonical().is_loopback();
        host::Config {
            wire: self.wire,
            link: LinkKind::Connection,
            policy: Policy { limit: self.limit, may_quit: local || self.allow_remote_quit },
            idle_timeout: self.idle,
            frame_timeout: self.frame,
            stall_timeout: self.stall,
        }
    }
}
