//! Damage: bytes and pages that are changed, lost or old.
use super::*;

#[test]
fn one_changed_byte_forgets_nothing() {
    let used = used();
    for at in (0..SIZE).step_by(crate::STRIDE) {
        for change in [1, 0x80, 0xff] {
            let mut medium = used.storage().clone();
            medium.bytes[at] ^= change;
            let mut ledger = open(medium).unwrap();
            assert_eq!(ledger.head, used.head, "{at}");
            let [first, second] = halves(&ledger);
            assert_eq!(first, second, "{at}");
            let last = operate("b", 10, Operation::WithdrawAll);
            assert_eq!(apply(&mut ledger, &last), apply(&mut used.clone(), &last), "{at}");
        }
    }
}

#[test]
fn one_page_that_is_lost_or_old_forgets_nothing() {
    let used = used();
    let mut earlier = open(Medium::new()).unwrap();
    for step in &workload()[..2] {
        apply(&mut earlier, step).unwrap();
    }
    for page in 0..SIZE / SLOT {
        for old in
            [&[0xff; SLOT][..], &[0; SLOT], &[0x55; SLOT], &earlier.storage().bytes[page * SLOT..][..SLOT]]
        {
            let mut medium = used.storage().clone();
            medium.bytes[page * SLOT..][..SLOT].copy_from_slice(old);
            let ledger = open(medium).unwrap();
            assert_eq!(ledger.head, used.head, "{page}");
        }
    }
}

#[test]
fn an_entry_that_both_copies_have_lost_is_not_replaced() {
    let used = used();
    for slot in 0..3 {
        let ways = [0x55, 0xff, 0x00];
        for (first, second) in ways.iter().flat_map(|first| ways.map(|second| (*first, second))) {
            let mut medium = used.storage().clone();
            medium.bytes[slot * SLOT..][..SLOT].fill(first);
            medium.bytes[SIZE / 2 + slot * SLOT..][..SLOT].fill(second);
            let before = medium.clone();
            let mut ledger =
                StoredLedger { store: Store::new(medium, FORMAT).unwrap(), stale: true, ..used.clone() };
            assert_eq!(ledger.load(), Err(StoreError::Damaged), "{slot} {first} {second}");
            assert_eq!(*ledger.storage(), before, "it is left as it is");
            assert_eq!(apply(&mut ledger, &workload()[0]), Err(InDoubt), "no outcome is acknowledged");
        }
    }
}

#[test]
fn a_slot_of_another_ledger_is_not_taken_for_one_of_this() {
    let used = used();
    let mut other = StoredLedger::open(Medium::new(), || (LedgerId(8), units(100))).unwrap();
    for step in &workload()[..2] {
        apply(&mut other, step).unwrap();
    }
    let mut medium = used.storage().clone();
    for half in [0, SIZE / 2] {
        medium.bytes[half + SLOT..][..SLOT].copy_from_slice(&other.storage().bytes[half + SLOT..][..SLOT]);
    }
    assert!(matches!(open(medium), Err(StoreError::Damaged)));
}

#[test]
fn a_terminal_that_power_has_left_uncounted_is_counted() {
    let used = used();
    assert_eq!(used.head.terminals, 2);
    let mut medium = used.storage().clone();
    let before = open(Medium::new()).unwrap();
    for half in [0, SIZE / 2] {
        medium.bytes[half..][..SLOT].copy_from_slice(&before.storage().bytes[half..][..SLOT]);
    }
    let mut ledger = open(medium).unwrap();
    assert_eq!(ledger.commits(), used.commits() + 1, "the count is committed");
    let (number, (head, _)) = ledger.store.read::<Commit>(0).unwrap().unwrap();
    assert_eq!((number, head.terminals, head.balance), (ledger.commits(), 2, used.balance()));
    let again = reopened(&ledger);
    assert_eq!(again.commits(), ledger.commits(), "once");
}

#[test]
fn an_unreadable_slot_of_no_terminal_is_no_loss() {
    let used = used();
    // Every byte beyond the last terminal, in both halves, none repaired in between.
    let mut medium = used.storage().clone();
    for at in (0..SIZE / 2 - SLOT).skip(3 * SLOT) {
        medium.bytes[at] ^= 0x55;
        medium.bytes[SIZE / 2 + at] ^= 0x55;
    }
    let mut ledger = open(medium).unwrap();
    assert_eq!(ledger.head, used.head);
    // A new terminal takes the place.
    let step = deposit("c", 1, 1);
    let done = settled(1, deposited(1, 8));
    assert_eq!(apply(&mut ledger, &step), done);
    assert_eq!(apply(&mut reopened(&ledger), &step), done);
}
