//! `atm serve`: starts a server over TCP or on a serial line, and stops it on a signal.
use super::{file_limit::sessions_within_file_limit, log, signals::ServerSignals, systemd};
use crate::cli::{Access, MetricsAddress, Serve};
use anyhow::{Context, Result};
use atm_core::{ledger::card::Limits, time::Duration};
use atm_host::{
    access::secrets::{self, Secrets},
    client::Escaped,
    exit::Exit,
    ledger::store::StoreFault,
    log::SERVER,
    metrics::page,
    serial::{Port, is_pseudo_terminal},
    server::{CardAccess, Server, ServerConfig, serial},
};
use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tracing::{info, warn};

pub(super) fn run(options: &Serve) -> Result<Exit> {
    log::init(options.log, options.log_format)?;
    let signals = ServerSignals::catch()?;
    if let Some(reason) = refusal(options) {
        return refuse(&reason);
    }
    let (secrets, is_tls) = (read_secrets(options)?, options.tls.tls_cert.is_some());
    let config = ServerConfig {
        balance: options.balance,
        limit: options.limit,
        idle: Duration::from_secs(options.idle_timeout),
        frame: Duration::from_secs(options.frame_timeout),
        stall: Duration::from_secs(options.stall_timeout),
        max_sessions: usize::try_from(options.max_sessions).unwrap_or(usize::MAX),
        max_per_address: options.max_per_address.and_then(|most| usize::try_from(most).ok()),
        max_terminals: options.max_terminals,
        new_terminals: options.new_terminals,
        tls: options.tls.load().context("TLS cannot be used")?,
        terminal_keys: secrets.as_ref().filter(|_| !is_tls).map(|secrets| secrets.terminals().clone()),
        sealed_only: options.sealed,
        cards: card_access(options, secrets.as_ref())?,
        allow_remote_quit: options.allow_remote_quit,
        ..ServerConfig::new(options.wire())
    };
    if let Some(CardAccess { limits, .. }) = &config.cards {
        let (withdrawal_limit, day_limit) = (limits.withdrawal, limits.day);
        info!(target: SERVER, %withdrawal_limit, %day_limit, "access is by card");
    }
    match &options.serial {
        Some(path) => serve_serial(path, options, &config, signals),
        None => serve_tcp(options, config, signals),
    }
}

/// Checks the files that the options name. (The options themselves are parsed before.)
pub(super) fn check(options: &Serve) -> Result<Exit> {
    let fault = || options.tls.load().err().map(|error| format!("TLS cannot be used: {error}"));
    let secrets = || read_secrets(options).err().map(|error| error.to_string());
    match refusal(options).or_else(fault).or_else(secrets) {
        None => super::print("ok"),
        Some(reason) => refuse(&reason),
    }
}

/// Prints why the options are refused.
fn refuse(reason: &str) -> Result<Exit> {
    // A failure to write it cannot be reported.
    let _ = writeln!(io::stderr(), "atm: {}", Escaped(reason));
    Ok(Exit::Usage)
}

/// Why the options are refused, as far as it follows from them alone.
fn refusal(options: &Serve) -> Option<String> {
    if options.data.is_none() && (options.sealed || options.secrets.is_some()) {
        return Some("sealed links need --data: the terminals with a key are in the ledger".to_owned());
    }
    if needs_secrets(options) && secrets_file(options).is_none() {
        let option = if options.sealed { "--sealed" } else { "--access card" };
        return Some(format!(
            "{option} needs --secrets FILE, or the credential `secrets` of systemd (atm secrets new makes one)"
        ));
    }
    #[cfg(feature = "postgres")]
    if let Err(reason) = options.shared.check(options) {
        return Some(reason.to_owned());
    }
    #[cfg(feature = "postgres")]
    if let Err(error) = options.shared.database.address() {
        return Some(format!("{:#}", anyhow::Error::from(error)));
    }
    let refused = match (&options.serial, options.listen.parse()) {
        (Some(path), _) => !is_pseudo_terminal(path),
        (None, Ok(address)) => is_remote(&address),
        // A name: its addresses are known when the server listens.
        (None, Err(_)) => false,
    };
    let place = options.serial.as_ref().unwrap_or(&options.listen);
    (refused && options.refuses_clear()).then(|| clear_refused(place))
}

