//! Sealed bodies: authenticated encryption of one message, with its length hidden, under keys that both sides derive from
//! a terminal's pre-shared key.
//!
//! The primitive is Ascon-XOF128 (NIST SP 800-232) in SIV mode: the tag of a body is a function of the key and of all of
//! its content, and the body is encrypted under key and tag. There is no nonce and no random number: a retransmission is the
//! same bytes without keeping them, other content has another tag, and endpoints stay plain data. The construction is our
//! own, and experimental until it has been reviewed from outside.
//!
//! ```text
//! K_0                = XOF(master | 01 | series u32 | name)     K_g+1 = XOF(K_g | 05)
//! tag[16] | seed[32] = XOF(K | 02 | hello)                      of a body with index 4, which ends in the tag
//! early[32]          = XOF(seed | 03)
//! up[32] | down[32]  = XOF(seed | 04 | origin u64 | number u64)
//! tag[16]            = XOF(key | 05 | index | header | padded)  of the other bodies
//! c                  = padded xor XOF(key | 06 | tag)
//! ```
//!
//! Integers are little-endian. `padded` is a body in clear, `80`, and zeros up to [`BUCKET`], so every answer has one
//! length and every reply one. The protocol's section 6 has the rules and golden bytes.
//!
//! A host finds a terminal's key by its name, series and step:
//!
//! ```
//! use atm_core::seal::{Key, TerminalKey};
//!
//! let master = Key::from([7; 32]); // 32 random bytes
//! let series = 1u32.try_into()?;
//! let stored = TerminalKey::derive(&master, series, &"kiosk-7".parse()?);
//! // The terminal has started twice since: it steps at a start after a life that was welcomed.
//! let key = stored.forward(2, 4096).expect("not too far ahead");
//! assert_eq!(Some(key), stored.next().and_then(|key| key.next()));
//! assert_eq!(format!("{stored:?}"), "TerminalKey { series: 1, step: 0, .. }");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
mod body;
mod key;
mod known_answers;
#[cfg(feature = "embedded-storage")]
mod store;
pub use crate::xof::Key;
pub use body::{content_at, open, seal, seal_in};
pub use key::{Header, HelloProof, SessionKeys, TerminalKey};
pub use known_answers::gives_known_answers;
#[cfg(feature = "embedded-storage")]
pub use store::KeyStore;

/// Index of a hello that is authentic and in clear.
pub const HELLO: u8 = crate::codec::postcard::SEALED_HELLO;
/// Index of a sealed body: an answer under `up`, a reply or a notice under `down`.
pub const SEALED: u8 = 5;
/// Index of a sealed welcome, under the `down` that its header names.
pub const WELCOME: u8 = 6;
/// Index of a notice before the keys of a conversation, under `early`.
pub const EARLY: u8 = 7;

/// Length of a tag in bytes.
pub const TAG: usize = 16;
/// Length in bytes of what is encrypted, in both directions: the longest answer takes 76 of them, the longest reply 74.
pub const BUCKET: usize = 80;
/// The same of a host's messages where access is by card: the longest reply, a statement, takes 155 of them.
#[cfg(feature = "cards")]
pub const WIDE_BUCKET: usize = 160;

/// The tag of a body.
pub type Tag = [u8; TAG];

#[cfg(test)]
mod tests;
