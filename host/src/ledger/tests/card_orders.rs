//! Orders about accounts and cards: what the command line cannot bring about by itself.
use super::*;
use crate::ledger::{
    card_order::{AccountOrder, CardOrder, MAX_ACCOUNT, Refused},
    operator::{Operator, OrderFault},
    reader::Reader,
};
use atm_core::{
    ledger::card::{Card, CardKeys, CardNumber, KeyId, LiveKey},
    seal::Key,
};

const TIME: UnixTime = UnixTime::from_millis(2_000);

/// A ledger with account 1000.
fn ledger() -> (TempDir, Operator) {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()).unwrap());
    let mut operator = Operator::open(folder.path(), 7).unwrap();
    assert_eq!(open(&mut operator, None).unwrap(), 1000);
    (folder, operator)
}

fn open(operator: &mut Operator, number: Option<u32>) -> Result<u32, OrderFault> {
    let owner = "Ada Lovelace".parse().unwrap();
    let opened = operator.open_account(number.map(AccountNumber), owner, Amount::ZERO, TIME);
    opened.map(|number| number.0)
}

fn keys(token: u64, former: Option<u64>) -> CardKeys {
    let key = |id| -> LiveKey { (KeyId(id), Key::from([u8::try_from(id).unwrap(); Key::LENGTH])) };
    CardKeys::new(key(token), former.map(key), key(99), None)
}

/// Issues a card of account 1000.
fn issue(operator: &mut Operator, keys: &CardKeys, number: &str) -> Result<u64, OrderFault> {
    let number: CardNumber = number.parse().unwrap();
    let claim = keys.claim(&number);
    let accounts = operator.may_issue(&[AccountNumber(1000)]).unwrap();
    let card = Card::new(&claim, &keys.proof(&claim, &"2580".parse().unwrap()), number.last_four(), accounts);
    operator.issue(&claim, &card, TIME)
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, OrderFault>, expected: Refused) {
    match result {
        Err(OrderFault::Card(_, refused) | OrderFault::Account(_, refused)) if refused == expected => {}
        other => panic!("{other:?}"),
    }
}

const NUMBERS: [&str; 3] = ["4111 1111 1111 1111", "5555 5555 5555 4444", "4000 0000 0000 0002"];

#[test]
fn a_number_that_a_card_has_is_taken_under_the_former_key_too() {
    let (_folder, mut operator) = ledger();
    assert_eq!(issue(&mut operator, &keys(1, None), NUMBERS[0]).unwrap(), 1);
    assert_refused(issue(&mut operator, &keys(1, None), NUMBERS[0]), Refused::NumberTaken);
    let both = keys(2, Some(1));
    assert_refused(issue(&mut operator, &both, NUMBERS[0]), Refused::NumberTaken);
    assert_eq!(issue(&mut operator, &both, NUMBERS[1]).unwrap(), 2);
    let claim = |keys: CardKeys, number: &str| keys.claim(&number.parse().unwrap());
    for (keys, found) in [(both, [Some(1), Some(2), None]), (keys(2, None), [None, Some(2), None])] {
        let look = |number| operator.find_card(&claim(keys.clone(), number)).unwrap();
        assert_eq!(NUMBERS.map(look), found);
    }
}

#[test]
fn keys_that_no_card_has_are_refused_while_a_card_is_not_blocked() {
    let (_folder, mut operator) = ledger();
    issue(&mut operator, &keys(1, None), NUMBERS[0]).unwrap();
    issue(&mut operator, &keys(2, Some(1)), NUMBERS[1]).unwrap();
    for other in [keys(3, None), keys(3, Some(4))] {
        assert_refused(issue(&mut operator, &other, NUMBERS[2]), Refused::OtherKeys);
    }
    let block = |_: &Card| Ok(CardOrder::Block);
    operator.order_card(1, block, TIME).unwrap();
    assert_refused(issue(&mut operator, &keys(3, None), NUMBERS[2]), Refused::OtherKeys);
    operator.order_card(2, block, TIME).unwrap();
    assert_eq!(issue(&mut operator, &keys(3, None), NUMBERS[2]).unwrap(), 3);
    assert_eq!(operator.card(2).unwrap().tries, 0);
}

#[test]
fn the_decoy_takes_no_order() {
    let (_folder, mut operator) = ledger();
    assert_refused(operator.card(0), Refused::NoCard);
    assert_refused(operator.order_card(0, |_| Ok(CardOrder::Unblock), TIME), Refused::NoCard);
}

#[test]
fn a_refused_order_leaves_no_entry_and_an_order_waits_for_no_reader() {
    let (folder, mut operator) = ledger();
    let entries = |folder: &Path| Reader::open(folder).unwrap().overview().unwrap().entries;
    let before = entries(folder.path());
    let order = operator.order_account(AccountNumber(1000), AccountOrder::Unfreeze, TIME);
    assert_refused(order, Refused::NotFrozen);
    assert_refused(open(&mut operator, Some(1000)), Refused::Taken);
    assert_eq!(entries(folder.path()), before);
    let reader = Reader::open(folder.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    operator.order_account(AccountNumber(1000), AccountOrder::Freeze, TIME).unwrap();
    drop(snapshot);
    assert_eq!(entries(folder.path()), before + 1);
}

#[test]
fn a_free_number_is_the_first_from_1000_on() {
    let (_folder, mut operator) = ledger();
    for (number, opened) in [(Some(7), 7), (None, 1001), (Some(1003), 1003), (None, 1002), (None, 1004)] {
        assert_eq!(open(&mut operator, number).unwrap(), opened);
    }
    assert_eq!(open(&mut operator, Some(MAX_ACCOUNT)).unwrap(), MAX_ACCOUNT);
    assert_eq!(open(&mut operator, None).unwrap(), 1005);
    assert_refused(open(&mut operator, Some(MAX_ACCOUNT + 1)), Refused::NoNumber);
}
