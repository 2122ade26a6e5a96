//! The command line.
use atm_core::{money::Amount, wire::Wire};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

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
    /// Serve many terminals over TCP
    Serve(Serve),
    /// Be a terminal: over TCP or a serial line
    Client(Client),
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

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 takes any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:65432")]
    pub(crate) listen: String,
    /// How messages cross the line: json (4-byte length), raw (the original program's) or postcard
    #[arg(long, default_value = "json")]
    pub(crate) wire: Wire,
    /// The balance at the start, in whole units or with two digits of cents
    #[arg(long, value_name = "AMOUNT", default_value = "100")]
    pub(crate) balance: Amount,
    /// The most that one deposit or withdrawal may move
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
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_sessions: u32,
    /// Let any peer stop the server with quit, not only one on this machine
    #[arg(long)]
    pub(crate) allow_remote_quit: bool,
    /// How much to log on standard error, one event a line
    #[arg(long, value_enum, default_value_t = Level::Info)]
    pub(crate) log: Level,
}

/// How much to log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Debug, Args)]
pub(crate) struct Client {
    /// The server's address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:65432", conflicts_with = "serial")]
    pub(crate) connect: String,
    /// A serial port (or a pseudo-terminal) instead of a server
    #[arg(long, value_name = "PATH")]
    pub(crate) serial: Option<String>,
    /// The serial port's speed in bits a second
    #[arg(long, value_name = "N", default_value_t = 115_200, requires = "serial", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(crate) baud: u32,
    /// How messages cross the line: json, raw or postcard [default: json over TCP, postcard over a serial line]
    #[arg(long)]
    pub(crate) wire: Option<Wire>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
