//! Tests of the ledger on a store: a medium whose power can fail, and requests against the ledger in memory.
use super::*;
use crate::ledger::{
    Admission, Command, Epoch, HelloClaim, Operation, Origin, Outcome, RamLedger, Receipt, Refusal,
    Rejection, SessionId, Ticket, contract,
};
use crate::store::SLOT;
use embedded_storage::ReadStorage;
use std::{vec, vec::Vec};

mod conversations;
mod damage;
mod flash;
mod limits;
mod power;
mod random;

/// Room for three terminals, the first slot and the mark.
const SIZE: usize = 10 * SLOT;

/// A medium whose power fails at a chosen byte.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Medium {
    bytes: Vec<u8>,
    /// Bytes that can still be written.
    power: usize,
    /// Keeps only so many bytes of each write, without an error.
    worn: Option<usize>,
    written: usize,
}

impl Medium {
    fn new() -> Self {
        Self::with(vec![0xff; SIZE])
    }

    fn with(bytes: Vec<u8>) -> Self {
        Self { bytes, power: usize::MAX, worn: None, written: 0 }
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

/// The ledger after a loss of power.
fn reopened(ledger: &StoredLedger<Medium>) -> StoredLedger<Medium> {
    open(Medium::with(ledger.storage().bytes.clone())).unwrap()
}

/// The medium of a ledger, to be damaged.
fn medium(ledger: &mut StoredLedger<Medium>) -> &mut Medium {
    ledger.store.medium_mut()
}

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// Who requests what; `None` is an unnamed session.
type Step = (Option<&'static str>, Command);

fn operate(terminal: &'static str, id: u64, operation: Operation) -> Step {
    (Some(terminal), Command::Operate { id, operation })
}

fn deposit(terminal: &'static str, id: u64, amount: u64) -> Step {
    operate(terminal, id, Operation::Deposit(units(amount)))
}

fn settle(terminal: &'static str, id: u64) -> Step {
    (Some(terminal), Command::Settle { id })
}

fn unnamed(operation: Operation) -> Step {
    (None, Command::Operate { id: 1, operation })
}

fn request(terminal: Option<&str>, turn: u32, command: Command) -> Request {
    let session = Origin::Session(SessionId::new(1));
    let origin = terminal.map_or(session, |name| Origin::Terminal(name.parse().unwrap()));
    Request { ticket: Ticket::default(), origin, turn, command }
}

/// A hello that has seen numbers up to `seen`.
fn hello(ledger: &mut impl Ledger, terminal: &str, start: u64, seen: u64) -> Result<Response, InDoubt> {
    let epoch = Epoch::clear(start, 1);
    let claim = HelloClaim { epoch, admit_equal: true, ledger: Some(LedgerId(7)), seen };
    ledger.apply(&request(Some(terminal), 0, Command::Hello(claim)))
}

fn admitted(response: Result<Response, InDoubt>) -> Admission {
    match response {
        Ok(Response::Admitted(admission)) => admission,
        other => panic!("{other:?}"),
    }
}

/// Applies a step in a conversation that begins with it, if the terminal is admitted.
fn apply(ledger: &mut impl Ledger, (terminal, command): &Step) -> Result<Response, InDoubt> {
    let turn = match terminal.map(|terminal| hello(ledger, terminal, 1, 0)).transpose()? {
        Some(Response::Admitted(admission)) => admission.turn,
        Some(rejected) => return Ok(rejected),
        None => 0,
    };
    ledger.apply(&request(*terminal, turn, *command))
}

fn settled(id: u64, outcome: Outcome) -> Result<Response, InDoubt> {
    Ok(Response::Settled { id, outcome })
}

/// The outcome of a deposit.
fn deposited(amount: u64, balance: u64) -> Outcome {
    Outcome::Done(Receipt::Deposited { amount: units(amount), balance: units(balance) })
}

/// Requests of two terminals and of an unnamed session.
fn workload() -> Vec<Step> {
    vec![
        deposit("a", 3, 40),
        operate("b", 4, Operation::Withdraw(units(15))),
        unnamed(Operation::Deposit(units(1))),
        operate("a", 5, Operation::Withdraw(units(1000))),
        settle("b", 9),
        operate("b", 10, Operation::WithdrawAll),
        deposit("a", 6, 7),
    ]
}

/// A ledger after that workload.
fn used() -> StoredLedger<Medium> {
    let mut ledger = open(Medium::new()).unwrap();
    for step in workload() {
        apply(&mut ledger, &step).unwrap();
    }
    ledger
}

/// The used slots of both halves, each up to its checksum.
fn halves(ledger: &StoredLedger<Medium>) -> [Vec<&[u8]>; 2] {
    let used = usize::from(ledger.head.terminals) + 1;
    [0, SIZE / 2].map(|half| {
        let slots = ledger.storage().bytes[half..half + used * SLOT].chunks(SLOT);
        slots.map(|slot| &slot[..6 + usize::from(slot[1])]).collect()
    })
}

struct MediumStore;

impl contract::Store for MediumStore {
    type Ledger = StoredLedger<Medium>;
    const KEEPS_ROWS: bool = false;
    const TERMINALS: Option<u32> = Some(3);

    fn create(&mut self, balance: Amount) -> Self::Ledger {
        StoredLedger::open(Medium::new(), || (LedgerId(7), balance)).unwrap()
    }
    fn reopen(&mut self, old: Self::Ledger) -> Self::Ledger {
        reopened(&old)
    }
}

#[test]
fn it_keeps_the_contract() {
    assert_eq!(contract::check(&mut MediumStore), Ok(()));
}

#[test]
fn an_operation_takes_one_commit_and_the_first_of_a_terminal_two() {
    let mut ledger = open(Medium::new()).unwrap();
    admitted(hello(&mut ledger, "a", 1, 0));
    let mut commits = |step: &Step| {
        let before = ledger.commits();
        apply(&mut ledger, step).unwrap();
        ledger.commits() - before
    };
    assert_eq!(commits(&deposit("a", 1, 1)), 2, "its slot, and the count of terminals");
    assert_eq!(commits(&deposit("a", 2, 1)), 1);
    assert_eq!(commits(&unnamed(Operation::Deposit(units(1)))), 1);
    assert_eq!(commits(&unnamed(Operation::Withdraw(units(1000)))), 0, "it is not recorded");
    assert_eq!(commits(&deposit("a", 2, 1)), 0, "a duplicate");
    assert_eq!(commits(&operate("a", 3, Operation::Inquiry)), 0);
    assert_eq!(commits(&operate("a", 4, Operation::Withdraw(units(1000)))), 0, "a refusal is in memory");
    assert_eq!(commits(&settle("a", 5)), 0, "a void is in memory");
    assert_eq!(commits(&settle("b", 1)), 0, "and is forgotten when another terminal takes its place");
    assert_eq!(commits(&deposit("a", 6, 1)), 1);
}

#[test]
fn a_ledger_is_new_once() {
    let used = used();
    let new = || -> (LedgerId, Amount) { panic!("it is not new") };
    // The mark has lost a copy, or both.
    for (first, second) in [(0x55, 0xff), (0xff, 0x55), (0xff, 0xff), (0x55, 0x55)] {
        let mut medium = used.storage().clone();
        medium.bytes[SIZE / 2 - SLOT..SIZE / 2].fill(first);
        medium.bytes[SIZE - SLOT..].fill(second);
        let ledger = StoredLedger::open(medium, new).unwrap();
        assert_eq!(ledger.head, used.head);
        let mut store = Store::new(ledger.storage().clone(), FORMAT).unwrap();
        assert!(!store.is_new().unwrap(), "the mark is written again");
    }
    // One copy of the mark is enough to know that the first slot is lost, and not new.
    for gone in [SIZE / 2 - SLOT, SIZE - SLOT] {
        let mut medium = used.storage().clone();
        for page in [0, SIZE / 2, gone] {
            medium.bytes[page..page + SLOT].fill(0xff);
        }
        assert_eq!(StoredLedger::open(medium, new).map(|_| ()), Err(StoreError::Damaged));
    }
}

#[test]
fn a_medium_that_is_too_small_or_of_another_format_is_refused() {
    let small = Medium::with(vec![0xff; 6 * SLOT - 1]);
    assert_eq!(open(small).map(|_| ()), Err(StoreError::TooSmall));
    for format in [1, 9] {
        let mut medium = used().storage().clone();
        for half in [0, SIZE / 2] {
            let page = &mut medium.bytes[half..half + SLOT];
            page[0] = format;
            let end = 2 + usize::from(page[1]);
            let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&page[..end]).to_le_bytes();
            page[end..end + 4].copy_from_slice(&crc);
        }
        let before = medium.clone();
        let mut store = StoredLedger { store: Store::new(medium, FORMAT).unwrap(), ..used() };
        assert_eq!(store.load(), Err(StoreError::Format(format)));
        assert_eq!(*store.storage(), before, "it is left as it is");
        assert_eq!(open(before).map(|_| ()), Err(StoreError::Format(format)));
    }
}

#[test]
fn an_error_of_the_store_says_what_is_wrong() {
    let text = |error: StoreError<&str>| std::format!("{error}");
    assert_eq!(text(StoreError::Storage("it is wet")), "the medium failed: it is wet");
    assert_eq!(text(StoreError::Format(9)), "its format is 9, which this program does not support");
    for error in [StoreError::NotKept, StoreError::Damaged, StoreError::TooSmall] {
        assert!(!text(error).is_empty());
    }
}
