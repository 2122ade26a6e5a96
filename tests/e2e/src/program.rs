//! Child processes: the built programs and others, their output collected, killed at the end of a test.
use crate::{Signal, TIMEOUT, output};
use rustix::process::{Pid, kill_process};
use std::{
    io::{ErrorKind, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

/// The output of a child so far, and whether it has ended.
#[derive(Debug, Default)]
struct Stream {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Stream {
    /// The stream of a child whose output goes elsewhere: empty and ended.
    fn none() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((Vec::new(), true)), changed: Condvar::new() })
    }

    /// Collects `source` in a thread, up to its end.
    fn collect(mut source: impl Read + Send + 'static) -> Arc<Self> {
        let stream = Arc::new(Self::default());
        let into = stream.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let count = match source.read(&mut bytes) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    result => result.unwrap_or(0),
                };
                let mut state = into.state.lock().unwrap();
                state.0.extend_from_slice(&bytes[..count]);
                state.1 = count == 0;
                into.changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        stream
    }

    /// Waits until `found` returns something for the whole text. `Err` with the text at its end or at `until`.
    fn wait<T>(&self, found: impl Fn(&str) -> Option<T>, until: Instant) -> Result<T, String> {
        let mut state = self.state.lock().unwrap();
        loop {
            let text = String::from_utf8_lossy(&state.0);
            if let Some(found) = found(&text) {
                return Ok(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return Err(text.into_owned());
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// The whole text, once it has ended, or what there is at `until`.
    fn all(&self, until: Instant) -> String {
        match self.wait(|_| None::<()>, until) {
            Ok(()) => String::new(),
            Err(text) => text,
        }
    }
}

/// A child process. Its output is collected; it is killed on drop.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Stream>,
    stderr: Arc<Stream>,
}

/// The exit code and the output of a [`Program`] that has ended.
#[derive(Debug)]
pub struct Output {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Program {
    /// Starts a program; the test writes its standard input.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    /// Starts a program with another standard error than a collected one.
    pub fn start_with(mut command: Command, stderr: Stdio) -> Self {
        let name = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = Stream::collect(child.stdout.take().unwrap());
        let stderr = child.stderr.take().map_or_else(Stream::none, Stream::collect);
        Self { name, stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// Starts a program whose streams are set already; its output is read from `terminal`.
    pub(crate) fn spawn(mut command: Command, terminal: impl Read + Send + 'static) -> Self {
        let name = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, child, stdin: None, stdout: Stream::collect(terminal), stderr: Stream::none() }
    }

    /// Waits until it has exited; returns its exit code.
    pub(crate) fn wait_for_exit(&mut self) -> Option<i32> {
        self.wait(Instant::now() + TIMEOUT).code()
    }

    /// Runs a program with `input` as its standard input, and waits until it has exited.
    pub fn run(command: Command, input: &str) -> Output {
        let mut program = Self::start(command);
        // It may exit before it has read everything.
        let _ = program.stdin.take().unwrap().write_all(input.as_bytes());
        program.finish()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    pub fn type_line(&mut self, line: &str) {
        self.type_bytes(format!("{line}\n").as_bytes());
    }

    /// Writes bytes to its standard input.
    pub fn type_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("its standard input is open");
        stdin.write_all(bytes).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Writes bytes to its standard input, unless it has closed that.
    pub fn try_type_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stdin.as_mut().expect("its standard input is open").write_all(bytes);
    }

    /// Closes its standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until its standard output contains `text`.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(|all| all.contains(text).then_some(()));
    }

    /// Waits until its standard output contains `text` `times` times.
    pub fn wait_for_times(&self, text: &str, times: usize) {
        self.wait_until(|all| (all.matches(text).count() >= times).then_some(()));
    }

    /// Waits until its standard output contains the texts of `times` prompts of our hosts.
    pub fn wait_for_prompts(&self, times: usize) {
        self.wait_until(|all| (prompts(all) >= times).then_some(()));
    }

    /// Waits until `found` returns something for its standard output so far.
    pub fn wait_until<T>(&self, found: impl Fn(&str) -> Option<T>) -> T {
        let result = self.stdout.wait(found, Instant::now() + TIMEOUT);
        result.unwrap_or_else(|text| panic!("{}: the expected output has not come: {text:?}", self.name))
    }

    /// Waits until its standard error contains `text`.
    pub fn wait_for_stderr(&self, text: &str) {
        let found = |all: &str| all.contains(text).then_some(());
        let result = self.stderr.wait(found, Instant::now() + TIMEOUT);
        result.unwrap_or_else(|all| panic!("{}: no {text:?} on standard error: {all:?}", self.name));
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.all(Instant::now())
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.all(Instant::now())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// The root of its file system, which may differ from the test's (proc_pid_root(5)).
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.child.id()))
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has exited. Its standard input stays open, if it is.
    pub fn finish(mut self) -> Output {
        let until = Instant::now() + TIMEOUT;
        let status = self.wait(until);
        let (stdout, stderr) = (self.stdout.all(until), self.stderr.all(until));
        Output { code: status.code(), stdout, stderr }
    }

    fn wait(&mut self, until: Instant) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "{} has not exited", self.name);
            // waitpid(2) has no timeout: the status is polled.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() && !output::is_closed() {
            eprintln!("--- {}\n{}\n--- standard error\n{}", self.name, self.stdout(), self.stderr());
        }
    }
}

/// How many texts of prompts an output has.
pub fn prompts(output: &str) -> usize {
    [MENU_END, "deposit? (whole units, or back)\n", "withdraw? (whole units, all, or back)\n"]
        .iter()
        .map(|end| output.matches(end).count())
        .sum()
}

/// The end of the menu's text.
const MENU_END: &str = "exit ends the session, quit also stops the server.\n";
