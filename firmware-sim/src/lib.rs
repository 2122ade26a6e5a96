//! Kiosk firmware: runs the core's [`Kiosk`] on a Cortex-M3 board, or on a desktop behind a serial port.
//!
//! `no_std`, no heap, no threads. The loop itself is the core's, over any [`embedded_io`] port, with the time
//! as an argument. This crate adds the board support of the images that `cargo fw` and `cargo fw-terminal`
//! build, the terminal with a console ([`console_terminal`]), and for the desktop an EEPROM image in a file
//! (`store`) and a fault injector (`fault_injector`).
#![no_std]
#![deny(unsafe_code)]

#[cfg(not(target_os = "none"))]
extern crate std;

pub use atm_core::kiosk::{Kiosk, KioskError};

#[cfg(lm3s6965)]
pub mod board;
pub mod console_terminal;
#[cfg(not(target_os = "none"))]
pub mod fault_injector;
#[cfg(feature = "seal")]
pub mod known_answers;
pub mod sizes;
#[cfg(not(target_os = "none"))]
pub mod store;
