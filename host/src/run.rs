//! What each command does.
use crate::cli::{Arguments, Client, Command, Counters, Level, Serve};
use anyhow::{Context, Result};
use atm_core::{terminal::Profile, time::Duration, wire::Wire};
#[cfg(unix)]
use atm_host::ledger::window;
use atm_host::{
    client::{self, Options, StateFile, Target},
    demo,
    metrics::page,
    serial::Port,
    server::{self, Config, Server},
};
use clap::CommandFactory;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tracing::{info, level_filters::LevelFilter, warn};

mod ledger;

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        None => try_it(),
        Some(Command::Serve(options)) => serve(&options),
        Some(Command::Client(options)) => run_client(options),
        Some(Command::Ledger(command)) => ledger::run(&command),
        Some(Command::Demo { wire }) => demo::run(wire).map(|()| ExitCode::SUCCESS),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "atm", &mut script);
            io::stdout().write_all(&script).context("the script could not be written")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_client(arguments: Client) -> Result<ExitCode> {
    let target = match arguments.serial {
        Some(path) => Target::Serial { path, baud: arguments.baud },
        None => Target::Tcp(arguments.connect),
    };
    let state = match (&arguments.state, &arguments.terminal) {
        (Some(path), Some(name)) => Some(StateFile::open(path, name)?),
        _ => None,
    };
    let profile = match (&state, arguments.terminal) {
        (Some(state), _) => Some(state.profile()),
        (None, Some(name)) => {
            Some(Profile { name: Some(name), start: client::start_from_clock(), ..Profile::default() })
        }
        (None, None) => None,
    };
    let usual = Options::new(target);
    let options = Options {
        wire: arguments.wire.unwrap_or(usual.wire),
        profile,
        reconnect: !arguments.no_reconnect,
        ..usual
    };
    Ok(client::run(&options, state))
}

fn serve(options: &Serve) -> Result<ExitCode> {
    log(options.log);
    let usual = if options.serial.is_some() { Wire::Postcard } else { Wire::Json };
    let config = Config {
        balance: options.balance,
        limit: options.limit,
        idle: Duration::from_secs(options.idle_timeout),
        frame: Duration::from_secs(options.frame_timeout),
        stall: Duration::from_secs(options.stall_timeout),
        max_sessions: usize::try_from(options.max_sessions).unwrap_or(usize::MAX),
        allow_remote_quit: options.allow_remote_quit,
        ..Config::new(options.wire.unwrap_or(usual))
    };
    match &options.serial {
        Some(path) => serve_serial(path, options, &config)?,
        None => serve_tcp(options, config)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn serve_tcp(options: &Serve, mut config: Config) -> Result<()> {
    let (wire, address) = (config.wire, options.listen.as_str());
    config.max_sessions = sessions_within_file_limit(config.max_sessions);
    let mut server = Server::bind(address, config).with_context(|| format!("cannot listen on {address}"))?;
    if let Some(folder) = &options.data {
        server.open_ledger(folder).context("the ledger cannot be used")?;
    }
    let address = server.local_addr();
    if !address.ip().to_canonical().is_loopback() {
        warn!(%address, "anybody who reaches this address can move money: there is no authentication");
    }
    if let Counters::At(at) = options.metrics {
        let at =
            page::serve(at, server.metrics()).with_context(|| format!("cannot show counters at {at}"))?;
        info!(address = %at, "counters at /metrics");
    }
    let stop = server.stop_handle();
    stop_on_signals(move || {
        say_stopping();
        stop.stop();
    })?;
    announce(&format!("listening on {address} ({wire})"));
    notify(Phase::Ready);
    let served = server.run();
    say_stopping();
    served.context("the server failed")
}

/// What a server tells whoever started it.
#[derive(Clone, Copy)]
enum Phase {
    Ready,
    Stopping,
}

/// The server stops, by a signal or by itself: that is told once.
fn say_stopping() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| notify(Phase::Stopping));
}

