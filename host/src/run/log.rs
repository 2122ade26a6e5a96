//! Log output: a thread writes the events to standard error, so that a reader that pauses stops nothing but the log.
//!
//! What waits for the reader is bounded; lines beyond are dropped and counted.
use crate::cli::{LogFormat, LogLevel};
use anyhow::Result;
use atm_host::log::SERVER;
use std::{
    io::{self, ErrorKind, Write},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tracing::{error, level_filters::LevelFilter};

/// Most bytes that wait to be written: some 5,000 operations.
const MAX_WAITING: usize = 1 << 20;

/// How long the exit waits for them to be written.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// What waits to be written.
struct Queue {
    bytes: Vec<u8>,
    /// Lines for which there was no room, and which no event has reported yet.
    dropped: u64,
    /// The thread runs.
    has_writer: bool,
    /// The thread writes bytes that it has taken.
    is_writing: bool,
}

static QUEUE: Mutex<Queue> =
    Mutex::new(Queue { bytes: Vec::new(), dropped: 0, has_writer: false, is_writing: false });

/// The queue has changed.
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs events of `level` and above from here on.
///
/// # Errors
/// The thread cannot be spawned.
pub(super) fn init(level: LogLevel, format: LogFormat) -> Result<()> {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    thread::Builder::new().name("log".into()).spawn(|| {
        loop {
            write_waiting();
        }
    })?;
    lock().has_writer = true;
    let subscriber = tracing_subscriber::fmt()
        .with_writer(|| Line)
        .with_max_level(level)
        .with_ansi(false)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => {
            subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
        }
    }
    Ok(())
}

/// Writes an error as the last line on standard error, if there is one, after the log. Waits at most [`FLUSH_TIME`] where there is
/// a log.
pub(crate) fn finish(error: Option<&str>) {
    let mut queue = lock();
    if let Some(error) = error {
        if !queue.has_writer {
            // A failure to write it cannot be reported.
            let _ = writeln!(io::stderr(), "{error}");
            return;
        }
        queue.bytes.extend([error.as_bytes(), b"\n"].concat());
        CHANGED.notify_all();
    }
    let is_unwritten = |queue: &mut Queue| queue.has_writer && (queue.is_writing || !queue.bytes.is_empty());
    let _ = CHANGED.wait_timeout_while(queue, FLUSH_TIME, is_unwritten);
}

/// Waits for lines, and writes all that there are.
fn write_waiting() {
    let is_empty = |queue: &mut Queue| queue.bytes.is_empty() && queue.dropped == 0;
    let mut queue = CHANGED.wait_while(lock(), is_empty).unwrap_or_else(PoisonError::into_inner);
    let (bytes, dropped) = (mem::take(&mut queue.bytes), mem::take(&mut queue.dropped));
    queue.is_writing = true;
    drop(queue);
    if dropped > 0 {
        // Its line stands where the dropped ones would.
        error!(target: SERVER, lines = dropped, "lines of the log were dropped: standard error was not read");
    }
    write(&bytes);
    lock().is_writing = false;
    CHANGED.notify_all();
}

/// Writes to standard error, and waits where that would block. Another failure cannot be reported.
fn write(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match io::stderr().write(bytes) {
            Ok(count) if count > 0 => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A program that shares it has made it non-blocking.
            #[cfg(unix)]
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                use rustix::event::{PollFd, PollFlags, poll};
                let _ = poll(&mut [PollFd::new(&io::stderr(), PollFlags::OUT)], None);
            }
            _ => return,
        }
    }
}

/// Takes one line from the subscriber, which writes each event at once.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = lock();
        // To notify is a system call. A thread that has lines to write looks again when it has written them.
        let is_awaited = queue.bytes.is_empty() && !queue.is_writing;
        if queue.bytes.len() + line.len() > MAX_WAITING {
            queue.dropped += 1;
        } else {
            queue.bytes.extend(line);
        }
        if is_awaited {
            CHANGED.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
