//! Tries, blocks, access, limits of a day and delays.
use super::*;
use crate::ledger::card::{CardKeys, KeyId};
use proptest::prelude::*;

const NUMBER: &str = "4111111111111111";

fn keys(newest: u8, former: Option<u8>) -> CardKeys {
    let key = |id: u8, salt: u8| (KeyId(id.into()), [id ^ salt; 32].into());
    CardKeys::new(key(newest, 0), former.map(|id| key(id, 0)), key(newest, 64), former.map(|id| key(id, 64)))
}

fn typed(keys: &CardKeys, pin: &str) -> (Claim, Proof) {
    let claim = keys.claim(&NUMBER.parse().unwrap());
    let proof = keys.proof(&claim, &pin.parse().unwrap());
    (claim, proof)
}

fn card() -> Card {
    let (claim, proof) = typed(&keys(1, None), "2580");
    let accounts = Accounts::new(&[AccountNumber(7)]).unwrap();
    Card { version: 5, ..Card::new(&claim, &proof, *b"1111", accounts) }
}

fn judge(card: &mut Card, pin: &str) -> bool {
    let (claim, proof) = typed(&keys(1, None), pin);
    card.judge(&claim, &proof)
}

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

#[test]
fn three_wrong_pins_in_a_row_block_a_card() {
    let mut card = card();
    for (pin, is_right, tries, is_blocked) in [
        ("2581", false, 1, false),
        ("2582", false, 2, false),
        ("2580", true, 0, false),
        ("2581", false, 1, false),
        ("2582", false, 2, false),
        ("2583", false, 3, true),
        ("2580", false, 3, true),
    ] {
        assert_eq!(judge(&mut card, pin), is_right, "{pin}");
        assert_eq!((card.tries, card.is_blocked), (tries, is_blocked), "{pin}");
    }
    assert_eq!((card.refusals, card.version), (6, 6));
}

#[test]
fn the_pin_of_another_card_is_wrong() {
    let mut card = card();
    let (_, proof) = typed(&keys(1, None), "2580");
    let other = keys(1, None).claim(&"5500000000000004".parse().unwrap());
    assert!(!card.judge(&other, &proof));
    assert_eq!(card.tries, 1);
}

#[test]
fn a_right_pin_moves_the_row_to_the_newest_keys() {
    let mut card = card();
    let (claim, proof) = typed(&keys(2, Some(1)), "2580");
    assert!(card.judge(&claim, &proof));
    assert_eq!((card.token, card.verifier), (claim.tokens()[0], proof.verifiers()[0]));
    let (claim, proof) = typed(&keys(2, None), "2580");
    assert!(card.judge(&claim, &proof), "the former keys may go");
}

#[test]
fn a_session_acts_only_with_its_card_its_version_and_its_account() {
    let card = card();
    let access = Access { token: card.token, version: 5, account: AccountNumber(7) };
    assert!(card.admits(&access));
    let other = keys(2, None).claim(&NUMBER.parse().unwrap()).tokens()[0];
    for access in [
        Access { version: 4, ..access },
        Access { version: 6, ..access },
        Access { account: AccountNumber(8), ..access },
        Access { token: other, ..access },
    ] {
        assert!(!card.admits(&access), "{access:?}");
    }
    assert!(!Card { is_blocked: true, ..card }.admits(&access));
}

#[test]
fn the_limit_of_a_day_holds_until_a_later_day() {
    let mut card = card();
    let limits = Limits { withdrawal: units(300), day: units(500) };
    let at = |day: u64, millis: u64| Some(UnixTime::from_millis(day * DAY + millis));
    for (amount, now, expected) in [
        (301, at(10, 0), Err(OverLimit::Withdrawal)),
        (300, at(10, 0), Ok(())),
        (300, at(10, DAY - 1), Err(OverLimit::Day(units(200)))),
        (200, at(10, DAY - 1), Ok(())),
        (1, at(9, 0), Err(OverLimit::Day(Amount::ZERO))),
        (300, at(11, 0), Ok(())),
        // A host whose clock is behind withdraws on the row's day.
        (200, at(10, DAY - 1), Ok(())),
        (1, at(11, 1), Err(OverLimit::Day(Amount::ZERO))),
        (300, None, Ok(())),
        (301, None, Err(OverLimit::Withdrawal)),
    ] {
        assert_eq!(card.withdraw(units(amount), &limits, now), expected, "{amount} {now:?}");
    }
    assert_eq!((card.day, card.withdrawn), (11, units(500)));
}

#[test]
fn delays_double_up_to_a_minute_and_are_cleared_by_time() {
    let at = UnixTime::from_millis;
    let (mut delay, mut now) = (Delay::default(), 1_000_000);
    assert_eq!(delay.remaining(at(0)), 0);
    for length in [1, 2, 4, 8, 16, 32, 60, 60] {
        delay = delay.after_refusal(at(now));
        assert_eq!(delay.remaining(at(now)), length * 1000);
        assert_eq!(delay.remaining(at(0)), length * 1000, "the clock was set back");
        now += length * 1000;
        assert_eq!(delay.remaining(at(now)), 0);
    }
    assert_eq!(delay.after_refusal(at(now + LONGEST_DELAY - 1)).length, LONGEST_DELAY);
    assert_eq!(delay.after_refusal(at(now + LONGEST_DELAY)).length, FIRST_DELAY);
}

proptest! {
    #[test]
    fn tries_are_never_fewer_than_wrong_pins(answers in prop::collection::vec(any::<bool>(), 0..12)) {
        let (mut card, mut wrong) = (card(), 0u8);
        for is_right in answers {
            let opened = judge(&mut card, if is_right { "2580" } else { "2581" });
            prop_assert_eq!(opened, is_right && wrong < TRIES);
            wrong = if opened { 0 } else { wrong.saturating_add(u8::from(!is_right)) };
            prop_assert!(card.tries >= wrong.min(TRIES));
            prop_assert_eq!(card.is_blocked, wrong >= TRIES);
        }
    }
}
