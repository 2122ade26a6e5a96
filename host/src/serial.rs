//! Serial port: a real device or one end of a pseudo-terminal pair, as an [`embedded_io`] device.
//!
//! The serial line is raw: eight bits, no parity, one stop bit, no flow control. Output is written at once as
//! far as the device takes it; the rest (at most 256 bytes) is written during later calls. Input that
//! came before the port was opened is kept.
//!
//! # Exclusive use
//!
//! Two programs on one serial line would take each other's bytes, so the second one is refused. Unix has two
//! locks for this, and `serialport` takes both: flock(2), which is released when the program that took it
//! ends, and the flag `TIOCEXCL` (ioctl_tty(2)), which belongs to the terminal. A killed program leaves the
//! flag set, and as long as any end of the terminal is open, only root can open it again. A real device is
//! closed by then. The master of a pseudo-terminal stays open, and no later client could reach it. So
//! [`Port::open`] keeps the flag on real devices only, and a port made by [`Port::loopback`] clears it
//! whenever it looks for input, since other clients may set it.

mod name;
pub use name::{PortName, is_pseudo_terminal};

use serialport::{DataBits, FlowControl, Parity, SerialPort, SerialPortBuilder, StopBits};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// Bytes that are buffered in each direction.
const BUFFER: usize = 256;
/// Most bytes of one write. `serialport` waits with a timeout until the device is ready, but then does a
/// blocking write, which on unix returns only when all bytes are taken. A ready device takes this many on
/// Linux: the drivers of real devices have buffers of about a page, and a pseudo-terminal with any room takes
/// one page more. Elsewhere a ready device has room for one byte. On Windows the write itself has a timeout.
const MAX_WRITE: usize = if cfg!(any(target_os = "linux", windows)) { 64 } else { 1 };
/// The longest single wait for the device.
const MAX_WAIT: Duration = Duration::from_millis(250);
/// The longest wait for input while output is queued.
const OUTPUT_RETRY: Duration = Duration::from_millis(20);

/// The speed of a loopback, which has none: that of a client by default.
const LOOPBACK_BAUD: u32 = 115_200;

/// An open serial port.
#[derive(Debug)]
pub struct Port {
    name: PortName,
    /// `None` once it is closed.
    device: Option<Box<dyn SerialPort>>,
    input: VecDeque<u8>,
    output: VecDeque<u8>,
    /// The other end of a loopback, kept open so that the master sees no hang-up between two clients.
    slave: Option<Box<dyn SerialPort>>,
}

/// The other end of a port made by [`Port::loopback`].
#[cfg(unix)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loopback {
    /// The path that clients open, one at a time. It exists until the [`Port`] is dropped.
    pub path: String,
}

