//! The results as Markdown tables.
use super::{idle::IdleResults, rounds::Results, targets::PerformanceTarget};
use std::fmt::Write;

/// A table of the median throughputs, a row for each system.
pub fn throughputs(results: &Results, what: &str) -> String {
    table(results, what, |name, sessions| results.throughput(name, sessions).map(grouped))
}

/// A table of the p50 and p99 latencies, in milliseconds.
pub fn latencies(results: &Results) -> String {
    let milliseconds = |seconds: f64| format!("{:.3}", seconds * 1e3);
    table(results, "latency p50 / p99, ms", |name, sessions| {
        let p50 = results.latency(name, sessions, |sample| sample.p50)?;
        let p99 = results.latency(name, sessions, |sample| sample.p99)?;
        Some(format!("{} / {}", milliseconds(p50), milliseconds(p99)))
    })
}

/// A table of our load generator's processor time.
pub fn cpu_shares(results: &Results) -> String {
    let known = |name: &str, sessions| {
        let shares: Vec<f64> =
            results.samples(name, sessions).iter().filter_map(|sample| sample.cpu_share).collect();
        (!shares.is_empty()).then(|| format!("{:.0}", super::median(shares) * 100.0))
    };
    table(results, "load generator, % of a core", known)
}

/// A table of the batches of hosts that were tried again, in all rounds.
pub fn retries(results: &Results) -> String {
    table(results, "batches that were tried again, of all rounds", |name, sessions| {
        let used: Vec<_> =
            results.samples(name, sessions).iter().filter_map(|sample| sample.database).collect();
        (!used.is_empty()).then(|| used.iter().map(|used| used.retries).sum::<u64>().to_string())
    })
}

/// A table of the write-ahead log of the hosts' database.
pub fn log_bytes(results: &Results) -> String {
    table(results, "write-ahead log, bytes an operation", |name, sessions| {
        let used = results.samples(name, sessions).iter().filter_map(|sample| sample.database);
        let bytes: Vec<f64> = used.map(|used| used.log_bytes).collect();
        (!bytes.is_empty()).then(|| grouped(super::median(bytes)))
    })
}

/// A table of the ratios of throughputs, with the range of the rounds.
pub fn ratios(results: &Results, pairs: &[(&str, &str)]) -> String {
    let mut text = header(results, "throughput relative to the other");
    for (one, other) in pairs {
        write!(text, "\n| {one} / {other} |").unwrap();
        for sessions in &results.sessions {
            let ratio = results.ratio((one, other), *sessions, |sample| Some(sample.throughput));
            let cell = ratio.map_or_else(
                || "–".to_owned(),
                |ratio| format!("{:.2} ({:.2}–{:.2})", ratio.lower, ratio.least, ratio.most),
            );
            write!(text, " {cell} |").unwrap();
        }
    }
    text.push('\n');
    text
}

fn table(results: &Results, what: &str, cell: impl Fn(&str, usize) -> Option<String>) -> String {
    let mut text = header(results, what);
    for name in &results.systems {
        write!(text, "\n| {name} |").unwrap();
        for sessions in &results.sessions {
            write!(text, " {} |", cell(name, *sessions).unwrap_or_else(|| "–".to_owned())).unwrap();
        }
    }
    text.push('\n');
    text
}

fn header(results: &Results, what: &str) -> String {
    let mut text = format!("| {what} |");
    for sessions in &results.sessions {
        write!(text, " {} |", grouped(*sessions as f64)).unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(results.sessions.len()));
    text
}

/// A table of the targets: what is required, what was measured, and whether the target is met.
pub fn targets(targets: &[PerformanceTarget]) -> String {
    let mut text =
        "| target | required | measured | range over rounds | |\n|---|---:|---:|---:|---|\n".to_owned();
    for target in targets {
        let unit = if target.unit.is_empty() { String::new() } else { format!(" {}", target.unit) };
        let range = target.range.map_or_else(String::new, |(least, most)| format!("{least:.2}–{most:.2}"));
        let met = if target.is_met() { "met" } else { "**missed**" };
        writeln!(
            text,
            "| {} | {}{unit} | {}{unit} | {range} | {met} |",
            target.what,
            target.bound,
            short(target.value)
        )
        .unwrap();
    }
    text
}

/// The results of the idle sessions, as a paragraph.
pub fn idle(idle: &IdleResults) -> String {
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    format!(
        "{} sessions, connected in one burst: all but {} greeted within {:.0} ms. Each takes {:.0} bytes of the server's resident \
         memory. One more session had its first reply {:.1} ms after its connect, and a latency of {:.3} ms (p50; p99 {:.3} ms). A \
         session over the limit got {} notice.\n",
        grouped(idle.sessions as f64),
        idle.not_greeted,
        milliseconds(idle.burst_time),
        idle.memory,
        milliseconds(idle.connect_to_reply),
        milliseconds(idle.p50),
        milliseconds(idle.p99),
        if idle.notified { "a" } else { "no" }
    )
}

/// A rounded number with its thousands separated.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn short(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 { grouped(value) } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            rounds::tests::results,
            targets::{Bound, PerformanceTarget},
        },
        *,
    };

    #[test]
    fn tables_and_targets_are_markdown() {
        let all = results(&[("a", 1, &[1_234_567.4]), ("a", 1000, &[999.6]), ("b", 1, &[12.0])]);
        let expected = "| req/s | 1 | 1,000 |\n|---|---:|---:|\n| a | 1,234,567 | 1,000 |\n| b | 12 | – |\n";
        assert_eq!(throughputs(&all, "req/s"), expected);
        let both = results(&[("a", 8, &[10.0, 30.0, 20.0]), ("b", 8, &[20.0, 20.0, 20.0])]);
        let expected = "| throughput relative to the other | 8 |\n|---|---:|\n| a / b | 1.00 (0.50–1.50) |\n| a / c | – |\n";
        assert_eq!(ratios(&both, &[("a", "b"), ("a", "c")]), expected);
        let missed = PerformanceTarget {
            what: "x".into(),
            bound: Bound::Least(0.9),
            value: 0.85,
            range: Some((0.8, 0.9)),
            unit: "",
        };
        assert!(targets(&[missed]).ends_with("| x | ≥ 0.9 | 0.85 | 0.80–0.90 | **missed** |\n"));
    }
}
