//! The ledger on disk.
//!
//! * [`entry`] is one entry of the books as a line of text, and the chain of hashes through them;
//! * [`books`] is what follows from all entries: balances, terminals, numbers;
//! * [`store`] keeps both in a file, by redb (which `guard` holds at arm's length), behind a `journal` of the last entries, and
//!   [`disk`] is where they lie; `sheet` holds back what redb mends as it opens the file, `sums` notices what others change
//!   in it; `readonly` is where it lies for those who only read it, and `lock` says who works on it;
//! * [`keeper`] answers requests in batches and finds out what became of one whose commit failed;
//! * [`teller`] is where the server's event loop asks: it answers now, or later from a thread;
//! * [`verify`] derives everything again from the first entry;
//! * `window` shows the books of a running server, and [`source`] reads them there or from the file;
//! * [`tell`] and [`backup`] are what `atm ledger` does with them.
pub mod backup;
pub mod books;
pub mod disk;
pub mod entry;
pub mod error;
mod guard;
mod journal;
pub mod keeper;
mod lock;
mod packed;
mod readonly;
mod sheet;
pub mod source;
pub mod store;
mod sums;
pub mod tell;
pub mod teller;
pub mod verify;
#[cfg(unix)]
pub mod window;

#[cfg(test)]
mod tests;
