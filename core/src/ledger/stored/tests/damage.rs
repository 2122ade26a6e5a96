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
    let id = ledger.head.free;
    let step = deposit("c", id, 1);
    let done = settled(id, deposited(1, 8));
    assert_eq!(apply(&mut ledger, &step), done);
    assert_eq!(apply(&mut reopened(&ledger), &step), done);
}

/// The slot with this number, of both halves.
fn pages(slot: usize) -> [usize; 2] {
    [slot * SLOT, SIZE / 2 + slot * SLOT]
}

#[test]
fn no_ledger_begins_where_anything_was_written() {
    let used = used();
    let new = || -> (LedgerId, Amount) { panic!("it is not new") };
    let bytes = &used.storage().bytes;
    // The first slot, two of terminals, the mark. One copy of one of them is left, whole or with a changed byte.
    for (slot, copy, change) in [0, 1, 2, 4].into_iter().flat_map(|slot| {
        [0, 1].into_iter().flat_map(move |copy| [0, 0x10].map(|change| (slot, copy, change)))
    }) {
        // So begins the first write of a new ledger.
        if (slot, copy, change) == (0, 0, 0x10) {
            continue;
        }
        for blank in [0, 0xff] {
            let mut medium = Medium::with(vec![blank; SIZE]);
            let page = pages(slot)[copy];
            medium.bytes[page..page + SLOT].copy_from_slice(&bytes[page..page + SLOT]);
            medium.bytes[page + 5] ^= change;
            let before = medium.clone();
            let context = std::format!("slot {slot}, copy {copy}, {change:#x}, {blank:#x}");
            let mut store = Store::new(medium.clone(), FORMAT).unwrap();
            assert!(!store.is_new().unwrap(), "{context}");
            let opened = StoredLedger::open(medium.clone(), new).map(|_| ());
            assert_eq!(opened, Err(StoreError::Damaged), "{context}");
            let mut ledger = StoredLedger { store: Store::new(medium, FORMAT).unwrap(), ..used.clone() };
            assert_eq!(ledger.load(), Err(StoreError::Damaged), "{context}");
            // The other copy of the first slot is repaired.
            let is_same = (0..SIZE).all(|at| {
                ledger.storage().bytes[at] == before.bytes[at] || slot == 0 && at % (SIZE / 2) < SLOT
            });
            assert!(is_same, "{context}: it is left as it is");
        }
    }
}

#[test]
fn any_slots_that_are_lost_leave_no_new_ledger() {
    let used = used();
    // Every set of the slots that are in use and the mark, but that of all of them.
    for lost in 0..15_usize {
        let mut medium = used.storage().clone();
        for (bit, slot) in [0, 1, 2, 4].into_iter().enumerate() {
            if lost >> bit & 1 == 1 {
                for page in pages(slot) {
                    medium.bytes[page..page + SLOT].fill(0xff);
                }
            }
        }
        let opened = StoredLedger::open(medium, || panic!("{lost:#b}: it is not new"));
        // The mark alone is written again.
        let expected = if lost & 0b111 == 0 { Ok(used.head) } else { Err(StoreError::Damaged) };
        assert_eq!(opened.map(|ledger| ledger.head), expected, "{lost:#b}");
    }
}
