//! Access: who may use a terminal's name over an authenticated link, where the secrets for that and for cards lie, and how numbers
//! of cards and PINs are drawn.
pub mod draw;
#[cfg(all(feature = "ledger", unix))]
pub mod eeprom;
pub mod enrolment;
pub(crate) mod file;
pub mod key_file;
pub mod secrets;

pub use enrolment::{Enrolment, Status};
pub use file::{FileError, refuse_core_dumps};
pub use key_file::KeyFile;
pub use secrets::Secrets;
