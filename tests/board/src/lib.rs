//! The microcontroller images in QEMU: the kiosk under power cuts with an audit, and the resources that each
//! image takes.
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
pub const TIMEOUT: Duration = Duration::from_secs(20);

pub mod budget;
mod cuts;
mod qemu;
mod terminal_driver;

pub use cuts::PowerCutRun;
pub use qemu::{Board, CORTEX_M0, CORTEX_M3, image, image_for, sealed_image};
pub use terminal_driver::{KioskMessage, LinkFaults, TerminalDriver};
