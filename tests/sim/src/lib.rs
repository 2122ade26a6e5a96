//! Deterministic simulation: random people at terminals, hosts with one ledger, faulty links, power losses, a faulty
//! disk or database, a ledger that is set back and an attacker on sealed links, under a fake clock.
//!
//! Every random choice is drawn from one seed, so a run that failed fails again with the same seed. The
//! endpoints and ledgers are the real ones; the simulation replaces their drivers, the links, the clock, the
//! disk and the people. The [`auditor`] checks each run from outside, by what was typed, shown and committed.
#![forbid(unsafe_code)]
// The simulation panics where a test would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

mod attacker;
pub mod auditor;
mod bank;
pub mod faulty_disk;
mod ledger;
mod link;
mod simulation;
mod station;
pub mod tables;

pub use attacker::AttackCounts;
pub use simulation::{Servers, SimulationConfig, SimulationReport, run};
