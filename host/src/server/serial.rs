//! The server on one serial line: the core's [`Kiosk`] loop, as a microcontroller runs it.
//!
//! There is one terminal, so the loop itself waits for the ledger's disk.
use super::{SHUTDOWN_GRACE, ServerConfig, memory_ledger::MemoryLedger, response_log::log_response, wipe};
#[cfg(feature = "ledger")]
use super::{disk_ledger::DiskLedger, terminal_keys::TerminalKeys};
#[cfg(feature = "ledger")]
use crate::ledger::store::Store;
use crate::{clock::Clock, log::SERVER, serial::Port};
use atm_core::{
    host::{self, IN, KeyRequest, OUT},
    kiosk::{Kiosk, KioskError},
    ledger::{InDoubt, Ledger, Request, Response},
    seal::TerminalKey,
    session::Policy,
    time::Instant,
};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use std::{
    io::{self, ErrorKind},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
#[cfg(feature = "ledger")]
use std::{path::Path, sync::Arc};
use tracing::{info, warn};

/// The longest wait for the port, after which the loop looks whether it is to stop.
const MAX_WAIT: Duration = Duration::from_millis(50);

/// How long a port whose device is gone is opened again, as long as a client reconnects, and how often.
const REOPEN_TIME: Duration = Duration::from_secs(60);
const REOPEN_INTERVAL: Duration = Duration::from_millis(250);

/// Serves the terminal at `port` until `stop` is set or the person there stops it, with a ledger in memory;
/// `ready` is called before the first turn. A serial line has no address that could be this machine's own:
/// `quit` stops the server only where `config` allows it to any peer.
///
/// # Errors
/// The port failed, or its device is gone and was not back under its name within a minute.
pub fn serve(
    port: &mut Port,
    config: &ServerConfig,
    stop: &AtomicBool,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let ledger = MemoryLedger::new(config)?;
    ready();
    run_kiosk(port, config, ledger, |_| true, |_, _| NO_KEY, stop)
}

/// Does what [`serve`] does with the ledger on disk in `folder`; `ready` is called when that is open.
///
/// # Errors
/// The ones of [`serve`], or the ledger cannot be opened, used or closed.
#[cfg(feature = "ledger")]
pub fn serve_from_disk(
    port: &mut Port,
    config: &ServerConfig,
    folder: &Path,
    accept_loss: bool,
    stop: &AtomicBool,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let opened = super::disk_ledger::open(folder, accept_loss, config, &Arc::default());
    let ledger = opened.map_err(io::Error::other)?;
    serve_ledger(port, config, ledger, |_| {}, stop, ready)
}

/// Does what [`serve`] does with the ledger in a shared database, as the host of this name; `folder` has the mark of what it has acknowledged. The loop waits for
/// the database as for a disk, 10 s at most for each exchange: the terminal retransmits meanwhile.
///
/// # Errors
/// The ones of [`serve`], or the ledger cannot be opened or used, or another process has taken the name over.
#[cfg(feature = "postgres")]
pub fn serve_from_database(
    port: &mut Port,
    config: &ServerConfig,
    database: crate::ledger::postgres::Database,
    host: &str,
    folder: &Path,
    stop: &AtomicBool,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let opened = super::shared_ledger::open(database, host, folder, config, &Arc::default());
    let (_, ledger) = opened.map_err(io::Error::other)?;
    serve_ledger(port, config, ledger, super::shared_ledger::tend(), stop, ready)
}

/// Serves from an open ledger, which `tend` is called with while the line is at rest.
#[cfg(feature = "ledger")]
fn serve_ledger<S: Store>(
    port: &mut Port,
    config: &ServerConfig,
    mut ledger: DiskLedger<S>,
    mut tend: impl FnMut(&mut DiskLedger<S>),
    stop: &AtomicBool,
    ready: impl FnOnce(),
) -> io::Result<()> {
    ready();
    let mut keys = config.terminal_keys.clone().map(|key| TerminalKeys::new(key, std::time::Instant::now()));
    let find_key = |ledger: &mut &mut DiskLedger<S>, claim: &KeyRequest| {
        // While the row cannot be read the terminal retransmits its hello.
        let (Some(keys), Ok(Some(row))) = (&mut keys, ledger.committer.enrolment(&claim.terminal)) else {
            return NO_KEY;
        };
        (keys.find(claim, &row, std::time::Instant::now()).ok(), row.closed)
    };
    let is_usable = |ledger: &mut &mut DiskLedger<S>| {
        tend(ledger);
        !ledger.committer.has_failed()
    };
    let served = run_kiosk(port, config, &mut ledger, is_usable, find_key, stop);
    let failure = ledger.committer.failure().map(str::to_owned);
    let served = served.map_err(|error| failure.map_or(error, io::Error::other));
    // Closed in order, the ledger has nothing to recover at the next start.
    let closed = ledger.committer.close();
    served.and(if closed { Ok(()) } else { Err(io::Error::other("the ledger could not be closed in order")) })
}

/// The key that a hello claims, if there is one, and whether its terminal is out of service.
type FoundKey = (Option<TerminalKey>, bool);

const NO_KEY: FoundKey = (None, false);

fn run_kiosk<L: Ledger>(
    port: &mut Port,
    config: &ServerConfig,
    ledger: L,
    mut is_usable: impl FnMut(&mut L) -> bool,
    mut find_key: impl FnMut(&mut L, &KeyRequest) -> FoundKey,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut device = DevicePort(port);
    let clock = Clock::start();
    let ledger = Some(Logged(ledger));
    let mut kiosk =
        Box::new(Kiosk::<_, IN, OUT>::new(config.serial_endpoint(device.0.baud())?, ledger, clock.now()));
    kiosk.find_keys_by_driver();
    if let Some(cards) = &config.cards {
        kiosk.serve_cards(cards.keys.clone());
    }
    let mut stop_deadline: Option<Instant> = None;
    let mut warned = false;
    while !kiosk.is_finished() && stop_deadline.is_none_or(|until| clock.now() < until) {
        if stop_deadline.is_none() && stop.load(Ordering::Acquire) {
            let now = clock.now();
            stop_deadline = Some(now + SHUTDOWN_GRACE);
            kiosk.shut_down(now);
        }
        let turn = kiosk.turn(&mut device, clock.now());
        if config.cards.is_some() {
            wipe::stack();
        }
        if turn.is_ok()
            && let Some(claim) = kiosk.key_request()
            && let Some(Logged(ledger)) = kiosk.ledger_mut()
        {
            let (key, is_out_of_service) = find_key(ledger, &claim);
            kiosk.provide_key(key.as_ref(), is_out_of_service, clock.now());
            continue;
        }
        let turn = match turn {
            Ok(true) => continue,
            Ok(false) if kiosk.ledger_mut().is_none_or(|Logged(ledger)| is_usable(ledger)) => Ok(()),
            Ok(false) => return Err(io::Error::other(InDoubt)),
            // In doubt: the kiosk submits the request again for half a minute, and sends no outcome before.
            Err(KioskError::Ledger(_))
                if kiosk.ledger_mut().is_some_and(|Logged(ledger)| is_usable(ledger)) =>
            {
                Ok(())
            }
            Err(KioskError::Ledger(error)) => return Err(io::Error::other(error)),
            Err(KioskError::Port(error)) => Err(error),
        };
        let counters = kiosk.host().counters();
        if counters.frames == 0 && counters.discarded > 0 && !std::mem::replace(&mut warned, true) {
            warn!(target: SERVER, wire = %config.wire, "the first bytes on the serial line are no message of this wire; check --wire and --baud on both sides");
        }
        let timeout = kiosk.deadline().map_or(MAX_WAIT, |due| clock.until(due));
        if let Err(error) = turn.and_then(|()| device.0.wait(timeout.min(MAX_WAIT))) {
            // The terminal retransmits what is lost with the device, and the kiosk its reply.
            if !reopen(device.0, error, stop, REOPEN_TIME)? {
                return Ok(());
            }
        }
    }
    // The port may still hold the end of the goodbye. A terminal that does not read it delays the exit by the
    // grace only.
    let until = stop_deadline.unwrap_or_else(|| clock.now() + SHUTDOWN_GRACE);
    while !device.write_ready()? && clock.now() < until {
        device.0.wait(MAX_WAIT)?;
    }
    let counters = kiosk.host().counters();
    info!(target: SERVER, frames = counters.frames, discarded = counters.discarded, "stopped");
    Ok(())
}

/// A ledger whose responses are logged.
struct Logged<L>(L);

impl<L: Ledger> Ledger for Logged<L> {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let response = self.0.apply(request)?;
        log_response(request, &response);
        Ok(response)
    }
}

