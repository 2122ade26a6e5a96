//! `atm serve --data` and `atm ledger`: what was acknowledged is durable, and readers see it at any time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bank;
mod commands;
mod durability;
mod file_limit;
mod full_disk;
mod readers;
mod readers_and_writers;
mod set_back;
mod tables;
mod transactions;
