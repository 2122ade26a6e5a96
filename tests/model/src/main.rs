//! Runs the model checker within each of its bounds, and fails if a property does not hold or time runs out.
use atm_model::{AtmModel, Bounds, InjectedBug, describe, summarize};
use clap::Parser;
use stateright::{Checker, HasDiscoveries, Model};
use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// Check the real endpoints, conversations and ledger in every order of events within stated bounds
#[derive(Parser)]
#[command(name = "model")]
struct Arguments {
    /// Only configurations that take a few seconds
    #[arg(long)]
    small: bool,
    /// Serve by card: two cards, right and wrong PINs, an operator who blocks and unblocks
    #[arg(long)]
    cards: bool,
    /// Only the configuration of this name; `both`, in no other run, takes 15 minutes and 16 GB of memory
    #[arg(long)]
    only: Option<String>,
    /// Inject a bug into the ledger, which the model checker must detect
    #[arg(long = "break")]
    bug: Option<InjectedBug>,
    /// Seconds after which a configuration is stopped, and fails as not exhausted
    #[arg(long, default_value_t = 1800)]
    seconds: u64,
    /// Number of threads [default: one a CPU]
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads =
        arguments.threads.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let (usual, huge) = match (arguments.cards, arguments.small) {
        (false, true) => (Bounds::SMALL, &[][..]),
        (false, false) => (Bounds::LARGE, Bounds::HUGE),
        (true, true) => (Bounds::SMALL_CARDS, &[][..]),
        (true, false) => (Bounds::LARGE_CARDS, &[][..]),
    };
    let all: Vec<&Bounds> = match &arguments.only {
        None => usual.iter().collect(),
        Some(name) => usual.iter().chain(huge).filter(|bounds| bounds.name == name).collect(),
    };
    let mut good = !all.is_empty();
    if !good {
        eprintln!("no configuration has this name");
    }
    for bounds in all {
        let bounds = Bounds { bug: arguments.bug, ..*bounds };
        match check(bounds, threads, Duration::from_secs(arguments.seconds)) {
            Ok(holds) => good &= holds,
            // As of `| head`.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::FAILURE,
            Err(error) => {
                eprintln!("model: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Explores all states within `bounds`, up to the first property that does not hold; true if all hold.
fn check(bounds: Bounds, threads: usize, limit: Duration) -> io::Result<bool> {
    let mut out = io::stdout();
    writeln!(out, "{bounds}")?;
    let began = Instant::now();
    let model = AtmModel::new(bounds)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .timeout(limit);
    let checker = model.spawn_bfs().join();
    let discoveries = checker.discoveries();
    writeln!(
        out,
        "  {} states, {} of them unique, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    )?;
    let mut good = began.elapsed() < limit;
    if !good {
        writeln!(out, "  FAILS: not exhausted in time")?;
    }
    for property in checker.model().properties() {
        let fails = property.expectation.discovery_is_failure();
        let holds = discoveries.contains_key(property.name) != fails;
        good &= holds;
        let word = match (holds, fails) {
            (true, _) => "holds",
            (false, true) => "FAILS",
            // The exploration ends at the first failure, maybe before it has reached all states.
            (false, false) => "not reached",
        };
        writeln!(out, "  {word} {}", property.name)?;
    }
    let failures = discoveries.into_iter().filter(|(name, _)| {
        checker
            .model()
            .properties()
            .iter()
            .any(|it| it.name == *name && it.expectation.discovery_is_failure())
    });
    // The shortest counterexample is the easiest to read.
    if let Some((name, path)) = failures.min_by_key(|(_, path)| path.clone().into_vec().len()) {
        writeln!(out, "  Counterexample to {name}:")?;
        for (state, action) in path.into_vec() {
            writeln!(out, "        {}", summarize(&state))?;
            match action {
                Some(action) => writeln!(out, "    {}", describe(&state, action))?,
                None => {
                    for line in checker.model().liveness_trace(&state) {
                        writeln!(out, "    {line}")?;
                    }
                }
            }
        }
    }
    Ok(good)
}
