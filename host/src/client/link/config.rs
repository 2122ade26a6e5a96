//! Endpoint configuration: retransmission and frame timeouts of the terminal, by transport and wire.
use super::super::{Options, Target, start_from_clock};
use atm_core::{
    host,
    terminal::{Config, Profile, Retransmit},
    time::Duration,
    wire::Wire,
};

/// Retransmission of a named terminal on a connection. TCP itself loses nothing, but a proxy in between may, and a host
/// that has lost its power does not close the connection.
const RETRANSMISSION: Retransmit = Retransmit {
    first_wait: Duration::from_secs(1),
    max_wait: Duration::from_secs(5),
    down_after: Duration::from_secs(10),
    give_up_after: Duration::from_secs(60),
};

/// The configuration of the terminal's endpoint.
pub(super) fn config(options: &Options) -> Config {
    let wire = options.wire;
    let profile = options.profile.clone();
    let config = endpoint(options, wire, profile);
    let idle_timeout = match options.idle_timeout {
        // Never longer than by default.
        Some(timeout) => config.idle_timeout.map(|default| default.min(timeout)),
        None => config.idle_timeout,
    };
    Config { idle_timeout, offers: options.offers, ..config }
}

/// The same with the defaults of a session by card.
fn endpoint(options: &Options, wire: Wire, profile: Option<Profile>) -> Config {
    match options.target {
        Target::Tcp(_) => {
            let retransmit = options.is_named().then_some(RETRANSMISSION);
            let defaults = Config::new(wire, host::LinkKind::Connection);
            Config { profile, retransmit, frame_timeout: frame_timeout(options), ..defaults }
        }
        Target::Serial { baud, .. } => Config {
            // The start distinguishes this client's hello from those of earlier clients on the same line.
            profile: Some(
                profile.unwrap_or_else(|| Profile { start: start_from_clock(), ..Profile::default() }),
            ),
            ..Config::for_serial(wire, baud)
        },
    }
}

/// How long a frame of a connection may take from its first byte to its last. On `postcard` the end of a COBS frame may be lost in noise,
/// or never come from a host that speaks another wire, and a named terminal can reconnect: both time out early. The
/// frames of other terminals are only slow.
fn frame_timeout(options: &Options) -> Duration {
    let early = options.wire == Wire::Postcard || options.is_named();
    Duration::from_secs(if early { 10 } else { 60 })
}
