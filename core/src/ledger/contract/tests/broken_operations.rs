//! Ledgers that break a clause about operations, outcomes or voids.
use super::*;

fn settled(id: u64, outcome: Outcome) -> Response {
    Response::Settled { id, outcome }
}

/// Answers operations that are not inquiries with what `outcome` gives, and does what it does.
fn operations(
    ledger: &mut Plain,
    request: &Request,
    outcome: fn(&mut Plain, Option<Record>, u64, Operation) -> Option<Outcome>,
) -> Response {
    match (&request.origin, request.command) {
        (Origin::Terminal(_), Command::Operate { id, operation }) if operation != Operation::Inquiry => {
            let last = ledger.last(request);
            match outcome(ledger, last, id, operation) {
                Some(outcome) => settled(id, outcome),
                None => ledger.apply(request),
            }
        }
        _ => ledger.apply(request),
    }
}

/// Answers the questions for an outcome with what `outcome` gives.
fn settles(
    ledger: &mut Plain,
    request: &Request,
    outcome: fn(Option<Record>, u64) -> Option<Outcome>,
) -> Response {
    match request.command {
        Command::Settle { id } => match outcome(ledger.last(request), id) {
            Some(outcome) => settled(id, outcome),
            None => ledger.apply(request),
        },
        _ => ledger.apply(request),
    }
}

