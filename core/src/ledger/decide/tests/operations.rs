//! Operations, voids and the fence.
use super::*;
use Step::{Operate, Settle};

/// A request of a table, for the terminal.
#[derive(Clone, Copy, Debug)]
enum Step {
    Operate(u64, Operation),
    Settle(u64),
}

/// What a decision saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    Nothing,
    /// The terminal's row and an entry.
    Record,
    /// The account besides, and a movement in the entry.
    Movement,
}

const CONFLICT: Outcome = Outcome::Refused(Refusal::Conflict);
const FULL: Outcome = Outcome::Refused(Refusal::Full);

/// A decision that saves nothing.
fn only(response: Response) -> Decision {
    Decision { response, changes: Changes::default(), entry: None }
}

fn balance(balance: u64) -> Outcome {
    Outcome::Done(Receipt::Balance { balance: units(balance) })
}

fn deposited(amount: u64, balance: u64) -> Outcome {
    Outcome::Done(Receipt::Deposited { amount: units(amount), balance: units(balance) })
}

fn withdrawn(amount: u64, balance: u64) -> Outcome {
    Outcome::Done(Receipt::Withdrawn { amount: units(amount), balance: units(balance) })
}

fn insufficient(balance: u64) -> Outcome {
    Outcome::Refused(Refusal::Insufficient { balance: units(balance) })
}

fn deposit(amount: u64) -> Operation {
    Operation::Deposit(units(amount))
}

fn withdraw(amount: u64) -> Operation {
    Operation::Withdraw(units(amount))
}

/// Takes the books through the steps of a table. Each must have its outcome and save what it says, and nothing else.
#[track_caller]
fn check(books: &mut Books, table: &[(Step, Outcome, Saved)]) {
    for &(step, outcome, saved) in table {
        let (before, row) = (books.account, books.terminal);
        let (command, id, operation) = match step {
            Operate(id, operation) => (Command::Operate { id, operation }, id, Some(operation)),
            Settle(id) => (Command::Settle { id }, id, None),
        };
        let Decision { response, changes, entry } = books.request(command);
        assert_eq!(response, Response::Settled { id, outcome }, "{step:?}");
        if saved == Saved::Nothing {
            assert_eq!((changes, entry), (Changes::default(), None), "{step:?}");
            continue;
        }
        let record = Record::new(id, operation, outcome);
        assert_eq!(changes.terminal, row.map(|row| Terminal { last: Some(record), ..row }), "{step:?}");
        assert_eq!(entry.map(|entry| entry.record), Some(record), "{step:?}");
        let movement = entry.and_then(|entry| entry.movement);
        if saved == Saved::Record {
            assert_eq!((changes.account, movement), (None, None), "{step:?}");
            continue;
        }
        let account = Side::Account(before.number);
        let (amount, after, debit, credit) = match outcome {
            Outcome::Done(Receipt::Deposited { amount, balance }) => (amount, balance, Side::Cash, account),
            Outcome::Done(Receipt::Withdrawn { amount, balance }) => (amount, balance, account, Side::Cash),
            other => panic!("{other:?} moves nothing"),
        };
        let version = before.version + 1;
        assert_eq!(changes.account, Some(Account { balance: after, version, ..before }), "{step:?}");
        assert_eq!(movement, Some(Movement { debit, credit, amount }), "{step:?}");
    }
}

#[test]
fn a_movement_has_two_sides_and_raises_the_account_s_version() {
    let mut books = Books::with_terminal();
    check(
        &mut books,
        &[
            (Operate(5, deposit(40)), deposited(40, 140), Saved::Movement),
            (Operate(6, withdraw(15)), withdrawn(15, 125), Saved::Movement),
            (Operate(7, Operation::WithdrawAll), withdrawn(125, 0), Saved::Movement),
            (Operate(8, deposit(3)), deposited(3, 3), Saved::Movement),
            (Operate(9, withdraw(3)), withdrawn(3, 0), Saved::Movement),
        ],
    );
    assert_eq!((books.account.version, books.account.balance), (5, Amount::ZERO));
}

#[test]
fn an_id_with_the_same_operation_has_the_recorded_outcome_and_with_another_a_conflict() {
    check(
        &mut Books::with_terminal(),
        &[
            (Operate(5, withdraw(40)), withdrawn(40, 60), Saved::Movement),
            (Operate(5, withdraw(40)), withdrawn(40, 60), Saved::Nothing),
            (Settle(5), withdrawn(40, 60), Saved::Nothing),
            (Operate(5, withdraw(41)), CONFLICT, Saved::Nothing),
            (Operate(5, deposit(40)), CONFLICT, Saved::Nothing),
            (Operate(5, Operation::WithdrawAll), CONFLICT, Saved::Nothing),
            (Operate(5, withdraw(40)), withdrawn(40, 60), Saved::Nothing),
        ],
    );
}

