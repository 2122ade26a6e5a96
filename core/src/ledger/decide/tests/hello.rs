//! Hellos: turns, epochs, numbers, and the proof that a ledger was set back.
use super::*;

/// A hello of the next start, from a terminal that knows `ledger` and has seen `seen`.
pub(super) fn claim(ledger: Option<LedgerId>, seen: u64) -> HelloClaim {
    HelloClaim { epoch: Epoch::clear(3, 1), admit_equal: false, ledger, seen }
}

impl Books {
    fn hello(&mut self, claim: HelloClaim) -> Result<Admission, Rejection> {
        let before = self.terminal;
        let Decision { response, changes, entry } = self.request(Command::Hello(claim));
        assert_eq!((changes.account, entry), (None, None), "a hello changes its terminal's row alone");
        match response {
            Response::Admitted(admission) => Ok(admission),
            Response::Rejected(rejection) => {
                assert_eq!(
                    (changes.terminal, self.terminal),
                    (None, before),
                    "a rejected hello changes nothing"
                );
                Err(rejection)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The row of the terminal, which has said hello.
    fn row(&self) -> Terminal {
        self.terminal.unwrap()
    }
}

/// The first of the numbers, and how many there are.
fn range(mut numbers: Numbers) -> Option<(u64, usize)> {
    let first = numbers.take()?;
    Some((first, 1 + core::iter::from_fn(|| numbers.take()).count()))
}

#[test]
fn the_first_hello_makes_the_terminal_s_row() {
    let mut books = Books::new();
    let hello = claim(None, 0);
    let admission = books.hello(hello).unwrap();
    assert_eq!((admission.ledger, admission.turn, admission.former), (LEDGER, 1, None));
    assert_eq!((admission.set_back, admission.last), (None, None));
    assert_eq!(range(admission.numbers), Some((1, 256)));
    let row = Terminal { epoch: Some(hello.epoch), turn: 1, next_number: 257, ..Terminal::NEW };
    assert_eq!(books.terminal, Some(row));
}

#[test]
fn every_admitted_hello_raises_the_turn_and_commits_its_epoch() {
    let mut books = Books::with_terminal();
    let mut former = books.row().epoch;
    // A later attempt, a later start, and an earlier start: the host judges that one.
    for (turn, (start, attempt)) in (4..).zip([(3, 1), (3, 2), (4, 1), (1, 1)]) {
        let epoch = Epoch::clear(start, attempt);
        let admission = books.hello(HelloClaim { epoch, ..claim(None, 0) }).unwrap();
        assert_eq!((admission.turn, admission.former), (turn, former));
        assert_eq!((books.row().turn, books.row().epoch), (turn, Some(epoch)));
        former = Some(epoch);
    }
}

#[test]
fn an_equal_epoch_is_admitted_only_where_it_may_be_a_retransmission() {
    let mut books = Books::with_terminal();
    let epoch = Epoch::clear(2, 1);
    let equal = HelloClaim { epoch, ..claim(None, 0) };
    assert_eq!(books.hello(equal), Err(Rejection::InUse));
    let admission = books.hello(HelloClaim { admit_equal: true, ..equal }).unwrap();
    assert_eq!((admission.turn, admission.former), (4, Some(epoch)));
    // A plain client counts nothing: each of its connections is served.
    let plain = HelloClaim { epoch: Epoch::PLAIN, ..equal };
    for (turn, former) in [(5, epoch), (6, Epoch::PLAIN), (7, Epoch::PLAIN)] {
        let admission = books.hello(plain).unwrap();
        assert_eq!((admission.turn, admission.former), (turn, Some(former)));
    }
}

#[test]
fn an_equal_epoch_is_rejected_before_its_claim_is_judged() {
    let mut books = Books::with_terminal();
    let epoch = Epoch::clear(2, 1);
    for seen in [1000, u64::MAX] {
        let equal = HelloClaim { epoch, ..claim(Some(LEDGER), seen) };
        assert_eq!(books.hello(equal), Err(Rejection::InUse));
    }
}

#[test]
fn a_block_begins_above_all_that_were_reserved() {
    let mut books = Books::with_terminal();
    assert_eq!(range(books.hello(claim(Some(LEDGER), 999)).unwrap().numbers), Some((1000, 256)));
    let decision = books.request(Command::Reserve);
    assert_eq!(decision.response, Response::Reserved(Numbers::block(1256, 256)));
    assert_eq!((decision.changes.account, decision.entry), (None, None));
    let row = books.row();
    assert_eq!((row.next_number, row.turn), (1512, 4), "it reserves numbers and nothing else");
    let next = books.hello(HelloClaim { epoch: Epoch::clear(3, 2), ..claim(None, 0) }).unwrap();
    assert_eq!(range(next.numbers), Some((1512, 256)));
}

#[test]
fn an_admission_has_the_terminal_s_last_record() {
    let mut books = Books::with_terminal();
    books.request(Command::Settle { id: 5 });
    let last = Some(Record::new(5, None, Outcome::NotDone));
    assert_eq!(books.hello(claim(None, 0)).unwrap().last, last);
    assert_eq!(books.row().last, last);
}

#[test]
fn a_claim_above_the_reserved_numbers_proves_a_set_back() {
    let other = Some(LedgerId(8));
    // The present gap is 500..600, and 1,000 is the first number that is not reserved.
    for (ledger, seen, gap) in [
        (Some(LEDGER), 0, None),
        (Some(LEDGER), 999, None),
        (Some(LEDGER), 1000, Some(1001)),
        (Some(LEDGER), 1001, Some(1002)),
        (Some(LEDGER), 1000 + MAX_SET_BACK, Some(1001 + MAX_SET_BACK)),
        // Another ledger's numbers, or those of no ledger, say nothing about this one.
        (other, 1000, None),
        (None, 1000, None),
        (other, u64::MAX, None),
        (None, u64::MAX, None),
    ] {
        let mut books = Books::with_terminal();
        let admission = books.hello(claim(ledger, seen)).unwrap();
        let row = books.row();
        let first = gap.unwrap_or(1000);
        assert_eq!(range(admission.numbers), Some((first, 256)), "{seen}");
        assert_eq!(row.next_number, first + 256, "{seen}");
        let extended = gap.map(|end| Gap { start: 500, end });
        assert_eq!(admission.set_back, extended, "{seen}");
        assert_eq!(row.gap, extended.unwrap_or(Gap { start: 500, end: 600 }), "{seen}");
        assert_eq!(row.set_back_at, gap.map(|_| UnixTime::default()), "{seen}");
    }
}

#[test]
fn a_set_back_to_before_the_terminal_s_row_leaves_a_gap_from_the_first_number() {
    let mut books = Books::new();
    let admission = books.hello(claim(Some(LEDGER), 5)).unwrap();
    assert_eq!(admission.set_back, Some(Gap { start: 1, end: 6 }));
    assert_eq!((range(admission.numbers), admission.turn), (Some((6, 256)), 1));
    for (id, outcome) in [(0, Outcome::NotDone), (5, Outcome::Unknown), (6, Outcome::NotDone)] {
        assert_eq!(books.request(Command::Settle { id }).response, Response::Settled { id, outcome });
    }
}

#[test]
fn a_claim_too_far_above_the_reserved_numbers_is_unsound() {
    for seen in [1001 + MAX_SET_BACK, 1 << 53, u64::MAX] {
        assert_eq!(Books::with_terminal().hello(claim(Some(LEDGER), seen)), Err(Rejection::Unsound));
    }
}

#[test]
fn one_set_back_a_minute_is_served() {
    let at = |millis| Some(UnixTime::from_millis(millis));
    let (soon, served) = (Some(Rejection::TooSoon), None);
    for (first, second, rejection) in [
        (at(7_000_000), at(7_000_000), soon),
        (at(7_000_000), at(7_059_999), soon),
        (at(7_000_000), at(7_060_000), served),
        // The clock was set back: the time between the two is not known.
        (at(7_000_000), at(6_999_999), served),
        (at(7_000_000), at(0), served),
        // Without a clock there is one for all time.
        (None, None, soon),
        (at(7_000_000), None, soon),
        (None, at(59_999), soon),
        (None, at(7_000_000), served),
        (at(u64::MAX), at(u64::MAX), soon),
    ] {
        let mut books = Books::with_terminal();
        books.now = first;
        assert!(books.hello(claim(Some(LEDGER), 1000)).unwrap().set_back.is_some());
        let again = |seen| HelloClaim { epoch: Epoch::clear(4, 1), ..claim(Some(LEDGER), seen) };
        books.now = second;
        // The first block ends below 1,257.
        let found = books.hello(again(1257));
        assert_eq!(found.err(), rejection, "{first:?} {second:?}");
        if let Ok(admission) = found {
            assert_eq!(admission.set_back, Some(Gap { start: 500, end: 1258 }));
            assert_eq!(books.row().set_back_at, second);
        } else {
            // A hello that proves nothing is served at any time.
            assert_eq!(books.hello(again(1256)).unwrap().set_back, None);
        }
    }
}

#[test]
fn a_full_store_admits_the_terminals_that_have_a_row() {
    for (mut books, admitted) in [(Books::new(), false), (Books::with_terminal(), true)] {
        books.has_room = false;
        let found = books.hello(claim(Some(LEDGER), 5));
        assert_eq!(found.err(), (!admitted).then_some(Rejection::Full));
    }
}

#[test]
fn numbers_end_at_the_largest() {
    let mut books = Books::with_terminal();
    let mut at = |next_number, command: Command| {
        books.terminal = Some(Terminal { next_number, set_back_at: None, epoch: None, ..books.row() });
        let numbers = match books.request(command).response {
            Response::Admitted(admission) => admission.numbers,
            Response::Reserved(numbers) => numbers,
            other => panic!("{other:?}"),
        };
        (range(numbers), books.row().next_number)
    };
    let max = Numbers::MAX;
    for command in [Command::Reserve, Command::Hello(claim(None, 0))] {
        assert_eq!(at(max - 256, command), (Some((max - 256, 256)), max));
        assert_eq!(at(max - 255, command), (Some((max - 255, 255)), max));
        assert_eq!(at(max - 1, command), (Some((max - 1, 1)), max));
        assert_eq!(at(max, command), (None, max));
    }
    assert_eq!(at(max - 300, Command::Hello(claim(Some(LEDGER), max - 10))), (Some((max - 9, 9)), max));
    // The terminal claims a number that no ledger gives.
    assert_eq!(at(max - 300, Command::Hello(claim(Some(LEDGER), max + 10))), (None, max));
}

#[test]
fn turns_wrap() {
    let mut books = Books::with_terminal();
    for (before, after) in [(u32::MAX - 1, u32::MAX), (u32::MAX, 0)] {
        books.terminal = Some(Terminal { turn: before, epoch: None, ..books.row() });
        assert_eq!(books.hello(claim(None, 0)).unwrap().turn, after);
    }
}
