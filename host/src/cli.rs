//! Command line of `atm`: parses the arguments, and refuses options that do not go together.
use atm_core::{host::IN, ledger::Name, message::MAX_ANSWER, money::Amount, wire::Wire};
use atm_host::{exit::Exit, server::TERMINALS};
use clap::{ArgAction, ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};
use clap_complete::Shell;
use std::{net::SocketAddr, path::PathBuf};

mod file;
pub(crate) mod ledger;

/// An ATM over a byte stream: no cent is lost or moved twice
///
/// Without a command it runs a server and a client in one process, to try it.
#[derive(Debug, Parser)]
#[command(name = "atm", version, after_help = Exit::summary())]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve many terminals over TCP, or one serial line
    Serve(Box<Serve>),
    /// Run a terminal over TCP or a serial line
    Client(Client),
    /// Read, verify, back up and restore the ledger of `serve --data`
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Show a whole session over TCP, with the messages on the wire, and check every balance
    Demo {
        /// Framing and encoding of messages: json, raw or postcard
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
    /// Whether a service manager may have started the program.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self.command, Some(Command::Serve(_)))
    }

    /// Parses the process's arguments; on wrong usage prints the error and exits with code 2.
    pub(crate) fn parse_or_exit() -> Self {
        let mut arguments = Self::parse();
        arguments.check().unwrap_or_else(|error| error.exit());
        if let Some(Command::Serve(options)) = &mut arguments.command
            && let Some(path) = &options.config
        {
            let line: Vec<_> = std::env::args_os().collect();
            **options = file::merge(path, &line).unwrap_or_else(|reason| {
                Self::command().error(ErrorKind::ValueValidation, reason).exit();
            });
        }
        arguments
    }

    /// Checks what clap cannot express: the `raw` wire has no hello, and the server of a serial line has no
    /// counters.
    fn check(&self) -> Result<(), clap::Error> {
        if let Some(Command::Serve(options)) = &self.command
            && options.serial.is_some()
            && matches!(options.metrics, MetricsAddress::At(_))
        {
            return Err(conflict(
                "serve",
                "--metrics is for TCP: the server of a serial line has no counters",
            ));
        }
        let (command, serial, named, wire) = match &self.command {
            Some(Command::Serve(options)) => ("serve", options.serial.is_some(), false, options.wire),
            Some(Command::Client(options)) => {
                ("client", options.serial.is_some(), options.terminal.is_some(), options.wire)
            }
            _ => return Ok(()),
        };
        let lack = match wire.is_some_and(|wire| !wire.is_numbered()) {
            true if serial => {
                "on a serial line, where the server sends nothing before a hello, use --wire postcard or json"
            }
            true if named => "for a terminal with a name, use --wire json or postcard",
            _ => return Ok(()),
        };
        Err(conflict(command, &format!("--wire raw has no hello: {lack}")))
    }
}

/// The error of a command whose options do not go together.
fn conflict(command: &str, reason: &str) -> clap::Error {
    let mut program = Arguments::command();
    program.build();
    let mut command = program.find_subcommand(command).cloned().unwrap_or(program);
    command.error(ErrorKind::ArgumentConflict, reason)
}

/// Checks that an address is a host name or IP address, and a port; names are resolved later.
fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("an address is HOST:PORT, the port from 0 to 65535".to_owned()),
    }
}

/// Where the counters are served.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MetricsAddress {
    Off,
    At(SocketAddr),
}

/// Parses a loopback address or `off`.
fn metrics_address(text: &str) -> Result<MetricsAddress, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().to_canonical().is_loopback() => Ok(MetricsAddress::At(address)),
        Ok(_) => Err("only a loopback address is accepted: the page has no authentication".to_owned()),
        Err(_) if text == "off" => Ok(MetricsAddress::Off),
        Err(_) => Err("an address is IP:PORT, as in 127.0.0.1:9654; `off` serves no counters".to_owned()),
    }
}

