//! Runs the simulation from many seeds in parallel, and stops at the first run with a violation.
//!
//! It prints violations as `seed N: …`, which `tests/sim/mutants.py` reads, and the command to repeat the
//! run.
use atm_e2e::println;
use atm_sim::{AttackCounts, Servers, SimulationConfig, SimulationReport, auditor::LedgerCounts, run};
use clap::Parser;
use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

/// Violations printed of a run: the first causes the others.
const MAX_VIOLATIONS: usize = 10;

/// Simulate terminals, people, hosts, faulty links and power losses, and audit each run
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// Number of runs
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Seed of the first run, each later one being one higher [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// Simulated seconds of each run before the faults stop
    #[arg(long, default_value_t = 300)]
    seconds: u32,
    /// Keep the ledger on a faulty disk, which loses unsynced writes and fails at random calls
    #[arg(long, conflicts_with_all = ["hosts", "set_back"])]
    durable: bool,
    /// Keep the ledger in PostgreSQL, whose connections are lost and fall silent, and which is killed (needs the feature `postgres`)
    #[arg(long, conflicts_with_all = ["durable", "set_back", "sealed"])]
    database: bool,
    /// Number of hosts, which share one ledger [default: 1; 2 with --database]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    hosts: Option<u32>,
    /// Set the ledger back to older copies of itself
    #[arg(long)]
    set_back: bool,
    /// Seal all links, and have an attacker record each and replay, change, splice, reflect and forge frames
    #[arg(long, conflicts_with = "durable")]
    sealed: bool,
    /// Serve by card: people with cards and PINs, thieves, an operator, and clocks that jump
    #[arg(long, conflicts_with = "set_back")]
    cards: bool,
    /// Print every event
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    if arguments.database && cfg!(not(feature = "postgres")) {
        println!("this build has no PostgreSQL: cargo simulate-database");
        return ExitCode::FAILURE;
    }
    let hosts = arguments.hosts.unwrap_or(if arguments.database { 2 } else { 1 });
    let length = arguments.seconds.saturating_mul(1000);
    println!("simulating {} runs from --seed {first}", arguments.seeds);
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let total = Mutex::new(SimulationReport::default());
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut servers = Servers::default();
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= arguments.seeds {
                        break;
                    }
                    let seed = first.wrapping_add(index);
                    let Arguments { trace, durable, database, set_back, sealed, cards, .. } = arguments;
                    let config = SimulationConfig {
                        seed,
                        length,
                        trace,
                        durable,
                        database,
                        hosts,
                        set_back,
                        sealed,
                        cards,
                    };
                    let report = run(config, &mut servers);
                    if !report.violations.is_empty() {
                        failed.store(true, Ordering::Relaxed);
                        for violation in report.violations.iter().take(MAX_VIOLATIONS) {
                            println!("seed {seed}: {violation}");
                        }
                        println!(
                            "repeat it: cargo {} --seeds 1 --seed {seed} --seconds {} --trace{}{}{}{}{}",
                            if database { "simulate-database" } else { "simulate" },
                            arguments.seconds,
                            if durable { " --durable" } else { "" },
                            if hosts > 1 { format!(" --hosts {hosts}") } else { String::new() },
                            if set_back { " --set-back" } else { "" },
                            if sealed { " --sealed" } else { "" },
                            if cards { " --cards" } else { "" }
                        );
                    }
                    let mut total = total.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    total.sessions += report.sessions;
                    total.answers += report.answers;
                    total.movements += report.movements;
                    total.power_losses += report.power_losses;
                    total.doubts += report.doubts;
                    total.ledger.add(&report.ledger);
                    total.link_faults.add(&report.link_faults);
                    total.attacks.add(&report.attacks);
                    total.cards.add(&report.cards);
                    for (fault, count) in report.database_faults {
                        *total.database_faults.entry(fault).or_default() += count;
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} sessions ({:.0} a minute), {} answers, {} movements, {} power losses, {} commits in doubt",
        total.sessions,
        total.sessions as f64 / minutes,
        total.answers,
        total.movements,
        total.power_losses,
        total.doubts
    );
    let LedgerCounts { set_backs, proofs, too_soon, unknown, fenced, equal_hellos } = total.ledger;
    println!(
        "{set_backs} set-backs of the ledger, {proofs} proved by a hello, {too_soon} hellos too soon, {unknown} \
         outcomes unknown; {fenced} requests fenced, {equal_hellos} equal hellos refused"
    );
    if arguments.sealed {
        let AttackCounts { replayed, changed, forged } = total.attacks;
        println!("attacker: {replayed} frames replayed, {changed} changed, {forged} forged");
    }
    if arguments.cards {
        println!("{}", total.cards);
    }
    for (kind, count) in &total.database_faults {
        println!("  {kind} {count}");
    }
    for (kind, count) in total.link_faults.by_kind() {
        println!("  {kind} {count}");
    }
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
