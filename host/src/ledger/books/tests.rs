//! Books over rows that are in memory alone.
use super::*;
use atm_core::ledger::{Admission, Epoch, Gap, HelloClaim, Operation, Refusal, Rejection, SessionId, Ticket};

const TIME: u64 = 1_795_550_400_000;

/// Books with what they have written.
#[derive(Default)]
struct Run {
    books: Books,
    rows: Vec<Row>,
    undo: Undo,
}

impl Run {
    fn new() -> Self {
        let mut run = Self::default();
        let begun = Fact::Created { ledger: LedgerId(7), account: ACCOUNT, balance: Amount::ZERO };
        run.books.write(begun, Time::from_millis(TIME), &mut run.rows).unwrap();
        run
    }

    fn ask(&mut self, name: &str, command: Command) -> Response {
        let name: Name = name.parse().unwrap();
        let turn = self.books.tills.get(&name).map_or(0, |till| till.row.turn);
        let mut request =
            Request { ticket: Ticket::default(), origin: Origin::Terminal(name), turn, command };
        let time = Time::from_millis(TIME);
        self.books.answer(&mut request, false, time, &mut self.rows, &mut self.undo).unwrap()
    }

    fn hello(&mut self, name: &str, start: u64, seen: u64) -> Response {
        let (epoch, ledger) = (Epoch { start, attempt: 1 }, Some(LedgerId(7)));
        self.ask(name, Command::Hello(HelloClaim { epoch, admit_equal: false, ledger, seen }))
    }

    fn admission(&mut self, name: &str, start: u64, seen: u64) -> Admission {
        match self.hello(name, start, seen) {
            Response::Admitted(admission) => admission,
            other => panic!("{other:?}"),
        }
    }

