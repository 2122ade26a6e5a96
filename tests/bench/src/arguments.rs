//! The options of `atm-bench`.
use atm_bench::mix::Mix;
use atm_core::wire::Wire;
use clap::{Parser, ValueEnum};
use std::time::Duration;

/// The end of `atm-bench --help`.
const HELP: &str = "\
An answer is what a person types at one prompt, and the reply to it: one message each way. An operation is a \
balance query (one answer), or a deposit or a withdrawal (two answers: the choice, then the amount; with \
--words one). The report has the throughput and the latency of both.

Without --rate the load is a closed loop: each session sends its next answer as soon as it has its reply. \
This measures the greatest throughput. With --rate it is an open loop: answers are due on a schedule, each \
is sent by an idle session, and latency counts from when the answer was due, so that a server that stalls \
does not hide its own pauses (coordinated omission). An answer that was due and never sent, or never \
answered, counts in the latency with the time that it waited.

Every balance is checked: it must include what was acknowledged before its request was sent, and nothing \
that was requested after its reply came. With one session that is exactly one amount. With many it is one \
amount at the start and at the end, with no request outstanding, and a range in between. No other client \
may move money on the server during a run. With --shared others may: balances are not checked then, only \
the amount of each operation.

Exit codes: 0 success, 1 a session was lost or a balance is wrong, 2 wrong usage, 130 stopped by a signal: \
the report of what was measured until then is printed, and a second signal ends the program at once.";

/// Load generator: measure the throughput and latency of a running server, and check every balance
#[derive(Debug, Parser)]
#[command(name = "atm-bench", version, after_help = HELP)]
pub(crate) struct Arguments {
    /// The server's address; of several hosts with one ledger all addresses, which the sessions take in turn
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',', default_value = "127.0.0.1:65432", value_parser = address)]
    pub(crate) connect: Vec<String>,
    /// The server's wire: json, raw or postcard
    #[arg(long, default_value = "json")]
    pub(crate) wire: Wire,
    /// Sessions, all of them open during the whole run
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sessions: u32,
    /// Named terminals, at least one a session: each operation is under an idempotency key. For every operation
    /// a session draws one of its terminals at random, and says hello if it is another one than before. All say
    /// hello once before the run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) terminals: Option<u32>,
    /// Measured time, as in 10s or 1m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_duration)]
    pub(crate) duration: Duration,
    /// Warm-up: load before the measured time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) warm_up: Duration,
    /// How often each kind of operation is requested, as weights
    #[arg(long, value_name = "KIND=N,…", default_value_t)]
    pub(crate) mix: Mix,
    /// Request a deposit or a withdrawal in one answer, as in `deposit 40`, not in two by the menu
    #[arg(long)]
    pub(crate) words: bool,
    /// Open loop: answers per second, over all sessions; without it the load is a closed loop
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Threads that drive the sessions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// Other clients move money on this server too: balances are not checked
    #[arg(long)]
    pub(crate) shared: bool,
    /// Seed of all random numbers; random if not given, and printed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    Text,
    /// One JSON object on one line; times in seconds, money in cents
    Json,
}

fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("an address is HOST:PORT, the port from 0 to 65535".to_owned()),
    }
}

/// The longest measured time.
const MAX_DURATION: Duration = Duration::from_secs(86_400);

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= MAX_DURATION => Ok(time),
        Ok(_) => Err("at most a day".to_owned()),
        Err(error) => Err(format!("{error}; as in 10s, 500ms or 2m")),
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| if time.is_zero() { Err("more than 0".to_owned()) } else { Ok(time) })
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.001..=100_000_000.0).contains(rate))
        .ok_or_else(|| "from 0.001 to 100000000".to_owned())
}
