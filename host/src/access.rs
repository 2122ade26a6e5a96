//! Access: who may use a terminal's name over a sealed link, and where the secrets for that lie.
pub mod key_file;

pub use key_file::{KeyFile, KeyFileError};
