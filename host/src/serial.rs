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
mod tests;
