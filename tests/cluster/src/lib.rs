//! PostgreSQL servers of a test: each has its own cluster on a Unix socket in a temporary folder, and is stopped and removed at the end.
//!
//! A server can have a [standby](Cluster::standby), and fail as a machine does: [killed](Cluster::kill), [halted](Cluster::halt), or
//! without its [postmaster](Cluster::kill_postmaster).
#![forbid(unsafe_code)]
// A failure here is a test's failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod network;
mod processes;
mod proxy;
mod psql;

pub use proxy::{Fault, Proxy, When, held};
pub use psql::{Psql, Row};

use rustix::fs::statvfs;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    net::Ipv4Addr,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The port that names the socket's file.
const PORT: &str = "5432";

/// How long the server may take to start.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Between two looks at a server that starts.
const POLL: Duration = Duration::from_millis(5);

/// A server. It is stopped, and its folder removed, when this is dropped.
pub struct Cluster {
    folder: TempDir,
    /// `None` after it was killed.
    server: Option<Child>,
    /// Where it listens, besides its Unix socket.
    address: Option<Ipv4Addr>,
    /// The language of its messages; English if it is empty.
    language: &'static str,
}

/// Debian's programs of the version that is tested.
fn program(name: &str) -> PathBuf {
    let path = Path::new("/usr/lib/postgresql/15/bin").join(name);
    assert!(path.exists(), "{} is missing: apt-get install postgresql", path.display());
    path
}

/// The ids of the user `postgres`, which the package makes, where this process is root's: PostgreSQL refuses that.
fn user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("there is no user postgres");
    let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
    Some((ids.next().unwrap(), ids.next().unwrap()))
}

fn command(name: &str) -> Command {
    let mut command = Command::new(program(name));
    if let Some((user, group)) = user() {
        command.gid(group).uid(user);
    }
    command
}

/// A folder in memory, in which a new cluster takes half a second instead of two.
const MEMORY: &str = "/dev/shm";

/// The room that a cluster and its log may take, in bytes.
const ROOM: u64 = 2 << 30;

/// A folder for a cluster, of the user that runs its server: in memory, where there is room. Servers do not sync.
fn new_folder() -> TempDir {
    let has_room = statvfs(MEMORY).is_ok_and(|system| system.f_bavail * system.f_frsize >= ROOM);
    let folder = if has_room { tempfile::tempdir_in(MEMORY) } else { tempfile::tempdir() }.unwrap();
    if let Some((user, group)) = user() {
        chown(folder.path(), Some(user), Some(group)).unwrap();
    }
    folder
}

