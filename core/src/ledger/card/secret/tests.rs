//! What is a card's number and a PIN, and what stands for them under which keys.
use super::*;
use std::{format, string::ToString};

fn number(text: &str) -> CardNumber {
    text.parse().unwrap()
}

fn pin(text: &str) -> Pin {
    text.parse().unwrap()
}

fn key(id: u64) -> (KeyId, Key) {
    (KeyId(id), Key::from([u8::try_from(id).unwrap(); 32]))
}

#[test]
fn a_card_number_is_12_to_19_digits_with_a_check_digit() {
    for text in ["4111111111111111", " 4111 1111 1111 1111\t", "000000000000", "0000000000000000000"] {
        assert!(text.parse::<CardNumber>().is_ok(), "{text}");
    }
    for text in [
        "",
        "4111111111111112",
        "1411111111111111",
        "00000000000",
        "00000000000000000000",
        "4111-1111-1111-1111",
        "４111111111111111",
    ] {
        assert_eq!(text.parse::<CardNumber>(), Err(CardNumberError), "{text}");
    }
    assert_eq!(number("5500 0000 0000 0004").last_four(), *b"0004");
    assert_eq!(number("5500000000000004"), number("5500 0000 0000 0004"));
    assert!(CardNumberError.to_string().contains("12 to 19 digits"));
}

/// Luhn's sum finds each wrong digit.
#[test]
fn a_wrong_digit_is_no_card_number() {
    let valid = *b"4111111111111111";
    for place in 0..valid.len() {
        for digit in b'0'..=b'9' {
            let mut changed = valid;
            changed[place] = digit;
            let text = core::str::from_utf8(&changed).unwrap();
            assert_eq!(text.parse::<CardNumber>().is_ok(), changed == valid, "{text}");
        }
    }
}

#[test]
fn a_pin_is_4_to_12_digits_and_a_chosen_one_is_no_run_or_repetition() {
    for text in ["", "123", "1234567890123", "12a4", "12 34", "-123", "١٢٣٤"] {
        assert_eq!(text.parse::<Pin>(), Err(PinError::Malformed), "{text}");
        assert_eq!(Pin::chosen(text), Err(PinError::Malformed), "{text}");
    }
    for text in
        ["0000", "1234", "4321", "8901", "1098", "1212", "123123", "12121", "999999999999", "012345678901"]
    {
        assert_eq!(Pin::chosen(text), Err(PinError::Weak), "{text}");
        assert!(text.parse::<Pin>().is_ok(), "{text}");
    }
    for text in ["1235", "2580", "1357", "1221", "0987123", "204815163264"] {
        assert_eq!(Pin::chosen(text), Ok(pin(text)), "{text}");
    }
    assert!(
        PinError::Malformed.to_string().contains("4 to 12") && PinError::Weak.to_string().contains("run")
    );
}

#[test]
fn a_request_has_a_token_under_each_key_and_a_verifier_under_each_pair() {
    let card = number("4111111111111111");
    let keys = CardKeys::new(key(2), Some(key(1)), key(4), Some(key(3)));
    let claim = keys.claim(&card);
    assert_eq!(claim.tokens().iter().map(|token| token.key.0).collect::<std::vec::Vec<_>>(), [2, 1]);
    let proof = keys.proof(&claim, &pin("2580"));
    let pairs: std::vec::Vec<_> = proof.verifiers().iter().map(|one| (one.token_key.0, one.key.0)).collect();
    assert_eq!(pairs, [(2, 4), (2, 3), (1, 4), (1, 3)]);
    // What was stored before the keys were replaced is among them.
    let former = CardKeys::new(key(1), None, key(3), None);
    let stored = former.claim(&card);
    assert_eq!(stored.tokens()[0], claim.tokens()[1]);
    assert_eq!(former.proof(&stored, &pin("2580")).verifiers()[0], proof.verifiers()[3]);
}

#[test]
fn tokens_and_verifiers_differ_by_key_number_and_pin() {
    let keys = CardKeys::new(key(1), None, key(2), None);
    let (one, other) = (keys.claim(&number("4111111111111111")), keys.claim(&number("5500000000000004")));
    assert_ne!(one.tokens()[0], other.tokens()[0]);
    let right = keys.proof(&one, &pin("2580"));
    assert_eq!(right, keys.proof(&one, &pin("2580")));
    for wrong in
        [keys.proof(&one, &pin("2581")), keys.proof(&one, &pin("25800")), keys.proof(&other, &pin("2580"))]
    {
        assert_ne!(right.verifiers()[0], wrong.verifiers()[0]);
    }
    let swapped = CardKeys::new(key(2), None, key(1), None);
    assert_ne!(swapped.claim(&number("4111111111111111")).tokens()[0].value, one.tokens()[0].value);
}

#[test]
fn debug_shows_no_digit_and_no_keyed_value() {
    let keys = CardKeys::new((KeyId(1), Key::from([77; 32])), None, (KeyId(1), Key::from([77; 32])), None);
    let card = number("4111111111111111");
    let claim = keys.claim(&card);
    let proof = keys.proof(&claim, &pin("2580"));
    let shown = format!("{keys:?} {card:?} {:?} {claim:?} {proof:?}", pin("2580"));
    for secret in ["4111", "2580", "77", &format!("{}, ", claim.tokens()[0].value[0])] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
