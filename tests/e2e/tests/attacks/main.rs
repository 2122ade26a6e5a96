//! Attacks on sealed links, by the numbers of the list in tests/README.md: a man in the middle between `atm client --key` or
//! examples/sealed_terminal.py and `atm serve --sealed`, who knows the protocol and has no key, or another terminal's. Where
//! an attack succeeds on a link in clear, its test shows that too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bank;
mod bodies;
mod downgrade;
mod flood;
mod forging;
mod hellos;
mod memories;
mod random;
mod reading;
mod restarts;
mod stolen_key;
