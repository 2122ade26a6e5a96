//! Tests of access by card that need whole endpoints and nothing of a disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod counter;
mod oracle;
mod slow_thief;
