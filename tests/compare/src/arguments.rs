//! The options of `compare`.
use atm_compare::{Timing, competitor::Competitor, echo};
use clap::{Parser, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// Compare atm's server with other servers, in turn and in one run, and check the performance targets.
///
/// In memory: bare echo servers (the limit), Redis, and the original program's design in Python. On disk:
/// Redis with appendfsync always, as a counter and with a function that does a ledger's work, PostgreSQL,
/// SQLite; atm also with named terminals at random. atm over TLS and sealed links, beside clear ones. Then many idle sessions. All servers are started and
/// stopped here, on free ports; docs/benchmarks.md says how each is set up and what is measured.
#[derive(Parser)]
#[command(
    name = "compare",
    after_help = "Exit codes: 0 measured (a target may be missed), 1 a system failed, a balance is wrong or a program is \
    missing, 2 wrong usage, 130 stopped by SIGINT or SIGTERM (a second signal ends the program at once, and leaves its folders)."
)]
pub(crate) struct Arguments {
    /// A fraction of a second each, one round, fewer sessions: shows that everything works, not how fast
    #[arg(long)]
    pub(crate) short: bool,
    /// Rounds; every figure is the median of the rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rounds: u16,
    /// Measured time of each system, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) duration: f64,
    /// Warm-up of each system, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    pub(crate) warm_up: f64,
    /// Numbers of sessions in memory
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 8, 50, 200, 1000], value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) sessions: Vec<u16>,
    /// Numbers of sessions on disk, and over links
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 50, 200], value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) durable_sessions: Vec<u16>,
    /// Idle sessions
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    pub(crate) idle: u16,
    /// Accounts with a card, of the hosts that share a ledger
    #[cfg(feature = "postgres")]
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(200..=50_000))]
    pub(crate) accounts: u16,
    /// Only these parts
    #[arg(long, value_name = "PART,…", value_enum, value_delimiter = ',', default_values_t = [Part::Memory, Part::Links, Part::Durable, Part::Idle])]
    pub(crate) parts: Vec<Part>,
    /// Leave these out, if the machine does not have them
    #[arg(long, value_name = "PROGRAM,…", value_enum, value_delimiter = ',')]
    pub(crate) without: Vec<Competitor>,
    /// An `atm` built from an earlier version: it is measured on disk in the same rounds
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) former: Option<PathBuf>,
    /// Folder on the disk to measure [default: the one of this program]
    #[arg(long, value_name = "DIR")]
    pub(crate) disk: Option<PathBuf>,
    /// Run the load on the first core and the servers on the others: steadier, but on two cores no server has
    /// a second one
    #[arg(long)]
    pub(crate) apart: bool,
    /// Write compare.md and its charts into this folder, created if missing
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of the order of the systems in each round; random if not given, and printed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Run as an echo server: the comparison starts itself so
    #[arg(long, hide = true, value_enum, requires = "echo_reply")]
    pub(crate) echo: Option<echo::Concurrency>,
    #[arg(long, hide = true)]
    pub(crate) echo_reply: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// All systems in memory
    Memory,
    /// Our server in clear, over TLS and over sealed links
    Links,
    /// All systems on disk
    Durable,
    /// Idle sessions
    Idle,
    /// Several hosts on one ledger in PostgreSQL: `cargo compare-hosts`
    #[cfg(feature = "postgres")]
    Hosts,
}

impl Arguments {
    /// Reduces everything to what `--short` runs.
    pub(crate) fn shorten(&mut self) {
        (self.rounds, self.duration, self.warm_up) = (1, 0.2, 0.05);
        self.sessions.retain(|sessions| *sessions <= 200);
        self.durable_sessions.retain(|sessions| *sessions <= 50);
        self.idle = self.idle.min(1000);
        #[cfg(feature = "postgres")]
        {
            self.accounts = self.accounts.min(200);
        }
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            warm_up: Duration::from_secs_f64(self.warm_up),
            duration: Duration::from_secs_f64(self.duration),
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .ok_or_else(|| "from 0 to 3600".to_owned())
}
