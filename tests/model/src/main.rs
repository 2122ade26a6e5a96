//! Explores every order of events within stated bounds, and says whether the promises hold in all of them.
use atm_model::{AtmModel, Bounds, InjectedBug, describe, summarize};
use clap::Parser;
use stateright::{Checker, HasDiscoveries, Model};
use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// Check the real endpoints, conversations and ledger in every order of events within stated bounds.
#[derive(Parser)]
#[command(name = "model")]
struct Arguments {
    /// Only what takes a few seconds
    #[arg(long)]
    small: bool,
    /// Only the configuration of this name; `both` takes a quarter of an hour and 16 GB of memory, and is in no other run
    #[arg(long)]
    only: Option<String>,
    /// InjectedBug the ledger on purpose: must be found
    #[arg(long = "break")]
    bug: Option<InjectedBug>,
    /// Stop each configuration after so many seconds, and call it not exhausted
    #[arg(long, default_value_t = 1800)]
    seconds: u64,
    /// How many threads to use
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads =
        arguments.threads.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let (usual, huge) =
        if arguments.small { (Bounds::SMALL, &[][..]) } else { (Bounds::LARGE, Bounds::HUGE) };
    let all: Vec<&Bounds> = match &arguments.only {
        None => usual.iter().collect(),
        Some(name) => usual.iter().chain(huge).filter(|bounds| bounds.name == name).collect(),
    };
    let mut good = !all.is_empty();
    if !good {
        eprintln!("there is no configuration of this name");
    }
    for bounds in all {
        good &=
            check(Bounds { bug: arguments.bug, ..*bounds }, threads, Duration::from_secs(arguments.seconds));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Explores everything within `bounds`, up to the first property that does not hold.
fn check(bounds: Bounds, threads: usize, limit: Duration) -> bool {
    println!("{bounds}");
    let began = Instant::now();
    let world = AtmModel::new(bounds)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .timeout(limit);
    let checker = world.spawn_bfs().join();
    let discoveries = checker.discoveries();
    println!(
        "  {} states, {} of them different, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    let mut good = began.elapsed() < limit;
    if !good {
        println!("  FAILS to be exhausted in time");
    }
    for property in checker.model().properties() {
        let fails = property.expectation.discovery_is_failure();
        let holds = discoveries.contains_key(property.name) != fails;
        good &= holds;
        let word = match (holds, fails) {
            (true, _) => "holds",
            (false, true) => "FAILS",
            // Once something was found to be wrong, the rest is not looked for any more.
            (false, false) => "never",
        };
        println!("  {word} {}", property.name);
    }
    let violation = discoveries.into_iter().filter(|(name, _)| {
        checker
            .model()
            .properties()
            .iter()
            .any(|it| it.name == *name && it.expectation.discovery_is_failure())
    });
    // The shortest way there is shows it best.
    if let Some((name, path)) = violation.min_by_key(|(_, path)| path.clone().into_vec().len()) {
        println!("  How it comes to fail: {name}");
        for (state, action) in path.into_vec() {
            println!("        {}", summarize(&state));
            match action {
                Some(action) => println!("    {}", describe(&state, action)),
                None => checker.model().liveness_trace(&state).iter().for_each(|line| println!("    {line}")),
            }
        }
    }
    good
}
