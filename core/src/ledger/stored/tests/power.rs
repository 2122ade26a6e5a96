//! Losses of power, and media that do not keep what is written.
use super::*;

/// Applies the workload until power fails; returns what was acknowledged, and the step that was in doubt.
fn run(ledger: &mut StoredLedger<Medium>, model: &mut RamLedger<3>) -> (Vec<(Step, Response)>, Option<Step>) {
    let mut acknowledged: Vec<(Step, Response)> = vec![];
    for step in workload() {
        let Ok(response) = apply(ledger, &step) else { return (acknowledged, Some(step)) };
        assert_eq!(apply(model, &step), Ok(response));
        acknowledged.retain(|((before, _), _)| *before != step.0);
        acknowledged.push((step, response));
    }
    (acknowledged, None)
}

#[test]
fn power_may_fail_at_any_byte_that_is_written() {
    let total = used().storage().written;
    assert!(total > 300, "{total}");
    for power in (0..total).step_by(crate::STRIDE) {
        let mut model = RamLedger::<3>::new(LedgerId(7), units(100));
        let (mut acknowledged, mut in_doubt) = (vec![], None);
        let mut bytes = Medium::new().bytes;
        if let Ok(mut ledger) = open(Medium { power, ..Medium::new() }) {
            (acknowledged, in_doubt) = run(&mut ledger, &mut model);
            bytes.clone_from(&ledger.storage().bytes);
        }
        // Power is back.
        let mut ledger = open(Medium::with(bytes)).unwrap_or_else(|error| panic!("{power}: {error:?}"));
        for (step, response) in &acknowledged {
            // Each terminal's last outcome is the same again, unless a later step of it was in doubt. What moved no
            // money may be forgotten: it is not done then, and never will be.
            if step.0.is_some() && in_doubt.is_none_or(|doubtful| doubtful.0 != step.0) {
                let again = apply(&mut ledger, step);
                if again != Ok(*response) {
                    let &Response::Settled { id, outcome } = response else { panic!("{power}: {step:?}") };
                    assert!(!matches!(outcome, Outcome::Done(_)), "{power}: {step:?}");
                    assert_eq!(again, settled(id, Outcome::NotDone), "{power}: {step:?}");
                }
            }
        }
        match in_doubt {
            // It was done or not; an unnamed session cannot ask.
            Some(step @ (None, _)) => {
                let before = model.balance();
                apply(&mut model, &step).unwrap();
                assert!([before, model.balance()].contains(&ledger.balance()), "{power}");
                continue;
            }
            Some(step @ (Some(terminal), Command::Operate { id, .. })) => {
                let response = apply(&mut ledger, &settle(terminal, id));
                if response != settled(id, Outcome::NotDone) {
                    assert_eq!(response, apply(&mut model, &step), "{power}");
                }
            }
            _ => {}
        }
        assert_eq!(ledger.balance(), model.balance(), "{power}");
        let [first, second] = halves(&ledger);
        assert_eq!(first, second, "{power}: both copies are the same again");
    }
}

#[test]
fn power_may_fail_during_a_repair() {
    let used = used();
    for page in 0..3 {
        for power in (0..SLOT).step_by(crate::STRIDE) {
            let mut medium = used.storage().clone();
            medium.bytes[page * SLOT..][..SLOT].fill(0x55);
            medium.power = power;
            let mut ledger = StoredLedger { store: Store::new(medium, FORMAT).unwrap(), ..used.clone() };
            let _ = ledger.load();
            assert_eq!(reopened(&ledger).head, used.head, "{page} {power}");
        }
    }
}

#[test]
fn a_medium_that_does_not_keep_what_is_written_is_noticed() {
    for worn in [0, 1, 20] {
        let mut ledger = used();
        let before = ledger.balance();
        let turn = admitted(hello(&mut ledger, "a", 1, 0)).turn;
        medium(&mut ledger).worn = Some(worn);
        let request = request(Some("a"), turn, deposit("a", 20, 5).1);
        assert_eq!(ledger.apply(&request), Err(InDoubt));
        assert_eq!(ledger.apply(&request), Err(InDoubt), "no response before a commit stands");
        medium(&mut ledger).worn = None;
        let done = settled(20, deposited(5, 12));
        assert_eq!(ledger.apply(&request), done);
        assert_eq!(ledger.apply(&request), done);
        assert_eq!(ledger.balance(), before.checked_add(units(5)).unwrap(), "it was done once");
    }
}

#[test]
fn a_commit_in_doubt_is_found_or_voided() {
    let mut used = used();
    let turn = admitted(hello(&mut used, "a", 1, 0)).turn;
    let (mut stood, mut voided) = (0, 0);
    for power in 1.. {
        let mut ledger = used.clone();
        medium(&mut ledger).power = power;
        if ledger.apply(&request(Some("a"), turn, deposit("a", 20, 5).1)).is_ok() {
            break;
        }
        medium(&mut ledger).power = usize::MAX;
        let response = ledger.apply(&request(Some("a"), turn, Command::Settle { id: 20 }));
        let (balance, count) = match response {
            Ok(Response::Settled { outcome: Outcome::NotDone, .. }) => (7, &mut voided),
            response => {
                assert_eq!(response, settled(20, deposited(5, 12)));
                (12, &mut stood)
            }
        };
        assert_eq!(ledger.balance(), units(balance));
        *count += 1;
    }
    assert!(stood > 20 && voided > 20, "{stood} {voided}");
}

#[test]
fn a_refusal_that_another_terminals_hello_loses_is_not_done_and_costs_no_commit() {
    let mut ledger = used();
    let withdrawal = operate("a", 20, Operation::Withdraw(units(1000)));
    let refused = Outcome::Refused(Refusal::Insufficient { balance: units(7) });
    assert_eq!(apply(&mut ledger, &withdrawal), settled(20, refused));
    let commits = ledger.commits();
    admitted(hello(&mut ledger, "b", 1, 0));
    assert_eq!(ledger.commits(), commits);
    apply(&mut ledger, &deposit("b", 21, 5_000)).unwrap();
    for _ in 0..2 {
        assert_eq!(apply(&mut ledger, &withdrawal), settled(20, Outcome::NotDone));
        assert_eq!(apply(&mut ledger, &settle("a", 20)), settled(20, Outcome::NotDone));
    }
    assert_eq!(ledger.balance(), units(5_007));
}
