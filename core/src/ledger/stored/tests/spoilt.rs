//! Media that hold something else than what was written to them.
use super::*;

#[test]
fn one_changed_byte_forgets_nothing() {
    let evening = evening();
    for at in (0..SIZE).step_by(crate::STRIDE) {
        for change in [1, 0x80, 0xff] {
            let mut medium = evening.storage().clone();
            medium.bytes[at] ^= change;
            let mut ledger = open(medium).unwrap();
            assert_eq!(ledger.head, evening.head, "{at}");
            let [first, second] = halves(&ledger);
            assert_eq!(first, second, "{at}");
            let last = evening.clone().apply(&operate("b", 10, Operation::WithdrawAll));
            assert_eq!(ledger.apply(&operate("b", 10, Operation::WithdrawAll)), last, "{at}");
        }
    }
}

#[test]
fn one_block_that_is_lost_or_old_forgets_nothing() {
    let evening = evening();
    let mut morning = open(Medium::new()).unwrap();
    morning.apply(&day()[1]).unwrap();
    morning.apply(&day()[2]).unwrap();
    for page in 0..SIZE / SLOT {
        for old in
            [&[0xff; SLOT][..], &[0; SLOT], &[0x55; SLOT], &morning.storage().bytes[page * SLOT..][..SLOT]]
        {
            let mut medium = evening.storage().clone();
            medium.bytes[page * SLOT..][..SLOT].copy_from_slice(old);
            let ledger = open(medium).unwrap();
            assert_eq!(ledger.head, evening.head, "{page}");
        }
    }
}

#[test]
fn what_both_copies_have_lost_is_not_guessed_at() {
    let used = 3;
    let evening = evening();
    for slot in 0..used {
        let ways = [0x55, 0xff, 0x00];
        for (first, second) in ways.iter().flat_map(|first| ways.map(|second| (*first, second))) {
            let mut medium = evening.storage().clone();
            medium.bytes[slot * SLOT..][..SLOT].fill(first);
            medium.bytes[SIZE / 2 + slot * SLOT..][..SLOT].fill(second);
            let before = medium.clone();
            let mut ledger =
                StoredLedger { store: Store::new(medium, FORMAT).unwrap(), doubt: true, ..evening.clone() };
            assert_eq!(ledger.load(), Err(StoreError::Damaged), "{slot} {first} {second}");
            assert_eq!(*ledger.storage(), before, "it is left as it is");
            assert_eq!(ledger.apply(&day()[1]), Err(InDoubt), "and nobody is told anything");
        }
    }
}

#[test]
fn a_slot_of_another_ledger_is_not_taken_for_one_of_this() {
    let evening = evening();
    let mut other = StoredLedger::open(Medium::new(), || (LedgerId(8), units(100))).unwrap();
    other.apply(&day()[1]).unwrap();
    other.apply(&day()[2]).unwrap();
    let mut medium = evening.storage().clone();
    for half in [0, SIZE / 2] {
        medium.bytes[half + SLOT..][..SLOT].copy_from_slice(&other.storage().bytes[half + SLOT..][..SLOT]);
    }
    assert!(matches!(open(medium), Err(StoreError::Damaged)));
}

#[test]
fn a_terminal_that_power_has_left_uncounted_is_counted() {
    let evening = evening();
    assert_eq!(evening.head.terminals, 2);
    let mut medium = evening.storage().clone();
    let before = open(Medium::new()).unwrap();
    for half in [0, SIZE / 2] {
        medium.bytes[half..][..SLOT].copy_from_slice(&before.storage().bytes[half..][..SLOT]);
    }
    let mut ledger = open(medium).unwrap();
    assert_eq!(ledger.commits(), evening.commits() + 1, "one more, and told so");
    let (number, head) = ledger.read_head(0).unwrap().unwrap();
    assert_eq!((number, head.terminals, head.balance), (ledger.commits(), 2, evening.balance()));
    let again = open(ledger.storage().clone()).unwrap();
    assert_eq!(again.commits(), ledger.commits(), "once");
}

#[test]
fn what_is_unreadable_where_nobody_was_told_of_anything_is_no_loss() {
    let evening = evening();
    // Every byte beyond the last terminal, in both halves, one after the other and none mended in between.
    let mut medium = evening.storage().clone();
    for at in (0..SIZE / 2 - SLOT).skip(3 * SLOT) {
        medium.bytes[at] ^= 0x55;
        medium.bytes[SIZE / 2 + at] ^= 0x55;
    }
    let mut ledger = open(medium).unwrap();
    assert_eq!(ledger.head, evening.head);
    // A new terminal takes the place.
    let done = ledger.apply(&operate("c", 1, Operation::Deposit(units(1))));
    assert!(matches!(done, Ok(Response::Settled { outcome: Outcome::Done(_), .. })));
    let mut again = open(ledger.storage().clone()).unwrap();
    assert_eq!(again.apply(&operate("c", 1, Operation::Deposit(units(1)))), done);
}
