//! The suite against ledgers that break one clause each: it must say which.
use super::*;
use crate::ledger::{InDoubt, Numbers, RamLedger, Record};

type Honest = RamLedger<2>;

/// A ledger that answers some requests otherwise than it should.
struct Bent {
    ledger: Honest,
    bend: Bend,
}

type Bend = fn(&mut Honest, &Request) -> Result<Response, InDoubt>;

impl Ledger for Bent {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        (self.bend)(&mut self.ledger, request)
    }
}

/// What a loss of power leaves of a ledger.
type Reopen = fn(Honest) -> Honest;

/// A store of such ledgers, and how one comes back.
struct Shop {
    bend: Bend,
    reopen: Reopen,
}

impl Store for Shop {
    type Ledger = Bent;

    fn create(&mut self, balance: Amount) -> Bent {
        Bent { ledger: RamLedger::new(LedgerId(7), balance), bend: self.bend }
    }

    fn reopen(&mut self, old: Bent) -> Bent {
        Bent { ledger: (self.reopen)(old.ledger), bend: old.bend }
    }
}

fn last(ledger: &Honest, terminal: &Name) -> Option<Record> {
    match ledger.clone().apply(&Request::Open { terminal: terminal.clone() }) {
        Ok(Response::Opened { last, .. }) => last,
        other => panic!("{other:?}"),
    }
}

fn settled(id: u64, outcome: Outcome) -> Result<Response, InDoubt> {
    Ok(Response::Settled { id, outcome })
}

/// Does what an operation says for nobody in particular, and so without a record.
fn unremembered(ledger: &mut Honest, id: u64, operation: Operation) -> Result<Response, InDoubt> {
    ledger.apply(&Request::Operate { origin: Origin::Session(0), id, operation })
}

/// Answers a hello, with the numbers from `first` on and what `change` makes of the record.
fn opened(
    ledger: &mut Honest,
    request: &Request,
    change: fn(Numbers, Option<Record>) -> (Numbers, Option<Record>),
) -> Result<Response, InDoubt> {
    Ok(match ledger.apply(request)? {
        Response::Opened { ledger, numbers, last } => {
            let (numbers, last) = change(numbers, last);
            Response::Opened { ledger, numbers, last }
        }
        other => other,
    })
}

const SUM: Broken = "the balance is the sum of what was done";

