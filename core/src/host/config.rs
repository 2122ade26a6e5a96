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

/// Bytes of the longest frame of a serial line: the protocol's longest body and its length.
const LONGEST_FRAME: u32 = 1024;

/// How long a frame may take on a serial line of `baud` bits a second: the time of the longest one, at ten bits a byte,
/// and 100 ms. So noise that looks like the start of a frame holds a decoder for less than the first wait of a
/// [`Retransmit`](crate::terminal::Retransmit), and the retransmission is read.
pub(crate) const fn frame_timeout(baud: u32) -> Duration {
    let baud = if baud == 0 { 1 } else { baud };
    Duration::from_millis((LONGEST_FRAME * 10_000 / baud).saturating_add(100))
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
    /// How long a frame may take from its first byte to its last: on a serial line as in
    /// [`for_serial`](Self::for_serial). Then it is discarded, and a connection closes.
    pub frame_timeout: Duration,
    /// On a connection, how long the peer may leave output unread. Then it closes.
    pub stall_timeout: Duration,
    /// Only sealed messages are read: there is no greeting, and everything in clear meets with silence. Only on the
    /// `postcard` wire; on another one nothing is ever read.
    #[cfg(feature = "seal")]
    pub sealed_only: bool,
    /// Random bytes of this start of the host, of its operating system; 0 where there are none. With them, a session that
    /// was recorded means nothing to a ledger that was set back and gives its numbers again.
    #[cfg(feature = "seal")]
    pub salt: u64,
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
            #[cfg(feature = "seal")]
            sealed_only: false,
            #[cfg(feature = "seal")]
            salt: 0,
        }
    }

    /// The defaults for a serial line of `baud` bits a second, with ten bits a byte. A frame may take the time of the
    /// longest one and 100 ms.
    ///
    /// ```
    /// # #[cfg(feature = "postcard")] {
    /// # use atm_core::{host::Config, wire::Wire};
    /// assert_eq!(Config::for_serial(Wire::Postcard, 115_200).frame_timeout.millis(), 188);
    /// # }
    /// ```
    pub fn for_serial(wire: Wire, baud: u32) -> Self {
        Self { frame_timeout: frame_timeout(baud), ..Self::new(wire, LinkKind::Serial) }
    }
}

/// What the driver must do. Not `non_exhaustive`: a driver must handle every event.
#[cfg_attr(
    feature = "cards",
    expect(clippy::large_enum_variant, reason = "there is no heap for a large one")
)]
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
    /// A hello came that claims to be of this terminal. Give its key, if there is one, to
    /// [`Host::provide_key`](super::Host::provide_key). Any peer can cause this
    /// event: bound the steps for which a key is computed forward, and how often.
    #[cfg(feature = "seal")]
    Key(KeyRequest),
}

/// The key that a sealed hello claims to be authentic under.
#[cfg(feature = "seal")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeyRequest {
    /// The terminal.
    pub terminal: Name,
    /// The key's series.
    pub series: core::num::NonZeroU32,
    /// The key's step in the series.
    pub step: u32,
}
