//! The rules of cards, one table a rule, over the rows of a [`CardLedger`]; and any history keeps its invariants.
use super::*;
use crate::{
    few,
    ledger::{
        Command, Decision, Epoch, HelloClaim, Ledger, LedgerId, Origin, Request, SessionId, Ticket,
        card::{
            Accounts, CardKeys, CardLedger, CardNumber, FIRST_DELAY, KeyId, Kind, LONGEST_DELAY, Limits,
            TRIES,
        },
    },
};
use proptest::{collection::vec, prelude::*};
use std::vec::Vec;

mod history;
mod money;

const ADA: AccountNumber = AccountNumber(7);
const BOB: AccountNumber = AccountNumber(8);
const SAVINGS: AccountNumber = AccountNumber(9);
/// The numbers of two cards that were issued, and of one that was not.
const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "340000000000009"];
const PINS: [&str; 2] = ["2580", "1379"];
const NOON: u64 = 20_000 * 86_400_000 + 43_200_000;

/// Two people's accounts and cards, and two terminals that said hello.
struct Bank {
    ledger: CardLedger<2, 2, 3>,
    keys: CardKeys,
    next: u64,
    now: u64,
}

impl Bank {
    fn new() -> Self {
        let keys = CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(1), [2; 32].into()), None);
        let limits = Limits { withdrawal: units(200), day: units(300) };
        let mut bank = Self { ledger: CardLedger::new(LedgerId(7), limits), keys, next: 1, now: NOON };
        for (number, owner) in [(ADA, "Ada Lovelace"), (BOB, "Bob Bower"), (SAVINGS, "Ada Lovelace")] {
            let account = CardAccount::new(number, units(500), owner.parse().unwrap());
            bank.ledger.open_account(account).unwrap();
        }
        for (card, accounts) in [(0, &[ADA, SAVINGS][..]), (1, &[BOB])] {
            let (claim, proof) = bank.typed(card, PINS[card]);
            let last_four = NUMBERS[card].parse::<CardNumber>().unwrap().last_four();
            let accounts = Accounts::new(accounts).unwrap();
            bank.ledger.issue(Card::new(&claim, &proof, last_four, accounts)).unwrap();
        }
        bank.ledger.set_time(UnixTime::from_millis(bank.now));
        for terminal in ["a", "b"] {
            let claim = HelloClaim { epoch: Epoch::clear(1, 1), admit_equal: false, ledger: None, seen: 0 };
            let response = bank.ask(terminal, Command::Hello(claim));
            assert!(matches!(response, Response::Admitted(_)));
        }
        bank
    }

    fn ask(&mut self, terminal: &str, command: Command) -> Response {
        let origin = Origin::Terminal(terminal.parse().unwrap());
        let turn = u32::from(!matches!(command, Command::Hello(_)));
        self.ledger.apply(&Request { ticket: Ticket::default(), origin, turn, command }).unwrap()
    }

    fn request(&mut self, terminal: &str, id: u64, request: CardRequest) -> Outcome {
        match self.ask(terminal, Command::Card { id, request }) {
            Response::Settled { id: settled, outcome } if settled == id => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// An id that was not used.
    fn id(&mut self) -> u64 {
        self.next += 1;
        if self.next.is_multiple_of(200) {
            for terminal in ["a", "b"] {
                assert!(matches!(self.ask(terminal, Command::Reserve), Response::Reserved(_)));
            }
        }
        self.next
    }

    fn typed(&self, card: usize, pin: &str) -> (Claim, Proof) {
        let claim = self.keys.claim(&NUMBERS[card].parse().unwrap());
        (claim, self.keys.proof(&claim, &pin.parse().unwrap()))
    }

    fn verify(&mut self, terminal: &str, card: usize, pin: &str) -> Outcome {
        let (id, (claim, proof)) = (self.id(), self.typed(card, pin));
        self.request(terminal, id, CardRequest::Verify { claim, proof })
    }

    /// A verified session of a card.
    fn open(&mut self, terminal: &str, card: usize) -> Access {
        let token = self.typed(card, PINS[card]).0.newest();
        match self.verify(terminal, card, PINS[card]) {
            Outcome::Done(Receipt::Verified { version, accounts }) => {
                Access { token, version, account: accounts.iter().next().unwrap() }
            }
            other => panic!("{other:?}"),
        }
    }

    fn operate(&mut self, access: Access, operation: Operation) -> Outcome {
        let id = self.id();
        self.request("a", id, CardRequest::Operate { access, operation })
    }

    fn change_pin(&mut self, access: Access, old: &str, new: &str) -> Outcome {
        let claim = Claim::of(access.token);
        let proof = |pin: &str| self.keys.proof(&claim, &pin.parse().unwrap());
        let (old, new) = (proof(old), proof(new).newest());
        let id = self.id();
        self.request("a", id, CardRequest::ChangePin { access, old, new })
    }

    fn wait(&mut self, millis: u64) {
        self.now += millis;
        self.ledger.set_time(UnixTime::from_millis(self.now));
    }

    fn card(&self, card: usize) -> Card {
        *self.ledger.card(self.typed(card, PINS[card]).0.newest()).unwrap()
    }

    fn balance(&self, number: AccountNumber) -> Amount {
        self.ledger.account(number).unwrap().account.balance
    }
}

const fn units(units: u64) -> Amount {
    match Amount::from_units(units) {
        Some(amount) => amount,
        None => Amount::MAX,
    }
}

fn cents(cents: u64) -> Amount {
    Amount::from_minor(cents).unwrap()
}

fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused(refusal)
}

