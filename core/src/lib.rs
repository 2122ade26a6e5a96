//! An ATM over an unreliable byte stream: the protocol core, for both sides.
//!
//! The **host** runs the dialogue and sends prompts; the **terminal** shows its screens and sends what a
//! person types. The link between them may lose, duplicate, damage or delay messages, and both sides may lose
//! power: each deposit and withdrawal of a named terminal is still done exactly once. Both endpoints are
//! sans-IO state machines, `no_std`, without heap, `unsafe`, clock or sockets. A driver moves their bytes,
//! passes the time in, and carries requests to a [`ledger::Ledger`]; so the same code runs on a Cortex-M3,
//! behind a TCP port and in a simulator.
//!
//! # Example
//!
//! A deposit, with both endpoints and the ledger in memory:
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use atm_core::terminal::{self, Terminal};
//! use atm_core::{host::*, ledger::*, money::Amount, time::Instant, wire::Wire};
//!
//! let now = Instant::from_millis(0); // a driver passes the time of its own clock
//! let mut ledger = RamLedger::<1>::new(LedgerId(7), Amount::ZERO);
//! let mut host = Host::<IN, OUT>::new(Config::new(Wire::Json, LinkKind::Connection), SessionId::new(1), now);
//! let config = terminal::Config::new(Wire::Json, LinkKind::Connection);
//! let mut terminal = Terminal::<OUT, IN>::new(config, now);
//! let mut answers = ["1", "40"].into_iter(); // "1. Deposit", then the amount
//! loop {
//!     terminal.consume(host.feed(terminal.output(), now));
//!     while let Some(Event::Request(request)) = host.poll_event() {
//!         host.complete(request.ticket, ledger.apply(&request)?, now);
//!     }
//!     host.consume(terminal.feed(host.output(), now), now);
//!     while let Some(terminal::Event::Message(message)) = terminal.poll_event(now) {
//!         println!("{}", message.text);
//!     }
//!     if let Some(prompt) = terminal.prompt() {
//!         let Some(answer) = answers.next() else { break };
//!         terminal.answer(prompt, answer, now)?;
//!     }
//! }
//! assert_eq!(ledger.balance(), Amount::parse_units("40")?);
//! # }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! Complete drivers to copy from:
//!
//! | file | shows |
//! |---|---|
//! | `core/examples/in_memory.rs` | both endpoints over a link that loses frames: a named terminal, retransmission, deadlines |
//! | `core/examples/tcp_server.rs`, `tcp_client.rs` | each endpoint behind a socket of `std`, a thread a connection |
//! | `firmware-sim/examples/board.rs` | a kiosk on a board: `kiosk::Kiosk` on a serial port, `StoredLedger` on flash |
//!
//! [`host`] and [`terminal`] have the rules for a driver. The protocol itself, with golden bytes, is
//! [`protocol`].
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `json` | yes | the wires [`Json`](wire::Wire) and `Raw`, for TCP |
//! | `postcard` | yes | the wire `Postcard`, with COBS and CRC-32: for serial lines |
//! | `embedded-io` | | `kiosk`: the run loop of a kiosk on any `embedded-io` port |
//! | `embedded-io-async` | | the same loop as a task of an executor |
//! | `dispenser` | yes | the dispenser of a hello is kept; without it the hello is read and its dispenser is left out |
//! | `embedded-storage` | | `store`, and `ledger::StoredLedger`: a ledger on EEPROM, FRAM or flash |
//! | `seal` | | `seal`: authenticated, encrypted links on the `postcard` wire (experimental) |
//! | `cards` | | access by card and PIN: `ledger::card`, and `Host::serve_cards` (experimental) |
//! | `crc-table` | | a faster CRC-32, by tables of 16 KiB: for desktops |
//! | `defmt` | | `defmt::Format` for what a firmware logs |
//! | `contract` | | `ledger::contract`: the conformance tests of a [`Ledger`](ledger::Ledger) |
//!
//! At least one of `json` and `postcard` is needed.
//!
//! # Modules
//!
//! ```text
//! bytes ─► frame ─► (seal) ─► codec ─► endpoint ─► session ─► operation ─► ledger      (the driver carries requests
//! bytes ◄─ frame ◄─ (seal) ◄─ codec ◄─ endpoint ◄─ session ◄─ outcome  ◄──────┘         and responses)
//! ```
//!
//! A module uses only those above it in this table, which a test checks; all may use `number` (varints),
//! `checksum` and `xof`; [`ledger`] and the last three use [`time`].
//!
//! | module | knows |
//! |---|---|
//! | [`money`] | `Amount`: integer minor units, checked arithmetic |
//! | `store` | entries in two copies on a medium that keeps them without power |
//! | [`ledger`] | requests, responses and outcomes; the trait `Ledger`; ledgers in memory and on a `store` |
//! | [`screen`] | what the ATM says and asks, as typed values with their English text |
//! | [`session`] | the dialogue: an answer in, screens and at most one operation out |
//! | [`message`] | what crosses the wire: hello, answer, reply, notice, fault |
//! | `codec` | messages as JSON and in postcard |
//! | `seal` | authenticated, padded bodies of one length (with the feature `seal`) |
//! | `frame` | where a message starts and ends in a stream; resynchronisation |
//! | [`wire`] | the choice of a frame and a codec; the buffers |
//! | [`host`] | the endpoint of the ATM |
//! | [`terminal`] | the endpoint of the person's side |
//! | `kiosk` | the loop that drives a host's endpoint on a serial port |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

/// Exhaustive tests step by this: all cases, but one in 41 under Miri, which is a thousand times slower.
#[cfg(test)]
const STRIDE: usize = if cfg!(miri) { 41 } else { 1 };

/// The number of cases of a property test, reduced under Miri.
#[cfg(test)]
const fn few(many: usize) -> usize {
    if cfg!(miri) { many / 8 + 2 } else { many }
}

#[cfg(not(any(feature = "json", feature = "postcard")))]
compile_error!("atm-core needs a wire: enable the feature `json` or `postcard`");

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
#[cfg(doc)]
#[doc = include_str!("../PROTOCOL.md")]
pub mod protocol {}
pub mod screen;
#[cfg(feature = "seal")]
pub mod seal;
pub mod session;
#[cfg(feature = "embedded-storage")]
pub mod store;
pub mod terminal;
pub mod time;
pub mod wire;
#[cfg(feature = "seal")]
mod xof;

/// Checks at compile time that the types of a driver's API implement `defmt::Format`.
#[cfg(all(test, feature = "defmt"))]
const _: () = {
    const fn shown<T: defmt::Format>() {}
    shown::<(ledger::Request, ledger::Response, message::Hello, message::Reply, message::Notice)>();
    shown::<(host::Event, host::Config, terminal::Event<'_>, terminal::Memory, wire::Counters, time::Instant)>(
    );
};