/// Ledgers that break what they do, with the clause that says so.
const BENT: &[(Broken, Bend)] = &[
    ("an operation is answered with its outcome under its id", |ledger, request| {
        match ledger.apply(request) {
            Response::Settled { id, outcome } => settled(id + 1, outcome),
            other => other,
        }
    }),
    ("an inquiry reports the balance", |ledger, request| match request.command {
        Command::Operate { operation: Operation::Inquiry, id } => settled(id, Outcome::NotDone),
        _ => ledger.apply(request),
    }),
    (SUM, |ledger, request| match request.command {
        Command::Operate { operation: Operation::Inquiry, id } => {
            settled(id, Outcome::Done(Receipt::Balance { balance: units(1) }))
        }
        _ => ledger.apply(request),
    }),
    ("a deposit adds", |ledger, request| {
        operations(ledger, request, |_, _, _, operation| {
            matches!(operation, Operation::Deposit(_)).then_some(Outcome::NotDone)
        })
    }),
    ("a withdrawal takes", |ledger, request| {
        operations(ledger, request, |ledger, _, _, operation| match operation {
            Operation::Withdraw(amount) => Some(ledger.unrecorded(Operation::Deposit(amount))),
            _ => None,
        })
    }),
    ("all is what is there", |ledger, request| {
        operations(ledger, request, |ledger, _, _, operation| {
            let all = operation == Operation::WithdrawAll;
            all.then(|| ledger.unrecorded(Operation::Withdraw(units(1))))
        })
    }),
    ("all of nothing is refused", |ledger, request| {
        operations(ledger, request, |ledger, _, _, operation| {
            let nothing = operation == Operation::WithdrawAll && ledger.account.balance.is_zero();
            nothing.then(|| ledger.unrecorded(Operation::Withdraw(Amount::ZERO)))
        })
    }),
    ("nothing is overdrawn", |ledger, request| {
        operations(ledger, request, |ledger, _, _, operation| match operation {
            Operation::Withdraw(amount) if ledger.account.balance.is_zero() => {
                Some(Outcome::Done(Receipt::Withdrawn { amount, balance: Amount::ZERO }))
            }
            _ => None,
        })
    }),
    ("the same id and operation have the recorded outcome", |ledger, request| {
        operations(ledger, request, |ledger, _, _, operation| Some(ledger.unrecorded(operation)))
    }),
    // The outcome is right, and the operation is done again.
    (SUM, |ledger, request| {
        operations(ledger, request, |ledger, last, id, operation| {
            if last.is_some_and(|last| last.id == id && last.operation.is_some()) {
                ledger.unrecorded(operation);
            }
            None
        })
    }),
    ("the same id with another operation is refused", |ledger, request| {
        operations(ledger, request, |_, last, id, _| {
            last.filter(|last| last.id == id).map(|last| last.outcome)
        })
    }),
    ("a conflict changes no record", |ledger, request| {
        let response = ledger.apply(request);
        if let Response::Settled { outcome: outcome @ Outcome::Refused(Refusal::Conflict), .. } = response
            && let Some(Terminal { last: Some(last), .. }) = ledger.row(request)
        {
            last.outcome = outcome;
        }
        response
    }),
    ("a withdrawal above the balance is refused", |ledger, request| {
        operations(ledger, request, |_, _, _, operation| {
            (operation == Operation::Withdraw(units(140))).then_some(Outcome::NotDone)
        })
    }),
    ("a refusal is recorded like a success", |ledger, request| {
        let before = ledger.clone();
        let response = ledger.apply(request);
        if matches!(response, Response::Settled { outcome: Outcome::Refused(_), .. }) {
            *ledger = before;
        }
        response
    }),
    ("a refusal is recorded like a success", |ledger, request| {
        settles(ledger, request, |last, _| match last?.outcome {
            Outcome::Refused(_) => Some(Outcome::NotDone),
            _ => None,
        })
    }),
    ("an operation under a lower id is unknown and not done", |ledger, request| {
        operations(ledger, request, |_, last, id, _| (last?.id > id).then_some(Outcome::NotDone))
    }),
    ("a lower id is unknown, never not done", |ledger, request| {
        settles(ledger, request, |last, id| (last?.id > id).then_some(Outcome::NotDone))
    }),
    // The outcome is unknown, and the operation is done.
    (SUM, |ledger, request| {
        operations(ledger, request, |ledger, last, id, operation| {
            (last?.id > id).then(|| ledger.unrecorded(operation))?;
            Some(Outcome::Unknown)
        })
    }),
    ("an id without a record is not done once it is settled", |ledger, request| {
        settles(ledger, request, |last, id| last.is_none_or(|last| last.id < id).then_some(Outcome::Unknown))
    }),
    // No void is committed.
    ("no late operation is done after its void", |ledger, request| {
        settles(ledger, request, |last, id| last.is_none_or(|last| last.id < id).then_some(Outcome::NotDone))
    }),
    ("a void is found again", |ledger, request| {
        settles(ledger, request, |last, _| last?.operation.is_none().then_some(Outcome::Unknown))
    }),
    ("a void is of its own id alone", |ledger, request| {
        operations(ledger, request, |_, last, _, _| last?.operation.is_none().then_some(Outcome::NotDone))
    }),
    // The outcome is not done, and the operation is done.
    (SUM, |ledger, request| {
        operations(ledger, request, |ledger, last, id, operation| {
            if last.is_some_and(|last| last.id == id && last.operation.is_none()) {
                ledger.unrecorded(operation);
            }
            None
        })
    }),
    ("the outcome of what was done is found", |ledger, request| {
        settles(ledger, request, |last, _| {
            matches!(last?.operation, Some(Operation::Deposit(_))).then_some(Outcome::Unknown)
        })
    }),
    ("one terminal's ids are not another's", |ledger, request| match request.command {
        Command::Settle { id } => {
            let mut records = ledger.terminals.iter().filter_map(|(_, row)| row.last);
            match records.find(|last| last.id == id) {
                Some(last) => settled(id, last.outcome),
                None => ledger.apply(request),
            }
        }
        _ => ledger.apply(request),
    }),
    ("an inquiry is not recorded", |ledger, request| {
        let response = ledger.apply(request);
        if let (Command::Operate { id, operation: operation @ Operation::Inquiry }, Some(row)) =
            (request.command, ledger.row(request))
            && let Response::Settled { outcome, .. } = response
        {
            row.last = Some(Record::new(id, Some(operation), outcome));
        }
        response
    }),
    // A session's operations are done once, as if it had a name.
    (SUM, |ledger, request| match (&request.origin, request.command) {
        (Origin::Session(_), Command::Operate { operation: Operation::Deposit(_), .. })
            if ledger.account.version > 0 =>
        {
            settled(1, Outcome::Done(Receipt::Deposited { amount: units(1), balance: units(101) }))
        }
        _ => ledger.apply(request),
    }),
    ("the balance cannot overflow", |ledger, request| {
        operations(ledger, request, |_, _, _, operation| {
            (operation == Operation::Deposit(Amount::MAX)).then_some(Outcome::NotDone)
        })
    }),
    // The operation is refused, and the balance is lost.
    (SUM, |ledger, request| {
        let response = ledger.apply(request);
        if let Command::Operate { operation: Operation::Deposit(Amount::MAX), .. } = request.command {
            ledger.account.balance = Amount::ZERO;
        }
        response
    }),
    ("every id of a name without a row is unknown", |ledger, request| {
        match (ledger.row(request), &request.origin, request.command) {
            (None, Origin::Terminal(_), Command::Settle { id }) => settled(id, Outcome::NotDone),
            _ => ledger.apply(request),
        }
    }),
    // The row of a name that asks for an outcome is made with all numbers reserved.
    ("every id of a name without a row is unknown", |ledger, request| {
        if let (None, Some(name), Command::Settle { .. }) =
            (ledger.row(request), request.origin.terminal(), request.command)
        {
            ledger.terminals.push((name.clone(), Terminal { next_number: u64::MAX, ..Terminal::NEW }));
        }
        ledger.apply(request)
    }),
    ("an id that was not reserved is unknown", |ledger, request| {
        let next = ledger.row(request).map(|row| core::mem::replace(&mut row.next_number, u64::MAX));
        let hello = matches!(request.command, Command::Hello(_) | Command::Reserve);
        if let (Some(row), Some(next), true) = (ledger.row(request), next, hello) {
            row.next_number = next;
        }
        let response = ledger.apply(request);
        if let (Some(row), Some(next), false) = (ledger.row(request), next, hello) {
            row.next_number = next;
        }
        response
    }),
    // A void of an id that was not reserved.
    ("an id below one that was not reserved is settled", |ledger, request| {
        let response = ledger.apply(request);
        if let (Command::Settle { id: FAR }, Some(row)) = (request.command, ledger.row(request)) {
            row.last = Some(Record::new(FAR, None, Outcome::Unknown));
        }
        response
    }),
    // A withdrawal of a rare amount takes a cent more: no clause has it.
    (SAME, |ledger, request| {
        let response = ledger.apply(request);
        if let Command::Operate { operation: Operation::Withdraw(amount), .. } = request.command
            && amount == units(17)
        {
            let cent = Amount::from_minor(1).unwrap();
            ledger.account.balance = ledger.account.balance.checked_sub(cent).unwrap_or_default();
        }
        response
    }),
    // The refusal of a session is recorded by all terminals.
    (SAME, |ledger, request| {
        let response = ledger.apply(request);
        if let (Origin::Session(_), Response::Settled { outcome: Outcome::Refused(_), .. }) =
            (&request.origin, response)
        {
            ledger.terminals.iter_mut().for_each(|(_, row)| row.last = None);
        }
        response
    }),
];

