//! The server on one serial line: the core's [`Kiosk`] loop, as a microcontroller runs it.
//!
//! There is one terminal, so the loop itself waits for the ledger's disk.
use super::{SHUTDOWN_GRACE, ServerConfig, committer::log_response, memory_ledger::MemoryLedger};
use crate::{clock::Clock, serial::Port};
use atm_core::{
    host::{self, IN, OUT},
    kiosk::{self, Kiosk},
    ledger::{InDoubt, Ledger, Request, Response},
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
use tracing::info;

/// The longest wait for the port, after which the loop looks whether it is to stop.
const MAX_WAIT: Duration = Duration::from_millis(50);

/// Serves the terminal at `port` until `stop` is set or the person there stops it, with a ledger in memory;
/// `ready` is called before the first turn. A serial line has no address that could be this machine's own:
/// `quit` stops the server only where `config` allows it to any peer.
///
/// # Errors
/// The port failed, or its device is gone: that does not come back by itself.
pub fn serve(
    port: &mut Port,
    config: &ServerConfig,
    stop: &AtomicBool,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let ledger = MemoryLedger::new(config)?;
    ready();
    run_kiosk(port, config, ledger, |_| false, stop)
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
    let mut ledger = opened.map_err(io::Error::other)?;
    ready();
    let served = run_kiosk(port, config, &mut ledger, |ledger| ledger.committer.has_failed(), stop);
    // Closed in order, the ledger has nothing to recover at the next start.
    let closed = ledger.committer.close();
    served.and(if closed { Ok(()) } else { Err(io::Error::other("the ledger could not be closed in order")) })
}

fn run_kiosk<L: Ledger>(
    port: &mut Port,
    config: &ServerConfig,
    ledger: L,
    has_failed: fn(&L) -> bool,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut device = DevicePort(port);
    let clock = Clock::start();
    let ledger = Some(Logged(ledger));
    let mut kiosk =
        Box::new(Kiosk::<_, IN, OUT>::new(config.serial_endpoint(device.0.baud()), ledger, clock.now()));
    let mut stop_deadline: Option<Instant> = None;
    while !kiosk.is_finished() && stop_deadline.is_none_or(|until| clock.now() < until) {
        if stop_deadline.is_none() && stop.load(Ordering::Acquire) {
            let now = clock.now();
            stop_deadline = Some(now + SHUTDOWN_GRACE);
            kiosk.shut_down(now);
        }
        let progressed = match kiosk.turn(&mut device, clock.now()) {
            // In doubt: the kiosk submits the request again for half a minute, and sends no outcome before.
            Err(kiosk::KioskError::Ledger(_))
                if kiosk.ledger().is_some_and(|Logged(ledger)| !has_failed(ledger)) =>
            {
                false
            }
            turn => turn.map_err(into_io_error)?,
        };
        if !progressed {
            let timeout = kiosk.deadline().map_or(MAX_WAIT, |due| clock.until(due));
            device.0.wait(timeout.min(MAX_WAIT))?;
        }
    }
    // The port may still hold the end of the goodbye. A terminal that does not read it delays the exit by the
    // grace only.
    let until = stop_deadline.unwrap_or_else(|| clock.now() + SHUTDOWN_GRACE);
    while !device.write_ready()? && clock.now() < until {
        device.0.wait(MAX_WAIT)?;
    }
    let counters = kiosk.host().counters();
    info!(frames = counters.frames, discarded = counters.discarded, "stopped");
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
    fn serial_endpoint(&self, baud: u32) -> host::Config {
        host::Config {
            policy: Policy { limit: self.limit, may_quit: self.allow_remote_quit },
            idle_timeout: self.idle,
            ..host::Config::for_serial(self.wire, baud)
        }
    }
}

fn into_io_error(error: kiosk::KioskError<io::Error>) -> io::Error {
    match error {
        kiosk::KioskError::Port(error) => error,
        kiosk::KioskError::Ledger(error) => io::Error::other(error),
    }
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
mod tests {
    use super::*;
    use crate::client::{LinkEvent, Options, ReceivedMessage, Target};
    use atm_core::wire::Wire;
    use std::thread;

    fn next_message(link: &mut crate::client::Link) -> ReceivedMessage {
        loop {
            match link.next(None) {
                LinkEvent::Message(message) => return message,
                LinkEvent::LinkDown | LinkEvent::LinkUp => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_session_ends_with_quit_where_that_is_allowed_or_when_the_server_stops() {
        for (wire, allow_remote_quit) in [(Wire::Postcard, false), (Wire::Json, true)] {
            let (mut port, loopback) = Port::loopback().unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let config = ServerConfig { allow_remote_quit, ..ServerConfig::new(wire) };
            let stop_requested = stop.clone();
            // The port is returned so that it stays open: to drop it would lose what is on its way.
            let serving = thread::spawn(move || (serve(&mut port, &config, &stop_requested, || ()), port));
            let target = Target::Serial { path: loopback.path, baud: 115_200 };
            let mut link = crate::client::Link::open(&Options { wire, ..Options::new(target) }).unwrap();
            let mut prompt = next_message(&mut link).prompt.unwrap();
            for (answer, expected) in [("deposit 40", "Your balance is $140."), ("quit", "stop")] {
                link.answer(prompt, answer).unwrap();
                let message = next_message(&mut link);
                assert!(message.text.contains(expected), "{message:?}");
                assert_eq!(message.ends, answer == "quit" && allow_remote_quit);
                prompt = message.prompt.unwrap_or_default();
            }
            if !allow_remote_quit {
                stop.store(true, Ordering::Release);
                assert!(next_message(&mut link).ends, "it says goodbye");
            }
            serving.join().unwrap().0.unwrap();
        }
    }

    #[test]
    fn a_ledger_on_disk_is_kept_between_starts() {
        let folder = tempfile::tempdir().unwrap();
        for round in 1..=2 {
            let (mut port, loopback) = Port::loopback().unwrap();
            let config = ServerConfig { allow_remote_quit: true, ..ServerConfig::new(Wire::Postcard) };
            let path = folder.path().to_owned();
            let serving = thread::spawn(move || {
                (serve_from_disk(&mut port, &config, &path, false, &AtomicBool::new(false), || ()), port)
            });
            let target = Target::Serial { path: loopback.path, baud: 115_200 };
            let mut link = crate::client::Link::open(&Options::new(target)).unwrap();
            let prompt = next_message(&mut link).prompt.unwrap();
            link.answer(prompt, "deposit 40").unwrap();
            let reply = next_message(&mut link);
            assert!(reply.text.contains(&format!("Your balance is ${}.", 100 + 40 * round)), "{reply:?}");
            link.answer(reply.prompt.unwrap(), "quit").unwrap();
            assert!(next_message(&mut link).ends);
            serving.join().unwrap().0.unwrap();
            // It was closed in order: nothing is left in the write-ahead log.
            assert!(!folder.path().join("ledger.db-wal").exists());
        }
    }

    #[test]
    fn a_device_that_is_gone_is_an_error() {
        let (master, loopback) = Port::loopback().unwrap();
        let mut port = Port::open(&loopback.path, 115_200).unwrap();
        let serving = thread::spawn(move || {
            serve(&mut port, &ServerConfig::new(Wire::Postcard), &AtomicBool::new(false), || ())
        });
        thread::sleep(Duration::from_millis(100));
        drop(master);
        let error = serving.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }
}
