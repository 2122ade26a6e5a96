use super::*;
use crate::ledger::{Operation, Origin, Outcome, RamLedger, Receipt, Refusal, contract};
use crate::store::SLOT;
use embedded_storage::{
    ReadStorage,
    nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, RmwNorFlashStorage},
};
use proptest::{prelude::*, sample::Index};
use std::{vec, vec::Vec};

mod bounds;
mod spoilt;

/// Room for three terminals, the first slot and the last.
const SIZE: usize = 10 * SLOT;

/// A medium whose power goes at a byte that is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Medium {
    bytes: Vec<u8>,
    /// Bytes that can still be written.
    power: usize,
    /// Takes what is written and keeps the first bytes of it alone.
    worn: Option<usize>,
    written: usize,
}

impl Medium {
    fn new() -> Self {
        Self { bytes: vec![0xff; SIZE], power: usize::MAX, worn: None, written: 0 }
    }

    fn with(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NoPower;

impl ReadStorage for Medium {
    type Error = NoPower;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NoPower> {
        let offset = offset as usize;
        bytes.copy_from_slice(&self.bytes[offset..offset + bytes.len()]);
        if self.power == 0 { Err(NoPower) } else { Ok(()) }
    }
    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl Storage for Medium {
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NoPower> {
        assert!(offset as usize % SLOT + bytes.len() <= SLOT, "a write stays in its page");
        let count = bytes.len().min(self.power).min(self.worn.unwrap_or(usize::MAX));
        self.bytes[offset as usize..][..count].copy_from_slice(&bytes[..count]);
        self.written += bytes.len().min(self.power);
        self.power = self.power.saturating_sub(bytes.len());
        if self.power == 0 { Err(NoPower) } else { Ok(()) }
    }
}

fn open(medium: Medium) -> Result<StoredLedger<Medium>, StoreError<NoPower>> {
    StoredLedger::open(medium, || (LedgerId(7), units(100)))
}

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn operate(terminal: &str, id: u64, operation: Operation) -> Request {
    Request::Operate { origin: Origin::Terminal(terminal.parse().unwrap()), id, operation }
}

fn settle(terminal: &str, id: u64) -> Request {
    Request::Settle { terminal: terminal.parse().unwrap(), id }
}

/// A day of two terminals, and of somebody without a name.
fn day() -> Vec<Request> {
    vec![
        Request::Open { terminal: "a".parse().unwrap() },
        operate("a", 3, Operation::Deposit(units(40))),
        operate("b", 4, Operation::Withdraw(units(15))),
        Request::Operate { origin: Origin::Session(1), id: 1, operation: Operation::Deposit(units(1)) },
        operate("a", 5, Operation::Withdraw(units(1000))),
        settle("b", 9),
        operate("b", 10, Operation::WithdrawAll),
        operate("a", 6, Operation::Deposit(units(7))),
    ]
}

struct Card;

impl contract::Store for Card {
    type Ledger = StoredLedger<Medium>;
    fn create(&mut self, balance: Amount) -> Self::Ledger {
        StoredLedger::open(Medium::new(), || (LedgerId(7), balance)).unwrap()
    }
    fn reopen(&mut self, old: Self::Ledger) -> Self::Ledger {
        open(old.storage().clone()).unwrap()
    }
}

#[test]
fn it_keeps_the_contract() {
    assert_eq!(contract::check(&mut Card), Ok(()));
}

#[test]
fn power_may_go_at_any_byte_that_is_written() {
    let mut whole = open(Medium::new()).unwrap();
    for request in day() {
        whole.apply(&request).unwrap();
    }
    let total = whole.storage().written;
    assert!(total > 300, "{total}");
    for power in (0..total).step_by(crate::STRIDE) {
        let medium = Medium { power, ..Medium::new() };
        let mut told: Vec<(Request, Response)> = vec![];
        let mut lost = None;
        let mut bytes = medium.bytes.clone();
        let mut model = RamLedger::<3>::new(LedgerId(7), units(100));
        if let Ok(mut ledger) = open(medium) {
            for request in day() {
                match ledger.apply(&request) {
                    Ok(response) => {
                        let same = model.apply(&request).unwrap();
                        if let Response::Settled { .. } = response {
                            assert_eq!(response, same, "{power}");
                        }
                        told.retain(|(before, _)| before.origin() != request.origin());
                        told.push((request, response));
                    }
                    Err(InDoubt) => {
                        lost = Some(request);
                        break;
                    }
                }
            }
            bytes = ledger.storage().bytes.clone();
        }
        // Power is back.
        let mut ledger = open(Medium::with(bytes)).unwrap_or_else(|error| panic!("{power}: {error:?}"));
        for (request, response) in &told {
            // The last that each terminal was told is told again, unless it is the one that has another request out.
            let moved = lost.as_ref().is_some_and(|lost| lost.origin() == request.origin());
            if let (Request::Operate { origin: Origin::Terminal(_), .. }, false) = (request, moved) {
                assert_eq!(ledger.apply(request), Ok(*response), "{power}: {request:?}");
            }
        }
        match &lost {
            // It was done or it was not; without a name nobody can ask.
            Some(request @ Request::Operate { origin: Origin::Session(_), .. }) => {
                let before = model.balance();
                model.apply(request).unwrap();
                assert!([before, model.balance()].contains(&ledger.balance()), "{power}");
                continue;
            }
            Some(Request::Operate { origin: Origin::Terminal(name), id, operation }) => {
                let terminal = name.as_str();
                let response = ledger.apply(&settle(terminal, *id)).unwrap();
                if response != (Response::Settled { id: *id, outcome: Outcome::NotDone }) {
                    assert_eq!(
                        response,
                        model.apply(&operate(terminal, *id, *operation)).unwrap(),
                        "{power}"
                    );
                }
            }
            _ => {}
        }
        assert_eq!(ledger.balance(), model.balance(), "{power}");
        let [first, second] = halves(&ledger);
        assert_eq!(first, second, "{power}: both copies are the same again");
    }
}

/// What both halves hold of the slots that are used: all but what stands behind the check sums.
fn halves(ledger: &StoredLedger<Medium>) -> [Vec<&[u8]>; 2] {
    let used = usize::from(ledger.head.terminals) + 1;
    [0, SIZE / 2].map(|half| {
        let slots = ledger.storage().bytes[half..half + used * SLOT].chunks(SLOT);
        slots.map(|slot| &slot[..6 + usize::from(slot[1])]).collect()
    })
}

/// The medium, to be spoilt.
fn medium(ledger: &mut StoredLedger<Medium>) -> &mut Medium {
    ledger.store.medium_mut()
}

/// The medium at the end of the day.
fn evening() -> StoredLedger<Medium> {
    let mut ledger = open(Medium::new()).unwrap();
    for request in day() {
        ledger.apply(&request).unwrap();
    }
    ledger
}

#[test]
fn an_operation_takes_one_commit_and_the_first_of_a_terminal_two() {
    let mut ledger = open(Medium::new()).unwrap();
    let mut commits = |request: &Request| {
        let before = ledger.commits();
        ledger.apply(request).unwrap();
        ledger.commits() - before
    };
    let unnamed =
        Request::Operate { origin: Origin::Session(1), id: 1, operation: Operation::Deposit(units(1)) };
    assert_eq!(
        commits(&operate("a", 1, Operation::Deposit(units(1)))),
        2,
        "its slot, and the count of terminals"
    );
    assert_eq!(commits(&operate("a", 2, Operation::Deposit(units(1)))), 1);
    assert_eq!(commits(&unnamed), 1);
    assert_eq!(commits(&operate("a", 2, Operation::Deposit(units(1)))), 0, "a repeat");
}

#[test]
fn a_ledger_is_new_once() {
    let evening = evening();
    let new = || -> (LedgerId, Amount) { panic!("it is not new") };
    // The mark at the end has lost a copy, or both.
    for (first, second) in [(0x55, 0xff), (0xff, 0x55), (0xff, 0xff), (0x55, 0x55)] {
        let mut medium = evening.storage().clone();
        medium.bytes[SIZE / 2 - SLOT..SIZE / 2].fill(first);
        medium.bytes[SIZE - SLOT..].fill(second);
        let ledger = StoredLedger::open(medium, new).unwrap();
        assert_eq!(ledger.head, evening.head);
        assert!(
            !Store::new(ledger.storage().clone(), FORMAT).unwrap().is_new().unwrap(),
            "it is there again"
        );
    }
    // One copy of the mark is enough to know that the first slot is lost, and not new.
    for gone in [SIZE / 2 - SLOT, SIZE - SLOT] {
        let mut medium = evening.storage().clone();
        for page in [0, SIZE / 2, gone] {
            medium.bytes[page..page + SLOT].fill(0xff);
        }
        assert_eq!(StoredLedger::open(medium, new).map(|_| ()), Err(StoreError::Damaged));
    }
}

#[test]
fn what_is_wrong_is_told() {
    let told = |broken: StoreError<&str>| std::format!("{broken}");
    assert_eq!(told(StoreError::Storage("it is wet")), "the medium failed: it is wet");
    assert_eq!(told(StoreError::Format(9)), "its format is 9, which this program does not support");
    for broken in [StoreError::NotKept, StoreError::Damaged, StoreError::TooSmall] {
        assert!(!told(broken).is_empty());
    }
}

#[test]
fn power_may_go_while_it_is_mended() {
    let evening = evening();
    for page in 0..3 {
        for power in (0..SLOT).step_by(crate::STRIDE) {
            let mut medium = evening.storage().clone();
            medium.bytes[page * SLOT..][..SLOT].fill(0x55);
            medium.power = power;
            let cut = medium.clone();
            let mut ledger = StoredLedger { store: Store::new(cut, FORMAT).unwrap(), ..evening.clone() };
            let _ = ledger.load();
            let medium = Medium { power: usize::MAX, ..ledger.storage().clone() };
            assert_eq!(open(medium).unwrap().head, evening.head, "{page} {power}");
        }
    }
}

#[test]
fn a_medium_that_does_not_keep_what_is_written_is_noticed() {
    for worn in [0, 1, 20] {
        let mut ledger = evening();
        let before = ledger.balance();
        medium(&mut ledger).worn = Some(worn);
        let request = operate("a", 20, Operation::Deposit(units(5)));
        assert_eq!(ledger.apply(&request), Err(InDoubt));
        assert_eq!(ledger.apply(&request), Err(InDoubt), "nothing is said while it is so");
        medium(&mut ledger).worn = None;
        assert!(ledger.apply(&request).is_ok());
        assert!(ledger.apply(&request).is_ok());
        assert_eq!(ledger.balance(), before.checked_add(units(5)).unwrap(), "it was done once");
    }
}

#[test]
fn a_commit_in_doubt_that_stands_is_found_again() {
    let mut ledger = evening();
    let before = ledger.balance();
    let request = operate("a", 20, Operation::Deposit(units(5)));
    // Enough for the first copy, not for the second.
    medium(&mut ledger).power = 40;
    assert_eq!(ledger.apply(&request), Err(InDoubt));
    medium(&mut ledger).power = usize::MAX;
    let balance = before.checked_add(units(5)).unwrap();
    let done = Outcome::Done(Receipt::Deposited { amount: units(5), balance });
    assert_eq!(ledger.apply(&settle("a", 20)), Ok(Response::Settled { id: 20, outcome: done }));
    assert_eq!(ledger.balance(), balance);
}

#[test]
fn a_full_ledger_takes_no_new_name() {
    let mut ledger = evening();
    assert!(matches!(
        ledger.apply(&operate("c", 1, Operation::Deposit(units(1)))),
        Ok(Response::Settled { outcome: Outcome::Done(_), .. })
    ));
    let refused = Ok(Response::Settled { id: 1, outcome: Outcome::Refused(Refusal::Full) });
    assert_eq!(ledger.apply(&operate("d", 1, Operation::Deposit(units(1)))), refused);
    let ledger = open(ledger.storage().clone()).unwrap();
    assert_eq!(ledger.head.terminals, 3);
}

#[test]
fn a_medium_that_is_too_small_or_of_another_format_is_told() {
    let small = Medium::with(vec![0xff; 6 * SLOT - 1]);
    assert_eq!(open(small).map(|_| ()), Err(StoreError::TooSmall));
    let mut medium = evening().storage().clone();
    for half in [0, SIZE / 2] {
        let page = &mut medium.bytes[half..half + SLOT];
        page[0] = 9;
        let end = 2 + usize::from(page[1]);
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&page[..end]).to_le_bytes();
        page[end..end + 4].copy_from_slice(&sum);
    }
    assert_eq!(open(medium).map(|_| ()), Err(StoreError::Format(9)));
}

/// Flash: a bit goes from 1 to 0, and a whole block back to 1.
struct Flash(Vec<u8>);

const BLOCK_SIZE: usize = 256;

#[derive(Debug)]
struct Never;

impl NorFlashError for Never {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Flash {
    type Error = Never;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Never> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = BLOCK_SIZE;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Never> {
        self.0[from as usize..to as usize].fill(0xff);
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Never> {
        for (kept, byte) in self.0[offset as usize..].iter_mut().zip(bytes) {
            *kept &= byte;
        }
        Ok(())
    }
}

#[test]
fn it_stands_on_flash_too() {
    let (mut flash, mut buffer) = (Flash(vec![0xff; 4 * BLOCK_SIZE]), [0; BLOCK_SIZE]);
    for round in 0..2 {
        let storage = RmwNorFlashStorage::new(&mut flash, &mut buffer);
        let mut ledger = StoredLedger::open(storage, || (LedgerId(7), units(100))).unwrap();
        for request in day() {
            ledger.apply(&request).unwrap();
        }
        // Each of them once, but for what has no name.
        assert_eq!(ledger.balance(), units(7 + round));
    }
}

/// Anything that three terminals and one without a name can ask, with ids that come again.
fn requests() -> impl Strategy<Value = Request> {
    let operation = prop_oneof![
        (1u64..50).prop_map(|amount| Operation::Deposit(units(amount))),
        (1u64..50).prop_map(|amount| Operation::Withdraw(units(amount))),
        Just(Operation::WithdrawAll),
        Just(Operation::Inquiry),
    ];
    let terminal = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")];
    prop_oneof![
        8 => (terminal.clone(), 1u64..8, operation.clone()).prop_map(|(name, id, what)| operate(name, id, what)),
        2 => (terminal.clone(), 1u64..9).prop_map(|(name, id)| settle(name, id)),
        1 => operation.prop_map(|operation| Request::Operate { origin: Origin::Session(1), id: 1, operation }),
        1 => terminal.prop_map(|name| Request::Open { terminal: name.parse().unwrap() }),
    ]
}

proptest! {
    #[test]
    fn it_answers_as_a_ledger_in_memory(
        requests in prop::collection::vec(requests(), 1..40), cuts in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let mut model = RamLedger::<3>::new(LedgerId(7), units(100));
        let mut ledger = open(Medium::new()).unwrap();
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(requests.len())).collect();
        for (at, request) in requests.iter().enumerate() {
            if cuts.contains(&at) {
                ledger = open(ledger.storage().clone()).unwrap();
            }
            match (ledger.apply(request).unwrap(), model.apply(request).unwrap()) {
                (Response::Opened { last, .. }, Response::Opened { last: expected, .. }) => prop_assert_eq!(last, expected),
                (response, expected) => prop_assert_eq!(response, expected),
            }
            prop_assert_eq!(ledger.balance(), model.balance());
        }
    }
}
