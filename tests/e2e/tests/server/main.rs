//! `atm serve`: sessions, wires, malformed input, timeouts, limits, shutdown, configuration and monitoring.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod concurrent_clients;
mod config_file;
mod crowd;
mod foreign_protocols;
mod fragmentation;
mod limits;
mod log;
mod malformed_input;
mod metrics;
mod monitoring;
mod raw_wire;
mod shutdown;
mod signals;
mod systemd;
mod timeouts;
