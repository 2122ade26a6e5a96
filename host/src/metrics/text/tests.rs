//! The page has each value under its name.
use super::*;
use atm_core::{
    ledger::{
        Admission, Command, Gap, LedgerId, Numbers, Operation, Origin, Outcome, Receipt, Refusal, Rejection,
        Request, Response, Ticket,
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
        metrics.update(|counters| counters.count_response(request, &Response::Settled { id: 3, outcome }));
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
        metrics.update(|counters| counters.count_response(request, &Response::Settled { id: 3, outcome }));
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
