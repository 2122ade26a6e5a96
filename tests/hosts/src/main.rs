//! Kill campaign with two hosts: `atm serve --database` under two names on a PostgreSQL primary with a synchronous standby, and named
//! terminals that operate all the time, while processes are killed and stopped, connections hang and close, and clocks differ.
//!
//! Afterwards, and between, an auditor compares what the terminals learned with the tables.
#![forbid(unsafe_code)]
// A failure here is the campaign's failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use atm_core::wire::Wire;
use atm_e2e::{Rng, build_atm_with, println};
use campaign::Campaign;
use clap::Parser;
use control::Control;
use faults::{Deck, Kind};
use host::Programs;
use std::{path::PathBuf, process::ExitCode, sync::Arc};

mod audit;
mod breaks;
mod campaign;
mod client;
mod commits;
mod control;
mod faults;
mod host;
mod lost;
mod pair;
mod proxy;
mod record;
mod report;
mod tables;
mod terminal;
mod world;

/// Make faults of two hosts on one database, of the database, of their connections and clocks, and compare what the terminals learned
/// with the tables
#[derive(Parser)]
#[command(name = "hosts")]
struct Arguments {
    /// How many faults
    #[arg(long, default_value_t = 300)]
    faults: u32,
    /// Number of named terminals
    #[arg(long, default_value_t = 50)]
    terminals: usize,
    /// Seed of all random choices
    #[arg(long)]
    seed: Option<u64>,
    /// Only faults of this kind
    #[arg(long, value_parser = kind)]
    only: Option<Kind>,
    /// Change the tables by hand before the last audit, which must find it: missing, duplicate, outcome, balance or epoch
    #[arg(long, value_name = "CHANGE", value_parser = breaks::statement)]
    r#break: Option<&'static str>,
}

/// How many faults are between two audits.
const AUDIT_EVERY: u32 = 20;

/// Terminals that are processes of their own.
const CLIENTS: usize = 2;

/// Terminals of the failover that loses commits.
const LOSERS: usize = 8;

fn kind(name: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    Kind::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| format!("a kind is one of {}", names()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| Rng::new().u64(..));
    let mut rng = Rng::with_seed(seed);
    let wire = if rng.bool() { Wire::Json } else { Wire::Postcard };
    println!("{} faults of two hosts, {wire} wire, --seed {seed}", arguments.faults);
    let programs = match programs() {
        Ok(programs) => programs,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let control = Arc::new(Control::new(arguments.terminals, CLIENTS, Arc::default()));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, control.interrupted()).unwrap();
    }
    let mut deck = Deck::new(rng.fork());
    let mut campaign = Campaign::start(&programs, wire, (arguments.terminals, CLIENTS), &mut rng, &control);
    for number in 1..=arguments.faults {
        let kind = arguments.only.unwrap_or_else(|| deck.draw());
        if !campaign.fault(number, kind) {
            break;
        }
        if number % AUDIT_EVERY == 0 && number < arguments.faults {
            campaign.audit(number);
        }
    }
    let mut failures = campaign.finish(arguments.r#break);
    if failures.is_empty() {
        let control = Control::new(LOSERS, 0, control.interrupted());
        failures = Campaign::start(&programs, wire, (LOSERS, 0), &mut rng, &Arc::new(control)).lose_commits();
    }
    for failure in &failures {
        println!("{failure}");
    }
    println!("{} failures: --seed {seed}", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds `atm`, and finds the library that is between a program and its clock.
fn programs() -> Result<Programs, String> {
    let folders = std::fs::read_dir("/usr/lib").map_err(|error| error.to_string())?;
    let libraries = folders.flatten().map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let clock: PathBuf = libraries
        .into_iter()
        .find(|path| path.exists())
        .ok_or("libfaketime is missing: apt-get install faketime")?;
    Ok(Programs { atm: build_atm_with("postgres")?, clock })
}
