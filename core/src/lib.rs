//! An automated teller machine over a byte stream: the protocol core.
//!
//! `no_std`, no heap, no clock, no sockets: the same code sits in a kiosk's microcontroller, behind a TCP port and
//! inside a simulator. Two endpoints tie the rooms below together; a driver only moves bytes, time and ledger
//! requests:
//!
//! * [`host::Host`] is the ATM: it asks, keeps the dialogue, and emits requests to a [`ledger::Ledger`];
//! * [`terminal::Terminal`] is the person's side: it shows what the host says and carries the answers.
//!
//! ```text
//! bytes ─► frame ─► codec ─► endpoint ─► session ─► operation ─► ledger
//! bytes ◄─ frame ◄─ codec ◄─ endpoint ◄─ session ◄─ outcome  ◄──────┘
//! ```
//!
//! Each room knows only the rooms named above it in this list: [`money`], `store` (with the feature
//! `embedded-storage`), [`ledger`], [`screen`], [`session`], [`message`], [`codec`], [`frame`], [`wire`], [`host`],
//! [`terminal`], `kiosk` (with the feature `embedded-io`); [`time`] serves the endpoints and what drives them, `number`
//! whatever has numbers to write, and `checksum` what has to be known to be whole, or known again.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

/// Of a long row of cases every so many-th is tested: all of them, but for Miri, which takes a thousand times as long.
#[cfg(test)]
const STRIDE: usize = if cfg!(miri) { 41 } else { 1 };

/// As many as that, but for Miri a few.
#[cfg(test)]
const fn few(many: usize) -> usize {
    if cfg!(miri) { many / 8 + 2 } else { many }
}

mod checksum;
#[doc(hidden)]
pub mod codec;
#[doc(hidden)]
pub mod frame;
pub mod host;
#[cfg(feature = "embedded-io")]
pub mod kiosk;
pub mod ledger;
pub mod message;
pub mod money;
mod number;
pub mod screen;
pub mod session;
#[cfg(feature = "embedded-storage")]
pub mod store;
pub mod terminal;
pub mod time;
pub mod wire;

/// What a log may show can be shown. (It is not linked: a logger is the firmware's.)
#[cfg(all(test, feature = "defmt"))]
const _: () = {
    const fn shown<T: defmt::Format>() {}
    shown::<(
        ledger::Request,
        ledger::Response,
        ledger::Verdict,
        message::Hello,
        message::Reply,
        message::Notice,
    )>();
    shown::<(host::Event, host::Config, terminal::Event<'_>, terminal::Memory, wire::Counters, time::Instant)>(
    );
};