impl Port {
    /// Opens the serial port or pseudo-terminal at `path`, with a speed of `baud` bits a second.
    ///
    /// # Errors
    /// The port cannot be opened; the message names the path. The kind is
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) where another program uses the port.
    pub fn open(path: &str, baud: u32) -> io::Result<Port> {
        // Before the port is opened: a link that is made anew after this is another one.
        let name = PortName::new(path, baud);
        // Pseudo-terminals of macOS have no speed; 0 sets none.
        let baud = if cfg!(target_os = "macos") && path.starts_with("/dev/ttys") { 0 } else { baud };
        let settings = serialport::new(path, baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(FlowControl::None);
        let device = open_exclusive(settings).map_err(|error| {
            let (kind, text) = if cfg!(unix) && error.kind() == serialport::ErrorKind::NoDevice {
                (io::ErrorKind::ResourceBusy, "another program is using it".to_owned())
            } else {
                (io::Error::from(error.clone()).kind(), error.to_string())
            };
            io::Error::new(kind, format!("cannot open {path}: {text}"))
        })?;
        Ok(Port::new(name, device))
    }

    /// Opens a pseudo-terminal pair (pty(7)) in raw mode. The port is its master; clients open the path of
    /// the other end, one after another.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left.
    #[cfg(unix)]
    pub fn loopback() -> io::Result<(Port, Loopback)> {
        let (master, slave) = serialport::TTYPort::pair()?;
        // Clones, unlike the originals, are closed on exec: a child process would keep the terminal open.
        let (master, slave) = (master.try_clone()?, slave.try_clone()?);
        let path = slave.name().ok_or_else(|| io::Error::other("the pseudo-terminal has no name"))?;
        let port = Port { slave: Some(slave), ..Port::new(PortName::new(&path, LOOPBACK_BAUD), master) };
        Ok((port, Loopback { path }))
    }

    fn new(name: PortName, device: Box<dyn SerialPort>) -> Port {
        let (input, output) = (VecDeque::with_capacity(BUFFER), VecDeque::with_capacity(BUFFER));
        Port { name, device: Some(device), input, output, slave: None }
    }

    /// The name by which it can be opened again.
    pub fn name(&self) -> &PortName {
        &self.name
    }

    /// Closes the device; every later call is an error.
    pub fn close(&mut self) {
        self.device = None;
    }

    /// The speed in bits a second that it was opened with.
    pub fn baud(&self) -> u32 {
        self.name.baud
    }

    /// Waits until there is input or the end of file (true), or `timeout` has passed (false). Writes queued
    /// output meanwhile.
    ///
    /// # Errors
    /// The device failed or is gone.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline.map_or(MAX_WAIT, |end| end.saturating_duration_since(Instant::now()));
            self.write_queued(Duration::ZERO)?;
            if self.fill_input(left.min(if self.output.is_empty() { MAX_WAIT } else { OUTPUT_RETRY }))? {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// Waits up to `timeout` for input, unless some is buffered. True if there is some or, with an empty
    /// buffer, at the end of file.
    fn fill_input(&mut self, timeout: Duration) -> io::Result<bool> {
        if !self.input.is_empty() {
            return Ok(true);
        }
        self.clear_exclusive_flag();
        let mut bytes = [0; BUFFER];
        match opened(&mut self.device, timeout).and_then(|device| device.read(&mut bytes)) {
            Ok(n) => self.input.extend(bytes.iter().take(n)),
            Err(error) if is_temporary(&error) => return Ok(false),
            Err(error) => return Err(self.with_name(error)),
        }
        Ok(true)
    }

    /// Writes as much of the queue as the device takes, waiting up to `timeout` for the first bytes.
    fn write_queued(&mut self, mut timeout: Duration) -> io::Result<()> {
        while let Some(bytes) = self.output.as_slices().0.chunks(MAX_WRITE).next() {
            match opened(&mut self.device, timeout).and_then(|device| device.write(bytes)) {
                Ok(0) if cfg!(windows) => break, // timeout
                Ok(0) => return Err(self.with_name(io::ErrorKind::WriteZero.into())),
                Ok(n) => drop(self.output.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_temporary(&error) => break,
                Err(error) => return Err(self.with_name(error)),
            }
            timeout = Duration::ZERO;
        }
        Ok(())
    }

    /// Waits until at most `rest` bytes are queued.
    fn drain_output(&mut self, rest: usize) -> io::Result<()> {
        while self.output.len() > rest {
            self.clear_exclusive_flag();
            self.write_queued(MAX_WAIT)?;
        }
        Ok(())
    }

    /// Lets the next client open the other end of a loopback (see "Exclusive use"). To close a clone of the
    /// slave clears the flag and leaves the `flock` as it is.
    fn clear_exclusive_flag(&self) {
        drop(self.slave.as_ref().map(|slave| slave.try_clone()));
    }

    fn with_name(&self, error: io::Error) -> io::Error {
        let (name, gone) = (&self.name.path, error.kind() == io::ErrorKind::BrokenPipe);
        let text = if gone { "the device is gone, or its other end closed" } else { &error.to_string() };
        io::Error::new(error.kind(), format!("{name}: {text}"))
    }
}

impl embedded_io::ErrorType for Port {
    type Error = io::Error;
}

impl embedded_io::Read for Port {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !buf.is_empty() && !self.wait(Duration::MAX)? {}
        io::Read::read(&mut self.input, buf) // 0 only at the end of file
    }
}

impl embedded_io::ReadReady for Port {
    fn read_ready(&mut self) -> io::Result<bool> {
        self.fill_input(Duration::ZERO)
    }
}

impl embedded_io::Write for Port {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.drain_output(BUFFER - 1)?;
        let n = buf.len().min(BUFFER - self.output.len());
        self.output.extend(buf.iter().take(n));
        self.write_queued(Duration::ZERO)?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain_output(0)?;
        loop {
            match opened(&mut self.device, MAX_WAIT).and_then(|device| device.flush()) {
                Err(error) if is_temporary(&error) => {}
                result => return result.map_err(|error| self.with_name(error)),
            }
        }
    }
}

impl embedded_io::WriteReady for Port {
    fn write_ready(&mut self) -> io::Result<bool> {
        self.write_queued(Duration::ZERO)?;
        Ok(self.output.is_empty())
    }
}

/// Opens the device for exclusive use.
fn open_exclusive(settings: SerialPortBuilder) -> serialport::Result<Box<dyn SerialPort>> {
    #[cfg(unix)]
    {
        let mut device = settings.open_native()?;
        // A pseudo-terminal has no modem lines, which tells it from a real device. Without the flag a shared
        // `flock` is left, which still refuses an exclusive one, such as the next port asks for.
        if device.read_clear_to_send().is_err() {
            device.set_exclusive(false)?;
        }
        Ok(Box::new(device))
    }
    #[cfg(not(unix))]
    settings.open()
}

/// The device, with a limit for the wait of the next read or write. On Windows, 0 would mean no limit.
fn opened(
    device: &mut Option<Box<dyn SerialPort>>,
    timeout: Duration,
) -> io::Result<&mut Box<dyn SerialPort>> {
    let device = device.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    let least = if cfg!(windows) { Duration::from_millis(1) } else { Duration::ZERO };
    device.set_timeout(timeout.max(least))?;
    Ok(device)
}

