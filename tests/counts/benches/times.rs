//! The time of an answer in the core: `cargo bench -p atm-counts`.
#![allow(missing_docs, clippy::unwrap_used)]
use atm_counts::Workload;
use divan::{Bencher, counter::ItemsCount};

fn main() {
    divan::main();
}

fn run(bencher: Bencher<'_, '_>, wire: &str, texts: &[&str]) {
    let workload = Workload::new(wire.parse().unwrap(), texts);
    bencher
        .counter(ItemsCount::new(Workload::ANSWERS))
        .with_inputs(|| workload.clone())
        .bench_refs(Workload::run);
}

const WIRES: [&str; 3] = ["json", "postcard", "raw"];

/// An invalid choice: the menu again, and no operation.
#[divan::bench(args = WIRES)]
fn menu(bencher: Bencher<'_, '_>, wire: &str) {
    run(bencher, wire, &["?"]);
}

/// The balance, then the menu.
#[divan::bench(args = WIRES)]
fn balance(bencher: Bencher<'_, '_>, wire: &str) {
    run(bencher, wire, &["3"]);
}

/// A withdrawal in two answers: the choice, then the amount.
#[divan::bench(args = WIRES)]
fn withdrawal(bencher: Bencher<'_, '_>, wire: &str) {
    run(bencher, wire, &["2", "20"]);
}
