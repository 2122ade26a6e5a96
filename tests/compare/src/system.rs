//! The systems under test: each is started here, measured, and stopped when it is dropped.
use super::{
    BURST, DataFolder, Sample, TIMEOUT, Timing, disk, echo, free_port, load,
    postgres::{Postgres, Rows},
    protocols::{EchoProtocol, HEADER, RedisProtocol},
    signals, sqlite,
};
use atm_bench::{
    LoadConfig, Report,
    customer::InputStyle,
    measurements::Measurements,
    mix::{Mix, OperationKind},
};
use atm_core::wire::Wire;
use atm_e2e::{Program, Server, atm, project_root};
use std::{cell::Cell, env, net::SocketAddr, process::Command, time::Duration};

/// The name of the disk alone.
pub const DISK: &str = "fdatasync alone";

/// A running system.
#[derive(Debug)]
pub struct System {
    /// Its name in tables.
    pub name: &'static str,
    kind: SystemKind,
}

#[derive(Debug)]
enum SystemKind {
    /// atm's server, or the original program's design in Python.
    Atm {
        server: Server,
        wire: Wire,
        input_style: InputStyle,
        mix: Mix,
        durable: Durable,
    },
    Echo {
        server: Server,
        request: usize,
    },
    Redis {
        address: SocketAddr,
        _program: Program,
        _folder: tempfile::TempDir,
    },
    Postgres {
        postgres: std::rc::Rc<Postgres>,
        rows: Rows,
    },
    Sqlite(DataFolder),
    Disk(DataFolder),
}

/// The folder of a server's ledger on disk.
type Durable = Option<tempfile::TempDir>;

/// The average sizes of our server's requests and replies.
#[derive(Clone, Copy, Debug)]
pub struct Bodies {
    /// Bytes of a request, without its frame.
    pub request: usize,
    /// Bytes of a reply, without its frame.
    pub reply: usize,
}

impl System {
    /// atm's server with its ledger in memory.
    pub fn atm(wire: Wire) -> Self {
        let (name, option) = match wire {
            Wire::Json => ("atm, json", "json"),
            Wire::Raw => ("atm, raw", "raw"),
            Wire::Postcard => ("atm, postcard", "postcard"),
        };
        let server = Server::start(&["--wire", option, "--log", "warn"]);
        let (input_style, mix) = (InputStyle::Menu, Mix::default());
        Self { name, kind: SystemKind::Atm { server, wire, input_style, mix, durable: None } }
    }

    /// atm's server with its ledger on disk, for a load of deposits alone.
    ///
    /// # Errors
    /// Its folder cannot be created.
    pub fn durable_atm(data_folder: &DataFolder, input_style: InputStyle) -> Result<Self, String> {
        let folder = data_folder.temporary()?;
        let data = folder.path().join("ledger");
        let data = data.to_str().ok_or("the folder's path is not UTF-8")?;
        let server = Server::start(&["--data", data, "--log", "warn"]);
        let name = match input_style {
            InputStyle::Menu => "atm, two answers a deposit",
            InputStyle::Words => "atm, one answer a deposit",
        };
        let mix = Mix::only(OperationKind::Deposit);
        Ok(Self {
            name,
            kind: SystemKind::Atm { server, wire: Wire::Json, input_style, mix, durable: Some(folder) },
        })
    }

    /// A bare echo server, by this program with `--echo`.
    ///
    /// # Errors
    /// The path of this program is unknown.
    pub fn echo(concurrency: echo::Concurrency, bodies: Bodies) -> Result<Self, String> {
        let (name, option) = match concurrency {
            echo::Concurrency::Threads => ("echo, threads", "threads"),
            echo::Concurrency::Loop => ("echo, event loop", "loop"),
        };
        let mut command = Command::new(env::current_exe().map_err(|error| error.to_string())?);
        command.args(["--echo", option, "--echo-reply", &bodies.reply.to_string()]);
        Ok(Self {
            name,
            kind: SystemKind::Echo { server: Server::of(Program::start(command)), request: bodies.request },
        })
    }

