//! Programs as children of a test.
use crate::{Client, Signal, TIMEOUT};
use rustix::{
    fs::OFlags,
    process::{Pid, kill_process},
};
use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// The built `atm` with arguments.
pub fn atm(arguments: &[&str]) -> Command {
    built("atm", arguments)
}

/// The built `firmware-sim` with arguments.
pub fn firmware_sim(arguments: &[&str]) -> Command {
    built("firmware-sim", arguments)
}

/// Python with a script and its arguments; `None`, with a word about it, on a machine without Python: nobody needs it
/// to build the project or to pass its tests.
pub fn python(script: &Path, arguments: &[&str]) -> Option<Command> {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let present = *PRESENT.get_or_init(|| {
        Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
    });
    if !present {
        eprintln!("passed over: there is no python3 on this machine");
        return None;
    }
    let mut command = Command::new("python3");
    // Unbuffered, so that what it says is seen when it says it.
    command.arg("-u").arg(script).args(arguments);
    Some(command)
}

/// The folder of the examples.
pub fn examples() -> PathBuf {
    project_root().join("examples")
}

/// The folder of the programs that ours replace.
pub fn original_programs() -> PathBuf {
    project_root().join("tests/e2e/original")
}

/// The project's folder.
pub fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A program of the workspace, in the folder and the profile that this test was built into. `cargo test --workspace` has
/// built it already; a command that names other packages may not have: then it is built here.
fn built(name: &str, arguments: &[&str]) -> Command {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let folder = target_folder();
        if PROGRAMS.iter().all(|name| is_up_to_date(&folder.join(name))) { Ok(folder) } else { build(folder) }
    };
    let folder = FOLDER.get_or_init(build).as_ref().unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(folder.join(name));
    command.args(arguments);
    command
}

const PROGRAMS: [&str; 2] = ["atm", "firmware-sim"];

/// The folder that Cargo puts programs into: `target/debug` or another profile's.
fn target_folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    // A test lies in `deps` below it, a program in the folder itself.
    let deps = test.ancestors().find(|path| path.ends_with("deps")).and_then(Path::parent);
    deps.or(test.parent()).unwrap().to_owned()
}

/// Is a program newer than each of its sources? Cargo lists them beside it, in the syntax of a Makefile
/// (doc.rust-lang.org/cargo/reference/build-cache.html, "Dep-info files"); manifests are not among them.
fn is_up_to_date(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (Some(built), Ok(list)) = (modified(program), fs::read_to_string(program.with_extension("d"))) else {
        return false;
    };
    let Some((_, sources)) = list.split_once(": ") else { return false };
    // A blank inside a path has a backslash before it.
    let sources = sources.trim().replace("\\ ", "\0");
    let sources = sources.split(' ').map(|path| PathBuf::from(path.replace('\0', " ")));
    let manifests =
        ["", "core", "host", "firmware-sim"].map(|folder| project_root().join(folder).join("Cargo.toml"));
    sources.chain(manifests).all(|path| modified(&path).is_some_and(|changed| changed < built))
}

/// Builds the programs into `folder`. With this package among those named, their libraries have the features that they
/// have in this test, and are not built a second time.
fn build(folder: PathBuf) -> Result<PathBuf, String> {
    let profile = match folder.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "-p",
        "atm-e2e",
        "-p",
        "atm-host",
        "-p",
        "firmware-sim",
        "--profile",
        profile,
    ]);
    cargo.args(PROGRAMS.iter().flat_map(|name| ["--bin", name]));
    let parent = folder.parent().unwrap();
    // Built for a target that was named, its folder stands between; both are marked.
    match parent.parent().filter(|above| above.join("CACHEDIR.TAG").exists()) {
        Some(above) => cargo.arg("--target").arg(parent.file_name().unwrap()).arg("--target-dir").arg(above),
        None => cargo.arg("--target-dir").arg(parent),
    };
    let output = cargo.current_dir(project_root()).stdin(Stdio::null()).output().unwrap();
    let success = output.status.success();
    if success { Ok(folder) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// What a child wrote so far.
#[derive(Debug, Default)]
struct Stream {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Stream {
    /// One that goes elsewhere.
    fn none() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((Vec::new(), true)), changed: Condvar::new() })
    }

    /// Collects what comes from `source`, in a thread that ends with it.
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

    /// Waits for text that `found` finds something in; `Err` with all of it where it ended, or took too long.
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

    /// All of it, once it ended.
    fn all(&self, until: Instant) -> String {
        match self.wait(|_| None::<()>, until) {
            Ok(()) => String::new(),
            Err(text) => text,
        }
    }
}

/// A child whose output is collected, and which is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Stream>,
    stderr: Arc<Stream>,
}

/// What came of a [`Program`].
#[derive(Debug)]
pub struct Output {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote on standard output.
    pub stdout: String,
    /// All that it wrote on standard error.
    pub stderr: String,
}

