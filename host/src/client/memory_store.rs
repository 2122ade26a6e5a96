//! Memory store: durable storage of a named terminal's memory between its starts.
use atm_core::terminal::Memory;
use std::io;

/// Durable storage of a terminal's memory.
pub trait MemoryStore: Send {
    /// Stores `memory`, which is durable when this returns, and whether the host has welcomed this start under the terminal's
    /// key.
    ///
    /// # Errors
    /// Why it is not durable; the terminal then sends nothing more.
    fn store(&mut self, memory: &Memory, welcomed: bool) -> io::Result<()>;
}
