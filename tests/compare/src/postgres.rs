//! PostgreSQL with a database cluster of its own, and its load generator pgbench.
use super::{DataFolder, Sample, TIMEOUT, Timing, free_port};
use atm_e2e::{Output, Program};
use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Accounts, where sessions update random ones.
const ACCOUNTS: u32 = 10_000;

/// Time for one session to connect.
const TO_CONNECT: Duration = Duration::from_millis(5);

/// PostgreSQL's max_connections: enough for 1,000 sessions and its own reserve.
const MAX_CONNECTIONS: usize = 1_100;

/// A transaction: a balance is raised, and an entry says so. One statement takes one round trip.
const TRANSACTION: &str = "WITH moved AS (UPDATE account SET balance = balance + 1 WHERE id = :id RETURNING id, balance) \
                           INSERT INTO entry (account, amount, balance) SELECT id, 1, balance FROM moved;";

/// Which accounts are updated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows {
    /// Always the same one, as in atm.
    Hot,
    /// Random ones.
    Many,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Postgres {
    programs: PathBuf,
    port: u16,
    folder: tempfile::TempDir,
    /// Stopped in `drop`, before the folder is removed.
    program: Option<Program>,
    /// The user and group to run as, if this program runs as root: PostgreSQL refuses to.
    user: Option<(u32, u32)>,
}

/// The folder of the programs of the newest version that Debian has installed.
pub(super) fn programs() -> Result<PathBuf, String> {
    let lacks = || "PostgreSQL is not installed: apt-get install postgresql".to_owned();
    let versions = fs::read_dir("/usr/lib/postgresql").map_err(|_| lacks())?;
    let number = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok())
    };
    let newest = versions
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/pgbench").exists())
        .max_by_key(number);
    newest.map(|path| path.join("bin")).ok_or_else(lacks)
}