/// The limits of `atm serve` that no option sets, for its `--help`.
fn fixed_limits() -> String {
    format!(
        "A message has at most {IN} bytes and an answer {MAX_ANSWER}; without --data there is room for {TERMINALS} names of \
         terminals."
    )
}

#[derive(Debug, Args)]
#[command(after_help = fixed_limits())]
#[command(group(ArgGroup::new("ledger").args(["data", "config"]).multiple(true)))]
pub(crate) struct Serve {
    /// Read the options that the command line does not give from this file (examples/atm.toml has every key)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:65432", conflicts_with = "serial", value_parser = address)]
    pub(crate) listen: String,
    /// A serial port (or a pseudo-terminal) instead of an address: one terminal at a time. A port whose device is gone
    /// is opened again for a minute
    #[arg(long, value_name = "PATH", conflicts_with_all = ["max_sessions", "frame_timeout", "stall_timeout"])]
    pub(crate) serial: Option<String>,
    /// The serial port's speed in bits a second
    #[arg(long, value_name = "N", default_value_t = 115_200, requires = "serial", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(crate) baud: u32,
    /// Framing and encoding of messages: json (4-byte length), raw (as the original program, TCP only) or
    /// postcard (COBS) [default: json over TCP, postcard over a serial line]
    #[arg(long)]
    pub(crate) wire: Option<Wire>,
    /// Keep the ledger on disk in this folder, created if missing: an outcome is sent only after it is
    /// synced. Without this option the ledger is in memory and lost at exit
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Go on with a ledger that is behind what was acknowledged, as another ledger: terminals learn that the
    /// outcomes of their last requests are unknown
    #[arg(long, requires = "ledger")]
    pub(crate) accept_loss: bool,
    /// The balance of a new ledger, in whole units or with two digits of cents
    #[arg(long, value_name = "AMOUNT", default_value = "100")]
    pub(crate) balance: Amount,
    /// The largest amount that an answer may name; `all` has no limit but the balance
    #[arg(long, value_name = "AMOUNT", default_value = "1000000")]
    pub(crate) limit: Amount,
    /// Seconds that a prompt may stay open without an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) idle_timeout: u32,
    /// Seconds that a message may take from its first byte to its last; on a serial line this follows from the speed
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) frame_timeout: u32,
    /// Seconds that a client may leave output unread
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) stall_timeout: u32,
    /// Most sessions at once; further connections are turned away with a message, but a terminal whose conversation is
    /// held takes the place of the session that has been at its prompt for longest, an unnamed one if there is any
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_sessions: u32,
    /// Most sessions at once of one address, or of one IPv6 network of 64 bits; not limited if not given
    #[arg(long, value_name = "N", conflicts_with = "serial", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_per_address: Option<u32>,
    /// Most names of terminals in the ledger, which removes none; a hello under one more is turned away with
    /// a message
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_terminals: u32,
    /// Most new names at once, and a minute; a hello under one more is turned away with a message
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) new_terminals: u32,
    /// Let any peer stop the server with quit. Without it only a peer on this machine may, and none on a
    /// serial line. The option without a value means true
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub(crate) allow_remote_quit: bool,
    /// Serve counters to Prometheus at this loopback address (GET /metrics), or `off`
    #[arg(long, value_name = "IP:PORT", default_value = "off", value_parser = metrics_address)]
    pub(crate) metrics: MetricsAddress,
    /// Least severe level to log on standard error, one event a line
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log: LogLevel,
}

/// Least severe level to log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

/// The end of `atm client --help`.
const CLIENT_HELP: &str = "\
With a name (--terminal), an answer without a reply is retransmitted for a minute and moves money once, and a lost \
connection is opened again for as long; both are reported. After that, or at the next start with the same --state, the \
terminal asks for the outcome of the answer: done, refused, not done or unknown. It is unknown where a server with a \
ledger in memory was restarted in between. Without a name the outcome cannot be asked for: check the balance. Any client \
that reaches the server may use a name; the one with the later start (the time, unless --state has a greater one) takes \
it over, and the older one exits with code 1.

