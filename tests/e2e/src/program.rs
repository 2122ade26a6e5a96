//! Child processes: the built programs and others, their output collected, killed at the end of a test.
use crate::{Client, Signal, TIMEOUT, output};
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

/// Python with a script and its arguments. `None` on a machine without Python, where the test is skipped with a message:
/// neither the build nor the tests depend on it.
pub fn python(script: &Path, arguments: &[&str]) -> Option<Command> {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let present = *PRESENT.get_or_init(|| {
        Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
    });
    if !present {
        eprintln!("skipped: there is no python3 on this machine");
        return None;
    }
    let mut command = Command::new("python3");
    // -u: unbuffered output.
    command.arg("-u").arg(script).args(arguments);
    Some(command)
}

/// The folder `examples` of the repository.
pub fn examples() -> PathBuf {
    project_root().join("examples")
}

/// The folder of the original programs, which these replace.
pub fn original_programs() -> PathBuf {
    project_root().join("tests/e2e/original")
}

/// The folder of the repository.
pub fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A program of the workspace, of this test's target folder and profile. `cargo test --workspace` has built it, as atm-host
/// and firmware-sim have integration tests; after a command that names other packages it is built here.
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
    // A test is in its subfolder `deps`, a program in the folder itself.
    let deps = test.ancestors().find(|path| path.ends_with("deps")).and_then(Path::parent);
    deps.or(test.parent()).unwrap().to_owned()
}

/// Whether a program is newer than each of its sources. Cargo lists these in a file beside it, in the syntax of a Makefile
/// (doc.rust-lang.org/cargo/reference/build-cache.html, "Dep-info files"), without the manifests.
fn is_up_to_date(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (Some(built), Ok(list)) = (modified(program), fs::read_to_string(program.with_extension("d"))) else {
        return false;
    };
    let Some((_, sources)) = list.split_once(": ") else { return false };
    // A blank in a path is escaped by a backslash.
    let sources = sources.trim().replace("\\ ", "\0");
    let sources = sources.split(' ').map(|path| PathBuf::from(path.replace('\0', " ")));
    let manifests =
        ["", "core", "host", "firmware-sim"].map(|folder| project_root().join(folder).join("Cargo.toml"));
    sources.chain(manifests).all(|path| modified(&path).is_some_and(|changed| changed < built))
}

/// Builds the programs into `folder`. This package is named too: so the libraries have the same features as in this test,
/// and are not built a second time.
fn build(folder: PathBuf) -> Result<PathBuf, String> {
    let packages = ["atm-e2e", "atm-host", "firmware-sim"].iter().flat_map(|package| ["-p", package]);
    let programs = PROGRAMS.iter().flat_map(|name| ["--bin", name]);
    run_cargo(&folder, packages.chain(programs)).map(|()| folder)
}

/// Builds `atm` with a feature of `atm-host`, in this program's target folder and profile, and copies it to a folder there: a build
/// without the feature replaces the program, and not the copy.
///
/// # Errors
/// What the compiler says.
pub fn build_atm_with(feature: &str) -> Result<PathBuf, String> {
    let folder = target_folder();
    run_cargo(&folder, ["-p", "atm-host", "--features", feature, "--bin", "atm"].into_iter())?;
    let copies = folder.join(format!("with-{feature}"));
    let [copy, partial] = ["atm", "atm.partial"].map(|name| copies.join(name));
    fs::create_dir_all(&copies)
        .and_then(|()| fs::copy(folder.join("atm"), &partial))
        // A copy that runs is not written to.
        .and_then(|_| fs::rename(partial, &copy))
        .map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(copy)
}

/// Runs `cargo build` into a folder of programs.
fn run_cargo<'a>(folder: &Path, arguments: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let profile = match folder.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--profile", profile]).args(arguments);
    let parent = folder.parent().unwrap();
    // With `--target`, the folder is DIR/TARGET/PROFILE, and Cargo marks DIR and DIR/TARGET.
    match parent.parent().filter(|above| above.join("CACHEDIR.TAG").exists()) {
        Some(above) => cargo.arg("--target").arg(parent.file_name().unwrap()).arg("--target-dir").arg(above),
        None => cargo.arg("--target-dir").arg(parent),
    };
    let output = cargo.current_dir(project_root()).stdin(Stdio::null()).output().unwrap();
    let success = output.status.success();
    if success { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The command in a network of its own, where the system chooses `first` or the next port for a connection, and no server
/// listens; `None` without the program `ip`.
pub fn with_ephemeral_ports(command: &Command, first: u16) -> Option<Command> {
    let has_ip = Command::new("ip").arg("-V").output().is_ok_and(|output| output.status.success());
    if !has_ip {
        eprintln!("skipped: there is no `ip`");
        return None;
    }
    let range = format!("{first} {}", first + 1);
    let script = format!(
        "ip link set lo up && echo {range} > /proc/sys/net/ipv4/ip_local_port_range && exec \"$0\" \"$@\""
    );
    let mut alone = Command::new("unshare");
    alone.args(["-rn", "sh", "-c", &script]).arg(command.get_program()).args(command.get_args());
    Some(alone)
}

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

/// A running `atm serve`.
#[derive(Debug)]
pub struct Server {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The program.
    pub program: Program,
}

impl Server {
    /// Starts a server on a free port of the loopback address, unless the arguments have a `--listen`.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = atm(&["serve"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(arguments);
        Self::of(Program::start(command))
    }

    /// A server that was just started: reads its address from its first line.
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

    /// Connects a client of the `json` wire and reads the greeting.
    pub fn client(&self) -> Client {
        Client::greeted(self.address)
    }

    /// The balance in minor units, asked for by a new client of the `json` wire.
    pub fn balance(&self) -> u64 {
        self.client().balance()
    }

    /// Stops it with SIGTERM; it must exit with code 0, without a panic. It waits up to 2 s for connected clients: drop
    /// these first.
    pub fn stop(self) {
        self.finish();
    }

    /// Stops it as [`stop`](Self::stop) does, and returns its log.
    pub fn finish(self) -> String {
        self.program.signal(Signal::TERM);
        let done = self.program.finish();
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(!done.stderr.contains("panicked"), "{done:?}");
        done.stderr
    }
}

/// A running `firmware-sim`, behind a pseudo-terminal.
#[derive(Debug)]
pub struct FirmwareSim {
    /// The path of the serial port that clients open.
    pub path: String,
    /// The program.
    pub program: Program,
}

impl FirmwareSim {
    /// Starts `firmware-sim`.
    pub fn start(arguments: &[&str]) -> Self {
        let program = Program::start(firmware_sim(arguments));
        let path = program.wait_until(|text| {
            let line = first_line(text)?;
            Some(line.split(' ').nth(2).expect("its first line names its port").to_owned())
        });
        Self { path, program }
    }

    /// Opens its port to exchange raw bytes, not as the test's controlling terminal.
    pub fn open(&self) -> File {
        let no_controlling_terminal = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(no_controlling_terminal)
            .open(&self.path)
            .unwrap()
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

/// The first line, once it is complete.
fn first_line(text: &str) -> Option<&str> {
    text.split_once('\n').map(|(line, _)| line)
}
