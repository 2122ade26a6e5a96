//! The host's configuration, and the events that it reports to its driver.
use crate::{
    ledger::{Name, Request},
    session::Policy,
    time::Duration,
    wire::Wire,
};

/// The kind of link that an endpoint serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LinkKind {
    /// A connection (TCP): the host greets at once, and the link closes when the session ends.
    Connection,
    /// A permanent link (a serial port): the host sends nothing before a hello, and the link outlives
    /// sessions.
    Serial,
}

/// The configuration of a [`Host`](super::Host).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// How messages are encoded and framed.
    pub wire: Wire,
    /// What kind of link it is.
    pub link: LinkKind,
    /// What a session may do.
    pub policy: Policy,
    /// How long a prompt stays open without an answer. Then the session ends.
    pub idle_timeout: Duration,
    /// How long a frame may take from its first byte to its last. Then it is discarded, and a connection
    /// closes.
    pub frame_timeout: Duration,
    /// On a connection, how long the peer may leave output unread. Then it closes.
    pub stall_timeout: Duration,
}

impl Config {
    /// The defaults: 300 s at a prompt, 10 s for a frame, 30 s for unread output, and [`Policy::default`].
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

/// What the driver must do. Not `non_exhaustive`: a driver must handle every event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// Give this to the ledger, and its response to [`Host::complete`](super::Host::complete), at any later
    /// time.
    Request(Request),
    /// A named terminal said hello, and this endpoint does not hold its conversation. Call
    /// [`Host::admit`](super::Host::admit) with the conversation if it is held elsewhere and
    /// [admits](super::Conversation::admits) the hello, [`Host::refuse`](super::Host::refuse) if it does not
    /// admit it, and [`Host::admit_new`](super::Host::admit_new) if none is held.
    Hello(Name),
    /// The person typed `quit` and has the permission: stop the host.
    Quit,
}