#[test]
fn a_right_pin_opens_a_session_and_a_wrong_one_counts() {
    let mut bank = Bank::new();
    let access = bank.open("a", 0);
    assert_eq!((access.version, access.account), (0, ADA));
    assert_eq!(bank.verify("a", 0, "1111"), refused(Refusal::NotVerified));
    assert_eq!(bank.card(0).tries, 1);
    bank.wait(LONGEST_DELAY);
    bank.open("a", 0);
    assert_eq!(bank.card(0).tries, 0);
}

#[test]
fn a_wrong_pin_an_unknown_card_and_a_blocked_card_change_the_same_rows() {
    for (card, pin, is_blocked) in
        [(0, "1111", false), (2, PINS[0], false), (0, PINS[0], true), (0, "1111", true)]
    {
        let mut bank = Bank::new();
        if is_blocked {
            let token = bank.card(0).token;
            bank.ledger.card_mut(token).unwrap().block();
        }
        let (claim, proof) = bank.typed(card, pin);
        let command = Command::Card { id: 1, request: CardRequest::Verify { claim, proof } };
        let origin = Origin::Terminal("a".parse().unwrap());
        let request = Request { ticket: Ticket::default(), origin, turn: 1, command };
        let Decision { response, changes, entry } = bank.ledger.decide(&request);
        let outcome = refused(Refusal::NotVerified);
        assert_eq!(response, Response::Settled { id: 1, outcome });
        let record =
            Record { card: Some(claim.newest()), ..Record::new(1, Some(Operation::Verify), outcome) };
        assert_eq!(entry, Some(Entry { record, movement: None }));
        let terminal = changes.terminal.unwrap();
        assert_eq!((terminal.last, terminal.delay.length), (Some(record), FIRST_DELAY));
        assert_eq!((changes.card.unwrap().refusals, changes.account, changes.payee), (1, None, None));
    }
}

#[test]
fn a_duplicate_burns_no_try() {
    let mut bank = Bank::new();
    let (claim, proof) = bank.typed(0, "1111");
    let right = bank.typed(0, PINS[0]).1;
    // Whatever a duplicate carries, also the right PIN: answers to a secret prompt are not compared.
    for proof in [proof, proof, right] {
        let outcome = bank.request("a", 5, CardRequest::Verify { claim, proof });
        assert_eq!(outcome, refused(Refusal::NotVerified));
        bank.wait(LONGEST_DELAY);
    }
    assert_eq!((bank.card(0).tries, bank.card(0).refusals), (1, 1));
    // A duplicate of a right one has its outcome, though the PIN was changed in the meantime.
    let opened = bank.request("a", 6, CardRequest::Verify { claim, proof: right });
    let token = bank.card(0).token;
    let new = bank.typed(0, "8642").1.newest();
    bank.ledger.card_mut(token).unwrap().set_pin(new);
    assert_eq!(bank.request("a", 6, CardRequest::Verify { claim, proof: right }), opened);
    // Another card's request under the same id is a conflict.
    let (claim, proof) = bank.typed(1, PINS[1]);
    assert_eq!(bank.request("a", 6, CardRequest::Verify { claim, proof }), refused(Refusal::Conflict));
}

#[test]
fn refused_verifications_delay_the_terminal_and_nothing_is_judged_meanwhile() {
    let mut bank = Bank::new();
    for seconds in [1, 2, 4, 8] {
        assert_eq!(bank.verify("a", 2, "1111"), refused(Refusal::NotVerified));
        assert_eq!(bank.verify("a", 0, PINS[0]), refused(Refusal::Delayed { seconds }));
        bank.wait(1);
        assert_eq!(bank.verify("a", 0, "1111"), refused(Refusal::Delayed { seconds }));
        bank.wait(u64::from(seconds) * 1000 - 1);
    }
    assert_eq!((bank.card(0).tries, bank.card(0).refusals), (0, 0));
    // The other terminal has no delay, and a right PIN clears none.
    bank.verify("a", 2, "1111");
    bank.open("b", 0);
    assert_eq!(bank.verify("a", 0, PINS[0]), refused(Refusal::Delayed { seconds: 16 }));
}

