//! Options of `atm serve`.
use super::{address, tls::ServeTls, wire};
use atm_core::{host::IN, message::MAX_ANSWER, money::Amount, wire::Wire};
use atm_host::server::TERMINALS;
use clap::{ArgAction, ArgGroup, Args, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};

/// Where the metrics are served.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MetricsAddress {
    Off,
    At(SocketAddr),
}

impl MetricsAddress {
    /// Whether other machines may reach it.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::At(address) if !address.ip().to_canonical().is_loopback())
    }
}

/// Parses an address or `off`.
fn metrics_address(text: &str) -> Result<MetricsAddress, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(MetricsAddress::At(address)),
        Err(_) if text == "off" => Ok(MetricsAddress::Off),
        Err(_) => Err("an address is IP:PORT, as in 127.0.0.1:9654; `off` serves no metrics".to_owned()),
    }
}

/// The limits of `atm serve` that no option sets, for its `--help`.
fn fixed_limits() -> String {
    let build = if cfg!(feature = "postgres") {
        ""
    } else {
        " A ledger that several hosts share (--database) needs a build with the feature `postgres`."
    };
    format!(
        "A message has at most {IN} bytes (on postcard with its checksum) and an answer {MAX_ANSWER}; without --data there is room for {TERMINALS} names of \
         terminals.{build}"
    )
}

impl Serve {
    /// Whether sealed hellos are read: with TLS the secrets file is for cards alone.
    pub(crate) fn reads_sealed(&self) -> bool {
        self.sealed || self.secrets.is_some() && self.tls.tls_cert.is_none()
    }

    /// What access by card lacks, or contradicts. Beside a configuration file, which may have the rest, nothing is said.
    pub(crate) fn check_access(&self) -> Result<(), &'static str> {
        let has_limits = self.withdrawal_limit.or(self.day_limit).is_some() || self.refusal_alarm.is_some();
        match self.access {
            _ if self.config.is_some() => Ok(()),
            Access::Open if has_limits => {
                Err("--withdrawal-limit, --day-limit and --refusal-alarm are for --access card")
            }
            Access::Open if self.secrets.is_some() && self.tls.tls_cert.is_some() => Err(
                "with TLS --secrets is for --access card alone: its terminals have certificates and no keys",
            ),
            Access::Card if self.data.is_none() => Err(
                "--access card needs --data: accounts and cards are in the ledger. In memory there is only `atm demo --cards`",
            ),
            Access::Card if !self.sealed && self.tls.tls_cert.is_none() => Err(
                "--access card serves only authenticated terminals: it needs --sealed, or TLS (--tls-cert). In clear there is only \
                     `atm demo --cards`",
            ),
            _ => Ok(()),
        }
    }

    /// What the options of sealed links lack, or contradict.
    pub(crate) fn check_sealing(&self) -> Result<(), &'static str> {
        let is_sealing = self.reads_sealed();
        if is_sealing && self.wire.is_some_and(|wire| wire != Wire::Postcard) {
            Err("--sealed and --secrets seal messages of --wire postcard alone")
        } else if self.sealed && self.tls.tls_cert.is_some() {
            Err("--sealed and TLS are two ways to the same: a name has a key or a certificate")
        } else if self.sealed && self.allow_clear {
            Err("--sealed serves nothing in clear, which --allow-clear asks for")
        } else if is_sealing && self.data.is_none() && self.config.is_none() {
            Err("sealed links need --data: the terminals with a key are in the ledger")
        } else {
            Ok(())
        }
    }

    /// The wire of the options, or the default one.
    pub(crate) fn wire(&self) -> Wire {
        let is_postcard = self.reads_sealed() || self.serial.is_some();
        self.wire.unwrap_or(if is_postcard { Wire::Postcard } else { Wire::Json })
    }

    /// Whether links in clear are refused where other machines, or a wire, reach them.
    pub(crate) fn refuses_clear(&self) -> bool {
        !self.sealed && !self.allow_clear && self.tls.tls_cert.is_none()
    }
}

