//! What the endpoint of each kind of line is made for.
use super::super::{Options, Target, start_from_clock};
use atm_core::{
    host,
    terminal::{Config, Profile, Repeat},
    time::Duration,
    wire::Wire,
};

/// How a named terminal repeats on a connection. That loses nothing by itself, but whatever stands in the way of it may;
/// and a host that has no power says nothing.
const REPEAT: Repeat = Repeat {
    first: Duration::from_secs(1),
    most: Duration::from_secs(5),
    down: Duration::from_secs(10),
    give_up: Duration::from_secs(60),
};

/// The configuration of the endpoint.
pub(super) fn config(options: &Options) -> Config {
    let wire = options.wire;
    let profile = options.profile.clone();
    match options.target {
        Target::Tcp(_) => {
            let repeat = options.is_named().then_some(REPEAT);
            Config { wire, link: host::Link::Connection, profile, repeat, frame: frame_time(options) }
        }
        Target::Serial { baud, .. } => Config {
            wire,
            link: host::Link::Serial,
            // The time tells its hello from those of whoever was on this line before.
            profile: Some(
                profile.unwrap_or_else(|| Profile { start: start_from_clock(), ..Profile::default() }),
            ),
            repeat: Some(Repeat::for_baud(baud)),
            frame: frame_time(options),
        },
    }
}

/// How long a frame may take from its first byte to its last. The end of a COBS frame may have been eaten by noise, or
/// never come from a host that speaks another wire, and a named terminal can connect again; other frames are only slow.
fn frame_time(options: &Options) -> Duration {
    let impatient = options.wire == Wire::Postcard || options.is_named();
    Duration::from_secs(if impatient { 10 } else { 60 })
}
