//! A report, as text for people and as JSON for programs.
use super::{Report, balance_auditor::SignedMoney, customer::InputStyle, measurements::LatencyHistogram};
use atm_core::money::Amount;
use std::{
    fmt::{self, Display, Write},
    time::Duration,
};

/// The shares of requests whose time is told, and what they are called.
const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, measured, counts, opened, balances, .. } = self;
        write!(f, "{} ({}), {} sessions", config.address, config.wire, config.sessions)?;
        match config.rate {
            Some(rate) => write!(f, ", {rate} answers a second on schedule")?,
            None => write!(f, ", each asks again at once")?,
        }
        writeln!(
            f,
            ", for {:.3} s after {:.3} s of warm-up; --mix {} --seed {}",
            measured.elapsed.as_secs_f64(),
            config.warm_up.as_secs_f64(),
            config.mix,
            config.seed
        )?;
        if self.stopped {
            writeln!(f, "stopped     before its time was over")?;
        }
        let mut rate = |name: &str, count: u64| match measured.elapsed {
            Duration::ZERO => writeln!(f, "{name:<11} none: nothing was measured"),
            _ => writeln!(f, "{name:<11} {count:>10} {:>10.0}/s", measured.rate(count)),
        };
        rate("answers", measured.answers)?;
        rate("operations", measured.settled)?;
        latency(f, "an answer", &measured.latency)?;
        latency(f, "one that settles an operation", &measured.settling)?;
        for (count, why) in [
            (measured.late.saturating_sub(measured.orphaned), "every session waited for a reply"),
            (measured.orphaned, "no session was left"),
        ] {
            if count > 0 {
                writeln!(f, "late        {count:>10} answers were due and never made: {why}")?;
            }
        }
        if measured.answers > 0 {
            let each = |bytes: u64| bytes as f64 / measured.answers as f64;
            writeln!(
                f,
                "bytes       {:.1} sent and {:.1} received an answer",
                each(measured.sent),
                each(measured.received)
            )?;
            if let Some(share) = measured.share_busy() {
                writeln!(f, "load        {:.0} % of a core, the system's part with it", share * 100.0)?;
            }
        }
        match config.sessions.saturating_sub(measured.lost) {
            0 => writeln!(f, "sessions    none is left, {} lost", measured.lost)?,
            left => writeln!(
                f,
                "sessions    {left} greeted within {:.3} ms, {} lost",
                milliseconds(*opened),
                measured.lost
            )?,
        }
        for reason in &measured.reasons {
            writeln!(f, "            lost: {reason}")?;
        }
        writeln!(
            f,
            "all in all  {} balances told, {} deposits, {} withdrawals, {} refused",
            counts.balances, counts.deposits, counts.withdrawals, counts.refused
        )?;
        match (balances.start, balances.end) {
            _ if config.shared => writeln!(f, "balances    not checked: others move money too (--shared)")?,
            (Some(start), Some(end)) => writeln!(
                f,
                "balances    {} checked, {} wrong: {start} and {} deposited, {} withdrawn, and {end} in the end",
                balances.checked,
                balances.wrong,
                SignedMoney(balances.deposited),
                SignedMoney(balances.withdrawn)
            )?,
            _ => writeln!(
                f,
                "balances    {} checked, {} wrong: the last one was not told",
                balances.checked, balances.wrong
            )?,
        }
        for fault in &balances.faults {
            writeln!(f, "            wrong: {fault}")?;
        }
        Ok(())
    }
}

fn latency(f: &mut fmt::Formatter<'_>, whose: &str, latency: &LatencyHistogram) -> fmt::Result {
    if latency.count() == 0 {
        return writeln!(f, "latency     none: {whose}");
    }
    write!(f, "latency    ")?;
    for (name, share) in SHARES {
        write!(f, " {name} {:.3} ms ", milliseconds(latency.at(share)))?;
    }
    writeln!(f, " max {:.3} ms: {whose}", milliseconds(latency.max()))
}

/// The report as one JSON object on one line. Times are in seconds, money in minor units; null is what was not measured.
#[derive(Clone, Copy, Debug)]
pub struct JsonReport<'a>(pub &'a Report);

impl Display for JsonReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { config, measured, counts, opened, balances, stopped } = self.0;
        write!(
            f,
            "{{\"address\":\"{}\",\"wire\":\"{}\",\"sessions\":{},\"threads\":{},\"seed\":{},\"mix\":\"{}\",\"words\":{},\"shared\":{},\"stopped\":{stopped},\"rate\":{}",
            config.address,
            config.wire,
            config.sessions,
            config.threads,
            config.seed,
            config.mix,
            config.manner == InputStyle::Words,
            config.shared,
            Maybe(config.rate)
        )?;
        write!(
            f,
            ",\"warm_up\":{},\"duration\":{},\"opened\":{}",
            config.warm_up.as_secs_f64(),
            measured.elapsed.as_secs_f64(),
            Maybe(Some(opened.as_secs_f64()).filter(|_| measured.lost < config.sessions))
        )?;
        let rate = |count| {
            Maybe(
                Some(measured.rate(count))
                    .filter(|_| !measured.elapsed.is_zero())
                    .map(|rate| format!("{rate:.1}")),
            )
        };
        write!(
            f,
            ",\"answers\":{},\"answers_per_second\":{},\"operations\":{},\"operations_per_second\":{},\"late\":{},\"orphaned\":{}",
            measured.answers,
            rate(measured.answers),
            measured.settled,
            rate(measured.settled),
            measured.late,
            measured.orphaned
        )?;
        write!(
            f,
            ",\"bytes_sent\":{},\"bytes_received\":{},\"busy\":{}",
            measured.sent,
            measured.received,
            Maybe(measured.share_busy())
        )?;
        write!(f, ",\"latency\":{},\"settling\":{}", Times(&measured.latency), Times(&measured.settling))?;
        write!(
            f,
            ",\"lost\":{},\"reasons\":{},\"told\":{},\"deposits\":{},\"withdrawals\":{},\"refused\":{}",
            measured.lost,
            Texts(&measured.reasons),
            counts.balances,
            counts.deposits,
            counts.withdrawals,
            counts.refused
        )?;
        let minor = |amount: Option<Amount>| Maybe(amount.map(Amount::minor));
        write!(
            f,
            ",\"start\":{},\"end\":{},\"deposited\":{},\"withdrawn\":{},\"checked\":{},\"wrong\":{},\"faults\":{}}}",
            minor(balances.start),
            minor(balances.end),
            balances.deposited,
            balances.withdrawn,
            balances.checked,
            balances.wrong,
            Texts(&balances.faults)
        )
    }
}

/// A value, or null.
struct Maybe<T>(Option<T>);

impl<T: Display> Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => write!(f, "{value}"),
            None => f.write_str("null"),
        }
    }
}

struct Times<'a>(&'a LatencyHistogram);

impl Display for Times<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.count() == 0 {
            return f.write_str("null");
        }
        f.write_char('{')?;
        for (name, share) in SHARES {
            write!(f, "\"{name}\":{:.9},", self.0.at(share).as_secs_f64())?;
        }
        write!(f, "\"max\":{:.9},\"count\":{}}}", self.0.max().as_secs_f64(), self.0.count())
    }
}

/// A list of texts, which may say anything.
struct Texts<'a>(&'a [String]);

impl Display for Texts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (index, text) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "\"" } else { ",\"" })?;
            for c in text.chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            f.write_char('"')?;
        }
        f.write_char(']')
    }
}
