//! Sealed links under attack: both endpoints, a fake clock, and an attacker between them who has everything that ever crossed
//! the link.
#![cfg(feature = "seal")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attacks;
#[cfg(feature = "cards")]
mod cards;
mod golden;
mod hellos;
mod properties;
mod python;
mod sessions;
mod silence;
mod world;
