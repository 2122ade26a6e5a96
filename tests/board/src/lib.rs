//! The microcontroller images in QEMU: the kiosk under power cuts with an audit, the terminal with access by card, and the
//! resources that each image takes.
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
mod card_host;
mod cards;
mod console;
mod cuts;
mod provision;
mod qemu;
mod terminal_driver;

pub use cards::CardRun;
use console::TerminalConsole;
pub use cuts::PowerCutRun;
use provision::{provision, terminal_key};
pub use qemu::{Board, CORTEX_M0, CORTEX_M3, build, image, image_for, image_in, sealed_image};
pub use terminal_driver::{KioskMessage, LinkFaults, TerminalDriver};
