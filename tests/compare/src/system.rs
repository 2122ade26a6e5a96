//! The systems under test: each is started here, measured, and stopped when it is dropped.
use super::{
    DataFolder, Sample, Timing,
    atm::{self, AtmLoad, Terminals},
    disk, echo,
    echo_protocol::{EchoProtocol, HEADER},
    links::{LinkServer, Protection},
    load,
    postgres::{Postgres, Rows},
    redis::{Redis, RedisCommand, RedisProtocol},
    sqlite,
};
#[cfg(feature = "postgres")]
use super::{hosts::SharedLedger, ledgers};
use atm_bench::{customer::InputStyle, measurements::Measurements};
use atm_core::wire::Wire;
use atm_e2e::{Program, Server, project_root};
use std::{cell::Cell, env, path::Path, process::Command, rc::Rc, time::Duration};

/// The name of the disk alone.
pub const DISK: &str = "fdatasync alone";

/// The names of an earlier version, under the loads of sessions without and with names.
pub const FORMER: [&str; 2] = ["former atm, one answer a deposit", "former atm, named terminals"];

/// The names of systems of 1, 2 and 4 hosts that share a ledger.
pub(super) const ONE_ACCOUNT: [&str; 3] =
    ["1 host, one account", "2 hosts, one account", "4 hosts, one account"];
pub(super) const BY_CARD: [&str; 3] = ["1 host, by card", "2 hosts, by card", "4 hosts, by card"];
pub(super) const LEDGERS: [&str; 3] =
    ["1 ledger thread, by card", "2 ledger threads, by card", "4 ledger threads, by card"];

/// The fewest sessions of a load of terminals at random: with fewer, the hellos before it would take longer
/// than the load.
const LEAST_RANDOM: usize = 50;

/// A running system.
#[derive(Debug)]
pub struct System {
    /// Its name in tables.
    pub name: &'static str,
    pub(super) kind: SystemKind,
}

