use super::*;

#[test]
fn an_owner_is_text_without_a_comma_a_quote_or_a_control_character_and_comes_back() {
    for (name, text) in [
        ("Ada Lovelace", "Ada Lovelace"),
        ("O'Hara, 50% \"Bob\"", "O%27Hara%2C 50%25 %22Bob%22"),
        ("Åsa", "%C3%85sa"),
        ("J.-P. Two", "J.-P. Two"),
    ] {
        let name: Owner = name.parse().unwrap();
        assert_eq!(owner_text(&name).to_string(), text);
        assert_eq!(owner(text), Some(name));
    }
    for text in ["", "a%2", "%zz", "%C3", "a%0A", "%é"] {
        assert_eq!(owner(text), None, "{text}");
    }
}

#[test]
fn accounts_are_numbers_with_blanks_between_them() {
    for numbers in [&[][..], &[7], &[1, 999_999_999, 8, 9]] {
        let numbers: Vec<_> = numbers.iter().copied().map(AccountNumber).collect();
        let all = Accounts::new(&numbers).unwrap();
        assert_eq!(accounts(&accounts_text(&all).to_string()), Some(all));
    }
    for text in ["1 2 3 4 5", "0", "1  2", " 1", "a", "1,2"] {
        assert_eq!(accounts(text), None, "{text}");
    }
}

#[test]
fn a_token_and_a_verifier_are_lower_case_digits() {
    let one = Token { key: KeyId(0xab), value: [0xcd; SECRET] };
    let text = format!("00000000000000ab:{}", "cd".repeat(16));
    assert_eq!((token_text(&one), token(&text)), (text.clone(), Some(one)));
    let other = Verifier { token_key: KeyId(1), key: KeyId(u64::MAX), value: [2; SECRET] };
    let digits = format!("0000000000000001:ffffffffffffffff:{}", "02".repeat(16));
    assert_eq!(verifier_text(&other), digits);
    assert!(verifier(&digits).is_some_and(|read| read.matches(&other)));
    for text in ["", ":", &text.to_uppercase(), &text[1..], &format!("{text}0")] {
        assert_eq!((token(text), verifier(text)), (None, None), "{text}");
    }
}

#[test]
fn a_state_is_a_word() {
    for (state, word) in
        [(AccountState::Open, "open"), (AccountState::Frozen, "frozen"), (AccountState::Closed, "closed")]
    {
        assert_eq!((state_word(state), self::state(word)), (word, Some(state)));
    }
    assert_eq!(state("Open"), None);
}
