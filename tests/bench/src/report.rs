//! The report of a run: as text, and as JSON for scripts.
use super::{Report, customer::InputStyle, measurements::LatencyHistogram};
use atm_core::money::{Amount, SignedAmount};
use serde_json::{Value, json};
use std::{
    fmt::{self, Display},
    time::Duration,
};

/// The reported quantiles of a latency.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, measurements, counts, opening_time, balances, .. } = self;
        write!(f, "{} ({}), {} sessions", config.address_list(), config.wire, config.sessions)?;
        if let Some(terminals) = config.terminals {
            write!(f, ", {terminals} named terminals")?;
        }
        match config.rate {
            Some(rate) => write!(f, ", open loop of {rate} answers/s")?,
            None => write!(f, ", closed loop")?,
        }
        writeln!(
            f,
            ", {:.3} s after a warm-up of {:.3} s; --mix {} --seed {}",
            measurements.elapsed.as_secs_f64(),
            config.warm_up.as_secs_f64(),
            config.mix,
            config.seed
        )?;
        if self.stopped {
            writeln!(f, "stopped     before the end of the run")?;
        }
        let mut throughput = |name: &str, count: u64| match measurements.elapsed {
            Duration::ZERO => writeln!(f, "throughput  no {name} were measured"),
            _ => {
                let throughput = measurements.throughput(count);
                writeln!(f, "throughput  {throughput:>10.0} {name}/s ({count} measured)")
            }
        };
        throughput("answers", measurements.answers)?;
        throughput("operations", measurements.operations)?;
        latency(f, "answers", &measurements.answer_latency)?;
        latency(f, "answers that complete an operation", &measurements.operation_latency)?;
        for (count, why) in [
            (
                measurements.missed.saturating_sub(measurements.missed_without_session),
                "every session was waiting for a reply",
            ),
            (measurements.missed_without_session, "no session was left"),
        ] {
            if count > 0 {
                writeln!(f, "missed      {count:>10} answers were due but never sent: {why}")?;
            }
        }
        if measurements.answers > 0 {
            let per_answer = |bytes: u64| bytes as f64 / measurements.answers as f64;
            writeln!(
                f,
                "bytes       {:.1} sent and {:.1} received per answer",
                per_answer(measurements.bytes_sent),
                per_answer(measurements.bytes_received)
            )?;
            if let Some(share) = measurements.cpu_share() {
                writeln!(f, "cpu         load generator: {:.0} % of a core, kernel included", share * 100.0)?;
            }
        }
        match config.sessions.saturating_sub(measurements.lost) {
            0 => writeln!(f, "sessions    none left, {} lost", measurements.lost)?,
            left => writeln!(
                f,
                "sessions    {left} opened within {:.3} ms, {} lost",
                milliseconds(*opening_time),
                measurements.lost
            )?,
        }
        for reason in &measurements.reasons {
            writeln!(f, "            lost: {reason}")?;
        }
        writeln!(
            f,
            "operations  {} balance queries, {} deposits, {} withdrawals, {} refused, warm-up included",
            counts.balances, counts.deposits, counts.withdrawals, counts.refused
        )?;
        match (balances.start, balances.end) {
            _ if config.shared => {
                writeln!(f, "balances    not checked: other clients move money too (--shared)")?;
            }
            (Some(start), Some(end)) => writeln!(
                f,
                "balances    {} checked, {} wrong: {start} + {} deposited - {} withdrawn; {end} at the end",
                balances.checked,
                balances.wrong,
                SignedAmount(balances.deposited.into()),
                SignedAmount(balances.withdrawn.into())
            )?,
            _ => writeln!(
                f,
                "balances    {} checked, {} wrong: the last one is not known",
                balances.checked, balances.wrong
            )?,
        }
        for violation in &balances.violations {
            writeln!(f, "            wrong: {violation}")?;
        }
        Ok(())
    }
}

fn latency(f: &mut fmt::Formatter<'_>, name: &str, latency: &LatencyHistogram) -> fmt::Result {
    if latency.count() == 0 {
        return writeln!(f, "latency     none measured of {name}");
    }
    write!(f, "latency    ")?;
    for (quantile, value) in QUANTILES {
        write!(f, " {quantile} {:.3} ms ", milliseconds(latency.quantile(value)))?;
    }
    writeln!(f, " max {:.3} ms: {name}", milliseconds(latency.max()))
}

impl Report {
    /// The report as one JSON object. Times are in seconds, money in minor units; null is what was not
    /// measured.
    pub fn to_json(&self) -> Value {
        let Self { config, measurements, counts, opening_time, balances, stopped } = self;
        let throughput = |count| {
            let is_known = !measurements.elapsed.is_zero();
            is_known.then(|| (measurements.throughput(count) * 10.0).round() / 10.0)
        };
        let is_open = measurements.lost < config.sessions;
        json!({
            "address": config.address_list(),
            "wire": config.wire.to_string(),
            "sessions": config.sessions,
            "terminals": config.terminals,
            "threads": config.threads,
            "seed": config.seed,
            "mix": config.mix.to_string(),
            "words": config.input_style == InputStyle::Words,
            "shared": config.shared,
            "stopped": stopped,
            "rate": config.rate,
            "warm_up": config.warm_up.as_secs_f64(),
            "duration": measurements.elapsed.as_secs_f64(),
            "opened": is_open.then_some(opening_time.as_secs_f64()),
            "answers": measurements.answers,
            "answers_per_second": throughput(measurements.answers),
            "operations": measurements.operations,
            "operations_per_second": throughput(measurements.operations),
            "late": measurements.missed,
            "orphaned": measurements.missed_without_session,
            "bytes_sent": measurements.bytes_sent,
            "bytes_received": measurements.bytes_received,
            "busy": measurements.cpu_share(),
            "latency": quantiles(&measurements.answer_latency),
            "settling": quantiles(&measurements.operation_latency),
            "lost": measurements.lost,
            "reasons": measurements.reasons,
            "told": counts.balances,
            "deposits": counts.deposits,
            "withdrawals": counts.withdrawals,
            "refused": counts.refused,
            "start": balances.start.map(Amount::minor),
            "end": balances.end.map(Amount::minor),
            "deposited": balances.deposited,
            "withdrawn": balances.withdrawn,
            "checked": balances.checked,
            "wrong": balances.wrong,
            "faults": balances.violations,
        })
    }
}

fn quantiles(latency: &LatencyHistogram) -> Value {
    if latency.count() == 0 {
        return Value::Null;
    }
    let known = QUANTILES.iter().map(|(name, quantile)| (*name, latency.quantile(*quantile)));
    let times = known.chain([("max", latency.max())]).map(|(name, time)| (name, json!(time.as_secs_f64())));
    times.chain([("count", json!(latency.count()))]).collect()
}
