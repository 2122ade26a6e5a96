//! atm on a desktop: drives the endpoints of [`atm_core`] over TCP and serial lines, and keeps the ledger on
//! disk.
//!
//! The protocol and the rules about money are in the core. This crate owns sockets, serial ports, clocks,
//! files and threads.
//!
//! | module | is | feature |
//! |---|---|---|
//! | `access` | keys of terminals for sealed links | `ledger` |
//! | [`client`] | a terminal over TCP or a serial line; with `cli`, for a person or a pipe | – |
//! | [`serial`] | a serial port as an [`embedded_io`] device | – |
//! | [`clock`] | the monotonic time for the endpoints | – |
//! | [`demo`] | a whole session, checked step by step; with `server`, over TCP in one process | – |
//! | `server` | many terminals over TCP, or one serial line | `server` |
//! | `metrics` | a server's counters, and their page for Prometheus | `server` |
//! | `names` | caps the names of terminals that a server's ledger takes | `server` |
//! | `log` | the targets of a server's log | `server` |
//! | `signals` | the signals that end a process | `cli` |
//! | [`tls`] | TLS with certificates at both ends, for the client and the server | `tls` |
//! | `exit` | the exit codes of the program | `cli` |
//! | `ledger` | the ledger on disk | `ledger` |
//!
//! The feature `ledger` includes `server`, and `cli` (the default, the program `atm`) includes both and `tls`.
#![forbid(unsafe_code)]

#[cfg(feature = "ledger")]
pub mod access;
pub mod client;
pub mod clock;
pub mod demo;
#[cfg(feature = "cli")]
pub mod exit;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(feature = "server")]
pub mod log;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod names;
#[cfg(feature = "ledger")]
mod private_file;
pub mod serial;
#[cfg(feature = "server")]
pub mod server;
#[cfg(all(unix, feature = "cli"))]
pub mod signals;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls/absent.rs"]
pub mod tls;
