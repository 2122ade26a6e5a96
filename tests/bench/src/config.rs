//! The configuration of a run.
use super::{customer::InputStyle, mix::Mix};
use atm_core::wire::Wire;
use std::{net::SocketAddr, time::Duration};

/// The configuration of a run.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// The addresses of the hosts that share the ledger, at least one: the sessions take them in turn.
    pub addresses: Vec<SocketAddr>,
    /// Its wire.
    pub wire: Wire,
    /// Sessions, all of them open during the whole run.
    pub sessions: usize,
    /// Named terminals, at least one a session: before each operation a session draws one of its own, and says
    /// hello if it is another one than before. `None`: the sessions have no names. Only on the `json` wire.
    pub terminals: Option<usize>,
    /// How many sessions may be opening at once.
    pub burst: usize,
    /// Threads that drive the sessions.
    pub threads: usize,
    /// Load before the measured time.
    pub warm_up: Duration,
    /// The measured time.
    pub duration: Duration,
    /// How often each kind of operation is requested.
    pub mix: Mix,
    /// How an operation is requested.
    pub input_style: InputStyle,
    /// Open loop: answers a second, over all sessions. `None`: closed loop.
    pub rate: Option<f64>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Other clients move money too: balances cannot be checked.
    pub shared: bool,
    /// How long a reply may take.
    pub timeout: Duration,
}

impl LoadConfig {
    /// The addresses, with commas between them.
    pub fn address_list(&self) -> String {
        self.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }
}
