//! The ATM behind a serial port, as it sits in a kiosk's microcontroller.
//!
//! `no_std`, no heap, no threads: the loop is the core's [`Kiosk`], over any [`embedded_io`] port, with the time as an
//! argument. Around it stand a board (for the image that `cargo fw` builds), the desktop program, and a line that lies
//! for its tests.
#![no_std]
#![deny(unsafe_code)]

pub use atm_core::kiosk::{Error, Kiosk};

#[cfg(lm3s6965)]
pub mod board;
pub mod console_terminal;
#[cfg(not(target_os = "none"))]
pub mod fault_injector;
pub mod sizes;
#[cfg(not(target_os = "none"))]
pub mod store;
