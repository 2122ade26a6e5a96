//! `atm serve`: sessions, wires, hostile and slow peers, limits, shutdown, operation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod hostile;
mod many_clients;
mod operation;
mod raw_wire;
mod slow_and_silent;
mod split_and_merged;
mod stopping;