    /// Redis, in memory or with each write synced before its reply.
    ///
    /// # Errors
    /// There is no folder or no free port for it.
    pub fn redis(data_folder: &DataFolder, durable: bool) -> Result<Self, String> {
        let folder = data_folder.temporary()?;
        let port = free_port().map_err(|error| error.to_string())?;
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--maxclients",
            "20000",
        ]);
        command.args([
            "--appendonly",
            if durable { "yes" } else { "no" },
            "--appendfsync",
            "always",
            "--dir",
        ]);
        let program = Program::start({
            command.arg(folder.path());
            command
        });
        program.wait_for("Ready to accept connections");
        let name = if durable { "Redis, appendfsync always" } else { "Redis" };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self { name, kind: SystemKind::Redis { address, _program: program, _folder: folder } })
    }

    /// The original program's design, in Python: a thread per client.
    pub fn python(nodelay: bool) -> Self {
        let mut command = Command::new("python3");
        command.arg(project_root().join("tests/compare/python/threads.py"));
        if nodelay {
            command.arg("--nodelay");
        }
        let name = if nodelay { "Python, TCP_NODELAY" } else { "Python" };
        let server = Server::of(Program::start(command));
        let (wire, input_style, mix) = (Wire::Raw, InputStyle::Menu, Mix::default());
        Self { name, kind: SystemKind::Atm { server, wire, input_style, mix, durable: None } }
    }

    /// PostgreSQL, as two systems: one whose sessions all update the same row, and one whose sessions update
    /// random rows.
    ///
    /// # Errors
    /// It does not start.
    pub fn postgres(data_folder: &DataFolder) -> Result<[Self; 2], String> {
        let postgres = std::rc::Rc::new(Postgres::start(data_folder)?);
        Ok([("PostgreSQL, one row", Rows::Hot), ("PostgreSQL, 10,000 rows", Rows::Many)].map(
            |(name, rows)| Self { name, kind: SystemKind::Postgres { postgres: postgres.clone(), rows } },
        ))
    }

    /// Starts PostgreSQL and stops it again, to find errors before anything is measured.
    ///
    /// # Errors
    /// It does not start.
    pub fn try_postgres(data_folder: &DataFolder) -> Result<(), String> {
        Postgres::start(data_folder).map(drop)
    }

    /// SQLite with a write-ahead log, synced at each commit.
    pub fn sqlite(data_folder: &DataFolder) -> Self {
        Self { name: "SQLite, WAL, FULL", kind: SystemKind::Sqlite(data_folder.clone()) }
    }

    /// The disk alone: one fdatasync after the other, whatever the number of sessions.
    pub fn disk(data_folder: &DataFolder) -> Self {
        Self { name: DISK, kind: SystemKind::Disk(data_folder.clone()) }
    }

    /// Measures it once.
    ///
    /// # Errors
    /// A session was lost, a balance is wrong, or the system failed.
    pub fn measure(&self, sessions: usize, timing: Timing) -> Result<Sample, String> {
        self.try_measure(sessions, timing)
            .map_err(|error| format!("{}, {sessions} sessions: {error}", self.name))
    }

    fn try_measure(&self, sessions: usize, timing: Timing) -> Result<Sample, String> {
        match &self.kind {
            SystemKind::Atm { server, wire, input_style, mix, durable } => {
                let report = atm_load(server.address, (*wire, *input_style, *mix), sessions, timing)?;
                // In memory answers are compared with requests, on disk operations with operations.
                Ok(sample(&report.measurements, durable.is_some()))
            }
            SystemKind::Echo { server, request } => {
                measured(load(server.address, || EchoProtocol::new(*request), sessions, timing))
                    .map(|all| sample(&all, false))
            }
            SystemKind::Redis { address, .. } => {
                let seed = Cell::new(0);
                let protocol = || RedisProtocol::new(seed.replace(seed.get() + 1));
                measured(load(*address, protocol, sessions, timing)).map(|all| sample(&all, false))
            }
            SystemKind::Postgres { postgres, rows } => postgres.measure(*rows, sessions, timing),
            SystemKind::Sqlite(data_folder) => sqlite::measure(data_folder, sessions, timing),
            SystemKind::Disk(data_folder) => disk::measure(data_folder, timing),
        }
    }

    /// Measures the average sizes of its requests and replies.
    ///
    /// # Errors
    /// It is not an ATM, or the measurement fails.
    pub fn bodies(&self) -> Result<Bodies, String> {
        let SystemKind::Atm { server, wire, input_style, mix, .. } = &self.kind else {
            return Err(format!("{} is not an ATM", self.name));
        };
        let timing = Timing { warm_up: Duration::ZERO, duration: Duration::from_millis(200) };
        let report = atm_load(server.address, (*wire, *input_style, *mix), 8, timing)?;
        let body =
            |bytes: u64| (bytes as f64 / report.measurements.answers.max(1) as f64).round() as usize - HEADER;
        Ok(Bodies {
            request: body(report.measurements.bytes_sent),
            reply: body(report.measurements.bytes_received),
        })
    }
}

/// Runs a load on an ATM and checks every balance.
fn atm_load(
    address: SocketAddr,
    (wire, input_style, mix): (Wire, InputStyle, Mix),
    sessions: usize,
    timing: Timing,
) -> Result<Report, String> {
    let Timing { warm_up, duration } = timing;
    let config = LoadConfig {
        address,
        wire,
        sessions,
        terminals: None,
        burst: BURST,
        threads: 1,
        warm_up,
        duration,
        mix,
        input_style,
        rate: None,
        seed: fastrand::u64(..),
        shared: false,
        timeout: TIMEOUT,
    };
    let report =
        atm_bench::run_until(&config, &mut |_| {}, signals::flag()).map_err(|error| error.to_string())?;
    if report.passed() { Ok(report) } else { Err(report.to_string()) }
}

fn measured(result: std::io::Result<Measurements>) -> Result<Measurements, String> {
    let measured = result.map_err(|error| error.to_string())?;
    if measured.lost == 0 {
        Ok(measured)
    } else {
        Err(format!("{} lost: {}", measured.lost, measured.reasons.join("; ")))
    }
}

/// The sample of all requests, or of those that complete an operation.
fn sample(measured: &Measurements, operations: bool) -> Sample {
    let (count, latency) = match operations {
        false => (measured.answers, &measured.answer_latency),
        true => (measured.operations, &measured.operation_latency),
    };
    Sample {
        throughput: measured.throughput(count),
        p50: Some(latency.quantile(0.5)),
        p99: Some(latency.quantile(0.99)),
        cpu_share: measured.cpu_share(),
    }
}

/// atm's server for the measurement of idle sessions.
pub(super) fn idle_server(sessions: usize) -> Server {
    Server::of(Program::start(atm(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--max-sessions",
        &sessions.to_string(),
        "--log",
        "error",
    ])))
}