#[derive(Debug)]
pub(super) enum SystemKind {
    /// atm's server, or the original program's design in Python.
    Atm {
        server: Server,
        load: AtmLoad,
        /// The folder of its ledger on disk.
        durable: Option<tempfile::TempDir>,
    },
    Link(LinkServer),
    Echo {
        server: Server,
        request: usize,
    },
    Redis(Redis),
    Postgres {
        postgres: Rc<Postgres>,
        rows: Rows,
    },
    /// So many of the hosts of a ledger.
    #[cfg(feature = "postgres")]
    Hosts {
        ledger: Rc<SharedLedger>,
        hosts: usize,
    },
    /// So many threads on its database.
    #[cfg(feature = "postgres")]
    Ledgers {
        ledger: Rc<SharedLedger>,
        threads: usize,
    },
    Sqlite(DataFolder),
    Disk(DataFolder),
}

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
        Self { name, kind: SystemKind::Atm { server, load: AtmLoad::in_memory(wire), durable: None } }
    }

    /// atm's server with its ledger on disk, for a load of deposits alone; `former` is the program of an
    /// earlier version.
    ///
    /// # Errors
    /// Its folder cannot be created.
    ///
    /// # Panics
    /// There is no such load.
    pub fn durable_atm(
        data_folder: &DataFolder,
        former: Option<&Path>,
        (input_style, terminals): (InputStyle, Terminals),
    ) -> Result<Self, String> {
        let name = match (former, input_style, terminals) {
            (None, InputStyle::Menu, Terminals::Unnamed) => "atm, two answers a deposit",
            (None, InputStyle::Words, Terminals::Unnamed) => "atm, one answer a deposit",
            (None, InputStyle::Words, Terminals::OneEach) => "atm, named terminals",
            (None, InputStyle::Words, Terminals::Random(1000)) => "atm, 1,000 terminals at random",
            (None, InputStyle::Words, Terminals::Random(100_000)) => "atm, 100,000 terminals at random",
            (Some(_), InputStyle::Words, Terminals::Unnamed) => FORMER[0],
            (Some(_), InputStyle::Words, Terminals::OneEach) => FORMER[1],
            other => panic!("there is no such load: {other:?}"),
        };
        let (server, folder) = atm::start_durable(former, data_folder)?;
        let load = AtmLoad::durable(input_style, terminals);
        Ok(Self { name, kind: SystemKind::Atm { server, load, durable: Some(folder) } })
    }

    /// atm's server with its ledger on disk, reached in clear, over TLS or over sealed links by up to `terminals` named
    /// terminals, for a load of balances alone.
    ///
    /// # Errors
    /// Its folder cannot be created, or a terminal cannot be enrolled.
    pub fn link(
        data_folder: &DataFolder,
        (name, wire, protection): (&'static str, Wire, Protection),
        terminals: usize,
    ) -> Result<Self, String> {
        let server = LinkServer::start(data_folder, (wire, protection), terminals);
        let server = server.map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, kind: SystemKind::Link(server) })
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

    /// Redis in memory, as a counter.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn redis(data_folder: &DataFolder) -> Result<Self, String> {
        let redis = Redis::start(data_folder, RedisCommand::Incrby, false)?;
        Ok(Self { name: "Redis", kind: SystemKind::Redis(redis) })
    }

    /// Redis with each write synced before its reply, as two systems: a counter, and a function that does the
    /// same work as a ledger.
    ///
    /// # Errors
    /// They cannot be started.
    pub fn durable_redis(data_folder: &DataFolder) -> Result<[Self; 2], String> {
        let system = |name, command| {
            let redis = Redis::start(data_folder, command, true)?;
            Ok::<_, String>(Self { name, kind: SystemKind::Redis(redis) })
        };
        Ok([
            system("Redis INCRBY, appendfsync always", RedisCommand::Incrby)?,
            system("Redis function, appendfsync always", RedisCommand::Function)?,
        ])
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
        Self { name, kind: SystemKind::Atm { server, load: AtmLoad::in_memory(Wire::Raw), durable: None } }
    }

    /// PostgreSQL, as two systems: one whose sessions all update the same row, and one whose sessions update
    /// random rows.
    ///
    /// # Errors
    /// It does not start.
    pub fn postgres(data_folder: &DataFolder) -> Result<[Self; 2], String> {
        Ok(Self::rows_of(&Rc::new(Postgres::start(data_folder)?)))
    }

    pub(super) fn rows_of(postgres: &Rc<Postgres>) -> [Self; 2] {
        [("PostgreSQL, one row", Rows::Hot), ("PostgreSQL, 10,000 rows", Rows::Many)].map(|(name, rows)| {
            Self { name, kind: SystemKind::Postgres { postgres: postgres.clone(), rows } }
        })
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

    /// Is it measured with this number of sessions?
    pub(super) fn is_measured_with(&self, sessions: usize) -> bool {
        match &self.kind {
            SystemKind::Atm { load: AtmLoad { terminals: Terminals::Random(count), .. }, .. } => {
                (LEAST_RANDOM..=*count).contains(&sessions)
            }
            _ => true,
        }
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
            SystemKind::Atm { server, load, durable } => {
                let report = load.run(&[server.address], sessions, timing)?;
                // In memory answers are compared with requests, on disk operations with operations.
                Ok(sample(&report.measurements, durable.is_some()))
            }
            SystemKind::Link(server) => Ok(sample(&server.run(sessions, timing)?.measurements, false)),
            SystemKind::Echo { server, request } => {
                measured(load(&[server.address], || EchoProtocol::new(*request), sessions, timing))
                    .map(|all| sample(&all, false))
            }
            SystemKind::Redis(redis) => {
                let client = Cell::new(0);
                let protocol = || RedisProtocol::new(redis.command, client.replace(client.get() + 1));
                measured(load(&[redis.address], protocol, sessions, timing)).map(|all| sample(&all, false))
            }
            SystemKind::Postgres { postgres, rows } => postgres.measure(*rows, sessions, timing),
            #[cfg(feature = "postgres")]
            SystemKind::Hosts { ledger, hosts } => ledger.measure(*hosts, sessions, timing),
            #[cfg(feature = "postgres")]
            SystemKind::Ledgers { ledger, threads } => ledgers::measure(ledger, *threads, sessions, timing),
            SystemKind::Sqlite(data_folder) => sqlite::measure(data_folder, sessions, timing),
            SystemKind::Disk(data_folder) => disk::measure(data_folder, timing),
        }
    }

    /// Measures the average sizes of its requests and replies.
    ///
    /// # Errors
    /// It is not an ATM, or the measurement fails.
    pub fn bodies(&self) -> Result<Bodies, String> {
        let SystemKind::Atm { server, load, .. } = &self.kind else {
            return Err(format!("{} is not an ATM", self.name));
        };
        let timing = Timing { warm_up: Duration::ZERO, duration: Duration::from_millis(200) };
        let report = load.run(&[server.address], 8, timing)?;
        let body =
            |bytes: u64| (bytes as f64 / report.measurements.answers.max(1) as f64).round() as usize - HEADER;
        Ok(Bodies {
            request: body(report.measurements.bytes_sent),
            reply: body(report.measurements.bytes_received),
        })
    }
}

fn measured(result: std::io::Result<Measurements>) -> Result<Measurements, String> {
    passed(result.map_err(|error| error.to_string())?)
}

/// Measurements without a lost session.
pub(super) fn passed(measured: Measurements) -> Result<Measurements, String> {
    if measured.lost == 0 {
        Ok(measured)
    } else {
        Err(format!("{} lost: {}", measured.lost, measured.reasons.join("; ")))
    }
}

/// The sample of all requests, or of those that complete an operation.
pub(super) fn sample(measured: &Measurements, operations: bool) -> Sample {
    let (count, latency) = match operations {
        false => (measured.answers, &measured.answer_latency),
        true => (measured.operations, &measured.operation_latency),
    };
    Sample {
        throughput: measured.throughput(count),
        p50: Some(latency.quantile(0.5)),
        p99: Some(latency.quantile(0.99)),
        cpu_share: measured.cpu_share(),
        database: None,
    }
}
