//! The image of a kiosk's microcontroller in QEMU, and a person at it.
#![forbid(unsafe_code)]
// A failure here is loud, as in a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing
)]

use std::time::Duration;

/// How long to wait for anything that is expected at once; long, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub mod budget;
mod cuts;
mod person;
mod qemu;

pub use cuts::Day;
pub use person::{Lie, Person, Told};
pub use qemu::{Board, image};
