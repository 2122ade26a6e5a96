//! Our server beside programs that somebody would take instead, in one run: same machine, same load, turn by turn.
//!
//! [`systems`](system) are started and stopped here; [`rounds`](round) measures them in turn, [`aims`](aim) are ratios of what
//! came out, [`table`] and [`chart`] show it. The load is [`atm_bench`]'s event loop for every system that speaks over a
//! socket of its own.
#![forbid(unsafe_code)]
// A failure here is loud, as in a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

use atm_bench::{
    event_loop::{ConnectOptions, Control, EventLoop},
    measurements::Measurements,
    protocol::ClientProtocol,
};
use std::{
    env, fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

pub mod chart;
pub mod cores;
mod disk;
pub mod echo;
pub mod idle;
pub mod machine;
mod postgres;
mod protocols;
pub mod rounds;
pub mod signals;
mod sqlite;
pub mod system;
pub mod table;
pub mod targets;

/// How long a reply may take, and how long nothing may happen while sessions open.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Sessions that are opened at once, but for where that is what is tried.
const BURST: usize = 100;

/// How long to ask.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Before anything counts.
    pub warm_up: Duration,
    /// For what counts.
    pub duration: Duration,
}

/// What one run of one system with one number of sessions came to.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Requests or operations a second.
    pub rate: f64,
    /// How long the middle one and the slowest of a hundred took, where that is known.
    pub p50: Option<Duration>,
    /// See [`p50`](Self::p50).
    pub p99: Option<Duration>,
    /// How much of a core the load took, where it is our load.
    pub busy: Option<f64>,
}

/// Puts a load on whoever speaks like `dialogue`.
fn load<D: ClientProtocol>(
    address: SocketAddr,
    dialogue: impl Fn() -> D,
    sessions: usize,
    timing: Timing,
) -> io::Result<Measurements> {
    let opening = ConnectOptions { address, burst: BURST, timeout: TIMEOUT };
    let mut load = EventLoop::connect(&opening, (0..sessions).map(|_| dialogue()))?;
    let (warm, progress) = (Instant::now() + timing.warm_up, Control::new(signals::flag()));
    load.run_closed(warm, &progress)?;
    load.start_measuring();
    load.run_closed(warm + timing.duration, &progress)?;
    load.stop_counting();
    load.drain(TIMEOUT)?;
    Ok(load.into_measurements())
}

/// A port that nobody listens on. Somebody else may take it before it is used; whoever is to listen there then fails.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Is there such a program? If not, says which of Debian's packages has it.
fn present(program: &Path, package: &str) -> Result<(), String> {
    let version = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    match version {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(format!("there is no {} on this machine: apt-get install {package}", program.display())),
    }
}

/// A folder on the disk that is measured, for everything that keeps something.
#[derive(Clone, Debug)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// In `folder`, or where this program lies: that is a disk, and a folder of the system's for temporary files may be memory.
    ///
    /// # Errors
    /// Where there is no such folder.
    pub fn new(folder: Option<&Path>) -> Result<Self, String> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => env::current_exe()
                .ok()
                .and_then(|program| program.parent().map(Path::to_owned))
                .ok_or("this program does not know where it lies")?,
        };
        fs::canonicalize(&folder).map(Self).map_err(|error| format!("{}: {error}", folder.display()))
    }

    fn temporary(&self) -> Result<tempfile::TempDir, String> {
        tempfile::tempdir_in(&self.0).map_err(|error| format!("{}: {error}", self.0.display()))
    }
}

/// The middle of some figures; of an even number the lower of the two. 0 where there are none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
