//! How long the hot paths of the core take: `cargo bench -p atm-counts`.
#![allow(missing_docs, clippy::unwrap_used)]
use atm_counts::{ROUND, Round};
use divan::{Bencher, counter::ItemsCount};

fn main() {
    divan::main();
}

fn round(bencher: Bencher<'_, '_>, wire: &str, texts: &[&str]) {
    let round = Round::new(wire.parse().unwrap(), texts);
    bencher.counter(ItemsCount::new(ROUND)).with_inputs(|| round.clone()).bench_refs(|round| round.run());
}

const WIRES: [&str; 3] = ["json", "postcard", "raw"];

/// An answer that shows the menu again: no operation.
#[divan::bench(args = WIRES)]
fn menu(bencher: Bencher<'_, '_>, wire: &str) {
    round(bencher, wire, &["?"]);
}

/// The balance, and the menu.
#[divan::bench(args = WIRES)]
fn balance(bencher: Bencher<'_, '_>, wire: &str) {
    round(bencher, wire, &["3"]);
}

/// A withdrawal: first how much, then that it is done, and the menu.
#[divan::bench(args = WIRES)]
fn withdrawal(bencher: Bencher<'_, '_>, wire: &str) {
    round(bencher, wire, &["2", "20"]);
}
