//! `atm client`: a pipe, a person at a terminal, the Python examples, and the program that this one replaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod at_a_terminal;
mod client_cli;
mod original_python;
mod python_example;
