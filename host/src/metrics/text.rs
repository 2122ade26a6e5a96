//! Prometheus' text format, version 0.0.4, of the metrics at one moment.
use super::{BOUNDS, Counters, Histogram, Metrics, OPERATIONS, OUTCOMES};
use std::fmt::{self, Formatter};

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let now = self.snapshot();
        family(f, "atm_build_info", "gauge", "The program's version.")?;
        writeln!(f, "atm_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))?;
        family(
            f,
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
        )?;
        writeln!(f, "process_start_time_seconds {:.3}", self.started)?;
        for (name, kind, help, value) in numbers(&now) {
            family(f, name, kind, help)?;
            writeln!(f, "{name} {value}")?;
        }
        family(f, "atm_operations_total", "counter", "Operations by outcome.")?;
        for (outcome, count) in OUTCOMES.iter().zip(&now.outcomes) {
            writeln!(f, "atm_operations_total{{outcome=\"{outcome}\"}} {count}")?;
        }
        let latency = "atm_operation_seconds";
        family(f, latency, "histogram", "Time from an operation's request until its outcome is to be sent.")?;
        for (operation, histogram) in OPERATIONS.iter().zip(&now.latencies) {
            write_histogram(f, latency, &format!("operation=\"{operation}\""), histogram)?;
        }
        let syncs = "atm_ledger_sync_seconds";
        let help = "Duration of each commit: of the sync of the ledger's files, with a checkpoint where there is one, or of the database's.";
        family(f, syncs, "histogram", help)?;
        write_histogram(f, syncs, "", &now.syncs)
    }
}

fn family(f: &mut Formatter<'_>, name: &str, kind: &str, help: &str) -> fmt::Result {
    write!(f, "# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

type Number = (&'static str, &'static str, &'static str, u64);

/// The metrics of one number each. Without a ledger on disk its counters are 0, and its gauges are left out.
fn numbers(now: &Counters) -> impl Iterator<Item = Number> {
    let always: [Number; 20] = [
        ("atm_sessions_total", "counter", "Sessions that were opened.", now.sessions),
        ("atm_sessions", "gauge", "Sessions that are open.", now.open_sessions),
        (
            "atm_turned_away_total",
            "counter",
            "Connections, and hellos under new names, that were turned away for lack of room.",
            now.turned_away,
        ),
        (
            "atm_discarded_frames_total",
            "counter",
            "Faulty or incomplete frames, which were discarded.",
            now.discarded,
        ),
        (
            "atm_unauthentic_frames_total",
            "counter",
            "Frames that met with silence: not authentic, or in clear where only sealed ones are read.",
            now.unauthentic,
        ),
        (
            "atm_unserved_keys_total",
            "counter",
            "Sealed hellos whose key was not computed, because too many were in a minute.",
            now.unserved_keys,
        ),
        ("atm_tls_failures_total", "counter", "TLS sessions that have failed.", now.tls_failures),
        (
            "atm_refused_terminals_total",
            "counter",
            "Connections ended for another name than in the certificate, or a terminal not enrolled, revoked or out of service.",
            now.refused_terminals,
        ),
        (
            "atm_refused_verifications_total",
            "counter",
            "Wrong PINs, unknown cards and blocked cards.",
            now.refused_verifications,
        ),
        (
            "atm_verification_alarms_total",
            "counter",
            "Minutes in which more verifications were refused than --refusal-alarm.",
            now.verification_alarms,
        ),
        ("atm_blocked_cards_total", "counter", "Cards that wrong PINs have blocked.", now.blocked_cards),
        (
            "atm_duplicates_total",
            "counter",
            "Duplicate requests: their idempotency key was used before.",
            now.duplicates,
        ),
        (
            "atm_ledger_set_backs_total",
            "counter",
            "Hellos that proved that the ledger was set back.",
            now.set_backs,
        ),
        ("atm_ledger_commits_total", "counter", "Commits of the ledger.", now.commits),
        ("atm_ledger_entries_total", "counter", "Entries that were written.", now.entries),
        (
            "atm_ledger_batched_total",
            "counter",
            "Requests in those commits; divided by them, the mean size of a batch.",
            now.batched,
        ),
        (
            "atm_ledger_doubts_total",
            "counter",
            "Commits that returned an error and were in doubt.",
            now.doubts,
        ),
        ("atm_ledger_settled_total", "counter", "Commits in doubt that were settled.", now.settled),
        (
            "atm_ledger_retries_total",
            "counter",
            "Batches that were put off, because another transaction was in their way.",
            now.retries,
        ),
        (
            "atm_ledger_reconnects_total",
            "counter",
            "Times that the ledger's database was opened anew after a fault.",
            now.reconnects,
        ),
    ];
    let on_disk = now.is_ledger_open.map(|is_open| -> [Number; 4] {
        [
            (
                "atm_ledger_open",
                "gauge",
                "1 while the ledger is open, 0 while a fault lasts or its database does not answer.",
                (is_open && !now.is_blocked && !now.is_ledger_stalled()).into(),
            ),
            (
                "atm_ledger_in_doubt",
                "gauge",
                "1 while a commit is in doubt, whose outcomes wait.",
                now.is_in_doubt.into(),
            ),
            (
                "atm_ledger_fenced",
                "gauge",
                "1 once another process has taken the journal over: the server stops.",
                now.is_fenced.into(),
            ),
            (
                "atm_ledger_log_bytes",
                "gauge",
                "Length of the write-ahead log; it grows while another process keeps a transaction open.",
                now.log_bytes,
            ),
        ]
    });
    always.into_iter().chain(on_disk.into_iter().flatten())
}

/// The count is the sum of the buckets, so that no bucket is above `+Inf`.
fn write_histogram(
    f: &mut Formatter<'_>,
    name: &str,
    label: &str,
    Histogram { buckets, sum_micros }: &Histogram,
) -> fmt::Result {
    let (comma, mut count) = (if label.is_empty() { "" } else { "," }, 0u64);
    let bounds = BOUNDS.iter().map(|most| seconds(*most).to_string()).chain(["+Inf".to_owned()]);
    for (bound, bucket) in bounds.zip(buckets) {
        count += bucket;
        writeln!(f, "{name}_bucket{{{label}{comma}le=\"{bound}\"}} {count}")?;
    }
    let labels = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
    writeln!(f, "{name}_sum{labels} {}\n{name}_count{labels} {count}", seconds(*sum_micros))
}

/// Exact up to 2^53 microseconds: 285 years.
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests;
