//! Where there is just enough.
use super::*;

#[test]
fn the_smallest_medium_has_room_for_one_terminal() {
    let with = |slots| Medium::with(vec![0xff; slots * SLOT]);
    assert!(matches!(open(with(4)), Err(StoreError::TooSmall)));
    let mut ledger = open(with(6)).unwrap();
    for (terminal, outcome) in [
        ("a", Outcome::Done(Receipt::Deposited { amount: units(1), balance: units(101) })),
        ("b", Outcome::Refused(Refusal::Full)),
    ] {
        let response = ledger.apply(&operate(terminal, 1, Operation::Deposit(units(1)))).unwrap();
        assert!(
            matches!(response, Response::Settled { outcome: told, .. } if told == outcome),
            "{response:?}"
        );
    }
}

#[test]
fn numbers_are_reserved_when_there_are_too_few_and_not_before() {
    let mut ledger = open(Medium::new()).unwrap();
    let ask = Request::Open { terminal: "a".parse().unwrap() };
    let opened = |ledger: &mut StoredLedger<Medium>| {
        let before = ledger.storage().written;
        ledger.apply(&ask).unwrap();
        ledger.storage().written > before
    };
    let blocks = RESERVE / u64::from(BLOCK);
    assert_eq!(blocks * u64::from(BLOCK), RESERVE, "a reserve is used up to its last number");
    for block in 0..3 * blocks {
        assert_eq!(opened(&mut ledger), block % blocks == 0, "block {block}");
    }
}
