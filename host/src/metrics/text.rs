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
        let help =
            "Duration of each commit's sync of the ledger's files, with a checkpoint where there is one.";
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
    let always: [Number; 17] = [
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
        ("atm_ledger_commits_total", "counter", "Commits of the ledger on disk.", now.commits),
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
    ];
    let on_disk = now.is_ledger_open.map(|is_open| -> [Number; 2] {
        [
            (
                "atm_ledger_open",
                "gauge",
                "1 while the ledger is open, 0 while a fault lasts or its database does not answer.",
                (is_open && !now.is_ledger_stalled()).into(),
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
mod tests {
    use super::*;
    use atm_core::{
        ledger::{
            Admission, Command, Gap, LedgerId, Numbers, Operation, Origin, Outcome, Receipt, Refusal,
            Rejection, Request, Response, Ticket,
            card::{CardKeys, CardRequest, KeyId, Statement},
        },
        money::Amount,
    };
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
        time::{Duration, Instant},
    };

    fn request(command: Command) -> Request {
        let origin = Origin::Terminal("kiosk-7".parse().unwrap());
        Request { ticket: Ticket::default(), origin, turn: 1, command }
    }

    #[test]
    fn an_operation_counts_once_however_often_its_outcome_is_asked_for() {
        let metrics = Metrics::default();
        let operate = request(Command::Operate { id: 3, operation: Operation::Inquiry });
        let settle = request(Command::Settle { id: 3 });
        let done = Outcome::Done(Receipt::Balance { balance: Amount::ZERO });
        for (request, outcome) in
            [(&operate, done), (&settle, done), (&settle, done), (&settle, Outcome::Unknown)]
        {
            metrics
                .update(|counters| counters.count_response(request, &Response::Settled { id: 3, outcome }));
        }
        let page = metrics.to_string();
        for line in ["{outcome=\"done\"} 1", "{outcome=\"unknown\"} 1"] {
            assert!(page.contains(&format!("\natm_operations_total{line}\n")), "{line}: {page}");
        }
    }

    #[test]
    fn a_refused_verification_of_a_card_counts_once() {
        let keys = CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(1), [2; 32].into()), None);
        let claim = keys.claim(&"4111111111111111".parse().unwrap());
        let verify = CardRequest::Verify { claim, proof: keys.proof(&claim, &"2580".parse().unwrap()) };
        let verify = request(Command::Card { id: 3, request: verify });
        let settle = request(Command::Settle { id: 3 });
        let metrics = Metrics::default();
        let refused = Outcome::Refused(Refusal::NotVerified);
        let delayed = Outcome::Refused(Refusal::Delayed { seconds: 1 });
        for (request, outcome) in [(&verify, refused), (&settle, refused), (&verify, delayed)] {
            metrics
                .update(|counters| counters.count_response(request, &Response::Settled { id: 3, outcome }));
        }
        let statement = Response::Statement { id: 3, statement: Statement::default() };
        metrics.update(|counters| counters.count_response(&verify, &statement));
        let page = metrics.to_string();
        for line in [
            "atm_refused_verifications_total 1",
            "atm_operations_total{outcome=\"refused\"} 2",
            "atm_operations_total{outcome=\"done\"} 1",
        ] {
            assert!(page.contains(&format!("\n{line}\n")), "{line}: {page}");
        }
    }

    #[test]
    fn a_name_without_room_counts_as_turned_away() {
        let metrics = Metrics::default();
        for rejection in [Rejection::Full, Rejection::InUse] {
            let settle = request(Command::Settle { id: 3 });
            metrics.update(|counters| counters.count_response(&settle, &Response::Rejected(rejection)));
        }
        assert!(metrics.to_string().contains("\natm_turned_away_total 1\n"), "{metrics}");
    }

    #[test]
    fn a_request_after_a_revocation_counts_as_a_refused_terminal() {
        let metrics = Metrics::default();
        for rejection in [Rejection::Revoked, Rejection::InUse] {
            let settle = request(Command::Settle { id: 3 });
            metrics.update(|counters| counters.count_response(&settle, &Response::Rejected(rejection)));
        }
        assert!(metrics.to_string().contains("\natm_refused_terminals_total 1\n"), "{metrics}");
    }

    #[test]
    fn only_a_hello_that_proves_a_set_back_counts_as_one() {
        let metrics = Metrics::default();
        let gap = Gap { start: 1, end: 2 };
        for set_back in [None, Some(gap), None, Some(gap)] {
            let numbers = Numbers::NONE;
            let admission =
                Admission { ledger: LedgerId(7), turn: 1, former: None, numbers, set_back, last: None };
            let settle = request(Command::Settle { id: 3 });
            metrics.update(|counters| counters.count_response(&settle, &Response::Admitted(admission)));
        }
        assert!(metrics.to_string().contains("\natm_ledger_set_backs_total 2\n"), "{metrics}");
    }

    #[test]
    fn a_duration_counts_in_every_bucket_from_its_bound_on() {
        let metrics = Metrics::default();
        let deposit = Operation::Deposit(Amount::ZERO);
        for micros in [1, 50, 51, 99_000_000] {
            metrics.update(|counters| counters.observe_operation(deposit, Duration::from_micros(micros)));
        }
        let page = metrics.to_string();
        for line in [
            "_bucket{operation=\"deposit\",le=\"0.00005\"} 2",
            "_bucket{operation=\"deposit\",le=\"0.0001\"} 3",
            "_bucket{operation=\"deposit\",le=\"10\"} 3",
            "_bucket{operation=\"deposit\",le=\"+Inf\"} 4",
            "_sum{operation=\"deposit\"} 99.000102",
            "_count{operation=\"deposit\"} 4",
            "_count{operation=\"balance\"} 0",
        ] {
            assert!(page.contains(&format!("\natm_operation_seconds{line}\n")), "{line}: {page}");
        }
    }

    #[test]
    fn a_batch_without_an_end_closes_the_ledger_after_ten_seconds() {
        for (seconds, is_open) in [(9, 1), (11, 0)] {
            let metrics = Metrics::default();
            metrics.update(|counters| {
                counters.is_ledger_open = Some(true);
                counters.ledger_at_work = Instant::now().checked_sub(Duration::from_secs(seconds));
            });
            assert!(metrics.to_string().contains(&format!("\natm_ledger_open {is_open}\n")), "{metrics}");
            assert_eq!(metrics.snapshot().fault().is_none(), is_open == 1);
        }
    }

    #[test]
    fn a_page_shows_one_moment() {
        let (metrics, is_done) = (Arc::new(Metrics::default()), Arc::new(AtomicBool::new(false)));
        let (updated, done) = (metrics.clone(), is_done.clone());
        let updating = thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                updated.update(|counters| {
                    counters.commits += 1;
                    counters.entries += 1;
                    counters.syncs.observe(Duration::ZERO);
                });
            }
        });
        let value = |page: &str, name: &str| -> u64 {
            page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap()
        };
        for _ in 0..1000 {
            let page = metrics.to_string();
            let commits = value(&page, "atm_ledger_commits_total");
            for name in [
                "atm_ledger_entries_total",
                "atm_ledger_sync_seconds_bucket{le=\"0.00005\"}",
                "atm_ledger_sync_seconds_bucket{le=\"+Inf\"}",
                "atm_ledger_sync_seconds_count",
            ] {
                assert_eq!(value(&page, name), commits, "{name}");
            }
        }
        is_done.store(true, Ordering::Relaxed);
        updating.join().unwrap();
    }
}
