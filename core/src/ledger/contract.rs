//! The contract of [`Ledger`] as a suite that any ledger can be run through.
use super::{Ledger, LedgerId, Name, Operation, Origin, Outcome, Receipt, Refusal, Request, Response};
use crate::money::Amount;

/// The clause of the contract that a ledger broke.
pub type Broken = &'static str;

/// A clause of the contract.
type Clause = fn(&mut Books<'_, dyn Ledger>) -> Result<(), Broken>;

/// What keeps a ledger's store, so that the ledger can be opened again as after a loss of power.
pub trait Store {
    /// The ledger.
    type Ledger: Ledger + 'static;

    /// A ledger that was never used, with this balance; it has room for two terminals at least.
    fn create(&mut self, balance: Amount) -> Self::Ledger;

    /// The same ledger again, from what `old` had committed.
    fn reopen(&mut self, old: Self::Ledger) -> Self::Ledger;
}

/// Runs a ledger through the contract.
///
/// # Errors
/// The first clause that it breaks.
pub fn check<S: Store>(store: &mut S) -> Result<(), Broken> {
    const CLAUSES: &[Clause] = &[
        sums,
        once,
        conflict,
        refusal_kept,
        lower_id,
        void_stands,
        settled_is_told,
        inquiry_forgotten,
        unnamed_forgotten,
        no_overflow,
    ];
    for clause in CLAUSES {
        let mut ledger = store.create(START);
        clause(&mut Books { ledger: &mut ledger })?;
    }
    remembers_after_reopening(store)?;
    no_number_twice(store)
}

/// The balance that every clause starts from.
const START: Amount = units(100);

const fn units(units: u64) -> Amount {
    match Amount::from_units(units) {
        Some(amount) => amount,
        None => Amount::MAX,
    }
}

/// A ledger with short words for what the clauses ask of it.
struct Books<'a, L: Ledger + ?Sized> {
    ledger: &'a mut L,
}

impl<L: Ledger + ?Sized> Books<'_, L> {
    fn ask(&mut self, request: &Request) -> Result<Response, Broken> {
        self.ledger.apply(request).map_err(|_| "a request without a fault of the store is answered")
    }

    fn outcome(&mut self, request: &Request, asked: u64) -> Result<Outcome, Broken> {
        match self.ask(request)? {
            Response::Settled { id, outcome } if id == asked => Ok(outcome),
            _ => Err("an operation is answered with its outcome under its id"),
        }
    }

    fn operate(&mut self, terminal: &str, id: u64, operation: Operation) -> Result<Outcome, Broken> {
        let origin = Origin::Terminal(name(terminal)?);
        self.outcome(&Request::Operate { origin, id, operation }, id)
    }

    fn settle(&mut self, terminal: &str, id: u64) -> Result<Outcome, Broken> {
        self.outcome(&Request::Settle { terminal: name(terminal)?, id }, id)
    }

    fn balance(&mut self) -> Result<Amount, Broken> {
        let request = Request::Operate { origin: Origin::Session(9), id: 1, operation: Operation::Inquiry };
        match self.outcome(&request, 1)? {
            Outcome::Done(Receipt::Balance { balance }) => Ok(balance),
            _ => Err("an inquiry tells the balance"),
        }
    }

    fn has(&mut self, balance: Amount) -> Result<(), Broken> {
        hold(self.balance()? == balance, "the balance is the sum of what was done")
    }
}

fn name(text: &str) -> Result<Name, Broken> {
    text.parse().map_err(|_| "the suite's names are names")
}

fn hold(held: bool, clause: Broken) -> Result<(), Broken> {
    if held { Ok(()) } else { Err(clause) }
}