/// Ledgers that break what they remember.
const FORGETFUL: &[(Broken, Reopen)] = &[
    ("a ledger that is opened again is the same one", |old| Plain { identity: LedgerId(8), ..old }),
    ("an outcome survives a loss of power", |old| Plain::new(old.identity, old.account.balance)),
    ("a void survives a loss of power", |mut old| {
        for (_, row) in &mut old.terminals {
            row.last = row.last.filter(|last| last.operation.is_some());
        }
        old
    }),
    // It decides again.
    ("what was refused before a loss of power is not done after it", |mut old| {
        for (_, row) in &mut old.terminals {
            row.last = row.last.filter(|last| !matches!(last.outcome, Outcome::Refused(_)));
        }
        old
    }),
    (SUM, |mut old| {
        old.unrecorded(Operation::Deposit(units(1)));
        old
    }),
];

#[test]
fn the_suite_names_the_clause_that_a_ledger_breaks() {
    assert_named(BENT, FORGETFUL);
}

/// A ledger whose store fails.
struct Failing;

impl Ledger for Failing {
    fn apply(&mut self, _: &Request) -> Result<Response, InDoubt> {
        Err(InDoubt)
    }
}

impl Store for Failing {
    type Ledger = Self;

    fn create(&mut self, _: Amount) -> Self {
        Self
    }

    fn reopen(&mut self, old: Self) -> Self {
        old
    }
}

#[test]
fn a_ledger_must_answer_where_its_store_has_no_fault() {
    assert_eq!(check(&mut Failing), Err("a request without a fault of the store is answered"));
}
