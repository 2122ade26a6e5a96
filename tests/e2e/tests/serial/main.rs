//! The ATM behind a serial port: `firmware-sim` on a pseudo-terminal, its store, resynchronisation, the async driver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod async_front;
mod kiosk_store;
mod resynchronisation;
mod serial;