/// Tells systemd, where that is who started it and wants to know.
fn notify(phase: Phase) {
    #[cfg(target_os = "linux")]
    {
        let state = match phase {
            Phase::Ready => sd_notify::NotifyState::Ready,
            Phase::Stopping => sd_notify::NotifyState::Stopping,
        };
        let told = match std::env::var_os("NOTIFY_SOCKET") {
            // sd_notify(3): a name that begins like this is not one of a file. The crate takes it for one.
            Some(socket) if socket.as_encoded_bytes().starts_with(b"@") => tell(&socket, &state.to_string()),
            _ => sd_notify::notify(&[state]),
        };
        if let Err(error) = told {
            warn!(%error, "systemd could not be told");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = phase;
}

/// Tells it at an abstract socket.
#[cfg(target_os = "linux")]
fn tell(socket: &std::ffi::OsStr, state: &str) -> io::Result<()> {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };
    let name = socket.as_encoded_bytes().get(1..).unwrap_or_default();
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?).map(drop)
}

fn serve_serial(path: &str, options: &Serve, config: &Config) -> Result<()> {
    let baud = options.baud;
    let mut port = Port::open(path, baud)?;
    let asked = Arc::new(AtomicBool::new(false));
    let stop = asked.clone();
    stop_on_signals(move || {
        say_stopping();
        stop.store(true, Ordering::Release);
    })?;
    let ready = || {
        announce(&format!("listening on {path} ({}, {baud} baud)", config.wire));
        notify(Phase::Ready);
    };
    let served = server::serial::serve(&mut port, config, options.data.as_deref(), &asked, ready);
    say_stopping();
    served.context("the server failed")
}

fn announce(line: &str) {
    let mut out = io::stdout();
    // Whoever started it may not read it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A server and a client in one process.
fn try_it() -> Result<ExitCode> {
    let server =
        Server::bind("127.0.0.1:0", Config::new(Wire::Json)).context("cannot listen on 127.0.0.1")?;
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::Builder::new().name("server".into()).spawn(move || server.run())?;
    let code = client::run(&Options::new(Target::Tcp(address.to_string())), None);
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
    let subscriber = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(level).with_ansi(false);
    // By default it says on standard error that it cannot write there, and panics when it cannot.
    subscriber.log_internal_errors(false).init();
}

/// Files that are open beside those of the sessions: half of 32 are the server's own, the other half is for connections that
/// are being turned away, and each reader of the books and of the counters has one.
#[cfg(unix)]
const OTHER_FILES: u64 = 32 + (window::READERS + page::READERS) as u64;

/// How many of `wanted` sessions there can be: each takes a file descriptor, and the usual limit is 1,024 of them, which
/// is raised as far as it may be. One more could not even be told that it is one too many.
#[cfg(unix)]
fn sessions_within_file_limit(wanted: usize) -> usize {
    let most = sessions_by_files();
    if most < wanted {
        warn!(sessions = most, "the system allows too few open files for --max-sessions {wanted}");
    }
    most.min(wanted)
}

/// How many sessions the system allows files for, after it was asked for more.
#[cfg(unix)]
fn sessions_by_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files could not be raised");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1)
}

/// Elsewhere there is no such limit to be known.
#[cfg(not(unix))]
fn sessions_within_file_limit(wanted: usize) -> usize {
    wanted
}

/// See above.
#[cfg(not(unix))]
fn sessions_by_files() -> usize {
    usize::MAX
}

/// The first SIGINT or SIGTERM lets the server say goodbye; the second one does not wait for it.
#[cfg(unix)]
fn stop_on_signals(stop: impl Fn() + Send + 'static) -> Result<()> {
    use signal_hook::{consts::TERM_SIGNALS, flag, iterator::Signals};
    let again = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        flag::register_conditional_shutdown(*signal, 1, again.clone())?;
        flag::register(*signal, again.clone())?;
    }
    let mut signals = Signals::new(TERM_SIGNALS).context("signals cannot be caught")?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in &mut signals {
            stop();
        }
    })?;
    Ok(())
}

/// Elsewhere the system ends the program.
#[cfg(not(unix))]
fn stop_on_signals(_: impl Fn() + Send + 'static) -> Result<()> {
    Ok(())
}
