//! Exactly once: duplicates, retransmissions and lost links move money once, for named terminals on the `json` wire; a
//! ledger that was set back is reported.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod duplicates;
mod name_in_use;
mod named_terminal;
mod set_back;
