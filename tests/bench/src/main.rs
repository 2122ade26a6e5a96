//! `atm-bench`: puts a load on a running server and prints what it measured.
#![forbid(unsafe_code)]

mod arguments;

use anyhow::{Context, Result, ensure};
use arguments::{Arguments, Format};
use atm_bench::{Config, LoadProgress, PATIENCE, customer::InputStyle, report::JsonReport};
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// Exit code of a program that was interrupted, as a shell tells it.
const INTERRUPTED: u8 = 130;

/// Sessions that are opened at once: fewer than wait at any server.
const BURST: usize = 100;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            // A closed standard error leaves nothing to report to.
            let _ = writeln!(io::stderr(), "atm-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Arguments) -> Result<ExitCode> {
    let sessions = usize::try_from(options.sessions)?;
    let most = sessions_by_files();
    ensure!(
        sessions <= most,
        "the system allows files for {most} sessions (ulimit -n), and not for {sessions}"
    );
    let address = reached(&options.connect)?;
    let config = Config {
        address,
        wire: options.wire,
        sessions,
        burst: BURST,
        threads: usize::try_from(options.threads)?,
        warm_up: options.warm_up,
        duration: options.duration,
        mix: options.mix,
        manner: if options.words { InputStyle::Words } else { InputStyle::Menu },
        rate: options.rate,
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..)),
        shared: options.shared,
        patience: PATIENCE,
    };
    let whole = config.warm_up + config.duration;
    let bar = bar(whole)?;
    // The first signal ends the load, and what was measured until then is told; the second one ends the program.
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let mut watch = |stage| match stage {
        LoadProgress::Opening => bar.set_message("sessions open"),
        LoadProgress::Asking(since, replies) => {
            bar.set_position(milliseconds(since.min(whole)));
            bar.set_message(format!("{replies} answers"));
        }
    };
    let report = atm_bench::run_until(&config, &mut watch, &stop);
    bar.finish_and_clear();
    let report = report.with_context(|| format!("no load can be put on {}", config.address))?;
    let mut out = io::stdout().lock();
    match options.format {
        Format::Text => write!(out, "{report}"),
        Format::Json => writeln!(out, "{}", JsonReport(&report)),
    }
    .context("the report could not be written")?;
    if report.stopped {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The address that a name stands for; of several, the first at which somebody listens.
fn reached(name: &str) -> Result<SocketAddr> {
    let addresses: Vec<SocketAddr> =
        name.to_socket_addrs().with_context(|| format!("no address is known by the name {name}"))?.collect();
    let first = *addresses.first().with_context(|| format!("{name} has no address"))?;
    let listens = |address: &&SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
    let several = addresses.len() > 1;
    Ok(addresses.iter().find(|address| several && listens(address)).copied().unwrap_or(first))
}

/// A bar for as long as the load takes, where a person looks on.
fn bar(whole: Duration) -> Result<ProgressBar> {
    let bar = ProgressBar::with_draw_target(Some(milliseconds(whole)), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{wide_bar} {percent}% {msg}")?);
    Ok(bar)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Files that are open besides the sockets of the sessions.
#[cfg(unix)]
const OTHER_FILES: u64 = 16;

/// How many sessions the system allows files for, after the limit was raised as far as it may be.
#[cfg(unix)]
fn sessions_by_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, the present limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1)
}

/// Other systems have no such limit.
#[cfg(not(unix))]
fn sessions_by_files() -> usize {
    usize::MAX
}

/// The first SIGINT or SIGTERM sets `stop`; the second one ends the process.
#[cfg(unix)]
fn stop_on_signals(stop: &Arc<AtomicBool>) -> Result<()> {
    use signal_hook::{consts::TERM_SIGNALS, flag};
    for signal in TERM_SIGNALS {
        flag::register_conditional_shutdown(*signal, 1, stop.clone())?;
        flag::register(*signal, stop.clone())?;
    }
    Ok(())
}

/// Elsewhere the system ends the process.
#[cfg(not(unix))]
fn stop_on_signals(_: &Arc<AtomicBool>) -> Result<()> {
    Ok(())
}
