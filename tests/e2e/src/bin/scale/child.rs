//! Measures a child process: how long it runs, the memory that it holds, and what it reads from the disk, by proc(5).
use std::{
    fs,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How often a child is looked at.
const INTERVAL: Duration = Duration::from_millis(2);

/// Clock ticks of /proc/PID/stat in a second: USER_HZ, the same on every kernel of Linux that we run on.
const TICKS: u64 = 100;

/// What a child has taken, as it was seen last before its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// From its start to its end.
    pub(crate) time: Duration,
    /// The processor's time of it, which a busy machine does not make longer.
    pub(crate) processor: Duration,
    /// The most memory that it held at once, in bytes.
    pub(crate) peak: u64,
    /// What it read from the disk, in bytes.
    pub(crate) read: u64,
}

/// Runs a command, which must succeed. Its standard output is discarded.
pub(crate) fn run(mut command: Command) -> Taken {
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let (pid, over) = (child.id(), AtomicBool::new(false));
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut taken = Taken::default();
            while !over.load(Ordering::Relaxed) {
                taken.processor = processor(pid).unwrap_or(taken.processor);
                taken.peak = memory(pid, "VmHWM").unwrap_or(taken.peak);
                taken.read = read_from_disk(pid).unwrap_or(taken.read);
                thread::sleep(INTERVAL);
            }
            taken
        });
        let status = child.wait().unwrap();
        let time = began.elapsed();
        over.store(true, Ordering::Relaxed);
        assert!(status.success(), "{command:?}: {status}");
        Taken { time, ..watch.join().unwrap() }
    })
}

/// The processor's time of a process so far, to a hundredth of a second.
fn processor(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may have blanks: utime and stime are the 12th and the 13th there.
    let fields: Vec<u64> =
        stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    Some(Duration::from_millis((fields.get(11)? + fields.get(12)?) * 1000 / TICKS))
}

/// A line of /proc/PID/status, in bytes: `VmRSS` is the memory that a process holds, `VmHWM` the most that it held.
pub(crate) fn memory(pid: u32, line: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|text| text.strip_prefix(line))?;
    Some(line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().ok()? * 1024)
}

/// What a process has read from the disk so far, in bytes; what the page cache has is not read.
pub(crate) fn read_from_disk(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.parse().ok()
}
