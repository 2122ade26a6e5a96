//! Access: who may use a terminal's name over an authenticated link, and where the secrets for that lie.
pub mod enrolment;
pub mod key_file;
pub mod secrets;

pub use enrolment::{Enrolment, Status};
pub use key_file::{KeyFile, KeyFileError};
pub use secrets::{Secrets, SecretsError};