#[test]
fn a_clock_that_is_set_back_makes_no_delay_longer() {
    let mut bank = Bank::new();
    assert_eq!(bank.verify("a", 2, "1111"), refused(Refusal::NotVerified));
    bank.now -= 3_600_000;
    bank.ledger.set_time(UnixTime::from_millis(bank.now));
    assert_eq!(bank.verify("a", 0, PINS[0]), refused(Refusal::Delayed { seconds: 1 }));
    bank.wait(999);
    assert_eq!(bank.verify("a", 0, PINS[0]), refused(Refusal::Delayed { seconds: 1 }));
    bank.wait(1);
    bank.open("a", 0);
}

#[test]
fn the_third_wrong_pin_blocks_and_ends_the_sessions_of_the_card() {
    let mut bank = Bank::new();
    let access = bank.open("a", 0);
    for _ in 0..TRIES {
        assert!(matches!(bank.operate(access, Operation::Inquiry), Outcome::Done(_)));
        assert_eq!(bank.verify("b", 0, "1111"), refused(Refusal::NotVerified));
        bank.wait(LONGEST_DELAY);
    }
    assert!(bank.card(0).is_blocked);
    assert_eq!(bank.verify("b", 0, PINS[0]), refused(Refusal::NotVerified));
    for operation in [
        Operation::Inquiry,
        Operation::Withdraw(units(1)),
        Operation::Transfer { payee: BOB, amount: units(1) },
        Operation::LookUp { payee: BOB },
        Operation::Statement,
    ] {
        assert_eq!(bank.operate(access, operation), refused(Refusal::NoAccess), "{operation:?}");
    }
    assert_eq!(bank.ledger.total(), units(1500).minor());
}

#[test]
fn a_change_of_pin_ends_other_sessions_and_counts_a_wrong_old_one() {
    let mut bank = Bank::new();
    let other = bank.open("b", 0);
    let access = bank.open("a", 0);
    assert_eq!(bank.change_pin(access, "1111", "8642"), refused(Refusal::NotVerified));
    assert_eq!(bank.card(0).tries, 1);
    bank.wait(LONGEST_DELAY);
    let changed = Outcome::Done(Receipt::PinChanged);
    assert_eq!(bank.change_pin(access, PINS[0], "8642"), changed);
    assert_eq!(bank.operate(other, Operation::Withdraw(units(1))), refused(Refusal::NoAccess));
    assert_eq!(bank.change_pin(other, "8642", "9753"), refused(Refusal::NoAccess));
    let access = Access { version: access.version + 1, ..access };
    assert!(matches!(bank.operate(access, Operation::Withdraw(units(1))), Outcome::Done(_)));
    assert_eq!(bank.verify("b", 0, PINS[0]), refused(Refusal::NotVerified));
    bank.wait(LONGEST_DELAY);
    assert!(matches!(bank.verify("b", 0, "8642"), Outcome::Done(_)));
}

#[test]
fn only_the_cards_own_accounts_are_reached_and_nothing_without_a_card() {
    let mut bank = Bank::new();
    let access = bank.open("a", 0);
    for account in [BOB, AccountNumber(10), AccountNumber(0)] {
        let access = Access { account, ..access };
        assert_eq!(bank.operate(access, Operation::Withdraw(units(1))), refused(Refusal::NoAccess));
    }
    for operation in [Operation::Verify, Operation::ChangePin] {
        assert_eq!(bank.operate(access, operation), refused(Refusal::NoAccess));
    }
    for operation in
        [Operation::Inquiry, Operation::Deposit(units(1)), Operation::WithdrawAll, Operation::Verify]
    {
        let id = bank.id();
        let expected = Response::Settled { id, outcome: refused(Refusal::NoAccess) };
        assert_eq!(bank.ask("a", Command::Operate { id, operation }), expected);
    }
    // A session without a name has no cards.
    let (claim, proof) = bank.typed(0, PINS[0]);
    let command = Command::Card { id: 1, request: CardRequest::Verify { claim, proof } };
    let origin = Origin::Session(SessionId::new(1));
    let request = Request { ticket: Ticket::default(), origin, turn: 0, command };
    let before = bank.ledger.clone();
    assert_eq!(bank.ledger.apply(&request), Ok(Response::Fenced));
    assert_eq!(bank.ledger, before);
}

#[test]
fn a_pin_is_judged_under_the_keys_that_were_replaced_and_moves_to_the_newest() {
    let mut bank = Bank::new();
    let before = bank.card(0);
    let key = |id: u64, byte: u8| (KeyId(id), [byte; 32].into());
    bank.keys = CardKeys::new(key(2, 3), Some(key(1, 1)), key(2, 4), Some(key(1, 2)));
    let access = bank.open("a", 0);
    assert_ne!(access.token, before.token);
    assert_eq!(bank.card(0).verifier.key, KeyId(2));
    // A session that was opened before is over.
    let earlier = Access { token: before.token, ..access };
    assert_eq!(bank.operate(earlier, Operation::Inquiry), refused(Refusal::NoAccess));
    bank.keys = CardKeys::new(key(2, 3), None, key(2, 4), None);
    bank.open("a", 0);
}