impl Postgres {
    pub(super) fn start(data_folder: &DataFolder) -> Result<Self, String> {
        let programs = programs()?;
        let folder = data_folder.temporary()?;
        let user = if rustix::process::getuid().is_root() { Some(postgres_user()?) } else { None };
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group))
                .map_err(|error| format!("PostgreSQL's folder: {error}"))?;
        }
        let port = free_port().map_err(|error| error.to_string())?;
        let mut postgres = Self { programs, port, folder, program: None, user };
        let data = postgres.folder.path().join("data");
        let data = data.to_str().ok_or("the folder's path is not UTF-8")?;
        postgres.run("initdb", &["-D", data, "-A", "trust", "-U", "postgres", "--no-sync"])?;
        let (port, sessions) = (format!("port={port}"), format!("max_connections={MAX_CONNECTIONS}"));
        let sockets = format!("unix_socket_directories={}", postgres.folder.path().display());
        // All other settings are the defaults: every commit is synced before it is acknowledged.
        let settings =
            ["listen_addresses=127.0.0.1", &port, &sessions, &sockets, "fsync=on", "synchronous_commit=on"];
        let mut command = postgres.command("postgres");
        command.args(["-D", data]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        postgres.program = Some(Program::start(command));
        let until = Instant::now() + TIMEOUT;
        while let Err(error) = postgres.sql("SELECT 1") {
            if Instant::now() > until {
                let errors = postgres.program.as_ref().map(Program::stderr).unwrap_or_default();
                return Err(format!("PostgreSQL does not start: {error} {errors}"));
            }
        }
        postgres.sql(&format!(
            "CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL); \
             CREATE TABLE entry (number bigserial PRIMARY KEY, time timestamptz NOT NULL DEFAULT now(), \
             account int NOT NULL, amount bigint NOT NULL, balance bigint NOT NULL); \
             INSERT INTO account SELECT id, 100 FROM generate_series(1, {ACCOUNTS}) id"
        ))?;
        for (name, account) in [("hot.sql", "1".to_owned()), ("many.sql", format!("random(1, {ACCOUNTS})"))] {
            let text = format!("\\set id {account}\n{TRANSACTION}\n");
            fs::write(postgres.folder.path().join(name), text).map_err(|error| error.to_string())?;
        }
        Ok(postgres)
    }

    /// Runs transactions of one update and one insert each.
    pub(super) fn measure(&self, rows: Rows, sessions: usize, timing: Timing) -> Result<Sample, String> {
        let script = self.folder.path().join(match rows {
            Rows::Hot => "hot.sql",
            Rows::Many => "many.sql",
        });
        // pgbench has no warm-up of its own; its result does not include the time to connect.
        if !timing.warm_up.is_zero() {
            self.pgbench(&script, sessions, timing.warm_up)?;
        }
        let before = self.totals()?;
        // It begins to count the time before it connects, and its result is that of what is left then.
        let connecting = TO_CONNECT * u32::try_from(sessions).unwrap_or(u32::MAX);
        let done = self.pgbench(&script, sessions, timing.duration + connecting)?;
        self.sample(&done, before)
    }

    /// Runs pgbench, rounded up to whole seconds, which it requires.
    fn pgbench(&self, script: &Path, sessions: usize, time: Duration) -> Result<Output, String> {
        let seconds = time.as_secs_f64().ceil().max(1.0).to_string();
        let (port, sessions) = (self.port.to_string(), sessions.to_string());
        self.run(
            "pgbench",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-n",
                "-M",
                "prepared",
                "-c",
                &sessions,
                "-T",
                &seconds,
                "-f",
                path(script)?,
                "postgres",
            ],
        )
    }

    /// The sample in pgbench's output; its number of transactions must be the one in the tables.
    fn sample(&self, done: &Output, before: (i64, i64)) -> Result<Sample, String> {
        let after = |word: &str| {
            let line = done.stdout.lines().find_map(|line| line.strip_prefix(word));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
                .ok_or_else(|| format!("pgbench reported no {word}: {done:?}"))
        };
        let transactions = after("number of transactions actually processed: ")?;
        // Without a transaction, as on a machine that is busy with something else, pgbench reports no rate.
        let throughput = if transactions > 0.0 { after("tps = ")? } else { 0.0 };
        let after = self.totals()?;
        let (updates, entries) = (after.0 - before.0, after.1 - before.1);
        if (updates, entries) != (transactions as i64, transactions as i64) {
            return Err(format!("{updates} updates and {entries} entries after {transactions} transactions"));
        }
        Ok(Sample { throughput, p50: None, p99: None, cpu_share: None, database: None })
    }

    /// The sum of all balances, to which each update adds 1, and the number of entries.
    fn totals(&self) -> Result<(i64, i64), String> {
        let row = self.sql("SELECT (SELECT sum(balance) FROM account), (SELECT count(*) FROM entry)")?;
        let totals = row.trim().split_once('|');
        let totals = totals.and_then(|(sum, count)| Some((sum.parse().ok()?, count.parse().ok()?)));
        totals.ok_or_else(|| format!("PostgreSQL returned {row:?} for two totals"))
    }

    fn sql(&self, statement: &str) -> Result<String, String> {
        self.sql_in("postgres", statement)
    }

    /// What psql prints for a statement in a database.
    pub(super) fn sql_in(&self, database: &str, statement: &str) -> Result<String, String> {
        let port = self.port.to_string();
        let done = self.run(
            "psql",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-X",
                "-At",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statement,
                database,
            ],
        )?;
        Ok(done.stdout)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, String> {
        let mut command = self.command(program);
        command.args(arguments);
        // Without a timeout: pgbench takes as long as it was asked to.
        let output = command.output().map_err(|error| self.with_hint(&format!("{program}: {error}")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let done =
            Output { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        if done.code == Some(0) {
            Ok(done)
        } else {
            Err(self.with_hint(&format!("{program}: {}", done.stderr.trim())))
        }
    }

    /// Adds a hint to an error: the user postgres may have no access to the folder.
    fn with_hint(&self, error: &str) -> String {
        let denied = self.user.is_some() && error.to_lowercase().contains("permission denied");
        let help = "; the user postgres needs access to the folder: choose another one with --disk DIR";
        format!("{error}{}", if denied { help } else { "" })
    }

    /// A command, run as the user postgres if this program runs as root.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// Databases of hosts.
#[cfg(feature = "postgres")]
impl Postgres {
    /// Makes a database without tables.
    pub(super) fn create(&self, name: &str) -> Result<(), String> {
        self.sql(&format!("CREATE DATABASE {name}")).map(drop)
    }

    /// The address of a database for the command line.
    pub(super) fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// The bytes of write-ahead log so far.
    pub(super) fn written(&self) -> Result<u64, String> {
        let row = self.sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")?;
        row.trim().parse().map_err(|_| format!("PostgreSQL returned {row:?} for the length of its log"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(program) = self.program.take() {
            // SIGINT is PostgreSQL's fast shutdown; after SIGKILL it would leave shared memory behind.
            program.signal(atm_e2e::Signal::INT);
            let _ = program.finish();
        }
    }
}

fn path(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| "the folder's path is not UTF-8".to_owned())
}

/// The user and group that Debian's package creates.
fn postgres_user() -> Result<(u32, u32), String> {
    let users = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let numbers = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    numbers.ok_or_else(|| "the user postgres does not exist: apt-get install postgresql".to_owned())
}