#[derive(Debug, Args)]
#[command(after_help = fixed_limits())]
#[command(group(ArgGroup::new("ledger").args(["data", "config"]).multiple(true)))]
pub(crate) struct Serve {
    /// Read the options that the command line does not give from this file (examples/atm.toml has every key)
    #[arg(long, help_heading = "Configuration", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Check the command line and the file of --config, print `ok` and exit; a mistake is printed, with exit code 2
    #[arg(long, help_heading = "Configuration")]
    pub(crate) check_config: bool,
    /// The address to listen on, for a name all of its addresses; port 0 takes a free one
    #[arg(long, help_heading = "Link", value_name = "HOST:PORT", default_value = "127.0.0.1:65432", conflicts_with = "serial", value_parser = address)]
    pub(crate) listen: String,
    /// A serial port (or a pseudo-terminal) instead of an address: one terminal at a time. A port whose device is gone
    /// is opened again for a minute
    #[arg(long, help_heading = "Link", value_name = "PATH", conflicts_with_all = ["max_sessions", "frame_timeout", "stall_timeout"])]
    pub(crate) serial: Option<String>,
    /// The serial port's speed in bits a second
    #[arg(long, help_heading = "Link", value_name = "N", default_value_t = 115_200, requires = "serial", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(crate) baud: u32,
    /// Framing and encoding of messages: json (4-byte length), raw (as the original program, TCP only) or
    /// postcard (COBS) [default: json over TCP, postcard over a serial line]
    #[arg(long, help_heading = "Link", value_parser = wire())]
    pub(crate) wire: Option<Wire>,
    #[command(flatten)]
    pub(crate) tls: ServeTls,
    /// Serve only sealed links, which are experimental (wire postcard): a terminal that is enrolled with a key (`atm terminal add`);
    /// what is in clear gets no answer. Needs --secrets and --data. The option without a value means true
    #[arg(long, help_heading = "Sealed links (experimental)", value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) sealed: bool,
    /// The file of `atm secrets new`, which no other user may be able to read, outside the folder of --data: the keys of terminals and of cards. With
    /// --sealed or --access card, by default the credential `secrets` of systemd. Without --sealed and TLS, sealed links and those in clear are served
    #[arg(long, help_heading = "Sealed links (experimental)", value_name = "FILE", requires = "ledger")]
    pub(crate) secrets: Option<PathBuf>,
    /// Who may move money: any person at a terminal, on one account (open), or a person with a card and its PIN (card, experimental; `atm account`,
    /// `atm card`). The latter needs --data, --secrets, and --sealed or TLS: only terminals that prove who they are and hide a PIN are served
    #[arg(long, help_heading = "Access", value_enum, default_value_t = Access::Open)]
    pub(crate) access: Access,
    /// The largest withdrawal with a card [with --access card, default: 500]
    #[arg(long, help_heading = "Access", value_name = "AMOUNT")]
    pub(crate) withdrawal_limit: Option<Amount>,
    /// The most that is withdrawn with one card on one day, in UTC [with --access card, default: 1000]
    #[arg(long, help_heading = "Access", value_name = "AMOUNT")]
    pub(crate) day_limit: Option<Amount>,
    /// Refused verifications of cards a minute, over all terminals, above which an alarm is logged and counted [with --access card, default: 20]
    #[arg(long, help_heading = "Access", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) refusal_alarm: Option<u32>,
    /// Serve in clear at an address that other machines reach, or on a real serial port: any peer that reaches it, or the wire, can read every balance
    /// and move money. The option without a value means true
    #[arg(long, help_heading = "Operation", value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) allow_clear: bool,
    /// Keep the ledger on disk in this folder, created if missing: an outcome is sent only after it is
    /// synced. Without this option the ledger is in memory and lost at exit
    #[arg(long, help_heading = "Ledger", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[cfg(feature = "postgres")]
    #[command(flatten)]
    pub(crate) shared: super::database::Shared,
    /// Go on with a ledger that is behind what was acknowledged, as another ledger: terminals learn that the
    /// outcomes of their last requests are unknown
    #[arg(long, help_heading = "Ledger", requires = "ledger")]
    pub(crate) accept_loss: bool,
    /// The balance of a new ledger, in whole units or with two digits of cents
    #[arg(long, help_heading = "Ledger", value_name = "AMOUNT", default_value = "100")]
    pub(crate) balance: Amount,
    /// The largest amount that an answer may name; `all` has no limit but the balance
    #[arg(long, help_heading = "Limits", value_name = "AMOUNT", default_value = "1000000")]
    pub(crate) limit: Amount,
    /// Most sessions at once; further connections are turned away with a message, but a terminal whose conversation is
    /// held takes the place of the session that has been at its prompt for longest, an unnamed one if there is any. With
    /// --sealed or TLS, connections without a key or a certificate make room first, for each terminal with one
    #[arg(long, help_heading = "Limits", value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_sessions: u32,
    /// Most sessions at once of one address, or of one IPv6 network of 64 bits; not limited if not given
    #[arg(long, help_heading = "Limits", value_name = "N", conflicts_with = "serial", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_per_address: Option<u32>,
    /// Most names of terminals in the ledger, which removes none; a hello under one more is turned away with a message
    #[arg(long, help_heading = "Limits", value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_terminals: u32,
    /// Most new names at once, and a minute; a hello under one more is turned away with a message
    #[arg(long, help_heading = "Limits", value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) new_terminals: u32,
    /// Seconds that a prompt may stay open without an answer; 30 by default with --access card
    #[arg(long, help_heading = "Timeouts", value_name = "SECONDS", default_value_t = 300, default_value_if("access", "card", "30"), value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) idle_timeout: u32,
    /// Seconds that a message may take from its first byte to its last, and a TLS handshake; on a serial line this follows from the speed
    #[arg(long, help_heading = "Timeouts", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) frame_timeout: u32,
    /// Seconds that a client may leave output unread
    #[arg(long, help_heading = "Timeouts", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) stall_timeout: u32,
    /// Let any peer stop the server with quit. Without it only a peer on this machine may, and none on a
    /// serial line. The option without a value means true
    #[arg(long, help_heading = "Operation", value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) allow_remote_quit: bool,
    /// Serve metrics to Prometheus at this loopback address (GET /metrics, and /healthz), or `off`
    #[arg(long, help_heading = "Operation", value_name = "IP:PORT", default_value = "off", value_parser = metrics_address)]
    pub(crate) metrics: MetricsAddress,
    /// Let --metrics name an address that other machines reach, and any name of this host in their requests: the page has
    /// no authentication. The option without a value means true
    #[arg(long, help_heading = "Operation", value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) allow_remote_metrics: bool,
    /// Least severe level to log on standard error, one event a line
    #[arg(long, help_heading = "Operation", value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log: LogLevel,
    /// Format of the log: text for a person, or a JSON object a line
    #[arg(long, help_heading = "Operation", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// Who may move money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Access {
    Open,
    Card,
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

/// Format of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}