#[test]
fn a_refusal_is_recorded_like_a_success() {
    check(
        &mut Books::with_terminal(),
        &[
            (Operate(5, withdraw(101)), insufficient(100), Saved::Record),
            (Settle(5), insufficient(100), Saved::Nothing),
            (Operate(5, withdraw(1)), CONFLICT, Saved::Nothing),
            (Operate(6, deposit(1)), deposited(1, 101), Saved::Movement),
            (Operate(7, withdraw(102)), insufficient(101), Saved::Record),
            (Operate(7, withdraw(102)), insufficient(101), Saved::Nothing),
            (Operate(8, deposit(1)), deposited(1, 102), Saved::Movement),
            (Operate(9, withdraw(102)), withdrawn(102, 0), Saved::Movement),
            (Operate(10, Operation::WithdrawAll), insufficient(0), Saved::Record),
            (Operate(11, withdraw(0)), withdrawn(0, 0), Saved::Movement),
            (Operate(12, deposit(0)), deposited(0, 0), Saved::Movement),
        ],
    );
}

#[test]
fn the_balance_stops_at_the_largest_amount() {
    let limit = |balance| Outcome::Refused(Refusal::BalanceLimit { balance });
    let mut books = Books::with_terminal();
    let rest = Amount::MAX.checked_sub(units(100)).unwrap();
    let all = Outcome::Done(Receipt::Deposited { amount: rest, balance: Amount::MAX });
    check(
        &mut books,
        &[
            (Operate(1, Operation::Deposit(Amount::MAX)), limit(units(100)), Saved::Record),
            (Operate(2, Operation::Deposit(rest)), all, Saved::Movement),
            (Operate(3, deposit(1)), limit(Amount::MAX), Saved::Record),
            (
                Operate(4, deposit(0)),
                Outcome::Done(Receipt::Deposited { amount: Amount::ZERO, balance: Amount::MAX }),
                Saved::Movement,
            ),
        ],
    );
}

#[test]
fn a_lower_id_is_unknown_and_nothing_is_done() {
    let mut books = Books::with_terminal();
    check(
        &mut books,
        &[
            (Operate(4, deposit(1)), deposited(1, 101), Saved::Movement),
            (Operate(7, deposit(1)), deposited(1, 102), Saved::Movement),
        ],
    );
    for id in [0, 3, 4, 5, 6] {
        check(
            &mut books,
            &[
                (Operate(id, deposit(1)), Outcome::Unknown, Saved::Nothing),
                (Settle(id), Outcome::Unknown, Saved::Nothing),
            ],
        );
    }
    check(&mut books, &[(Operate(8, deposit(1)), deposited(1, 103), Saved::Movement)]);
}

#[test]
fn a_void_is_final() {
    check(
        &mut Books::with_terminal(),
        &[
            (Settle(5), Outcome::NotDone, Saved::Record),
            (Settle(5), Outcome::NotDone, Saved::Nothing),
            (Operate(5, deposit(1)), Outcome::NotDone, Saved::Nothing),
            (Operate(5, withdraw(1)), Outcome::NotDone, Saved::Nothing),
            (Operate(5, Operation::WithdrawAll), Outcome::NotDone, Saved::Nothing),
            (Settle(4), Outcome::Unknown, Saved::Nothing),
            (Operate(6, deposit(1)), deposited(1, 101), Saved::Movement),
            (Settle(8), Outcome::NotDone, Saved::Record),
            (Settle(6), Outcome::Unknown, Saved::Nothing),
        ],
    );
}

#[test]
fn an_id_that_was_not_reserved_is_unknown() {
    // The numbers below 1,000 are reserved; 500 to 599 were used by another history.
    let unknown = [500, 501, 599, 1000, 1001, 1 << 53, u64::MAX];
    for id in unknown {
        check(
            &mut Books::with_terminal(),
            &[
                (Settle(id), Outcome::Unknown, Saved::Nothing),
                (Operate(id, deposit(1)), Outcome::Unknown, Saved::Nothing),
                (Settle(999), Outcome::NotDone, Saved::Record),
            ],
        );
    }
    for id in [0, 1, 499, 600, 999] {
        check(&mut Books::with_terminal(), &[(Settle(id), Outcome::NotDone, Saved::Record)]);
        check(&mut Books::with_terminal(), &[(Operate(id, deposit(1)), deposited(1, 101), Saved::Movement)]);
    }
}

