//! The command line.
use atm_core::{host::IN, ledger::Name, message::MAX_ANSWER, money::Amount, wire::Wire};
use atm_host::{ledger::books, server::TERMINALS};
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};
use clap_complete::Shell;
use std::{net::SocketAddr, path::PathBuf};

mod file;
pub(crate) mod ledger;

/// An ATM over a byte stream: no cent lost or moved twice.
///
/// Without a command: a server and a client in one process, to try it.
#[derive(Debug, Parser)]
#[command(name = "atm", version, after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve many terminals over TCP, or one serial line
    Serve(Box<Serve>),
    /// Be a terminal: over TCP or a serial line
    Client(Client),
    /// Read, verify, back up and restore the ledger of `serve --data`
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Show a whole session over TCP, with the messages on the wire, and check every balance
    Demo {
        /// How messages cross the line: json, raw or postcard
        #[arg(long, default_value = "json")]
        wire: Wire,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Arguments {
    /// Reads the program's own arguments; on wrong usage it says so and exits with code 2.
    pub(crate) fn parse_or_exit() -> Self {
        let mut arguments = Self::parse();
        arguments.check().unwrap_or_else(|error| error.exit());
        if let Some(Command::Serve(options)) = &mut arguments.command
            && let Some(path) = &options.config
        {
            let line: Vec<_> = std::env::args_os().collect();
            **options = file::merged(path, &line).unwrap_or_else(|told| {
                Self::command().error(ErrorKind::ValueValidation, told).exit();
            });
        }
        arguments
    }

    /// What the parser cannot see: there is no hello on the `raw` wire, and a serial line has no counters.
    fn check(&self) -> Result<(), clap::Error> {
        if let Some(Command::Serve(options)) = &self.command
            && options.serial.is_some()
            && matches!(options.metrics, MetricsAddress::At(_))
        {
            return Err(conflict("serve", "--metrics is for TCP: a server of a serial line has no counters"));
        }
        let (command, serial, named, wire) = match &self.command {
            Some(Command::Serve(options)) => ("serve", options.serial.is_some(), false, options.wire),
            Some(Command::Client(options)) => {
                ("client", options.serial.is_some(), options.terminal.is_some(), options.wire)
            }
            _ => return Ok(()),
        };
        let lack = match wire.is_some_and(|wire| !wire.is_numbered()) {
            true if serial => "a serial line, which is silent before a hello, takes --wire postcard or json",
            true if named => "a terminal with a name takes --wire json or postcard",
            _ => return Ok(()),
        };
        Err(conflict(command, &format!("--wire raw has no hello: {lack}")))
    }
}

/// Wrong usage of a command: two of its options do not go together.
fn conflict(command: &str, told: &str) -> clap::Error {
    let mut program = Arguments::command();
    program.build();
    let mut command = program.find_subcommand(command).cloned().unwrap_or(program);
    command.error(ErrorKind::ArgumentConflict, told)
}

/// An address as the system is asked for it: a name or a number, and a port.
fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("an address is HOST:PORT, the port from 0 to 65535".to_owned()),
    }
}

/// Where counters are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MetricsAddress {
    Off,
    At(SocketAddr),
}

/// An address that only this machine reaches, or `off`.
fn metrics_address(text: &str) -> Result<MetricsAddress, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().to_canonical().is_loopback() => Ok(MetricsAddress::At(address)),
        Ok(_) => Err("only a loopback address is taken: whoever reads it needs no password".to_owned()),
        Err(_) if text == "off" => Ok(MetricsAddress::Off),
        Err(_) => Err("an address is IP:PORT, as in 127.0.0.1:9654; none is off".to_owned()),
    }
}

/// The limits of `atm serve` that no option sets.
fn fixed_limits() -> String {
    format!(
        "A message has at most {IN} bytes and an answer {MAX_ANSWER}; the requests of {TERMINALS} terminals ({} with \
         --data) are remembered by name, and more names are refused.",
        books::TERMINALS
    )
}

#[derive(Debug, Args)]
#[command(after_help = fixed_limits())]
pub(crate) struct Serve {
    /// Take what the other options say from this file where the command line does not say it (examples/atm.toml has every
    /// key)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The address to listen on; port 0 takes any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:65432", conflicts_with = "serial", value_parser = address)]
    pub(crate) listen: String,
    /// A serial port (or a pseudo-terminal) instead of an address: one terminal at a time, until the device goes away
    #[arg(long, value_name = "PATH", conflicts_with_all = ["max_sessions", "stall_timeout"])]
    pub(crate) serial: Option<String>,
    /// The serial port's speed in bits a second
    #[arg(long, value_name = "N", default_value_t = 115_200, requires = "serial", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(crate) baud: u32,
    /// How messages cross the line: json (4-byte length), raw (the original program's, TCP only) or postcard [default:
    /// json over TCP, postcard over a serial line]
    #[arg(long)]
    pub(crate) wire: Option<Wire>,
    /// Keep the ledger in this folder, made where there is none: nothing is said before it is on the disk, and nothing is
    /// forgotten. Without it the ledger is in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The balance that a new ledger begins with, in whole units or with two digits of cents
    #[arg(long, value_name = "AMOUNT", default_value = "100")]
    pub(crate) balance: Amount,
    /// The most that an answer may name; `all` is what there is, however much
    #[arg(long, value_name = "AMOUNT", default_value = "1000000")]
    pub(crate) limit: Amount,
    /// Seconds that a prompt stays open without an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) idle_timeout: u32,
    /// Seconds that a message may take from its first byte to its last
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) frame_timeout: u32,
    /// Seconds that a client may leave what it is told unread
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) stall_timeout: u32,
    /// Sessions at once; one more is told so and closed
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_sessions: u32,
    /// Let any peer stop the server with quit, not only one on this machine; nobody on a serial line may without it. By
    /// itself it means true
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub(crate) allow_remote_quit: bool,
    /// Show counters to Prometheus at this loopback address (GET /metrics), or at none: off
    #[arg(long, value_name = "IP:PORT", default_value = "off", value_parser = metrics_address)]
    pub(crate) metrics: MetricsAddress,
    /// How much to log on standard error, one event a line
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log: LogLevel,
}

