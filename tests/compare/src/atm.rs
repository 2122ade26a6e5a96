//! atm's server, or one like it, under the load of `atm-bench`, which checks every balance.
use super::{BURST, DataFolder, TIMEOUT, Timing, signals};
use atm_bench::{
    LoadConfig, Report,
    customer::InputStyle,
    mix::{Mix, OperationKind},
};
use atm_core::wire::Wire;
use atm_e2e::{Program, Server, atm};
use std::{ffi::OsString, io, net::SocketAddr, path::Path, process::Command};

/// The load on a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtmLoad {
    /// The server's wire.
    pub(super) wire: Wire,
    /// How an operation is requested.
    pub(super) input_style: InputStyle,
    /// How often each kind is requested.
    pub(super) mix: Mix,
    /// Who requests it.
    pub(super) terminals: Terminals,
}

/// The terminals of a load. The operations of a named one have an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminals {
    /// Sessions without a name.
    Unnamed,
    /// A named terminal for each session.
    OneEach,
    /// For each operation one of so many, drawn at random.
    Random(usize),
}

impl AtmLoad {
    /// The default mix of operations, by unnamed sessions through the menu.
    pub(super) fn in_memory(wire: Wire) -> Self {
        let (input_style, terminals) = (InputStyle::Menu, Terminals::Unnamed);
        Self { wire, input_style, mix: Mix::default(), terminals }
    }

    /// Deposits alone.
    pub(super) fn durable(input_style: InputStyle, terminals: Terminals) -> Self {
        let mix = Mix::only(OperationKind::Deposit);
        Self { wire: Wire::Json, input_style, mix, terminals }
    }

    /// Runs it.
    ///
    /// # Errors
    /// A session was lost, or a balance is wrong.
    pub(super) fn run(
        &self,
        addresses: &[SocketAddr],
        sessions: usize,
        timing: Timing,
    ) -> Result<Report, String> {
        let config = LoadConfig {
            terminals: match self.terminals {
                Terminals::Unnamed => None,
                Terminals::OneEach => Some(sessions),
                Terminals::Random(count) => Some(count),
            },
            input_style: self.input_style,
            ..config((addresses, self.wire), (sessions, self.mix), timing)
        };
        passed(atm_bench::run_until(&config, &mut |_| {}, signals::flag()))
    }
}

/// A closed loop of unnamed sessions, through the menu.
pub(super) fn config(
    (addresses, wire): (&[SocketAddr], Wire),
    (sessions, mix): (usize, Mix),
    timing: Timing,
) -> LoadConfig {
    LoadConfig {
        addresses: addresses.to_vec(),
        wire,
        sessions,
        terminals: None,
        burst: BURST,
        threads: 1,
        warm_up: timing.warm_up,
        duration: timing.duration,
        mix,
        input_style: InputStyle::Menu,
        rate: None,
        seed: fastrand::u64(..),
        shared: false,
        timeout: TIMEOUT,
    }
}

/// A report without a lost session and a wrong balance.
///
/// # Errors
/// Another one, as text.
pub(super) fn passed(report: io::Result<Report>) -> Result<Report, String> {
    let report = report.map_err(|error| error.to_string())?;
    if report.passed() { Ok(report) } else { Err(report.to_string()) }
}

/// Starts a server with its ledger on disk: ours, or another program with the same options.
///
/// # Errors
/// Its folder cannot be created.
pub(super) fn start_durable(
    program: Option<&Path>,
    data_folder: &DataFolder,
) -> Result<(Server, tempfile::TempDir), String> {
    let folder = data_folder.temporary()?;
    let mut command = program.map_or_else(|| atm(&[]), Command::new);
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data"]);
    command.arg(folder.path().join("ledger"));
    if program.is_none() {
        // The load's terminals are all new.
        command.args(["--max-terminals", "1000000", "--new-terminals", "1000000"]);
    }
    Ok((Server::of(Program::start(command)), folder))
}

/// Starts our server with its ledger in a folder, which it makes, and more options.
pub(super) fn start_with_data(data: &Path, options: &[OsString]) -> Server {
    let mut command = atm(&["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data"]);
    command.arg(data).args(options);
    Server::of(Program::start(command))
}

/// Starts a server for the measurement of idle sessions.
pub(super) fn idle_server(sessions: usize) -> Server {
    let sessions = sessions.to_string();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--max-sessions", &sessions, "--log", "error"];
    Server::of(Program::start(atm(&arguments)))
}
