//! The simulation with the ledger in PostgreSQL, from a few seeds: `cargo simulate-database` runs any number of them.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use atm_sim::{Servers, SimulationConfig, run};

/// Simulated milliseconds with faults.
const LENGTH: u32 = 100_000;

/// Runs as many seeds; each run has two hosts.
fn simulate(seeds: u64, cards: bool) {
    let first = fastrand::u64(..);
    let mut servers = Servers::default();
    let (mut movements, mut doubts, mut faults) = (0, 0, 0);
    for seed in (0..seeds).map(|place| first.wrapping_add(place)) {
        let report = run(
            SimulationConfig {
                seed,
                length: LENGTH,
                trace: false,
                durable: false,
                database: true,
                hosts: 2,
                set_back: false,
                sealed: false,
                cards,
            },
            &mut servers,
        );
        let option = if cards { " --cards" } else { "" };
        assert!(
            report.violations.is_empty(),
            "cargo simulate-database --seeds 1 --seed {seed} --seconds {}{option}: {:#?}",
            LENGTH / 1000,
            report.violations
        );
        movements += report.movements;
        doubts += report.doubts;
        faults += report.database_faults.values().sum::<u64>();
    }
    assert!(movements > 0 && doubts > 0 && faults > doubts / 2, "{movements}, {doubts}, {faults}");
}

#[test]
fn with_open_access_every_operation_is_done_once() {
    simulate(5, false);
}

#[test]
fn with_cards_every_pin_counts_once_too() {
    simulate(4, true);
}
