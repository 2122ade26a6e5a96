//! What `atm bench` does.
use super::{sessions_by_files, stop_on_signals};
use crate::cli::bench::{Bench, Format};
use anyhow::{Context, Result, ensure};
use atm_host::bench::{self, Config, PATIENCE, Stage, person::Manner, report::Json};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Exit code of a program that was interrupted, as a shell tells it.
const INTERRUPTED: u8 = 130;

/// Sessions that are opened at once: fewer than wait at any server.
const BURST: usize = 100;

pub(super) fn run(options: &Bench) -> Result<ExitCode> {
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
        manner: if options.words { Manner::Words } else { Manner::Menu },
        rate: options.rate,
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..)),
        shared: options.shared,
        patience: PATIENCE,
    };
    let whole = config.warm_up + config.duration;
    let bar = bar(whole)?;
    // The first signal ends the load, and what was measured until then is told; the second one ends the program.
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    stop_on_signals(move || stopped.store(true, Ordering::Relaxed))?;
    let mut watch = |stage| match stage {
        Stage::Opening => bar.set_message("sessions open"),
        Stage::Asking(since, replies) => {
            bar.set_position(milliseconds(since.min(whole)));
            bar.set_message(format!("{replies} answers"));
        }
    };
    let report = bench::run_until(&config, &mut watch, &stop);
    bar.finish_and_clear();
    let report = report.with_context(|| format!("no load can be put on {}", config.address))?;
    let mut out = io::stdout().lock();
    match options.format {
        Format::Text => write!(out, "{report}"),
        Format::Json => writeln!(out, "{}", Json(&report)),
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
