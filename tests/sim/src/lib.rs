//! A simulated day: terminals with random people, one host, links that lie and power that fails, under a fake clock.
//!
//! Everything is drawn from one seed, so a day that went wrong goes wrong again. The endpoints are the real ones; what is
//! simulated is all that drives them. The [`auditor`] sees what a bystander sees (what was typed, what was shown, what
//! the ledger committed) and never looks inside.
#![forbid(unsafe_code)]
// A failure here is loud, as in a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

pub mod auditor;
pub mod faulty_disk;
mod ledger;
mod link;
mod simulation;
mod station;

pub use simulation::{SimulationConfig, SimulationReport, run};
