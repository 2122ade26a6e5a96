//! PostgreSQL server of a test: its own cluster, on a Unix socket in a temporary folder, stopped and removed at the end.
#![forbid(unsafe_code)]
// A failure here is a test's failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod proxy;
mod psql;

pub use proxy::{Fault, Proxy, When, held};
pub use psql::{Psql, Row};

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The port that names the socket's file.
const PORT: &str = "5432";

/// How long the server may take to start.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running server. It is stopped, and its folder removed, when this is dropped.
pub struct Cluster {
    folder: TempDir,
    server: Child,
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

impl Cluster {
    /// Makes a cluster and starts its server.
    ///
    /// # Panics
    /// PostgreSQL 15 is not installed, or does not start.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some((user, group)) = user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        let made = command("initdb")
            .args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let server = run(folder.path());
        let cluster = Self { folder, server };
        cluster.wait();
        cluster
    }

    /// Stops the server as a loss of power would, and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.server = run(self.folder.path());
        self.wait();
    }

    /// Stops the server as a loss of power would.
    pub fn stop(&mut self) {
        let stopped = command("pg_ctl")
            .args(["stop", "-m", "immediate", "-D"])
            .arg(self.folder.path().join("data"))
            .output();
        if !stopped.is_ok_and(|output| output.status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }

    /// Halts every process of the server, so that it is silent, and its connections stay open.
    pub fn halt(&self) {
        assert!(self.signal("-STOP"));
    }

    /// Lets the processes of the server go on after [`halt`](Self::halt).
    pub fn resume(&self) {
        assert!(self.signal("-CONT"));
    }

    /// Sends a signal to the server and its children, the server first, which starts no more of them then; returns whether it runs.
    fn signal(&self, signal: &str) -> bool {
        let server = self.server.id().to_string();
        let Ok(children) = fs::read_to_string(format!("/proc/{server}/task/{server}/children")) else {
            return false;
        };
        let ids = [server.as_str()].into_iter().chain(children.split_whitespace());
        // A child may have ended meanwhile.
        ids.for_each(|id| drop(Command::new("kill").args([signal, id]).stderr(Stdio::null()).status()));
        true
    }

    fn wait(&self) {
        let until = Instant::now() + TIMEOUT;
        while !self.try_sql("postgres", "SELECT 1") {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "PostgreSQL does not start: {}", log());
            thread::yield_now();
        }
    }

    fn try_sql(&self, database: &str, sql: &str) -> bool {
        self.psql(database, sql).status.success()
    }

    fn psql(&self, database: &str, sql: &str) -> std::process::Output {
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

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{PORT}"))
    }

    /// The address of a database for the command line.
    pub fn url(&self, name: &str) -> String {
        url(self.folder.path(), PORT, name)
    }

    /// The folder with the sockets, the log and the data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn url(folder: &Path, port: &str, name: &str) -> String {
    let socket = folder.display().to_string().replace('/', "%2F");
    format!("postgres://postgres@{socket}:{port}/{name}")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal("-CONT");
        self.stop();
    }
}

/// Starts the server in a folder.
fn run(folder: &Path) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    command("postgres")
        .arg("-D")
        .arg(folder.join("data"))
        .args([
            "-c",
            "listen_addresses=",
            "-c",
            "port=5432",
            "-c",
            "max_connections=300",
            "-c",
            "fsync=off",
            "-k",
        ])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