impl ServerConfig {
    /// The configuration of a serial line's endpoint.
    ///
    /// # Errors
    /// The system has no random number for its salt.
    fn serial_endpoint(&self, baud: u32) -> io::Result<host::Config> {
        Ok(host::Config {
            policy: Policy { limit: self.limit, may_quit: self.allow_remote_quit },
            idle_timeout: self.idle,
            sealed_only: self.sealed_only,
            salt: getrandom::u64().map_err(io::Error::other)?,
            ..host::Config::for_serial(self.wire, baud)
        })
    }
}

/// Opens a port again whose device is gone, until `limit` has passed; false once `stop` is set.
///
/// # Errors
/// `lost`, the error of the port, where its device cannot come back, or has not.
fn reopen(port: &mut Port, lost: io::Error, stop: &AtomicBool, limit: Duration) -> io::Result<bool> {
    // Its name is not free before it is closed.
    port.close();
    if !port.name().is_lasting() {
        return Err(lost);
    }
    warn!(target: SERVER, error = %lost, "the serial port is lost: waiting for its device");
    let began = std::time::Instant::now();
    while began.elapsed() < limit {
        if stop.load(Ordering::Acquire) {
            return Ok(false);
        }
        // Before each attempt: a device that opens and fails at once would be opened without end.
        std::thread::sleep(REOPEN_INTERVAL);
        if let Ok(opened) = port.name().open() {
            *port = opened;
            info!(target: SERVER, "the serial port is open again");
            return Ok(true);
        }
    }
    Err(lost)
}

/// A port whose end of file is an error: it means that the device is gone.
struct DevicePort<'a>(&'a mut Port);

impl ErrorType for DevicePort<'_> {
    type Error = io::Error;
}

impl Read for DevicePort<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(io::Error::new(ErrorKind::UnexpectedEof, "the device is gone")),
            count => Ok(count),
        }
    }
}

impl ReadReady for DevicePort<'_> {
    fn read_ready(&mut self) -> io::Result<bool> {
        self.0.read_ready()
    }
}

impl Write for DevicePort<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl WriteReady for DevicePort<'_> {
    fn write_ready(&mut self) -> io::Result<bool> {
        self.0.write_ready()
    }
}

#[cfg(all(unix, feature = "ledger"))]
#[cfg(test)]
mod tests;
