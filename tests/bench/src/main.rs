//! `atm-bench`: runs a load on a server and prints the report.
#![forbid(unsafe_code)]

mod arguments;

use anyhow::{Context, Result, ensure};
use arguments::{Arguments, Format};
use atm_bench::{LoadConfig, LoadProgress, TIMEOUT, customer::InputStyle};
use atm_core::wire::Wire;
use clap::{CommandFactory, Parser, error::ErrorKind};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// Exit code of a program that was interrupted: 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Sessions that may be opening at once: fewer than the usual accept backlog of 128.
const BURST: usize = 100;

fn main() -> ExitCode {
    let options = Arguments::parse();
    if options.terminals.is_some() && options.wire != Wire::Json {
        let why = "--terminals is for the json wire";
        Arguments::command().error(ErrorKind::ArgumentConflict, why).exit();
    }
    match run(&options) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            // A closed standard error leaves nothing to report to.
            let _ = writeln!(io::stderr(), "atm-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Is the reader of standard output gone, as that of `| head`? No error is printed then.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(options: &Arguments) -> Result<ExitCode> {
    let sessions = usize::try_from(options.sessions)?;
    let most = max_sessions();
    ensure!(sessions <= most, "the limit of open files (ulimit -n) allows {most} sessions, not {sessions}");
    let addresses = options.connect.iter().map(|name| resolve(name)).collect::<Result<_>>()?;
    let config = LoadConfig {
        addresses,
        wire: options.wire,
        sessions,
        terminals: options.terminals.map(usize::try_from).transpose()?,
        burst: BURST,
        threads: usize::try_from(options.threads)?,
        warm_up: options.warm_up,
        duration: options.duration,
        mix: options.mix,
        input_style: if options.words { InputStyle::Words } else { InputStyle::Menu },
        rate: options.rate,
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..)),
        shared: options.shared,
        timeout: TIMEOUT,
    };
    let whole = config.warm_up + config.duration;
    let bar = progress_bar(whole)?;
    // The first signal ends the load, and the report is printed; the second one ends the program.
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let mut on_progress = |progress| match progress {
        LoadProgress::Opening => bar.set_message("opening sessions"),
        LoadProgress::Running { elapsed, replies } => {
            bar.set_position(milliseconds(elapsed.min(whole)));
            bar.set_message(format!("{replies} answers"));
        }
    };
    let report = atm_bench::run_until(&config, &mut on_progress, &stop);
    bar.finish_and_clear();
    let report = report.with_context(|| format!("the load on {} failed", config.address_list()))?;
    let mut out = io::stdout().lock();
    match options.format {
        Format::Text => write!(out, "{report}"),
        Format::Json => writeln!(out, "{}", report.to_json()),
    }
    .context("the report cannot be written")?;
    if report.stopped {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Resolves a name; of several addresses, the first that accepts a connection.
fn resolve(name: &str) -> Result<SocketAddr> {
    let addresses: Vec<SocketAddr> =
        name.to_socket_addrs().with_context(|| format!("{name} cannot be resolved"))?.collect();
    let first = *addresses.first().with_context(|| format!("{name} has no address"))?;
    let accepts = |address: &&SocketAddr| TcpStream::connect_timeout(address, TIMEOUT).is_ok();
    let several = addresses.len() > 1;
    Ok(addresses.iter().find(|address| several && accepts(address)).copied().unwrap_or(first))
}

/// A progress bar over the time of the run; hidden if standard error is not a terminal.
fn progress_bar(whole: Duration) -> Result<ProgressBar> {
    let bar = ProgressBar::with_draw_target(Some(milliseconds(whole)), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{wide_bar} {percent}% {msg}")?);
    Ok(bar)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Open files besides the sockets of the sessions.
#[cfg(unix)]
const OTHER_FILES: u64 = 16;

/// Raises the limit of open files as far as possible, and returns how many sessions it allows.
#[cfg(unix)]
fn max_sessions() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it cannot be raised, the present limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1)
}

/// Other systems have no such limit.
#[cfg(not(unix))]
fn max_sessions() -> usize {
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

/// On other systems, Ctrl-C ends the process.
#[cfg(not(unix))]
fn stop_on_signals(_: &Arc<AtomicBool>) -> Result<()> {
    Ok(())
}
