//! What each command does.
use crate::cli::{Arguments, Client, Command, Level, Serve};
use anyhow::{Context, Result};
use atm_core::{time::Duration, wire::Wire};
use atm_host::{
    client::{self, Options, Target},
    demo,
    server::{Config, Server, Stop},
};
use clap::CommandFactory;
use std::{
    io::{self, Write},
    process::ExitCode,
    thread,
};
use tracing::{level_filters::LevelFilter, warn};

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        None => try_it(),
        Some(Command::Serve(options)) => serve(&options),
        Some(Command::Client(options)) => Ok(client::run(&client_options(options))),
        Some(Command::Demo { wire }) => demo::run(wire).map(|()| ExitCode::SUCCESS),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "atm", &mut script);
            io::stdout().write_all(&script).context("the script could not be written")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn client_options(options: Client) -> Options {
    let (target, wire) = match options.serial {
        Some(path) => (Target::Serial { path, baud: options.baud }, Wire::Postcard),
        None => (Target::Tcp(options.connect), Wire::Json),
    };
    Options { target, wire: options.wire.unwrap_or(wire), profile: None }
}

fn serve(options: &Serve) -> Result<ExitCode> {
    log(options.log);
    raise_file_limit();
    let config = Config {
        balance: options.balance,
        limit: options.limit,
        idle: Duration::from_secs(options.idle_timeout),
        frame: Duration::from_secs(options.frame_timeout),
        stall: Duration::from_secs(options.stall_timeout),
        max_sessions: usize::try_from(options.max_sessions).unwrap_or(usize::MAX),
        allow_remote_quit: options.allow_remote_quit,
        ..Config::new(options.wire)
    };
    let server = Server::bind(&options.listen, config)
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let address = server.local_addr();
    if !address.ip().to_canonical().is_loopback() {
        warn!(%address, "anybody who reaches this address can move money: there is no authentication");
    }
    stop_on_signals(server.stop_handle())?;
    let mut out = io::stdout();
    // Whoever started it may not read it.
    let _ = writeln!(out, "listening on {address} ({})", options.wire).and_then(|()| out.flush());
    server.run().context("the server failed")?;
    Ok(ExitCode::SUCCESS)
}

/// A server and a client in one process.
fn try_it() -> Result<ExitCode> {
    let server =
        Server::bind("127.0.0.1:0", Config::new(Wire::Json)).context("cannot listen on 127.0.0.1")?;
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::Builder::new().name("server".into()).spawn(move || server.run())?;
    let options = Options { target: Target::Tcp(address.to_string()), wire: Wire::Json, profile: None };
    let code = client::run(&options);
    stop.stop();
    match serving.join() {
        Ok(result) => result.context("the server failed")?,
        Err(_) => anyhow::bail!("the server's thread failed"),
    }
    Ok(code)
}

fn log(level: Level) {
    let level = match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(level).with_ansi(false).init();
}

/// Each session takes a file descriptor, and the usual limit is 1,024 of them.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            warn!(%error, "the limit of open files could not be raised");
        }
    }
}

/// The first SIGINT or SIGTERM lets the server say goodbye; the second one does not wait for it.
#[cfg(unix)]
fn stop_on_signals(stop: Stop) -> Result<()> {
    use signal_hook::{consts::TERM_SIGNALS, flag, iterator::Signals};
    let again = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        flag::register_conditional_shutdown(*signal, 1, again.clone())?;
        flag::register(*signal, again.clone())?;
    }
    let mut signals = Signals::new(TERM_SIGNALS).context("signals cannot be caught")?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in &mut signals {
            stop.stop();
        }
    })?;
    Ok(())
}

/// Elsewhere the system ends the program.
#[cfg(not(unix))]
fn stop_on_signals(_: Stop) -> Result<()> {
    Ok(())
}
