//! `atm serve`: starts a server over TCP or on a serial line, and stops it on a signal.
use super::{file_limit::sessions_within_file_limit, log, signals::ServerSignals, systemd};
use crate::cli::{MetricsAddress, Serve};
use anyhow::{Context, Result};
use atm_core::{time::Duration, wire::Wire};
use atm_host::{
    client::Escaped,
    exit::Exit,
    ledger::store::StoreFault,
    log::SERVER,
    metrics::page,
    serial::Port,
    server::{Server, ServerConfig, serial},
};
use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tracing::{info, warn};

pub(super) fn run(options: &Serve) -> Result<Exit> {
    log::init(options.log, options.log_format)?;
    let signals = ServerSignals::catch()?;
    let default_wire = if options.serial.is_some() { Wire::Postcard } else { Wire::Json };
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
        allow_remote_quit: options.allow_remote_quit,
        ..ServerConfig::new(options.wire.unwrap_or(default_wire))
    };
    match &options.serial {
        Some(path) => serve_serial(path, options, &config, signals)?,
        None => serve_tcp(options, config, signals)?,
    }
    Ok(Exit::Done)
}

/// Checks the files that the options name. (The options themselves are parsed before.)
pub(super) fn check(options: &Serve) -> Result<Exit> {
    match options.tls.load() {
        Ok(_) => super::print("ok"),
        Err(error) => {
            // A failure to write it cannot be reported.
            let _ = writeln!(io::stderr(), "atm: TLS cannot be used: {}", Escaped(&error.to_string()));
            Ok(Exit::Usage)
        }
    }
}

/// The exit code after an error: a service manager starts no server again that finds the same.
pub(crate) fn exit_of_service(error: &anyhow::Error) -> Exit {
    let ledger = error.chain().find_map(|cause| {
        let wrapped = cause.downcast_ref().and_then(io::Error::get_ref);
        cause.downcast_ref::<StoreFault>().or_else(|| wrapped?.downcast_ref())
    });
    if ledger.is_some_and(|error| error.is_final()) { Exit::Permanent } else { Exit::Error }
}

fn serve_tcp(options: &Serve, mut config: ServerConfig, signals: ServerSignals) -> Result<()> {
    let (wire, address) = (config.wire, options.listen.as_str());
    let is_tls = config.tls.is_some();
    config.max_sessions = sessions_within_file_limit(config.max_sessions);
    let mut server = Server::bind(address, config).with_context(|| format!("cannot listen on {address}"))?;
    let stop = server.stop_handle();
    signals.on_stop(move || {
        systemd::notify_stopping();
        stop.stop();
    })?;
    if let Some(folder) = &options.data {
        server
            .open_ledger(folder, options.accept_loss)
            .with_context(|| format!("the ledger in {} cannot be used", folder.display()))?;
    }
    let is_open = |address: &SocketAddr| !is_tls && !address.ip().to_canonical().is_loopback();
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
    announce(&format!("listening on {addresses} ({wire}{})", if is_tls { ", TLS" } else { "" }));
    info!(target: SERVER, addresses, %wire, tls = is_tls, version = env!("CARGO_PKG_VERSION"), "listening");
    systemd::notify_ready();
    let served = server.run();
    systemd::notify_stopping();
    served.context("the server failed")
}

fn serve_serial(path: &str, options: &Serve, config: &ServerConfig, signals: ServerSignals) -> Result<()> {
    let baud = options.baud;
    let mut port = Port::open(path, baud)?;
    let stop_requested = Arc::new(AtomicBool::new(false));
    let stop = stop_requested.clone();
    signals.on_stop(move || {
        systemd::notify_stopping();
        stop.store(true, Ordering::Release);
    })?;
    let ready = || {
        announce(&format!("listening on {path} ({}, {baud} baud)", config.wire));
        info!(target: SERVER, port = path, wire = %config.wire, baud, version = env!("CARGO_PKG_VERSION"), "listening");
        systemd::notify_ready();
    };
    let served = match &options.data {
        Some(folder) => {
            serial::serve_from_disk(&mut port, config, folder, options.accept_loss, &stop_requested, ready)
        }
        None => serial::serve(&mut port, config, &stop_requested, ready),
    };
    systemd::notify_stopping();
    served.context("the server failed")
}

/// Prints the line by which a script learns that the server is ready, and where.
fn announce(line: &str) {
    let mut out = io::stdout();
    // Standard output may be closed; the server runs without it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
