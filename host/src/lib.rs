//! atm on a desktop: drives the endpoints of [`atm_core`] over TCP and serial lines.
//!
//! * [`server`] serves many terminals over TCP;
//! * [`client`] is a terminal for a person or a pipe;
//! * [`demo`] shows both in one process;
//! * [`serial`] is a serial port as an [`embedded_io`] device.
//!
//! All of the protocol is in the core: this crate owns sockets, serial ports, clocks and threads.
#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod demo;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(feature = "server")]
pub mod metrics;
pub mod serial;
#[cfg(feature = "server")]
pub mod server;
