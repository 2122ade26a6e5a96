//! Clauses about operations, their outcomes and voids.
use super::*;

pub(super) const CLAUSES: &[Clause] = &[
    sums,
    once,
    conflict,
    refusal_recorded,
    lower_id,
    void_is_final,
    settled,
    inquiry_not_recorded,
    unnamed_not_recorded,
    no_overflow,
    not_reserved,
];

fn sums(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let deposited = Outcome::Done(Receipt::Deposited { amount: units(40), balance: units(140) });
    hold(books.operate("a", 1, Operation::Deposit(units(40)))? == deposited, "a deposit adds")?;
    let withdrawn = Outcome::Done(Receipt::Withdrawn { amount: units(15), balance: units(125) });
    hold(books.operate("a", 2, Operation::Withdraw(units(15)))? == withdrawn, "a withdrawal takes")?;
    let all = Outcome::Done(Receipt::Withdrawn { amount: units(125), balance: Amount::ZERO });
    hold(books.operate("a", 3, Operation::WithdrawAll)? == all, "all is what is there")?;
    let refused = Outcome::Refused(Refusal::Insufficient { balance: Amount::ZERO });
    hold(books.operate("a", 4, Operation::WithdrawAll)? == refused, "all of nothing is refused")?;
    hold(books.operate("a", 5, Operation::Withdraw(units(1)))? == refused, "nothing is overdrawn")?;
    books.has(Amount::ZERO)
}

fn once(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let first = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    books.operate("b", 5, Operation::Deposit(units(1)))?;
    let again = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    hold(again == first, "the same id and operation have the recorded outcome")?;
    books.has(units(61))
}

fn conflict(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let first = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    let refused = Outcome::Refused(Refusal::Conflict);
    for other in [Operation::Withdraw(units(41)), Operation::Deposit(units(40)), Operation::WithdrawAll] {
        hold(books.operate("a", 5, other)? == refused, "the same id with another operation is refused")?;
    }
    hold(books.settle("a", 5)? == first, "a conflict changes no record")?;
    books.has(units(60))
}

fn refusal_recorded(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let refused = books.operate("a", 5, Operation::Withdraw(units(140)))?;
    let expected = Outcome::Refused(Refusal::Insufficient { balance: units(100) });
    hold(refused == expected, "a withdrawal above the balance is refused")?;
    let same = books.operate("a", 5, Operation::Withdraw(units(140)))?;
    hold(same == refused && books.settle("a", 5)? == refused, "a refusal is recorded like a success")?;
    books.operate("b", 1, Operation::Deposit(units(100)))?;
    let again = books.operate("a", 5, Operation::Withdraw(units(140)))?;
    let is_lost = !books.keeps_rows && again == Outcome::NotDone;
    let is_final = (again == refused || is_lost) && books.settle("a", 5)? == again;
    hold(is_final, "a refusal is recorded like a success, or its id is never done")?;
    books.has(units(200))
}

fn lower_id(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    books.operate("a", 4, Operation::Deposit(units(1)))?;
    books.operate("a", 7, Operation::Deposit(units(1)))?;
    for id in [3, 4, 5] {
        let outcome = books.operate("a", id, Operation::Deposit(units(1)))?;
        hold(outcome == Outcome::Unknown, "an operation under a lower id is unknown and not done")?;
        hold(books.settle("a", id)? == Outcome::Unknown, "a lower id is unknown, never not done")?;
    }
    books.has(units(102))
}

fn void_is_final(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    hold(books.settle("a", 5)? == Outcome::NotDone, "an id without a record is not done once it is settled")?;
    for operation in [Operation::Deposit(units(1)), Operation::Withdraw(units(1)), Operation::WithdrawAll] {
        hold(
            books.operate("a", 5, operation)? == Outcome::NotDone,
            "no late operation is done after its void",
        )?;
    }
    hold(books.settle("a", 5)? == Outcome::NotDone, "a void is found again")?;
    let next = books.operate("a", 6, Operation::Deposit(units(1)))?;
    hold(matches!(next, Outcome::Done(_)), "a void is of its own id alone")?;
    books.has(units(101))
}

fn settled(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let done = books.operate("a", 5, Operation::Deposit(units(1)))?;
    hold(books.settle("a", 5)? == done, "the outcome of what was done is found")?;
    hold(books.settle("b", 5)? == Outcome::NotDone, "one terminal's ids are not another's")?;
    let last = books.hello("a")?.last.ok_or("an admission has the terminal's last record")?;
    let recorded = last.outcome == done && last.operation == Some(Operation::Deposit(units(1)));
    hold(recorded && last.id == books.id("a", 5)?, "the record has the id, the operation and its outcome")
}

fn inquiry_not_recorded(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let done = books.operate("a", 5, Operation::Deposit(units(1)))?;
    books.operate("a", 6, Operation::Inquiry)?;
    hold(books.settle("a", 5)? == done, "an inquiry is not recorded")
}

fn unnamed_not_recorded(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    for _ in 0..2 {
        books.unnamed(Operation::Deposit(units(1)))?;
    }
    books.has(units(102))
}

fn no_overflow(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let refused = Outcome::Refused(Refusal::BalanceLimit { balance: START });
    hold(books.operate("a", 1, Operation::Deposit(Amount::MAX))? == refused, "the balance cannot overflow")?;
    books.has(START)
}

fn not_reserved(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    hold(books.is_unknown("b", 0, FAR)?, "every id of a name without a row is unknown")?;
    let turn = books.turn("a")?;
    hold(books.is_unknown("a", turn, FAR)?, "an id that was not reserved is unknown")?;
    hold(books.settle("a", 5)? == Outcome::NotDone, "an id below one that was not reserved is settled")?;
    books.has(START)
}

pub(super) fn survive_a_loss_of_power<S: Store>(store: &mut S) -> Result<(), Broken> {
    let mut books = Books::create(store);
    let done = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    books.settle("b", 9)?;
    let before = books.hello("a")?;
    let mut books = books.reopen(store);
    let after = books.hello("a")?;
    hold(before.ledger == after.ledger, "a ledger that is opened again is the same one")?;
    let again = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    hold(again == done, "an outcome survives a loss of power")?;
    let voided = books.operate("b", 9, Operation::WithdrawAll)?;
    hold(voided == Outcome::NotDone, "a void survives a loss of power")?;
    books.has(units(60))
}

pub(super) fn refusal_over_a_loss_of_power<S: Store>(store: &mut S) -> Result<(), Broken> {
    let mut books = Books::create(store);
    let refused = books.operate("a", 5, Operation::Withdraw(units(140)))?;
    let mut books = books.reopen(store);
    books.operate("b", 5, Operation::Deposit(units(100)))?;
    for _ in 0..2 {
        let again = books.operate("a", 5, Operation::Withdraw(units(140)))?;
        let is_lost = !S::KEEPS_ROWS && again == Outcome::NotDone;
        let is_final = (again == refused || is_lost) && books.settle("a", 5)? == again;
        hold(is_final, "what was refused before a loss of power is not done after it")?;
    }
    books.has(units(200))
}
