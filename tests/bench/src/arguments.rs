//! The options of `atm-bench`.
use atm_bench::mix::Mix;
use atm_core::wire::Wire;
use clap::{Parser, ValueEnum};
use std::time::Duration;

/// What `atm-bench --help` says behind its options.
const HELP: &str = "\
An answer is what a person types at one prompt, together with the reply to it: one message each way. An operation is \
what is settled by one: a balance takes one answer, a deposit or a withdrawal takes two (the choice, then the amount; with \
--words one). Both are reported, each a second, with the times of all answers and of those that settled an operation.

Without --rate each session answers again as soon as it has its reply (a closed loop): the server is as busy as it can \
be, and its slowness shows in the rate. With --rate answers are made on schedule (an open loop), by whichever session \
waits for nothing, and a reply's time is counted from when its answer was due, so that a server that stalls does not make \
its own pauses unseen. What was due and never asked for, or never replied to, is in the times with how long it had waited.

A balance that is told must hold what was acknowledged before it was asked for, and nothing that was asked for after it \
was told: with one session that is one amount, exactly; with many it is exact at the start and at the end, when \
nothing is out, and between two bounds in the meantime. That nobody else moves money there it cannot know: it takes your \
word. Say --shared where others do; balances are not checked then, only that each operation moved what was asked.

Exit codes: 0 success, 1 a session was lost or something told cannot be so, 2 wrong usage, 130 stopped by \
a signal: what was measured until then is told, and a second signal ends it at once.";

/// Put a load on a running server, measure how fast it answers and check every balance
#[derive(Debug, Parser)]
#[command(name = "atm-bench", version, after_help = HELP)]
pub(crate) struct Arguments {
    /// The server's address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:65432", value_parser = address)]
    pub(crate) connect: String,
    /// How messages cross the line: json, raw or postcard
    #[arg(long, default_value = "json")]
    pub(crate) wire: Wire,
    /// Sessions, all of them open all the time
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sessions: u32,
    /// How long to measure, as in 10s or 1m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    pub(crate) duration: Duration,
    /// How long to put the load on before anything is measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = any_time)]
    pub(crate) warm_up: Duration,
    /// What people want, in parts
    #[arg(long, value_name = "WISH=N,…", default_value_t)]
    pub(crate) mix: Mix,
    /// Ask as in `deposit 40`, in one answer, not by the menu in two
    #[arg(long)]
    pub(crate) words: bool,
    /// Answers a second, on schedule, over all sessions; without it each asks again as soon as it has its reply
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Threads to drive the sessions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// Others move money on this server too: balances cannot be checked
    #[arg(long)]
    pub(crate) shared: bool,
    /// What is drawn by chance is drawn from this; printed, and random where it is not given
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How to print what came of it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// How to print a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
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

/// The longest time that is measured.
const LONGEST: Duration = Duration::from_secs(86_400);

fn any_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= LONGEST => Ok(time),
        Ok(_) => Err("at most a day".to_owned()),
        Err(error) => Err(format!("{error}; as in 10s, 500ms or 2m")),
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    any_time(text)
        .and_then(|time| if time.is_zero() { Err("more than nothing".to_owned()) } else { Ok(time) })
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.001..=100_000_000.0).contains(rate))
        .ok_or_else(|| "from 0.001 to 100000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::Parser;

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "--sessions 0",
            "--duration 0s",
            "--duration 10",
            "--warm-up -1s",
            "--warm-up 2days",
            "--mix theft=1",
            "--mix deposit=0",
            "--rate 0",
            "--rate NaN",
            "--wire morse",
            "--format xml",
        ] {
            let words = ["atm-bench"].into_iter().chain(line.split(' '));
            assert_eq!(Arguments::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn usage_is_accepted_where_nothing_is_wrong() {
        let line = "atm-bench --connect a:1 --wire raw --sessions 1000 --duration 500ms --warm-up 0s --mix deposit=1 --words \
                    --rate 0.5 --threads 2 --shared --seed 7 --format json";
        assert!(Arguments::try_parse_from(line.split_whitespace()).is_ok());
    }
}
