//! The ATM on one serial line: the loop that a microcontroller runs. There is nobody else to serve while the ledger
//! waits for its disk.
use super::{Config, SHUTDOWN_GRACE, TERMINALS};
use crate::{clock::Clock, serial::Port};
use atm_core::{
    host::{self, IN, LinkKind, OUT},
    kiosk::{self, Kiosk},
    ledger::{Ledger, LedgerId, RamLedger},
    session::Policy,
    time::Instant,
};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use std::{
    io::{self, ErrorKind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tracing::info;

/// The longest wait for the port: only in between is it noticed that the server is to stop.
const MAX_WAIT: Duration = Duration::from_millis(50);

/// Serves the terminal at `port` until `stop` is set or a person stops it who may; the ledger is in the folder `data` or in
/// memory, and `ready` is called when it is open. A serial line has no address: whoever is at its other end may stop the
/// server only where `config` lets anybody.
///
/// # Errors
/// What the port or the ledger says; a device that is gone does not come back by itself.
pub fn serve(
    port: &mut Port,
    config: &Config,
    data: Option<&Path>,
    stop: &AtomicBool,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let identity = LedgerId(getrandom::u64().map_err(io::Error::other)?);
    match data {
        Some(folder) => {
            let mut keeper =
                super::open_keeper(folder, config, identity, &Arc::default()).map_err(io::Error::other)?;
            #[cfg(unix)]
            keeper.show_in(folder);
            ready();
            let served = run_kiosk(port, config, &mut keeper, stop);
            // The next start has little to do then.
            served.and(keeper.close().map_err(io::Error::other))
        }
        None => {
            ready();
            run_kiosk(port, config, RamLedger::<TERMINALS>::new(identity, config.balance), stop)
        }
    }
}

fn run_kiosk(port: &mut Port, config: &Config, ledger: impl Ledger, stop: &AtomicBool) -> io::Result<()> {
    let mut device = DevicePort(port);
    let clock = Clock::start();
    let mut kiosk = Box::new(Kiosk::<_, IN, OUT>::new(config.serial_endpoint(), Some(ledger), clock.now()));
    let mut stop_deadline: Option<Instant> = None;
    while !kiosk.is_finished() && stop_deadline.is_none_or(|until| clock.now() < until) {
        if stop_deadline.is_none() && stop.load(Ordering::Acquire) {
            let now = clock.now();
            stop_deadline = Some(now + SHUTDOWN_GRACE);
            kiosk.shut_down(now);
        }
        let progressed = match kiosk.turn(&mut device, clock.now()) {
            // It asks the same again for half a minute; nobody is told anything before.
            Err(kiosk::KioskError::Ledger(_)) if kiosk.ledger().is_some() => false,
            turn => turn.map_err(into_io_error)?,
        };
        if !progressed {
            let timeout = kiosk.deadline().map_or(MAX_WAIT, |due| clock.until(due));
            device.0.wait(timeout.min(MAX_WAIT))?;
        }
    }
    // The port may hold the end of the goodbye; a terminal that does not read it is not waited for.
    let until = stop_deadline.unwrap_or_else(|| clock.now() + SHUTDOWN_GRACE);
    while !device.write_ready()? && clock.now() < until {
        device.0.wait(MAX_WAIT)?;
    }
    let counters = kiosk.host().counters();
    info!(frames = counters.frames, discarded = counters.discarded, "stopped");
    Ok(())
}

impl Config {
    /// What the endpoint of a serial line is made for.
    fn serial_endpoint(&self) -> host::Config {
        host::Config {
            wire: self.wire,
            link: LinkKind::Serial,
            policy: Policy { limit: self.limit, may_quit: self.allow_remote_quit },
            idle_timeout: self.idle,
            frame_timeout: self.frame,
            stall_timeout: self.stall,
        }
    }
}

fn into_io_error(error: kiosk::KioskError<io::Error>) -> io::Error {
    match error {
        kiosk::KioskError::Port(error) => error,
        kiosk::KioskError::Ledger(error) => io::Error::other(error),
    }
}

/// A port that does not end: its end is that of the device.
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

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{LinkEvent, Options, ReceivedMessage, Target},
        ledger::{disk::Folder, store::Store},
    };
    use atm_core::wire::Wire;
    use std::thread;

    fn next_message(link: &mut crate::client::Link) -> ReceivedMessage {
        loop {
            match link.next(None) {
                LinkEvent::Message(said) => return said,
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
            let config = Config { allow_remote_quit, ..Config::new(wire) };
            let asked = stop.clone();
            // What is on its way is lost with the port.
            let serving = thread::spawn(move || (serve(&mut port, &config, None, &asked, || ()), port));
            let target = Target::Serial { path: loopback.path, baud: 115_200 };
            let mut link = crate::client::Link::open(&Options { wire, ..Options::new(target) }).unwrap();
            let mut prompt = next_message(&mut link).prompt.unwrap();
            for (answer, told) in [("deposit 40", "Your balance is $140."), ("quit", "stop")] {
                link.answer(prompt, answer).unwrap();
                let said = next_message(&mut link);
                assert!(said.text.contains(told), "{said:?}");
                assert_eq!(said.ends, answer == "quit" && allow_remote_quit);
                prompt = said.prompt.unwrap_or_default();
            }
            if !allow_remote_quit {
                stop.store(true, Ordering::Release);
                assert!(next_message(&mut link).ends, "it says goodbye");
            }
            serving.join().unwrap().0.unwrap();
        }
    }

    #[test]
    fn a_ledger_in_a_folder_is_there_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        for round in 1..=2 {
            let (mut port, loopback) = Port::loopback().unwrap();
            let config = Config { allow_remote_quit: true, ..Config::new(Wire::Postcard) };
            let path = folder.path().to_owned();
            let serving = thread::spawn(move || {
                (serve(&mut port, &config, Some(&path), &AtomicBool::new(false), || ()), port)
            });
            let target = Target::Serial { path: loopback.path, baud: 115_200 };
            let mut link = crate::client::Link::open(&Options::new(target)).unwrap();
            let prompt = next_message(&mut link).prompt.unwrap();
            link.answer(prompt, "deposit 40").unwrap();
            let reply = next_message(&mut link);
            assert!(reply.text.contains(&format!("Your balance is ${}.", 100 + 40 * round)), "{reply:?}");
            // And may be read while it is served.
            #[cfg(unix)]
            std::os::unix::net::UnixStream::connect(folder.path().join("ledger.sock")).unwrap();
            link.answer(reply.prompt.unwrap(), "quit").unwrap();
            assert!(next_message(&mut link).ends);
            serving.join().unwrap().0.unwrap();
            // It was closed in order: the next start has nothing to derive.
            let mut disk = Folder::take(folder.path(), Default::default()).unwrap();
            let store = Store::open_unread(&mut disk).unwrap();
            let (books, summed) = store.view().unwrap().books().unwrap();
            assert_eq!(books.head().number, summed);
        }
    }

    #[test]
    fn a_device_that_goes_away_is_an_error() {
        let (master, loopback) = Port::loopback().unwrap();
        let mut port = Port::open(&loopback.path, 115_200).unwrap();
        let serving = thread::spawn(move || {
            serve(&mut port, &Config::new(Wire::Postcard), None, &AtomicBool::new(false), || ())
        });
        thread::sleep(Duration::from_millis(100));
        drop(master);
        let error = serving.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }
}
