//! Command line of `atm`: parses the arguments, and refuses options that do not go together.
use atm_core::wire::Wire;
use atm_host::exit::Exit;
use clap::{
    CommandFactory, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};
use clap_complete::Shell;
use std::path::PathBuf;

pub(crate) mod access;
pub(crate) mod card;
mod client;
#[cfg(feature = "postgres")]
pub(crate) mod database;
mod file;
pub(crate) mod ledger;
mod serve;
mod tls;

pub(crate) use client::Client;
pub(crate) use serve::{Access, LogFormat, LogLevel, MetricsAddress, Serve};

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
    Client(Box<Client>),
    /// Read, verify, back up and restore the ledger of `serve --data`
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Enrol terminals for sealed links (experimental) or TLS, on the ledger of `serve --data`
    #[command(subcommand)]
    Terminal(access::Terminal),
    /// Put terminals back into service
    #[command(subcommand)]
    Access(access::Access),
    /// Open, show, freeze and close the accounts of cards (experimental), on the ledger of `serve --data`
    #[command(subcommand)]
    Account(card::Account),
    /// Issue, list and block cards (experimental), on the ledger of `serve --data`
    #[command(subcommand)]
    Card(card::Card),
    /// Make the secrets file, and replace its keys: terminals' keys follow from it, and numbers and PINs of cards are verified with it
    #[command(subcommand)]
    Secrets(access::Secrets),
    /// Show a whole session over TCP, and check every balance; or try cards
    Demo {
        /// Try access by card: prints three cards with their PINs, and asks for one. The server is in this process, in memory
        #[arg(long, conflicts_with_all = ["wire", "hex"])]
        cards: bool,
        /// Framing and encoding of messages
        #[arg(long, default_value = "json", value_parser = wire())]
        wire: Wire,
        /// Show the bytes of each message
        #[arg(long)]
        hex: bool,
    },
    /// Write the manual pages, one a command, into a folder, created if missing
    Man {
        /// The folder
        folder: PathBuf,
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
                clap::Error::raw(ErrorKind::ValueValidation, format!("{reason}\n")).exit();
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
        if let Some(Command::Serve(options)) = &self.command {
            options.check_access().map_err(|reason| conflict("serve", reason))?;
            options.check_sealing().map_err(|reason| conflict("serve", reason))?;
        }
        if let Some(Command::Serve(options)) = &self.command
            && options.metrics.is_remote()
            && !options.allow_remote_metrics
        {
            return Err(conflict(
                "serve",
                "--metrics takes only a loopback address without --allow-remote-metrics: the page has no authentication",
            ));
        }
        if let Some(Command::Client(options)) = &self.command {
            options.target().map_err(|reason| conflict("client", &reason))?;
            if options.key.is_some() && options.wire.is_some_and(|wire| wire != Wire::Postcard) {
                return Err(conflict("client", "--key seals messages of --wire postcard alone"));
            }
            if options.json && options.wire.is_some_and(|wire| !wire.is_numbered()) {
                return Err(conflict("client", "--wire raw has no fields for --json"));
            }
        }
        let (command, serial, tls, named, wire) = match &self.command {
            Some(Command::Serve(options)) => {
                ("serve", options.serial.is_some(), options.tls.tls_cert.is_some(), false, options.wire)
            }
            Some(Command::Client(options)) => {
                let (serial, tls) = (options.serial.is_some(), options.tls.tls_ca.is_some());
                ("client", serial, tls, options.terminal.is_some(), options.wire)
            }
            _ => return Ok(()),
        };
        let lack = match wire.is_some_and(|wire| !wire.is_numbered()) {
            true if serial => {
                "on a serial line, where the server sends nothing before a hello, use --wire postcard or json"
            }
            true if tls => {
                "over TLS, where each session has the name in a certificate, use --wire json or postcard"
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

/// Parses the name of a wire; help and completions have all of them.
fn wire() -> impl TypedValueParser<Value = Wire> {
    PossibleValuesParser::new(Wire::ALL.iter().map(|(name, _)| *name)).try_map(|name| name.parse::<Wire>())
}

/// Checks that each address of a list is one, with commas in between.
fn addresses(text: &str) -> Result<String, String> {
    text.split(',').try_for_each(|one| address(one).map(drop))?;
    Ok(text.to_owned())
}

/// Checks that an address is a host name or IP address, and a port; names are resolved later.
fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("an address is HOST:PORT, the port from 0 to 65535".to_owned()),
    }
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
            "atm client --key k --wire json",
            "atm client --key k --wire raw",
            "atm client --key k --serial b --wire json",
            "atm client --key k --tls-ca a --tls-cert b --tls-key c",
            "atm client --idle-timeout 30",
            "atm client --key k --idle-timeout 0",
            "atm client --serial b --no-reconnect",
            "atm client --reply-timeout 0",
            "atm client nowhere",
            "atm client a:1 b:1",
            "atm client a:1 --connect b:1",
            "atm client a:1 --serial b",
            "atm client a:70000",
            "atm client deposit",
            "atm client deposit forty",
            "atm client deposit 40 50",
            "atm client deposit 40.50",
            "atm client --json",
            "atm client a:1 --json",
            "atm client balance --json --wire raw",
            "atm serve --listen a:1 --serial b",
            "atm serve --serial b --wire raw",
            "atm serve --serial b --max-sessions 7",
            "atm serve --baud 9600",
            "atm serve --tls-cert a --tls-key b",
            "atm serve --tls-key b --tls-client-ca c",
            "atm serve --tls-cert a --tls-key b --tls-client-ca c --wire raw",
            "atm serve --tls-cert a --tls-key b --tls-client-ca c --serial d",
            "atm client --tls-ca a",
            "atm client --tls-cert b --tls-key c",
            "atm client --tls-ca a --tls-cert b --tls-key c --wire raw",
            "atm client --tls-ca a --tls-cert b --tls-key c --serial d",
            "atm client --tls-ca a --tls-cert b --tls-key c --tls-name -",
            "atm client --tls-name localhost",
            "atm serve --accept-loss",
            "atm serve --sealed",
            "atm serve --secrets a",
            "atm serve --sealed --secrets a --data d --wire json",
            "atm serve --secrets a --data d --wire raw",
            "atm serve --sealed --data d --tls-cert a --tls-key b --tls-client-ca c",
            "atm serve --secrets s --data d --tls-cert a --tls-key b --tls-client-ca c",
            "atm serve --sealed --secrets a --data d --allow-clear",
            "atm serve --access card",
            "atm serve --access key",
            "atm serve --access card --data d --secrets s",
            "atm serve --access card --data d --secrets s --allow-clear",
            "atm serve --access card --sealed --secrets s",
            "atm serve --access card --data d --secrets s --sealed --wire json",
            "atm serve --access card --secrets s --tls-cert a --tls-key b --tls-client-ca c",
            "atm serve --access card --data d --secrets s --tls-cert a --tls-key b --tls-client-ca c --wire raw",
            "atm serve --access card --data d --secrets s --serial b",
            "atm serve --access card --data d --secrets s --sealed --withdrawal-limit 1e3",
            "atm serve --access card --data d --secrets s --sealed --refusal-alarm 0",
            "atm serve --access open --data d --secrets s --tls-cert a --tls-key b --tls-client-ca c",
            "atm serve --withdrawal-limit 200",
            "atm serve --day-limit 200",
            "atm serve --refusal-alarm 7",
            "atm serve --metrics 0.0.0.0:9654",
            "atm serve --log-format xml",
            "atm serve --metrics 9654",
            "atm serve --allow-remote-quit=maybe",
            "atm serve --allow-remote-quit no",
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
            "atm client --key k --state f --wire postcard --idle-timeout 30",
            "atm client --key k --serial b --terminal kiosk-7",
            "atm client a:1 --wire raw",
            "atm client balance --json",
            "atm client [::1]:1 deposit 40 --terminal kiosk-7 --state f",
            "atm client --serial b withdraw all",
            "atm client --serial b --baud 9600 --wire json --terminal a --state f",
            "atm serve --serial b --baud 9600 --wire json --allow-remote-quit --max-terminals 1 --new-terminals 1",
            "atm serve --wire raw",
            "atm serve --tls-cert a --tls-key b --tls-client-ca c --wire postcard",
            "atm client --tls-ca a --tls-cert b --tls-key c --tls-name ::1 --state d --wire json",
            "atm serve --data d --accept-loss",
            "atm serve --sealed --secrets s --data d",
            "atm serve --sealed --secrets s --data d --serial b --wire postcard --allow-clear=false",
            "atm serve --secrets s --data d --allow-clear",
            "atm serve --sealed --config f",
            "atm serve --access card --data d --secrets s --sealed --withdrawal-limit 200.50 --day-limit 300 --refusal-alarm 7",
            "atm serve --access card --data d --secrets s --tls-cert a --tls-key b --tls-client-ca c",
            "atm serve --access card --data d --secrets s --tls-cert a --tls-key b --tls-client-ca c --wire postcard",
            "atm serve --access card --data d --secrets s --sealed --serial b",
            "atm serve --access card --data d --sealed",
            "atm serve --access card --config f",
            "atm serve --day-limit 200 --config f",
            "atm serve --config f --accept-loss",
            "atm serve --check-config",
            "atm serve --metrics [::1]:0",
            "atm serve --metrics 0.0.0.0:9654 --allow-remote-metrics --log-format json",
            "atm serve --metrics off --serial b --allow-remote-quit",
            "atm serve --allow-remote-quit=false --wire json",
            "atm serve --allow-remote-quit false --wire json",
        ] {
            let read = Arguments::try_parse_from(line.split(' ')).and_then(|arguments| arguments.check());
            assert!(read.is_ok(), "{line}");
        }
    }
}