/// How much to log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

/// What `atm client --help` says behind its options.
const CLIENT_HELP: &str = "\
With a name (--terminal), an answer that was lost on its way is repeated for a minute and moves money once; a \
connection that was lost is opened again for as long, and both is told. Then, or at the next start with the same \
--state, the terminal is told what became of the answer: done, refused, not done or unknown. A server that was \
restarted in between keeps no memory: unknown. Without a name nobody can be told: check the balance. Anybody may take \
a name that reaches the server; the later one (by its start, which is the time unless --state knows a greater one) \
takes it over, and the older one exits with code 1.

Lines from a pipe are answered to one prompt each. Where the terminal says hello (with a name, or on a serial line), \
they stop with code 1 at the first answer that was not done, or of which nobody knows whether it was, or whose session \
was lost. What the server refuses, as an amount that is not there, is a reply like others: the next line goes on.";

#[derive(Debug, Args)]
#[command(after_long_help = CLIENT_HELP)]
pub(crate) struct Client {
    /// The server's address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:65432", conflicts_with = "serial", value_parser = address)]
    pub(crate) connect: String,
    /// A serial port (or a pseudo-terminal) instead of a server
    #[arg(long, value_name = "PATH")]
    pub(crate) serial: Option<String>,
    /// The serial port's speed in bits a second
    #[arg(long, value_name = "N", default_value_t = 115_200, requires = "serial", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(crate) baud: u32,
    /// How messages cross the line: json, raw (TCP only) or postcard [default: json over TCP, postcard over a serial
    /// line]
    #[arg(long)]
    pub(crate) wire: Option<Wire>,
    /// The terminal's name (1 to 32 of A-Z a-z 0-9 . _ -), by which the server remembers its last request
    #[arg(long, value_name = "NAME")]
    pub(crate) terminal: Option<Name>,
    /// Keep what the terminal must not forget in this file, made where there is none: after Ctrl-C or a loss of power the
    /// next start tells what became of the last request
    #[arg(long, value_name = "FILE", requires = "terminal")]
    pub(crate) state: Option<PathBuf>,
    /// Leave when the connection is lost; without a name that is always so
    #[arg(long, conflicts_with = "serial")]
    pub(crate) no_reconnect: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "atm serve --balance -1",
            "atm serve --balance 1e3",
            "atm serve --wire morse",
            "atm serve --idle-timeout 0",
            "atm serve --max-sessions 0",
            "atm client --baud 9600",
            "atm client --connect a:1 --serial b",
            "atm client --terminal a/b",
            "atm client --terminal a --wire raw",
            "atm client --serial b --wire raw",
            "atm client --state c",
            "atm client --serial b --no-reconnect",
            "atm serve --listen a:1 --serial b",
            "atm serve --serial b --wire raw",
            "atm serve --serial b --max-sessions 7",
            "atm serve --baud 9600",
            "atm serve --metrics 0.0.0.0:9654",
            "atm serve --metrics 9654",
            "atm serve --allow-remote-quit=maybe",
            "atm serve --allow-remote-quit false",
            "atm serve --serial b --metrics 127.0.0.1:9654",
            "atm ledger verify",
        ] {
            let read = Arguments::try_parse_from(line.split(' ')).and_then(|arguments| arguments.check());
            assert_eq!(read.unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn usage_is_accepted_where_nothing_is_wrong() {
        for line in [
            "atm client --wire raw --no-reconnect",
            "atm client --terminal kiosk-7 --state f --no-reconnect",
            "atm client --serial b --baud 9600 --wire json --terminal a --state f",
            "atm serve --serial b --baud 9600 --wire json --allow-remote-quit",
            "atm serve --wire raw",
            "atm serve --metrics [::1]:0",
            "atm serve --metrics off --serial b --allow-remote-quit",
            "atm serve --allow-remote-quit=false --wire json",
        ] {
            let read = Arguments::try_parse_from(line.split(' ')).and_then(|arguments| arguments.check());
            assert!(read.is_ok(), "{line}");
        }
    }
}
