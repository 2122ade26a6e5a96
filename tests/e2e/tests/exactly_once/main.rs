//! Exactly once: duplicates, retransmissions and lost links move money once, for named terminals on the `json` wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod duplicates;
mod named_terminal;
