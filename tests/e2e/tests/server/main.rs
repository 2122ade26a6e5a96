//! `atm serve`: sessions, wires, hostile and slow peers, limits, shutdown, operation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod concurrent_clients;
mod fragmentation;
mod malformed_input;
mod operation;
mod raw_wire;
mod shutdown;
mod slow_and_silent;
