//! The ledger in SQLite on a faulty disk: power losses, errors and hangs at every call, damage, concurrent requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bank;
mod callers;
mod crash;
mod damage;
mod day;
mod error;
mod hot_copy;
mod linear;