/// Ledgers that break what they do, with the clause that says so.
const BENT: &[(Broken, Bend)] = &[
    ("a request without a fault of the store is answered", |_, _| Err(InDoubt)),
    ("an operation is answered with its outcome under its id", |ledger, request| {
        match ledger.apply(request)? {
            Response::Settled { id, outcome } => settled(id + 1, outcome),
            other => Ok(other),
        }
    }),
    ("an inquiry tells the balance", |ledger, request| match request {
        Request::Operate { operation: Operation::Inquiry, id, .. } => settled(*id, Outcome::NotDone),
        _ => ledger.apply(request),
    }),
    (SUM, |ledger, request| match request {
        Request::Operate { operation: Operation::Inquiry, id, .. } => {
            settled(*id, Outcome::Done(Receipt::Balance { balance: units(1) }))
        }
        _ => ledger.apply(request),
    }),
    ("a deposit adds", |ledger, request| match request {
        Request::Operate { operation: Operation::Deposit(_), id, .. } => settled(*id, Outcome::NotDone),
        _ => ledger.apply(request),
    }),
    ("a withdrawal takes", |ledger, request| match request {
        Request::Operate { operation: Operation::Withdraw(amount), id, .. } => {
            unremembered(ledger, *id, Operation::Deposit(*amount))
        }
        _ => ledger.apply(request),
    }),
    ("all is what is there", |ledger, request| match request {
        Request::Operate { operation: Operation::WithdrawAll, id, .. } => {
            unremembered(ledger, *id, Operation::Withdraw(units(1)))
        }
        _ => ledger.apply(request),
    }),
    ("all of nothing is refused", |ledger, request| match request {
        Request::Operate { operation: Operation::WithdrawAll, id, .. } if ledger.balance().is_zero() => {
            unremembered(ledger, *id, Operation::Withdraw(Amount::ZERO))
        }
        _ => ledger.apply(request),
    }),
    ("nothing is overdrawn", |ledger, request| match request {
        Request::Operate { operation: Operation::Withdraw(_), id, .. } if ledger.balance().is_zero() => {
            settled(*id, Outcome::Done(Receipt::Withdrawn { amount: units(1), balance: Amount::ZERO }))
        }
        _ => ledger.apply(request),
    }),
    ("the same id and operation have the outcome that was kept", |ledger, request| match request {
        Request::Operate { id, operation, .. } => unremembered(ledger, *id, *operation),
        _ => ledger.apply(request),
    }),
    // It says the right thing, and does it again all the same.
    (SUM, |ledger, request| match request {
        Request::Operate { origin: Origin::Terminal(terminal), id, operation }
            if last(ledger, terminal).is_some_and(|last| last.id == *id) =>
        {
            unremembered(ledger, *id, *operation)?;
            ledger.apply(request)
        }
        _ => ledger.apply(request),
    }),
    ("the same id with another operation is refused", |ledger, request| match request {
        Request::Operate { origin: Origin::Terminal(terminal), id, .. } => match last(ledger, terminal) {
            Some(last) if last.id == *id => settled(*id, last.outcome),
            _ => ledger.apply(request),
        },
        _ => ledger.apply(request),
    }),
    ("a conflict changes nothing that was kept", |ledger, request| match request {
        Request::Settle { terminal, id } if last(ledger, terminal).is_some_and(|last| last.id == *id) => {
            settled(*id, Outcome::Refused(Refusal::Conflict))
        }
        _ => ledger.apply(request),
    }),
    ("a withdrawal above the balance is refused", |ledger, request| match request {
        Request::Operate { operation: Operation::Withdraw(amount), id, .. } if *amount == units(140) => {
            settled(*id, Outcome::NotDone)
        }
        _ => ledger.apply(request),
    }),
    ("a refusal is kept like a success", |ledger, request| {
        let before = ledger.clone();
        let response = ledger.apply(request)?;
        if matches!(response, Response::Settled { outcome: Outcome::Refused(_), .. }) {
            *ledger = before;
        }
        Ok(response)
    }),
    ("a refusal is kept like a success", |ledger, request| match request {
        Request::Settle { terminal, id } => match last(ledger, terminal).map(|last| last.outcome) {
            Some(Outcome::Refused(Refusal::Insufficient { .. })) => settled(*id, Outcome::NotDone),
            _ => ledger.apply(request),
        },
        _ => ledger.apply(request),
    }),
    ("an operation under a lower id is unknown and not done", |ledger, request| match request {
        Request::Operate { origin: Origin::Terminal(terminal), id, .. }
            if last(ledger, terminal).is_some_and(|last| last.id > *id) =>
        {
            settled(*id, Outcome::NotDone)
        }
        _ => ledger.apply(request),
    }),
    ("a lower id is unknown, never not done", |ledger, request| match request {
        Request::Settle { terminal, id } if last(ledger, terminal).is_some_and(|last| last.id > *id) => {
            settled(*id, Outcome::NotDone)
        }
        _ => ledger.apply(request),
    }),
    // It says that it does not know, and does it.
    (SUM, |ledger, request| match request {
        Request::Operate { origin: Origin::Terminal(terminal), id, operation }
            if last(ledger, terminal).is_some_and(|last| last.id > *id) =>
        {
            unremembered(ledger, *id, *operation)?;
            settled(*id, Outcome::Unknown)
        }
        _ => ledger.apply(request),
    }),
    ("an unknown id is not done once it is settled", |ledger, request| match request {
        Request::Settle { terminal, id } if last(ledger, terminal).is_none_or(|last| last.id < *id) => {
            settled(*id, Outcome::Unknown)
        }
        _ => ledger.apply(request),
    }),
    ("a void stands against what comes late", |ledger, request| match request {
        Request::Settle { terminal, id } if last(ledger, terminal).is_none_or(|last| last.id < *id) => {
            settled(*id, Outcome::NotDone)
        }
        _ => ledger.apply(request),
    }),
    ("a void is told again", |ledger, request| match request {
        Request::Settle { terminal, id } => match last(ledger, terminal) {
            Some(Record { operation: None, .. }) => settled(*id, Outcome::Unknown),
            _ => ledger.apply(request),
        },
        _ => ledger.apply(request),
    }),
    ("a void stands against its own id alone", |ledger, request| match request {
        Request::Operate { origin: Origin::Terminal(terminal), id, .. } => match last(ledger, terminal) {
            Some(Record { operation: None, .. }) => settled(*id, Outcome::NotDone),
            _ => ledger.apply(request),
        },
        _ => ledger.apply(request),
    }),
    // It says that it was not done, and does it.
    (SUM, |ledger, request| match request {
        Request::Operate { origin: Origin::Terminal(terminal), id, operation } => {
            if last(ledger, terminal).is_some_and(|last| last.id == *id && last.operation.is_none()) {
                unremembered(ledger, *id, *operation)?;
            }
            ledger.apply(request)
        }
        _ => ledger.apply(request),
    }),
    ("what was done is told when it is asked for", |ledger, request| match request {
        Request::Settle { terminal, id } => match last(ledger, terminal) {
            Some(Record { operation: Some(Operation::Deposit(_)), .. }) => settled(*id, Outcome::Unknown),
            _ => ledger.apply(request),
        },
        _ => ledger.apply(request),
    }),
    ("one terminal's ids are not another's", |ledger, request| match request {
        Request::Settle { id, .. } => match ledger.apply(&Request::Settle { terminal: a(), id: *id })? {
            Response::Settled { outcome: Outcome::NotDone, .. } => ledger.apply(request),
            other => Ok(other),
        },
        _ => ledger.apply(request),
    }),
    ("a terminal's last record is told as it opens", |ledger, request| {
        opened(ledger, request, |numbers, _| (numbers, None))
    }),
    (RECORD, |ledger, request| {
        opened(ledger, request, |numbers, last| {
            (numbers, last.map(|last| Record { id: last.id + 1, ..last }))
        })
    }),
    (RECORD, |ledger, request| {
        opened(ledger, request, |numbers, last| {
            (numbers, last.map(|last| Record { operation: None, ..last }))
        })
    }),
    (RECORD, |ledger, request| {
        opened(ledger, request, |numbers, last| {
            (numbers, last.map(|last| Record { outcome: Outcome::NotDone, ..last }))
        })
    }),
    ("an inquiry is not remembered", |ledger, request| match request {
        Request::Operate { origin: Origin::Terminal(terminal), id, operation: Operation::Inquiry } => {
            ledger.apply(&Request::Settle { terminal: terminal.clone(), id: *id })?;
            ledger.apply(request)
        }
        _ => ledger.apply(request),
    }),
    // A session's operations are done once, as if it had a name.
    (SUM, |ledger, request| match request {
        Request::Operate { origin: Origin::Session(1), id, operation } => {
            let origin = Origin::Terminal(a());
            ledger.apply(&Request::Operate { origin, id: *id, operation: *operation })
        }
        _ => ledger.apply(request),
    }),
    ("the balance cannot overflow", |ledger, request| match request {
        Request::Operate { operation: Operation::Deposit(Amount::MAX), id, .. } => {
            settled(*id, Outcome::NotDone)
        }
        _ => ledger.apply(request),
    }),
    // It says that it was refused, and loses what was there.
    (SUM, |ledger, request| match request {
        Request::Operate { operation: Operation::Deposit(Amount::MAX), id, .. } => {
            let response = ledger.apply(request)?;
            unremembered(ledger, *id, Operation::WithdrawAll)?;
            Ok(response)
        }
        _ => ledger.apply(request),
    }),
    ("opening reserves numbers", |ledger, request| match request {
        // The record is told to whoever asks for it.
        Request::Open { terminal } if last(ledger, terminal).is_none() => settled(1, Outcome::NotDone),
        _ => ledger.apply(request),
    }),
    ("opening reserves a number at least", |ledger, request| {
        opened(ledger, request, |_, last| (Numbers::NONE, last))
    }),
    (NUMBERS, |ledger, request| opened(ledger, request, |_, last| (Numbers::block(1, 10), last))),
    // The last number of each block is the first of the next.
    (NUMBERS, |ledger, request| {
        opened(ledger, request, |mut numbers, last| {
            let first = numbers.take().unwrap();
            (Numbers::block(first, 257), last)
        })
    }),
];

