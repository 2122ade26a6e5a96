//! The time of an answer in the core: `cargo bench -p atm-counts`.
#![allow(missing_docs, clippy::unwrap_used)]
use atm_counts::Workload;
use divan::{Bencher, counter::ItemsCount};

fn main() {
    divan::main();
}

fn run(bencher: Bencher<'_, '_>, link: &str, texts: &[&str]) {
    let workload = Workload::new(link.parse().unwrap(), texts);
    bencher
        .counter(ItemsCount::new(Workload::ANSWERS))
        .with_inputs(|| workload.clone())
        .bench_refs(Workload::run);
}

const LINKS: [&str; 4] = ["json", "postcard", "raw", "sealed"];

/// An invalid choice: the menu again, and no operation.
#[divan::bench(args = LINKS)]
fn menu(bencher: Bencher<'_, '_>, link: &str) {
    run(bencher, link, &["?"]);
}

/// The balance, then the menu.
#[divan::bench(args = LINKS)]
fn balance(bencher: Bencher<'_, '_>, link: &str) {
    run(bencher, link, &["3"]);
}

/// A withdrawal in two answers: the choice, then the amount.
#[divan::bench(args = LINKS)]
fn withdrawal(bencher: Bencher<'_, '_>, link: &str) {
    run(bencher, link, &["2", "20"]);
}