Each line from a pipe answers one prompt. The client stops at the first line that was refused or cannot be sent, since the \
next one would answer the same prompt: it says which, and leaves as by exit. --keep-going goes on. It \
also stops where an operation was not done or its outcome is unknown, and where another session began after the link was \
lost. A refusal is known by the fields of a reply, or by its text as servers of version 1 write it.

At a terminal, balance, deposit and withdraw are also taken where an amount is asked for: the client answers back first.

The exit code of a pipe says how its lines ended:
  0    all were done (without a line: the request before this start, if the server reported its outcome)
  1    another error: no server, a lost connection or session without an answer out, a state file that cannot be used
  2    wrong usage
  3    a line was refused, or could not be sent
  4    an outcome is unknown: the link was lost with an answer out or no reply came in time, or the ledger was set back
  5    the server reported that an operation was not done
  130  interrupted, by Ctrl-C, SIGINT or SIGTERM
A person at a terminal sees every reply: exit, quit and Ctrl-D end with 0, or with 4 while an answer has no reply.";

#[derive(Debug, Args)]
#[command(after_long_help = CLIENT_HELP)]
pub(crate) struct Client {
    /// The server's address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:65432", conflicts_with = "serial", value_parser = address)]
    pub(crate) connect: String,
    /// A serial port (or a pseudo-terminal) instead of a server. A port whose device is gone is opened again for a minute
    #[arg(long, value_name = "PATH")]
    pub(crate) serial: Option<String>,
    /// The serial port's speed in bits a second
    #[arg(long, value_name = "N", default_value_t = 115_200, requires = "serial", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(crate) baud: u32,
    /// Framing and encoding of messages: json, raw (TCP only) or postcard [default: json over TCP, postcard
    /// over a serial line]
    #[arg(long)]
    pub(crate) wire: Option<Wire>,
    /// The terminal's name (1 to 32 of A-Z a-z 0-9 . _ -), under which the server keeps the outcome of its
    /// last request
    #[arg(long, value_name = "NAME")]
    pub(crate) terminal: Option<Name>,
    /// Keep the terminal's memory in this file, created if missing: after Ctrl-C or a loss of power the next
    /// start shows the outcome of the last request
    #[arg(long, value_name = "FILE", requires = "terminal")]
    pub(crate) state: Option<PathBuf>,
    /// Exit when the connection is lost, as a terminal without a name always does
    #[arg(long, conflicts_with = "serial")]
    pub(crate) no_reconnect: bool,
    /// Go on with the next line of a pipe after one that was refused or could not be sent; the exit code is still 3
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Seconds that a pipe waits for the greeting or a reply, whatever else the server sends
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) reply_timeout: u32,
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
            "atm serve --max-terminals 1000001",
            "atm serve --new-terminals 0",
            "atm serve --max-per-address 0",
            "atm serve --serial b --max-per-address 1",
            "atm client --baud 9600",
            "atm client --connect a:1 --serial b",
            "atm client --terminal a/b",
            "atm client --terminal a --wire raw",
            "atm client --serial b --wire raw",
            "atm client --state c",
            "atm client --serial b --no-reconnect",
            "atm client --reply-timeout 0",
            "atm serve --listen a:1 --serial b",
            "atm serve --serial b --wire raw",
            "atm serve --serial b --max-sessions 7",
            "atm serve --baud 9600",
            "atm serve --accept-loss",
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
            "atm serve --serial b --baud 9600 --wire json --allow-remote-quit --max-terminals 1 --new-terminals 1",
            "atm serve --wire raw",
            "atm serve --data d --accept-loss",
            "atm serve --config f --accept-loss",
            "atm serve --metrics [::1]:0",
            "atm serve --metrics off --serial b --allow-remote-quit",
            "atm serve --allow-remote-quit=false --wire json",
        ] {
            let read = Arguments::try_parse_from(line.split(' ')).and_then(|arguments| arguments.check());
            assert!(read.is_ok(), "{line}");
        }
    }
}
