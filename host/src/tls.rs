//! TLS 1.3 (RFC 8446) with certificates at both ends, over rustls: the terminal's certificate names the terminal.
//!
//! * `files` reads certificates and keys, and refuses a key that other users can read;
//! * `config` makes a server's or a client's configuration of them;
//! * `session` is a session without a socket: ciphertext in and out;
//! * `name` reads the terminal's name from its certificate.
//!
//! Sessions are not resumed, so that every connection verifies the peer's certificate anew, and there is no early data.
mod config;
mod files;
mod name;
mod session;
pub use config::ClientTls;
#[cfg(feature = "server")]
pub use config::ServerTls;
#[cfg(feature = "postgres")]
pub(crate) use config::client_of_database;
pub use files::FileError;
pub use name::{NameError, terminal_name};
pub(crate) use session::Session;
