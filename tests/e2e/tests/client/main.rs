//! `atm client`: lines from a pipe, the line editor at a terminal, the Python example, and the original classroom program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exit_codes;
mod hostile_host;
mod line_editor;
mod one_shot;
mod original_program;
mod piped_client;
mod python_example;
mod refused_lines;
mod several_hosts;
