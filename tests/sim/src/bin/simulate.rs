//! Simulates many days, each from its own seed, and stops at the first that went wrong.
use atm_sim::{SimulationConfig, SimulationReport, run};
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

/// Simulate days of terminals, people, lines that lie and power that fails, and audit each of them.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// How many days
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first day's seed; the others follow it
    #[arg(long)]
    seed: Option<u64>,
    /// How long people come each day, in seconds of simulated time
    #[arg(long, default_value_t = 300)]
    seconds: u32,
    /// Keep the ledger on a disk that loses what was not synced and fails at random calls
    #[arg(long)]
    durable: bool,
    /// Print everything that happens
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let length = arguments.seconds.saturating_mul(1000);
    println!("simulating {} days from --seed {first}", arguments.seeds);
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let total = Mutex::new(SimulationReport::default());
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let day = next.fetch_add(1, Ordering::Relaxed);
                    if day >= arguments.seeds {
                        break;
                    }
                    let seed = first.wrapping_add(day);
                    let (trace, durable) = (arguments.trace, arguments.durable);
                    let report = run(SimulationConfig { seed, length, trace, durable });
                    if !report.wrong.is_empty() {
                        failed.store(true, Ordering::Relaxed);
                        for wrong in &report.wrong {
                            println!("seed {seed}: {wrong}");
                        }
                        println!(
                            "again: simulate --seeds 1 --seed {seed} --seconds {} --trace{}",
                            arguments.seconds,
                            if durable { " --durable" } else { "" }
                        );
                    }
                    let mut total = total.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    total.sessions += report.sessions;
                    total.answers += report.answers;
                    total.movements += report.movements;
                    total.crashes += report.crashes;
                    total.doubts += report.doubts;
                    total.faults.add(&report.faults);
                }
            });
        }
    });
    let total = total.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} conversations, {} answers, {} movements of money, {} losses of power, {} commits in doubt; {:.0} conversations a minute",
        total.sessions,
        total.answers,
        total.movements,
        total.crashes,
        total.doubts,
        total.sessions as f64 / minutes
    );
    for (kind, count) in total.faults.by_kind() {
        println!("  {kind} {count}");
    }
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