impl Program {
    /// Starts a program whose input the test writes.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    /// Starts one whose errors may go elsewhere.
    pub fn start_with(mut command: Command, stderr: Stdio) -> Self {
        let name = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = Stream::collect(child.stdout.take().unwrap());
        let stderr = child.stderr.take().map_or_else(Stream::none, Stream::collect);
        Self { name, stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// Starts a program whose streams were chosen; `screen` is where its output is to be read.
    pub(crate) fn spawn(mut command: Command, screen: impl Read + Send + 'static) -> Self {
        let name = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, child, stdin: None, stdout: Stream::collect(screen), stderr: Stream::none() }
    }

    /// Waits until it has ended by itself; returns its exit code.
    pub(crate) fn exit(&mut self) -> Option<i32> {
        self.wait(Instant::now() + TIMEOUT).code()
    }

    /// Runs a program whose whole input is `input` to its end.
    pub fn run(command: Command, input: &str) -> Output {
        let mut program = Self::start(command);
        // It may have seen enough before it has read everything.
        let _ = program.stdin.take().unwrap().write_all(input.as_bytes());
        program.finish()
    }

    /// Its number in the system.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has written `text` on standard output.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(|all| all.contains(text).then_some(()));
    }

    /// Waits until it has written `text` on standard output `times` times.
    pub fn wait_for_times(&self, text: &str, times: usize) {
        self.wait_until(|all| (all.matches(text).count() >= times).then_some(()));
    }

    /// Waits until `found` finds something in what it wrote on standard output.
    pub fn wait_until<T>(&self, found: impl Fn(&str) -> Option<T>) -> T {
        let result = self.stdout.wait(found, Instant::now() + TIMEOUT);
        result.unwrap_or_else(|text| panic!("{}: not what was expected: {text:?}", self.name))
    }

    /// Waits until it has written `text` on standard error.
    pub fn wait_for_stderr(&self, text: &str) {
        let found = |all: &str| all.contains(text).then_some(());
        let result = self.stderr.wait(found, Instant::now() + TIMEOUT);
        result.unwrap_or_else(|all| panic!("{}: no {text:?} on standard error: {all:?}", self.name));
    }

    /// What it wrote on standard error up to now.
    pub fn stderr(&self) -> String {
        self.stderr.all(Instant::now())
    }

    /// What it wrote on standard output up to now.
    pub fn stdout(&self) -> String {
        self.stdout.all(Instant::now())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// The files that it sees, where it may see others than the test.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.child.id()))
    }

    /// Is it still running?
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended by itself; its input stays open if it is.
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
            assert!(Instant::now() < until, "{} has not ended", self.name);
            // The system tells no deadline to whoever waits for a child.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}\n{}\n--- its errors\n{}", self.name, self.stdout(), self.stderr());
        }
    }
}

/// `atm serve` on a port of its own.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The program.
    pub program: Program,
}

impl Server {
    /// Starts a server on the loopback address, unless the arguments name another.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = atm(&["serve"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(arguments);
        Self::of(Program::start(command))
    }

    /// A server that was just started.
    pub fn of(program: Program) -> Self {
        let address = program.wait_until(|text| {
            let line = first_line(text)?;
            Some(
                line.split(' ')
                    .nth(2)
                    .and_then(|word| word.parse().ok())
                    .expect("its first line names its address"),
            )
        });
        Self { address, program }
    }

    /// A client of it that was greeted, on the `json` wire.
    pub fn client(&self) -> Client {
        Client::greeted(self.address)
    }

    /// The balance, as a new client is told it, on the `json` wire.
    pub fn balance(&self) -> u64 {
        self.client().balance()
    }

    /// Stops it with SIGTERM; it must exit with 0 and must not have panicked. It waits a while for clients that are still
    /// there: drop them first.
    pub fn stop(self) {
        self.program.signal(Signal::TERM);
        let done = self.program.finish();
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(!done.stderr.contains("panicked"), "{done:?}");
    }
}

/// `firmware-sim` behind a pseudo-terminal of its own.
#[derive(Debug)]
pub struct FirmwareSim {
    /// The serial port that clients open.
    pub path: String,
    /// The program.
    pub program: Program,
}

impl FirmwareSim {
    /// Starts it.
    pub fn start(arguments: &[&str]) -> Self {
        let program = Program::start(firmware_sim(arguments));
        let path = program.wait_until(|text| {
            let line = first_line(text)?;
            Some(line.split(' ').nth(2).expect("its first line names its port").to_owned())
        });
        Self { path, program }
    }

    /// Its port, as somebody opens it who is no client.
    pub fn open(&self) -> File {
        let nobodys = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        OpenOptions::new().read(true).write(true).custom_flags(nobodys).open(&self.path).unwrap()
    }
}

/// The first line, once it is whole.
fn first_line(text: &str) -> Option<&str> {
    text.split_once('\n').map(|(line, _)| line)
}
