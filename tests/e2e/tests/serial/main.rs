//! Serial ports: `firmware-sim` on a pseudo-terminal, its store file, resynchronisation, and the async kiosk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod async_kiosk;
mod kiosk_store;
mod reopen;
mod resynchronisation;
mod serial;
