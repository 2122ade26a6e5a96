//! The ledger on a faulty disk: power loss and I/O errors at every call, changed bits, concurrent requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod crash;
mod damage;
mod linear;
