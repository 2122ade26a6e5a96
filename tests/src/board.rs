//! The image of a kiosk's microcontroller in QEMU, and a person at it.
pub mod budget;
mod cuts;
mod person;
mod qemu;

pub use cuts::Day;
pub use person::{Lie, Person, Told};
pub use qemu::{Board, image};