#[test]
fn a_name_without_a_row_was_never_given_a_number() {
    for turn in [0, 1, 3] {
        for command in [
            Command::Operate { id: 1, operation: deposit(1) },
            Command::Operate { id: 1, operation: Operation::Inquiry },
            Command::Settle { id: 1 },
        ] {
            let request = Request { ticket: Ticket::default(), origin: terminal(), turn, command };
            let decision = Books::new().decide(&request);
            assert_eq!(decision, only(Response::Settled { id: 1, outcome: Outcome::Unknown }), "{request:?}");
        }
        let request =
            Request { ticket: Ticket::default(), origin: terminal(), turn, command: Command::Reserve };
        assert_eq!(Books::new().decide(&request), only(Response::Fenced));
    }
}

#[test]
fn a_request_of_another_turn_is_fenced() {
    let books = Books::with_terminal();
    for turn in [0, 2, 4, u32::MAX] {
        for command in [
            Command::Reserve,
            Command::Operate { id: 5, operation: deposit(1) },
            Command::Operate { id: 5, operation: Operation::Inquiry },
            Command::Operate { id: 1000, operation: deposit(1) },
            Command::Settle { id: 5 },
        ] {
            let request = Request { ticket: Ticket::default(), origin: terminal(), turn, command };
            assert_eq!(books.decide(&request), only(Response::Fenced), "{request:?}");
        }
    }
}

#[test]
fn an_inquiry_saves_nothing() {
    check(
        &mut Books::with_terminal(),
        &[
            (Operate(5, Operation::Inquiry), balance(100), Saved::Nothing),
            (Operate(5, deposit(1)), deposited(1, 101), Saved::Movement),
            // Under any id: it moves nothing.
            (Operate(5, Operation::Inquiry), balance(101), Saved::Nothing),
            (Operate(4, Operation::Inquiry), balance(101), Saved::Nothing),
            (Operate(u64::MAX, Operation::Inquiry), balance(101), Saved::Nothing),
            (Settle(5), deposited(1, 101), Saved::Nothing),
        ],
    );
}

#[test]
fn an_unnamed_session_has_movements_and_no_record() {
    let mut books = Books::with_terminal();
    let row = books.terminal;
    let account = Side::Account(AccountNumber::OPEN);
    let moved = |debit, credit, amount| Some(Movement { debit, credit, amount });
    for (operation, outcome, movement) in [
        (Operation::Inquiry, balance(100), None),
        (deposit(1), deposited(1, 101), moved(Side::Cash, account, units(1))),
        // The same id again is another operation.
        (deposit(1), deposited(1, 102), moved(Side::Cash, account, units(1))),
        (withdraw(2), withdrawn(2, 100), moved(account, Side::Cash, units(2))),
        (withdraw(101), insufficient(100), None),
        (Operation::WithdrawAll, withdrawn(100, 0), moved(account, Side::Cash, units(100))),
        (Operation::WithdrawAll, insufficient(0), None),
    ] {
        let before = books.account.version;
        let command = Command::Operate { id: 1, operation };
        let request = Request { ticket: Ticket::default(), origin: session(), turn: 0, command };
        let decision = books.apply(&request);
        assert_eq!(decision.response, Response::Settled { id: 1, outcome });
        let record = Record::new(1, Some(operation), outcome);
        assert_eq!(decision.entry, movement.map(|_| Entry { record, movement }), "{operation:?}");
        assert_eq!(decision.changes.account.is_some(), movement.is_some(), "{operation:?}");
        assert_eq!(decision.changes.terminal, None);
        assert_eq!(books.account.version, before + u64::from(movement.is_some()));
    }
    assert_eq!(books.terminal, row);
    let (hello, settle) = (Command::Hello(hello::claim(None, 0)), Command::Settle { id: 1 });
    for (command, response) in [
        (hello, Response::Fenced),
        (Command::Reserve, Response::Fenced),
        (settle, Response::Settled { id: 1, outcome: Outcome::Unknown }),
    ] {
        let request = Request { ticket: Ticket::default(), origin: session(), turn: 0, command };
        assert_eq!(books.decide(&request), only(response));
    }
}

#[test]
fn a_full_store_refuses_an_operation_and_voids_nothing() {
    let mut books = Books::with_terminal();
    check(&mut books, &[(Operate(5, deposit(1)), deposited(1, 101), Saved::Movement)]);
    books.has_room = false;
    check(
        &mut books,
        &[
            (Operate(5, deposit(1)), deposited(1, 101), Saved::Nothing),
            (Operate(5, deposit(2)), CONFLICT, Saved::Nothing),
            (Settle(5), deposited(1, 101), Saved::Nothing),
            (Operate(4, deposit(1)), Outcome::Unknown, Saved::Nothing),
            (Operate(6, deposit(1)), FULL, Saved::Nothing),
            (Operate(6, Operation::Inquiry), balance(101), Saved::Nothing),
            (Settle(6), Outcome::Unknown, Saved::Nothing),
        ],
    );
    books.has_room = true;
    check(&mut books, &[(Operate(6, deposit(1)), deposited(1, 102), Saved::Movement)]);
}