fn sums(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
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

fn once(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    let first = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    books.operate("b", 5, Operation::Deposit(units(1)))?;
    let again = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    hold(again == first, "the same id and operation have the outcome that was kept")?;
    books.has(units(61))
}

fn conflict(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    let first = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    let refused = Outcome::Refused(Refusal::Conflict);
    for other in [Operation::Withdraw(units(41)), Operation::Deposit(units(40)), Operation::WithdrawAll] {
        hold(books.operate("a", 5, other)? == refused, "the same id with another operation is refused")?;
    }
    hold(books.settle("a", 5)? == first, "a conflict changes nothing that was kept")?;
    books.has(units(60))
}

fn refusal_kept(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    let refused = books.operate("a", 5, Operation::Withdraw(units(140)))?;
    let expected = Outcome::Refused(Refusal::Insufficient { balance: units(100) });
    hold(refused == expected, "a withdrawal above the balance is refused")?;
    books.operate("b", 1, Operation::Deposit(units(100)))?;
    let again = books.operate("a", 5, Operation::Withdraw(units(140)))?;
    hold(again == refused && books.settle("a", 5)? == refused, "a refusal is kept like a success")?;
    books.has(units(200))
}

fn lower_id(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    books.operate("a", 4, Operation::Deposit(units(1)))?;
    books.operate("a", 7, Operation::Deposit(units(1)))?;
    for id in [3, 4, 5] {
        let told = books.operate("a", id, Operation::Deposit(units(1)))?;
        hold(told == Outcome::Unknown, "an operation under a lower id is unknown and not done")?;
        hold(books.settle("a", id)? == Outcome::Unknown, "a lower id is unknown, never not done")?;
    }
    books.has(units(102))
}

fn void_stands(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    hold(books.settle("a", 5)? == Outcome::NotDone, "an unknown id is not done once it is settled")?;
    for operation in [Operation::Deposit(units(1)), Operation::Withdraw(units(1)), Operation::WithdrawAll] {
        hold(books.operate("a", 5, operation)? == Outcome::NotDone, "a void stands against what comes late")?;
    }
    hold(books.settle("a", 5)? == Outcome::NotDone, "a void is told again")?;
    let next = books.operate("a", 6, Operation::Deposit(units(1)))?;
    hold(matches!(next, Outcome::Done(_)), "a void stands against its own id alone")?;
    books.has(units(101))
}

fn settled_is_told(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    let done = books.operate("a", 5, Operation::Deposit(units(1)))?;
    hold(books.settle("a", 5)? == done, "what was done is told when it is asked for")?;
    hold(books.settle("b", 5)? == Outcome::NotDone, "one terminal's ids are not another's")?;
    let Response::Opened { last: Some(last), .. } = books.ask(&Request::Open { terminal: name("a")? })?
    else {
        return Err("a terminal's last record is told as it opens");
    };
    let kept = last.id == 5 && last.outcome == done && last.operation == Some(Operation::Deposit(units(1)));
    hold(kept, "the record has the id, the operation and its outcome")
}

fn inquiry_forgotten(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    let done = books.operate("a", 5, Operation::Deposit(units(1)))?;
    books.operate("a", 6, Operation::Inquiry)?;
    hold(books.settle("a", 5)? == done, "an inquiry is not remembered")
}

fn unnamed_forgotten(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    for _ in 0..2 {
        let operation = Operation::Deposit(units(1));
        books.outcome(&Request::Operate { origin: Origin::Session(1), id: 1, operation }, 1)?;
    }
    books.has(units(102))
}

fn no_overflow(books: &mut Books<'_, dyn Ledger>) -> Result<(), Broken> {
    let refused = Outcome::Refused(Refusal::BalanceLimit { balance: START });
    hold(books.operate("a", 1, Operation::Deposit(Amount::MAX))? == refused, "the balance cannot overflow")?;
    books.has(START)
}

fn remembers_after_reopening<S: Store>(store: &mut S) -> Result<(), Broken> {
    let mut ledger = store.create(START);
    let mut books = Books { ledger: &mut ledger };
    let done = books.operate("a", 5, Operation::Withdraw(units(40)))?;
    books.settle("b", 9)?;
    let before = books.ask(&Request::Open { terminal: name("a")? })?;
    let mut ledger = store.reopen(ledger);
    let mut books = Books { ledger: &mut ledger };
    let after = books.ask(&Request::Open { terminal: name("a")? })?;
    hold(identity(&before) == identity(&after), "a ledger that is opened again is the same one")?;
    hold(
        books.operate("a", 5, Operation::Withdraw(units(40)))? == done,
        "an outcome survives a loss of power",
    )?;
    hold(books.operate("b", 9, Operation::WithdrawAll)? == Outcome::NotDone, "a void survives it too")?;
    books.has(units(60))
}

fn no_number_twice<S: Store>(store: &mut S) -> Result<(), Broken> {
    let mut ledger = store.create(START);
    let mut highest = 0;
    for _ in 0..3 {
        for terminal in ["a", "b"] {
            let mut books = Books { ledger: &mut ledger };
            let Response::Opened { mut numbers, .. } =
                books.ask(&Request::Open { terminal: name(terminal)? })?
            else {
                return Err("opening reserves numbers");
            };
            let first = numbers.take().ok_or("opening reserves a number at least")?;
            hold(first > highest, "no number is given twice, and later ones are greater")?;
            highest = core::iter::from_fn(|| numbers.take()).last().unwrap_or(first);
        }
        ledger = store.reopen(ledger);
    }
    Ok(())
}

fn identity(response: &Response) -> Option<LedgerId> {
    match response {
        Response::Opened { ledger, .. } => Some(*ledger),
        Response::Settled { .. } => None,
    }
}

#[cfg(test)]
mod tests;
