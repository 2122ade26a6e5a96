//! Sealed links: `atm client --key` with hosts that have its key, and with peers between them that have not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod client_files;
mod client_idle;
mod host;
mod middle;
mod provision;
mod secrecy;
mod silence;