    fn outcome(&mut self, name: &str, command: Command) -> Outcome {
        match self.ask(name, command) {
            Response::Settled { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// The books of another start, from the entries.
    fn read_again(&self) -> Books {
        let mut books = Books::default();
        for row in &self.rows {
            books.post(Entry::parse(&row.line).unwrap(), &row.line).unwrap();
            assert_eq!(books.head, row.head);
        }
        books.start = books.reserved;
        books
    }
}

fn deposit(id: u64) -> Command {
    Command::Operate { id, operation: Operation::Deposit(Amount::from_units(1).unwrap()) }
}

#[test]
fn a_full_ledger_rejects_new_names_and_forgets_no_old_one() {
    let mut run = Run::new();
    let name = |number: usize| format!("kiosk-{number}").parse::<Name>().unwrap();
    run.books.tills.extend((1..TERMINALS).map(|number| (name(number), Till::default())));
    run.admission("kiosk-0", 1, 0);
    let first = run.outcome("kiosk-0", deposit(1));
    assert!(matches!(first, Outcome::Done(_)), "{first:?}");
    assert_eq!(run.hello("new", 1, 0), Response::Rejected(Rejection::Full));
    for command in [deposit(1), Command::Settle { id: 1 }] {
        assert_eq!(run.outcome("new", command), Outcome::Unknown, "it was given no number");
    }
    assert_eq!(run.outcome("kiosk-0", deposit(1)), first);
    run.admission("kiosk-1", 1, 0);
    assert!(matches!(run.outcome("kiosk-1", deposit(1)), Outcome::Done(_)));
    assert!(run.books.is_balanced());
}

#[test]
fn numbers_are_reserved_for_all_names_at_once_and_never_given_to_a_name_twice() {
    let mut run = Run::new();
    for name in ["a", "b"] {
        assert_eq!(run.admission(name, 1, 0).numbers, Numbers::block(1, BLOCK));
        assert_eq!(run.ask(name, Command::Reserve), Response::Reserved(Numbers::block(257, BLOCK)));
    }
    assert_eq!(run.books.reserved, 1 + 2 * RESERVE);
    assert_eq!(run.rows.len(), 3, "two entries beside the first");
    run.books = run.read_again();
    for name in ["b", "new"] {
        assert_eq!(run.admission(name, 2, 512).numbers, Numbers::block(1 + 2 * RESERVE, BLOCK), "{name}");
    }
    assert_eq!(run.books.reserved, 1 + 3 * RESERVE);
}

#[test]
fn a_gap_is_written_down_and_its_ids_are_unknown_after_another_start() {
    let mut run = Run::new();
    run.admission("a", 1, 0);
    assert!(matches!(run.outcome("a", deposit(1)), Outcome::Done(_)));
    // Another start of an old copy: the terminal has seen more since.
    run.books = run.read_again();
    let (start, seen) = (1 + RESERVE, 1 + RESERVE + 300);
    let admission = run.admission("a", 2, seen);
    let gap = Gap { start, end: seen + 1 };
    assert_eq!((admission.set_back, admission.numbers), (Some(gap), Numbers::block(seen + 1, BLOCK)));
    assert_eq!(run.hello("a", 3, u64::from(BLOCK) + seen + 1), Response::Rejected(Rejection::TooSoon));
    assert_eq!(run.hello("b", 1, seen + (1 << 25)), Response::Rejected(Rejection::Unsound));
    let lines: Vec<&str> = run.rows.iter().rev().take(2).map(|row| row.line.as_str()).collect();
    assert!(lines[0].contains(&format!(",set-back,,{},a,{start},", seen + 1)), "{lines:?}");
    assert!(lines[1].contains(",numbers,,"), "in the same batch: {lines:?}");
    for _ in 0..2 {
        for command in [deposit(seen), Command::Settle { id: start }] {
            assert_eq!(run.outcome("a", command), Outcome::Unknown);
        }
        run.books = run.read_again();
        assert_eq!(run.admission("a", 4, 0).set_back, None);
    }
    let above = run.books.reserved;
    assert!(matches!(run.outcome("a", Command::Settle { id: seen + 1 }), Outcome::NotDone));
    assert!(matches!(run.outcome("a", deposit(above)), Outcome::Unknown), "it was not given");
    assert_eq!(run.outcome("a", deposit(start)), Outcome::Unknown);
}

#[test]
fn a_set_back_that_says_less_than_the_one_before_is_no_entry() {
    let mut run = Run::new();
    run.admission("a", 1, 1000);
    let set_back = |start, end| Fact::SetBack { terminal: "a".parse().unwrap(), gap: Gap { start, end } };
    let reserved = run.books.reserved;
    for (start, end, fits) in
        [(1, 1001, false), (500, 2000, false), (1, 1, false), (1, reserved + 1, false), (1, reserved, true)]
    {
        let mut books = run.books.clone();
        let number = books.head.number + 1;
        let entry = Entry { number, time: Time::from_millis(TIME), fact: set_back(start, end) };
        let line = entry.to_string();
        assert_eq!(books.post(entry, &line).is_ok(), fits, "{line}");
    }
}

#[test]
fn a_hello_whose_batch_does_not_stand_is_forgotten_and_the_ones_before_it_are_kept() {
    let mut run = Run::new();
    run.admission("a", 1, 0);
    assert!(matches!(run.outcome("a", deposit(1)), Outcome::Done(_)));
    let stands = run.rows.len();
    let kept = run.books.tills.clone();
    // The batch that fails: it proves a set-back, twice says hello and makes a row.
    run.undo.clear();
    assert!(run.admission("a", 2, 1000).set_back.is_some());
    run.admission("a", 3, 0);
    assert!(matches!(run.outcome("a", deposit(1001)), Outcome::Done(_)));
    run.admission("b", 1, 0);
    run.rows.truncate(stands);
    let (mut former, undo) = (std::mem::take(&mut run.books), std::mem::take(&mut run.undo));
    run.books = run.read_again();
    run.books.adopt(&mut former, undo);
    assert_eq!(run.books.tills, kept);
    assert_eq!(run.books.start, 1, "this start goes on");
    // The hello is applied again as if it had not come before.
    let again = run.admission("a", 2, 1000);
    assert_eq!(again.former, Some(Epoch { start: 1, attempt: 1 }));
    assert_eq!((again.turn, again.set_back), (2, Some(Gap { start: 257, end: 1001 })));
}

#[test]
fn in_doubt_a_named_operation_is_voided_and_all_else_is_applied_again() {
    let mut run = Run::new();
    run.admission("a", 1, 0);
    let done = run.outcome("a", deposit(1));
    let time = Time::from_millis(TIME);
    let mut ask = |origin: &str, command| {
        let origin = match origin {
            "" => Origin::Session(SessionId::new(9)),
            name => Origin::Terminal(name.parse().unwrap()),
        };
        let turn = u32::from(origin.terminal().is_some());
        let mut request = Request { ticket: Ticket::default(), origin, turn, command };
        let response = run.books.answer(&mut request, true, time, &mut run.rows, &mut run.undo).unwrap();
        assert_eq!(request.command, command, "it goes back as it came");
        response
    };
    let settled = |id, outcome| Response::Settled { id, outcome };
    assert_eq!(ask("a", deposit(1)), settled(1, done), "it is in the books");
    let other = Command::Operate { id: 1, operation: Operation::WithdrawAll };
    assert_eq!(ask("a", other), settled(1, Outcome::Refused(Refusal::Conflict)));
    assert_eq!(ask("a", deposit(2)), settled(2, Outcome::NotDone));
    assert_eq!(ask("", deposit(3)), settled(3, Outcome::NotDone));
    assert!(matches!(ask("a", Command::Reserve), Response::Reserved(_)));
    assert_eq!(ask("a", deposit(2)), settled(2, Outcome::NotDone));
    assert_eq!(run.rows.iter().filter(|row| row.line.contains(",void,,,a,2,")).count(), 1);
    assert_eq!(run.books.balance(), Amount::from_units(1).unwrap());
}
