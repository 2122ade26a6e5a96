//! The ledger on disk.
//!
//! * [`entry`] is one entry of the books as a line of text, and the chain of hashes through them;
//! * [`books`] is what follows from all entries: balances, terminals, numbers;
//! * [`store`] keeps both in a file, by redb, and [`disk`] is where that lies;
//! * [`keeper`] answers requests in batches and finds out what became of one whose commit failed;
//! * [`teller`] is where the server's event loop asks: it answers now, or later from a thread;
//! * [`verify`] derives everything again from the first entry.
pub mod books;
pub mod disk;
pub mod entry;
pub mod error;
pub mod keeper;
pub mod store;
pub mod teller;
pub mod verify;

#[cfg(test)]
mod tests;
