//! What a host's endpoint is made for, and what it asks its driver to do.
use crate::{
    ledger::{Name, Request},
    session::Policy,
    time::Duration,
    wire::Wire,
};

/// The kind of line that an endpoint stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LinkKind {
    /// A connection (TCP): the host greets at once, and the line ends with the session.
    Connection,
    /// A line that is always there (a serial port): the host is silent before a hello, and the line outlives sessions.
    Serial,
}

/// What a host's endpoint is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// How messages cross the line.
    pub wire: Wire,
    /// What kind of line it is.
    pub link: LinkKind,
    /// What sessions may do.
    pub policy: Policy,
    /// How long a prompt stays open without an answer.
    pub idle_timeout: Duration,
    /// How long a frame may take from its first byte to its last.
    pub frame_timeout: Duration,
    /// On a connection, how long the peer may leave output unread.
    pub stall_timeout: Duration,
}

impl Config {
    /// The defaults: five minutes at a prompt, 10 seconds for a frame, 30 seconds for unread output.
    pub fn new(wire: Wire, link: LinkKind) -> Self {
        Self {
            wire,
            link,
            policy: Policy::default(),
            idle_timeout: Duration::from_secs(300),
            frame_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
        }
    }
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// Take this to the ledger, and its response to [`Host::complete`](super::Host::complete).
    Request(Request),
    /// A terminal came whose conversation is not held here: call [`Host::admit`](super::Host::admit), with the conversation if it is held
    /// elsewhere, or [`Host::refuse`](super::Host::refuse).
    Arrival(Name),
    /// The person asked to stop the host, and may.
    Quit,
}
