//! TLS: certificates decide who is served, the wire is unchanged in it, and a broken session moves no money twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authority;
mod broken;
mod by_card;
mod certificates;
mod client;
mod enrolment;
mod foreign;
mod forwarder;
mod openssl;
mod sessions;
