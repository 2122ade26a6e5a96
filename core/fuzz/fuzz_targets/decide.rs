//! Fuzzes `decide` against the independent model of its tests: any history of requests, set-backs and restores.
#![no_main]
use atm_core::{ledger, money, time};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/ledger/decide/tests/model.rs"]
mod model;
#[path = "../../src/ledger/decide/tests/script.rs"]
mod script;

fuzz_target!(|bytes: &[u8]| script::run(bytes));
