//! The command line: options, exit codes, output, and the demos.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod card_bank;
mod cards;
mod command_line;
mod completions;
mod demo;
mod hidden;
mod packages;
