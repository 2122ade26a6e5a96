//! Support library of the end-to-end tests, also used by the other packages in `tests/`.
//!
//! * [`Program`] is a child process: its output is collected, and it is killed at the end of its test. [`atm`] and
//!   [`firmware_sim()`] are the commands of the built programs.
//! * [`Server`] is `atm serve` on a free port, whose metrics [`request_page`] reads; [`FirmwareSim`] is `firmware-sim` at a
//!   pseudo-terminal.
//! * [`TerminalProgram`] is a program at a pseudo-terminal, [`SerialPair`] a serial line between two programs.
//! * [`Client`] is a TCP client of the `json` wire, every read with a timeout; [`NamedTerminal`] has the state that a named
//!   terminal stores.
//! * [`FrameProxy`] is a man in the middle of the `postcard` wire over TCP; [`exchange_frames`] and
//!   [`replay_session`] are a peer of their own.
//! * [`ledger`] starts a server with a ledger on disk and runs `atm ledger`.
//! * [`memory()`] reads what another process has written into its memory.
//! * [`println!`](println) ends a program without a message where the reader of its output is gone.
//! * [`seeded_rng`] prints its seed, so that a failure can be reproduced.
//!
//! A test waits for a condition, at most [`TIMEOUT`], and not for a fixed time.
#![forbid(unsafe_code)]
// A failure here is a test's failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

mod client;
mod commands;
mod frame_proxy;
mod frames;
pub mod ledger;
mod memory;
mod metrics;
mod named_terminal;
mod output;
mod program;
mod serial_pair;
mod server;
mod terminal_program;

pub use client::{Client, frame, text_of};
pub use commands::{
    atm, build_atm_with, examples, firmware_sim, original_programs, project_root, python,
    with_ephemeral_ports,
};
pub use fastrand::Rng;
pub use frame_proxy::{Direction, Frame, FrameProxy};
pub use frames::{FrameReader, exchange_frames, postcard_frame, replay_session};
pub use memory::memory;
pub use metrics::request_page;
pub use named_terminal::NamedTerminal;
pub use output::{ClosedOutput, print_text};
pub use program::{Output, Program, prompts};
pub use rustix::process::Signal;
pub use serde_json::{Value, json};
pub use serial_pair::SerialPair;
pub use server::{FirmwareSim, Server};
pub use terminal_program::TerminalProgram;

use std::{env, time::Duration};

/// How long a test waits for something that is expected at once; long, as the machine may be busy.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Raises this process's soft limit of open files to its hard limit (getrlimit(2)); returns the limit.
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.current.unwrap_or(u64::MAX)
}

/// Sets a program's soft limit of the size of a file (`RLIMIT_FSIZE`), in bytes; `None` is no limit.
pub fn limit_files(program: &Program, bytes: Option<u64>) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(i32::try_from(program.pid()).unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// A random number generator, seeded by the environment variable `ATM_SEED` or at random. Prints the seed; `cargo test`
/// shows it when the test fails.
pub fn seeded_rng() -> Rng {
    let seed = match env::var("ATM_SEED") {
        Ok(seed) => seed.parse().expect("ATM_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("reproduce with ATM_SEED={seed}");
    Rng::with_seed(seed)
}

/// 0 to `max` random bytes.
pub fn random_bytes(rng: &mut Rng, max: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.usize(..=max)];
    rng.fill(&mut bytes);
    bytes
}

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
