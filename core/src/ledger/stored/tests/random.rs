//! Random requests: against the ledger in memory, and over a loss of power.
use super::*;
use proptest::{prelude::*, sample::Index};
use std::collections::HashMap;

/// Any requests of four terminals and an unnamed session, with ids that repeat.
fn steps() -> impl Strategy<Value = Step> {
    let operation = prop_oneof![
        (1u64..50).prop_map(|amount| Operation::Deposit(units(amount))),
        (1u64..50).prop_map(|amount| Operation::Withdraw(units(amount))),
        Just(Operation::WithdrawAll),
        Just(Operation::Inquiry),
    ];
    let terminal = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")];
    prop_oneof![
        8 => (terminal.clone(), 1u64..8, operation.clone()).prop_map(|(name, id, what)| operate(name, id, what)),
        2 => (terminal, 1u64..9).prop_map(|(name, id)| settle(name, id)),
        1 => operation.prop_map(unnamed),
    ]
}

/// A step whose id is that of the terminal's last record, an earlier one, or a number of the conversation that begins with the
/// step: the next 16 of all.
fn numbered((name, mut command): Step, numbers: &mut u64, lasts: &mut HashMap<&'static str, u64>) -> Step {
    let Some(terminal) = name else { return (name, command) };
    let last = lasts.get(terminal).copied();
    match (&mut command, last) {
        (Command::Operate { id, .. }, Some(last)) if *id == 1 => *id = last,
        (Command::Settle { id }, Some(last)) if *id <= 3 => *id = (last + 1).saturating_sub(*id).max(1),
        (Command::Operate { id, .. } | Command::Settle { id }, _) => *id += *numbers,
        _ => {}
    }
    *numbers += 16;
    match command {
        Command::Operate { operation: Operation::Inquiry, .. } => {}
        Command::Operate { id, .. } | Command::Settle { id } => {
            lasts.insert(terminal, id.max(last.unwrap_or(0)));
        }
        _ => {}
    }
    (name, command)
}

/// The record's id and outcome, if money was moved under it.
fn movement(response: Result<Response, InDoubt>) -> Option<(u64, Outcome)> {
    match response {
        Ok(Response::Settled {
            id,
            outcome: outcome @ Outcome::Done(Receipt::Deposited { .. } | Receipt::Withdrawn { .. }),
        }) => Some((id, outcome)),
        _ => None,
    }
}

proptest! {
    #[test]
    fn it_responds_as_a_ledger_in_memory(steps in prop::collection::vec(steps(), 1..40)) {
        let mut model = RamLedger::<4>::new(LedgerId(7), units(100));
        // It reserves 256 numbers a hello, and for each terminal alone.
        for name in ["a", "b", "c", "d"].repeat(3) {
            admitted(hello(&mut model, name, 1, 0));
        }
        let mut ledger = open(Medium::with(vec![0xff; SIZE + 2 * SLOT])).unwrap();
        let (mut numbers, mut lasts, mut acknowledged) = (0, HashMap::new(), HashMap::new());
        for step in &steps {
            let step = numbered(*step, &mut numbers, &mut lasts);
            let (found, expected) = (apply(&mut ledger, &step), apply(&mut model, &step));
            prop_assert_eq!(ledger.balance(), model.balance());
            let Ok(Response::Settled { id, outcome }) = found else { panic!("{found:?}") };
            if found != expected {
                // A refusal or a void was forgotten: the last record is that of an earlier movement.
                let is_forgotten = matches!(
                    expected,
                    Ok(Response::Settled { outcome: Outcome::Refused(_) | Outcome::Unknown, .. })
                );
                let is_known = acknowledged.get(&(step.0, id)) == Some(&outcome);
                prop_assert!(is_forgotten && (is_known || outcome == Outcome::NotDone), "{:?} {:?}", step, outcome);
            }
            if movement(found).is_some() {
                acknowledged.insert((step.0, id), outcome);
            }
        }
    }

    #[test]
    fn after_a_loss_of_power_nothing_is_done_again_or_late(
        steps in prop::collection::vec(steps(), 1..40), cut in any::<Index>(),
    ) {
        let mut ledger = open(Medium::with(vec![0xff; SIZE + 2 * SLOT])).unwrap();
        let cut = cut.index(steps.len());
        // The numbers of the steps are given before the power fails.
        admitted(hello(&mut ledger, "a", 1, 0));
        let mut moved = HashMap::new();
        for step in &steps[..cut] {
            if let (Some(name), Some(found)) = (step.0, movement(apply(&mut ledger, step))) {
                moved.insert(name, found);
            }
        }
        let balance = ledger.balance();
        let mut ledger = reopened(&ledger);
        // What was requested before, and what was on its way.
        for step in steps.iter().filter(|step| step.0.is_some()) {
            apply(&mut ledger, step).unwrap();
        }
        prop_assert_eq!(ledger.balance(), balance);
        for (name, (id, outcome)) in moved {
            let found = apply(&mut ledger, &settle(name, id));
            // A later refusal or void may have been committed.
            let is_known = found == settled(id, outcome) || found == settled(id, Outcome::Unknown);
            prop_assert!(is_known, "{} {} {:?}", name, id, found);
        }
    }
}
