//! Limits: the smallest medium, a full ledger, the longest entry, the ends of a reserve.
use super::*;

#[test]
fn the_smallest_medium_has_room_for_one_terminal() {
    let with = |slots| Medium::with(vec![0xff; slots * SLOT]);
    assert!(matches!(open(with(4)), Err(StoreError::TooSmall)));
    let mut ledger = open(with(6)).unwrap();
    assert_eq!(apply(&mut ledger, &deposit("a", 1, 1)), settled(1, deposited(1, 101)));
    assert_eq!(hello(&mut ledger, "b", 1, 0), Ok(Response::Rejected(Rejection::Full)));
}

#[test]
fn a_full_ledger_admits_no_new_name() {
    let mut ledger = used();
    // A terminal takes a slot with its first operation, not with its hello.
    admitted(hello(&mut ledger, "d", 1, 0));
    assert_eq!(apply(&mut ledger, &deposit("c", 11, 1)), settled(11, deposited(1, 8)));
    let full = Ok(Response::Rejected(Rejection::Full));
    assert_eq!(hello(&mut ledger, "d", 1, 0), full);
    assert_eq!(hello(&mut reopened(&ledger), "d", 1, 0), full);
    assert_eq!(reopened(&ledger).head.terminals, 3);
    assert_eq!(apply(&mut ledger, &unnamed(Operation::Deposit(units(1)))), settled(1, deposited(1, 9)));
    assert_eq!(apply(&mut ledger, &deposit("a", 12, 1)), settled(12, deposited(1, 10)));
}

#[test]
fn the_longest_commit_fits_into_its_slot() {
    let mut ledger = open(Medium::new()).unwrap();
    ledger.name = Some("A-Za-z0-9._-ABCDEFGHIJKLMNOPQRST".parse().unwrap());
    // A commit a second takes 2^42 commits in 100,000 years.
    ledger.commits = (1 << 42) - 2;
    let gap = Gap { start: Numbers::MAX, end: Numbers::MAX };
    let head = Head { identity: LedgerId(u64::MAX), balance: Amount::MAX, free: Numbers::MAX, terminals: 1 };
    let receipt = Receipt::Withdrawn { amount: Amount::MAX, balance: Amount::MAX };
    let operation = Some(Operation::Withdraw(Amount::MAX));
    let record = Record::new(Numbers::MAX, operation, Outcome::Done(receipt));
    ledger.head = head;
    (ledger.terminal.gap, ledger.terminal.last) = (gap, Some(record));
    ledger.commit(0).unwrap();
    ledger.commit(1).unwrap();
    ledger.load().unwrap();
    let Terminal { gap: loaded, last, .. } = ledger.terminal;
    assert_eq!((ledger.head, loaded, last), (head, gap, Some(record)));
}

#[test]
fn numbers_are_reserved_where_too_few_are_left_and_not_before() {
    let mut ledger = open(Medium::new()).unwrap();
    let mut end = 1;
    for block in 0..300 {
        let before = ledger.commits();
        let mut numbers = if block % 2 == 0 {
            admitted(hello(&mut ledger, "a", 1, 0)).numbers
        } else {
            let turn = ledger.terminal.turn;
            match ledger.apply(&request(Some("a"), turn, Command::Reserve)) {
                Ok(Response::Reserved(numbers)) => numbers,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(ledger.commits() - before, u64::from(block % 129 == 0), "block {block}");
        let numbers: Vec<u64> = core::iter::from_fn(|| numbers.take()).collect();
        assert_eq!(numbers, (end..end + 16).collect::<Vec<_>>(), "block {block}");
        end += 16;
        assert!(end <= ledger.head.free, "they are reserved before they are given");
    }
}

#[test]
fn the_numbers_end() {
    let mut ledger = open(Medium::new()).unwrap();
    ledger.head.free = Numbers::MAX - 100;
    ledger.commit(0).unwrap();
    let mut ledger = reopened(&ledger);
    for rest in [16, 16, 16, 16, 16, 16, 4, 0, 0] {
        let mut numbers = admitted(hello(&mut ledger, "a", 1, 0)).numbers;
        assert_eq!(core::iter::from_fn(|| numbers.take()).count(), rest);
    }
    assert_eq!(ledger.head.free, Numbers::MAX);
}