/// Ledgers that break what they remember.
const FORGETFUL: &[(Broken, Reopen)] = &[
    ("a ledger that is opened again is the same one", |old| RamLedger::new(LedgerId(8), old.balance())),
    ("an outcome survives a loss of power", |old| RamLedger::new(old.identity(), old.balance())),
    ("a void survives it too", |old| {
        let mut new = RamLedger::new(old.identity(), START);
        again(&mut new);
        new
    }),
    (SUM, |mut old| {
        unremembered(&mut old, 1, Operation::Deposit(units(1))).unwrap();
        old
    }),
    // The clause about numbers moves no money: this one only forgets which were given.
    (NUMBERS, |old| if old.balance() == START { RamLedger::new(old.identity(), START) } else { old }),
];

const RECORD: Broken = "the record has the id, the operation and its outcome";
const NUMBERS: Broken = "no number is given twice, and later ones are greater";

fn a() -> Name {
    "a".parse().unwrap()
}

/// What the suite has the terminal `a` do before the loss of power.
fn again(ledger: &mut Honest) {
    let request =
        Request::Operate { origin: Origin::Terminal(a()), id: 5, operation: Operation::Withdraw(units(40)) };
    ledger.apply(&request).unwrap();
}

#[test]
fn a_ledger_that_breaks_a_clause_is_told_which() {
    for (number, (clause, bend)) in BENT.iter().enumerate().step_by(crate::STRIDE) {
        let found = check(&mut Shop { bend: *bend, reopen: |old| old });
        assert_eq!(found, Err(*clause), "ledger {number}");
    }
}

#[test]
fn a_ledger_that_forgets_over_a_loss_of_power_is_told_what() {
    for (number, (clause, reopen)) in FORGETFUL.iter().enumerate().step_by(crate::STRIDE) {
        let found = check(&mut Shop { bend: |ledger, request| ledger.apply(request), reopen: *reopen });
        assert_eq!(found, Err(*clause), "ledger {number}");
    }
}

#[test]
fn a_ledger_that_is_whole_passes() {
    let whole = &mut Shop { bend: |ledger, request| ledger.apply(request), reopen: |old| old };
    assert_eq!(check(whole), Ok(()));
}
