//! What the tests of more than one part share. For the built programs:
//!
//! * [`Program`] is a child whose output is collected and who never outlives its test; [`atm`] and
//!   [`firmware_sim()`] are the built ones, [`Server`] is `atm serve` on a port of its own;
//! * [`TerminalProgram`] is a program at a terminal, and [`SerialPair`] a serial line between two programs;
//! * [`Client`] is a plain client, on a socket with a deadline;
//! * [`NamedTerminal`] is what a terminal with a name must not forget;
//! * [`seeded_rng`] can be repeated.
//!
//! Nothing waits for a fixed time: everything waits for a condition, at most [`TIMEOUT`].
#![forbid(unsafe_code)]
// What fails here does it loudly, like a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

mod client;
pub mod ledger;
mod named_terminal;
mod program;
mod serial_pair;
mod terminal_program;

pub use client::{Client, frame, text_of};
pub use fastrand::Rng;
pub use named_terminal::NamedTerminal;
pub use program::{
    FirmwareSim, Output, Program, Server, atm, examples, firmware_sim, original_programs, project_root,
    python,
};
pub use rustix::process::Signal;
pub use serde_json::{Value, json};
pub use serial_pair::SerialPair;
pub use terminal_program::TerminalProgram;

use std::{env, time::Duration};

/// How long a test waits for anything that is expected at once; long, since the machine may be busy.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Allows this process as many open files as the system lets it have; returns how many.
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.current.unwrap_or(u64::MAX)
}

/// Random numbers from the seed in `ATM_SEED`, or from a random one; prints it, which is shown when the test fails.
pub fn seeded_rng() -> Rng {
    let seed = match env::var("ATM_SEED") {
        Ok(seed) => seed.parse().expect("ATM_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("to repeat: ATM_SEED={seed}");
    Rng::with_seed(seed)
}

/// At most `most` random bytes.
pub fn random_bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.usize(..=most)];
    rng.fill(&mut bytes);
    bytes
}

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