/// Runs a program that must succeed.
fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Cluster {
    /// Makes a cluster and starts its server.
    ///
    /// # Panics
    /// PostgreSQL 15 is not installed, or does not start.
    pub fn start() -> Self {
        Self::start_in("")
    }

    /// Does what [`start`](Self::start) does, with a server whose messages are in this language.
    ///
    /// # Panics
    /// The ones of [`start`](Self::start).
    pub fn start_in(language: &'static str) -> Self {
        let folder = new_folder();
        succeed(
            command("initdb")
                .args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "-D"])
                .arg(folder.path().join("data")),
        );
        let mut cluster = Self { folder, server: None, address: None, language };
        cluster.run();
        cluster
    }

    /// Copies a running cluster and starts the copy's server, which follows this one. It is a synchronous standby if this one's setting
    /// `synchronous_standby_names` names `standby`.
    pub fn standby(&self) -> Self {
        let folder = new_folder();
        let source = format!(
            "host={} port={PORT} user=postgres application_name=standby",
            self.folder.path().display()
        );
        succeed(
            command("pg_basebackup")
                .args([
                    "--write-recovery-conf",
                    "--checkpoint=fast",
                    "--no-sync",
                    "--no-manifest",
                    "-d",
                    &source,
                    "-D",
                ])
                .arg(folder.path().join("data")),
        );
        let mut standby = Self { folder, server: None, address: None, language: self.language };
        standby.run();
        standby
    }

    /// Makes a standby a server that takes writes.
    pub fn promote(&self) {
        succeed(command("pg_ctl").args(["promote", "-D"]).arg(self.data()));
    }

    /// Changes a setting that needs no restart.
    pub fn set(&self, name: &str, value: &str) {
        self.sql("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Stops the server as a loss of power would, and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Starts a server that was killed or stopped, and waits until it answers.
    pub fn run(&mut self) {
        self.spawn();
        let until = Instant::now() + TIMEOUT;
        while !self.is_ready() {
            assert!(Instant::now() < until, "PostgreSQL does not start: {}", self.log());
            // The server may refuse to start while a process of the one before is left.
            if self.server.as_mut().is_none_or(|server| server.try_wait().unwrap().is_some()) {
                self.spawn();
            }
            thread::sleep(POLL);
        }
    }

    /// Whether the server has written into its file of process ids that it takes connections: lines 1 and 8 of it, as `pg_ctl` reads them.
    fn is_ready(&self) -> bool {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let line = |at| file.lines().nth(at).map(str::trim);
        let id = self.server.as_ref().map(|server| server.id().to_string());
        line(0) == id.as_deref() && matches!(line(7), Some("ready" | "standby"))
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn psql(&self, database: &str, sql: &str) -> Output {
        self.client(database).args(["-c", sql]).output().unwrap()
    }

    /// `psql` at a database, which reads statements from its standard input.
    pub fn client(&self, database: &str) -> Command {
        let mut command = Command::new(program("psql"));
        command
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-p", PORT, "-h"])
            .arg(self.folder.path())
            .args(["-d", database]);
        command
    }

    /// What psql prints for a statement.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.psql(database, sql);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes a database of this name, without tables; returns its address.
    pub fn create(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// The address of a database for the command line.
    pub fn url(&self, name: &str) -> String {
        url(self.folder.path(), PORT, name)
    }

    /// The folder with the sockets, the log and the data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{PORT}"))
    }
}

fn url(folder: &Path, port: &str, name: &str) -> String {
    let socket = folder.display().to_string().replace('/', "%2F");
    format!("postgres://postgres@{socket}:{port}/{name}")
}

/// Failures.
impl Cluster {
    /// Kills all processes of the server with SIGKILL.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        processes::signal_all(server.id(), Signal::KILL);
        server.wait().unwrap();
    }

    /// Kills the postmaster with SIGKILL. Its processes end, one after the other, but those that are halted.
    pub fn kill_postmaster(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Stops the server with `pg_ctl stop -m immediate`: what was not written is lost, as with a loss of power.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let stopped =
            command("pg_ctl").args(["stop", "-m", "immediate", "-D"]).arg(self.data()).output().unwrap();
        if !stopped.status.success() {
            let _ = server.kill();
        }
        let _ = server.wait();
    }

    /// Halts all processes of the server with SIGSTOP: its connections stay open, and nothing is answered.
    pub fn halt(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets the processes of the server go on after [`halt`](Self::halt).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            processes::signal_all(server.id(), signal);
        }
    }

    /// The process of a session whose application has this name, if there is one.
    pub fn backend(&self, application: &str) -> Option<Backend> {
        let sql =
            format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{application}' LIMIT 1");
        let pid = self.sql("postgres", &sql).parse().ok()?;
        Pid::from_raw(pid).map(Backend)
    }
}

/// A server's process that serves one session.
pub struct Backend(Pid);

impl Backend {
    /// Halts it with SIGSTOP; it keeps what it has locked.
    pub fn halt(&self) {
        let _ = kill_process(self.0, Signal::STOP);
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.resume();
        self.stop();
        processes::remove_segment(&self.data());
    }
}

impl Cluster {
    /// Starts the server.
    fn spawn(&mut self) {
        let folder = self.folder.path();
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(folder);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let address = self.address.map(|address| address.to_string()).unwrap_or_default();
        command.args(["-c", &format!("listen_addresses={address}")]).env("LANGUAGE", self.language);
        self.server = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }
}

/// Settings of every server. A standby connects again at once, and finds what it has missed.
const SETTINGS: [&str; 6] = [
    // In files of its folder: what a killed server leaves goes with it.
    "dynamic_shared_memory_type=mmap",
    "port=5432",
    "max_connections=300",
    "fsync=off",
    "wal_retrieve_retry_interval=100ms",
    "wal_keep_size=512MB",
];