fn is_remote(address: &SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn clear_refused(place: &str) -> String {
    format!(
        "{place} would be served in clear: any peer that reaches it can read every balance and move money. Serve sealed links (--sealed) or TLS \
         (--tls-cert), or allow it with --allow-clear"
    )
}

fn needs_secrets(options: &Serve) -> bool {
    options.sealed || options.access == Access::Card
}

fn secrets_file(options: &Serve) -> Option<PathBuf> {
    options.secrets.clone().or_else(|| needs_secrets(options).then(secrets::credential).flatten())
}

/// Reads the keys of terminals and cards, if there are to be any.
fn read_secrets(options: &Serve) -> Result<Option<Secrets>> {
    let (Some(path), Some(ledger)) = (secrets_file(options), &options.data) else { return Ok(None) };
    Ok(Some(Secrets::read(&path, ledger)?))
}

/// Access by card, if it is asked for.
fn card_access(options: &Serve, secrets: Option<&Secrets>) -> Result<Option<CardAccess>> {
    if options.access == Access::Open {
        return Ok(None);
    }
    let CardAccess { keys, limits, refusal_alarm } =
        CardAccess::new(secrets.context("there are no keys of cards")?.cards());
    let limits = Limits {
        withdrawal: options.withdrawal_limit.unwrap_or(limits.withdrawal),
        day: options.day_limit.unwrap_or(limits.day),
    };
    Ok(Some(CardAccess { keys, limits, refusal_alarm: options.refusal_alarm.unwrap_or(refusal_alarm) }))
}

/// The exit code after an error: a service manager starts no server again that finds the same.
pub(crate) fn exit_of_service(error: &anyhow::Error) -> Exit {
    let ledger = error.chain().find_map(|cause| {
        let wrapped = cause.downcast_ref().and_then(io::Error::get_ref);
        cause.downcast_ref::<StoreFault>().or_else(|| wrapped?.downcast_ref())
    });
    if ledger.is_some_and(|error| error.is_final()) { Exit::Permanent } else { Exit::Error }
}

fn serve_tcp(options: &Serve, mut config: ServerConfig, signals: ServerSignals) -> Result<Exit> {
    let (wire, address) = (config.wire, options.listen.as_str());
    let is_tls = config.tls.is_some();
    config.max_sessions = sessions_within_file_limit(config.max_sessions);
    let mut server = Server::bind(address, config).with_context(|| format!("cannot listen on {address}"))?;
    let clear = server.local_addrs().find(|address| options.refuses_clear() && is_remote(address));
    if let Some(address) = clear {
        return refuse(&clear_refused(&address.to_string()));
    }
    let stop = server.stop_handle();
    signals.on_stop(move || {
        systemd::notify_stopping();
        stop.stop();
    })?;
    if let Some(folder) = &options.data {
        open_ledger(options, &mut server, folder)?;
    }
    let is_open = |address: &SocketAddr| !is_tls && !options.sealed && is_remote(address);
    for address in server.local_addrs().filter(is_open) {
        warn!(target: SERVER, %address, "there is no authentication: every peer that reaches this address can move money");
    }
    if let MetricsAddress::At(at) = options.metrics {
        let at = page::serve(at, server.metrics(), options.allow_remote_metrics)
            .with_context(|| format!("cannot serve metrics at {at}"))?;
        info!(target: SERVER, address = %at, "metrics at /metrics");
    }
    let addresses: Vec<_> = server.local_addrs().map(|address| address.to_string()).collect();
    let addresses = addresses.join(" and ");
    let protection = if is_tls { ", TLS" } else { sealed_word(options) };
    let access = access_word(options);
    announce(&format!("listening on {addresses} ({wire}{protection}{access})"));
    let (sealed, clear) = (options.reads_sealed(), !is_tls && !options.sealed);
    info!(target: SERVER, addresses, %wire, tls = is_tls, sealed, clear, version = env!("CARGO_PKG_VERSION"), "listening");
    systemd::notify_ready();
    let served = server.run();
    systemd::notify_stopping();
    served.context("the server failed")?;
    Ok(Exit::Done)
}

/// Opens the ledger in a folder, or in a shared database.
fn open_ledger(options: &Serve, server: &mut Server, folder: &Path) -> Result<()> {
    #[cfg(feature = "postgres")]
    if let Some((database, host)) = shared_database(options)? {
        let name = database.display().to_string();
        return server.open_database(database, host, folder).context(name);
    }
    server
        .open_ledger(folder, options.accept_loss)
        .with_context(|| format!("the ledger in {} cannot be used", folder.display()))
}

/// The shared database of the options, and the name of this host in it.
#[cfg(feature = "postgres")]
fn shared_database(options: &Serve) -> Result<Option<(atm_host::ledger::postgres::Database, &str)>> {
    let Some(database) = options.shared.database.address()? else { return Ok(None) };
    let (name, host) = (database.display().to_string(), options.shared.host_name.as_str());
    info!(target: SERVER, database = name, host, "the ledger is in a shared database");
    Ok(Some((database, host)))
}

fn sealed_word(options: &Serve) -> &'static str {
    match (options.sealed, &options.secrets) {
        (true, _) => ", sealed",
        (false, Some(_)) => ", sealed and in clear",
        (false, None) => "",
    }
}

fn access_word(options: &Serve) -> &'static str {
    match options.access {
        Access::Open => "",
        Access::Card => ", by card",
    }
}

fn serve_serial(path: &str, options: &Serve, config: &ServerConfig, signals: ServerSignals) -> Result<Exit> {
    let baud = options.baud;
    let mut port = Port::open(path, baud)?;
    let stop_requested = Arc::new(AtomicBool::new(false));
    let stop = stop_requested.clone();
    signals.on_stop(move || {
        systemd::notify_stopping();
        stop.store(true, Ordering::Release);
    })?;
    let ready = || {
        if !options.sealed && !is_pseudo_terminal(path) {
            warn!(target: SERVER, port = path, "there is no authentication: any peer on this line can move money");
        }
        let (sealed, access) = (sealed_word(options), access_word(options));
        announce(&format!("listening on {path} ({}, {baud} baud{sealed}{access})", config.wire));
        let (sealed, clear) = (options.reads_sealed(), !options.sealed);
        info!(target: SERVER, port = path, wire = %config.wire, baud, sealed, clear, version = env!("CARGO_PKG_VERSION"), "listening");
        systemd::notify_ready();
    };
    let served = match &options.data {
        #[cfg(feature = "postgres")]
        Some(folder) if options.shared.database.database.is_some() => {
            let (database, host) = shared_database(options)?.context("there is no database")?;
            serial::serve_from_database(&mut port, config, database, host, folder, &stop_requested, ready)
        }
        Some(folder) => {
            serial::serve_from_disk(&mut port, config, folder, options.accept_loss, &stop_requested, ready)
        }
        None => serial::serve(&mut port, config, &stop_requested, ready),
    };
    systemd::notify_stopping();
    served.context("the server failed")?;
    Ok(Exit::Done)
}

/// Prints the line by which a script learns that the server is ready, and where.
fn announce(line: &str) {
    let mut out = io::stdout();
    // Standard output may be closed; the server runs without it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
