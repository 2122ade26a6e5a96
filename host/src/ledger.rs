//! The ledger in a database: load, decide, save, one commit a batch.

pub mod backup;
pub mod batch;
pub mod card_order;
pub mod cells;
pub mod committer;
pub mod draft;
pub mod enrol;
pub mod entry;
pub mod folder;
pub mod mark;
pub mod operator;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod reader;
mod replay;
pub mod sqlite;
pub mod store;
pub mod verify;
pub mod words;

use crate::access::Enrolment;

#[cfg(test)]
mod tests;
