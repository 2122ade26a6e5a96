//! Access by card, with the built programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod alarm;
mod branch;
mod counter;
mod demo;
mod ended;
mod hello;
mod idle;
mod keys;
mod no_oracle;
#[cfg(target_os = "linux")]
mod no_secret;
mod one_shot;
mod orders;
mod person;
mod python_example;
mod replay;
mod sealed;
mod terminal;
