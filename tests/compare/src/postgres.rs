//! PostgreSQL, with a cluster of its own, and pgbench, which comes with it and is its own load.
use super::{DataFolder, Sample, TIMEOUT, Timing, free_port};
use atm_e2e::{Output, Program};
use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Accounts, where each session updates any of them.
const ACCOUNTS: u32 = 10_000;

/// Sessions that may be open at once, beside those that it keeps for itself.
const SESSIONS: usize = 1_100;

/// Which account is updated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows {
    /// Always the same one, as with us.
    Hot,
    /// Any.
    Many,
}

/// A server with a cluster of its own.
#[derive(Debug)]
pub(super) struct Postgres {
    programs: PathBuf,
    port: u16,
    folder: tempfile::TempDir,
    /// Dropped after the folder is not used any more, and before it is removed.
    program: Option<Program>,
    user: Option<(u32, u32)>,
}

/// Where Debian puts the programs of its newest version.
pub(super) fn programs() -> Result<PathBuf, String> {
    let lacks = || "there is no PostgreSQL on this machine: apt-get install postgresql".to_owned();
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
        let user = if rustix::process::getuid().is_root() { Some(its_user()?) } else { None };
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).map_err(|error| format!("its folder: {error}"))?;
        }
        let port = free_port().map_err(|error| error.to_string())?;
        let mut postgres = Self { programs, port, folder, program: None, user };
        let data = postgres.folder.path().join("data");
        let data = data.to_str().ok_or("the folder's name is no text")?;
        postgres.run("initdb", &["-D", data, "-A", "trust", "-U", "postgres", "--no-sync"])?;
        let (port, sessions) = (format!("port={port}"), format!("max_connections={SESSIONS}"));
        let sockets = format!("unix_socket_directories={}", postgres.folder.path().display());
        // Everything else as it comes: every commit is synced before it is acknowledged.
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
             INSERT INTO account SELECT id, 100 FROM generate_series(1, {ACCOUNTS}) id"
        ))?;
        let scripts = [
            ("hot.sql", "UPDATE account SET balance = balance + 1 WHERE id = 1;\n".to_owned()),
            (
                "many.sql",
                format!(
                    "\\set id random(1, {ACCOUNTS})\nUPDATE account SET balance = balance + 1 WHERE id = :id;\n"
                ),
            ),
        ];
        for (name, text) in scripts {
            fs::write(postgres.folder.path().join(name), text).map_err(|error| error.to_string())?;
        }
        Ok(postgres)
    }

    /// Updates for some time, a transaction each.
    pub(super) fn measure(&self, rows: Rows, sessions: usize, timing: Timing) -> Result<Sample, String> {
        let script = self.folder.path().join(match rows {
            Rows::Hot => "hot.sql",
            Rows::Many => "many.sql",
        });
        // It has no warm-up of its own; what it takes to connect is not in what it counts.
        if !timing.warm_up.is_zero() {
            self.pgbench(&script, sessions, timing.warm_up)?;
        }
        let before = self.updates()?;
        let done = self.pgbench(&script, sessions, timing.duration)?;
        self.told(&done, before)
    }

    /// Runs its load, for a whole number of seconds: it takes no other.
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

    /// What it told, held against what the accounts have more than before.
    fn told(&self, done: &Output, before: i64) -> Result<Sample, String> {
        let after = |word: &str| {
            let line = done.stdout.lines().find_map(|line| line.strip_prefix(word));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
                .ok_or_else(|| format!("pgbench told no {word}: {done:?}"))
        };
        let (rate, transactions) = (after("tps = ")?, after("number of transactions actually processed: ")?);
        let updates = self.updates()? - before;
        if updates != transactions as i64 {
            return Err(format!("PostgreSQL has {updates} updates of {transactions}"));
        }
        Ok(Sample { rate, p50: None, p99: None, busy: None })
    }

    /// How much was added to the accounts.
    fn updates(&self) -> Result<i64, String> {
        let told = self.sql("SELECT sum(balance) FROM account")?;
        told.trim().parse().map_err(|_| format!("PostgreSQL told {told:?} for a sum"))
    }

    fn sql(&self, statement: &str) -> Result<String, String> {
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
                "postgres",
            ],
        )?;
        Ok(done.stdout)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, String> {
        let mut command = self.command(program);
        command.args(arguments);
        // The time that it is to take and the patience that there is with it are different things.
        let output = command.output().map_err(|error| self.denied(&format!("{program}: {error}")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let done =
            Output { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        if done.code == Some(0) {
            Ok(done)
        } else {
            Err(self.denied(&format!("{program}: {}", done.stderr.trim())))
        }
    }

    /// What is to be done where its user may not enter the folder.
    fn denied(&self, error: &str) -> String {
        let denied = self.user.is_some() && error.to_lowercase().contains("permission denied");
        let help = "; the user postgres must be able to enter the folder: --disk DIR names another";
        format!("{error}{}", if denied { help } else { "" })
    }

    /// It refuses to work for root.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(program) = self.program.take() {
            // At once, but in order: killed, it would leave shared memory behind.
            program.signal(atm_e2e::Signal::INT);
            let _ = program.finish();
        }
    }
}

fn path(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| "the folder's name is no text".to_owned())
}

/// The user that Debian's package makes for it.
fn its_user() -> Result<(u32, u32), String> {
    let users = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let numbers = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    numbers.ok_or_else(|| "there is no user postgres on this machine: apt-get install postgresql".to_owned())
}