/// Whether an operation may succeed when it is tried again.
fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use embedded_io::{Read, ReadReady, Write, WriteReady};

    const LONG: Duration = Duration::from_secs(20);

    fn pair() -> (Port, Port) {
        let (master, loopback) = Port::loopback().unwrap();
        (master, Port::open(&loopback.path, 115_200).unwrap())
    }

    /// Reads the next `n` bytes at `to`, while `from` writes its queue.
    fn take(from: &mut Port, to: &mut Port, n: usize) -> Vec<u8> {
        let (mut taken, start) = (Vec::new(), Instant::now());
        while taken.len() < n {
            assert!(start.elapsed() < LONG, "{} of {n} bytes came", taken.len());
            from.write_ready().unwrap();
            if to.wait(Duration::from_millis(1)).unwrap() {
                let mut bytes = [0; 100];
                let got = to.read(&mut bytes[..100.min(n - taken.len())]).unwrap();
                assert_ne!(got, 0);
                taken.extend(&bytes[..got]);
            }
        }
        taken
    }

    #[test]
    fn every_byte_passes_unchanged_both_ways() {
        let (mut a, mut b) = pair();
        let bytes: Vec<u8> = (0..=255).collect();
        for _ in 0..4 {
            a.write_all(&bytes).unwrap();
            a.flush().unwrap();
            assert_eq!(take(&mut a, &mut b, 256), bytes);
            assert!(!a.read_ready().unwrap() && !b.read_ready().unwrap(), "an echo");
            std::mem::swap(&mut a, &mut b);
        }
    }

    #[test]
    fn wait_ends_at_the_deadline_and_read_blocks() {
        let (mut a, mut b) = pair();
        for time in [0, 1, 30, 300].map(Duration::from_millis) {
            let start = Instant::now();
            assert!(!a.wait(time).unwrap());
            assert!(start.elapsed() >= time);
        }
        let reader = std::thread::spawn(move || {
            let (start, mut bytes) = (Instant::now(), [0; 8]);
            assert_eq!((a.read(&mut bytes).unwrap(), bytes[0]), (1, 7));
            assert!(a.wait(2 * LONG).unwrap() && start.elapsed() < LONG);
            assert_eq!((a.read(&mut bytes).unwrap(), bytes[0]), (1, 8));
        });
        for byte in [7, 8] {
            assert!(!b.wait(Duration::from_millis(50)).unwrap());
            b.write_all(&[byte]).unwrap();
        }
        reader.join().unwrap();
    }

    #[test]
    fn a_write_to_an_unread_port_neither_blocks_nor_loses_bytes() {
        let (a, b) = pair();
        for (mut from, mut to) in [pair(), (b, a)] {
            let mut sent = Vec::new();
            // A device that looks full may have room a moment later, when the system has moved its bytes.
            while from.write_ready().unwrap() || {
                assert!(!from.wait(Duration::from_millis(100)).unwrap());
                from.write_ready().unwrap()
            } {
                assert!(sent.len() < 1 << 24, "the device never gets full");
                let bytes: Vec<u8> = (0..199).map(|i| ((sent.len() + i) % 251) as u8).collect();
                let n = from.write(&bytes).unwrap();
                assert!(n > 0);
                sent.extend(&bytes[..n]);
            }
            assert!(take(&mut from, &mut to, sent.len()) == sent);
            assert!(from.write_ready().unwrap() && !to.read_ready().unwrap());
        }
    }

    #[test]
    fn clients_use_a_loopback_one_at_a_time() {
        let (mut master, loopback) = Port::loopback().unwrap();
        for turn in 0..5 {
            let mut client = Port::open(&loopback.path, 115_200).unwrap();
            let second = Port::open(&loopback.path, 115_200).err().unwrap();
            assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
            assert!(second.to_string().contains(&loopback.path), "{second}");
            client.write_all(&[turn]).unwrap();
            assert_eq!(take(&mut client, &mut master, 1), [turn]);
            drop(client);
            assert!(!master.wait(Duration::from_millis(5)).unwrap());
        }
        let mut client = Port::open(&loopback.path, 115_200).unwrap();
        drop(master);
        assert_eq!(client.wait(LONG).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(client.write(&[1]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let missing = Port::open("/dev/no-such-port", 9600).err().unwrap();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(missing.to_string().contains("/dev/no-such-port"), "{missing}");
    }

    /// Root is exempt from the flag: run by root, this proves less.
    #[test]
    fn a_killed_client_does_not_lock_out_the_next() {
        if let Ok(path) = std::env::var("TEST_SERIAL_PATH") {
            let mut client = serialport::new(path, 115_200).timeout(LONG).open().unwrap();
            client.write_all(&[1]).unwrap();
            return assert!(client.read(&mut [0]).is_err());
        }
        let (mut master, loopback) = Port::loopback().unwrap();
        let mut client = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("a_killed_client_does_not_lock_out_the_next")
            .env("TEST_SERIAL_PATH", &loopback.path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        assert_eq!(take(&mut Port::loopback().unwrap().0, &mut master, 1), [1]);
        client.kill().unwrap();
        client.wait().unwrap();
        assert!(!master.wait(Duration::ZERO).unwrap());
        Port::open(&loopback.path, 115_200).unwrap();
    }
}
