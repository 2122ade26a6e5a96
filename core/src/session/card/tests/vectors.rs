//! What is typed as an amount, an account or a card: vectors after the rules of the contest "Build it, Break it, Fix it" for a bank and its ATM
//! (builditbreakit.org/static/doc/fall2015/spec/atm.html). There a leading zero is refused; here `007` is 7, as a person means it.
use super::*;
use std::{format, string::String};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Typed {
    /// So much in minor units.
    Minor(u64),
    NoAmount,
    NotPositive,
    OverLimit,
}
use Typed::{Minor, NoAmount, NotPositive, OverLimit};

/// What is typed, and what it is where money comes in and where notes go out.
const AMOUNTS: [(&str, Typed, Typed); 52] = [
    ("1", Minor(100), Minor(100)),
    ("12.34", Minor(1_234), NoAmount),
    ("12.00", Minor(1_200), NoAmount),
    ("0.01", Minor(1), NoAmount),
    ("007", Minor(700), Minor(700)),
    ("007.50", Minor(750), NoAmount),
    ("00000000000000000000000000000000000000000000000012", Minor(1_200), Minor(1_200)),
    ("  12", Minor(1_200), Minor(1_200)),
    ("12.34\t ", Minor(1_234), NoAmount),
    ("1000000", Minor(100_000_000), Minor(100_000_000)),
    ("999999.99", Minor(99_999_999), NoAmount),
    ("0", NotPositive, NotPositive),
    ("000", NotPositive, NotPositive),
    ("0.00", NotPositive, NoAmount),
    ("1000000.01", OverLimit, NoAmount),
    ("1000001", OverLimit, OverLimit),
    // 2^32 and 2^53, in units and in minor units.
    ("4294967295.99", OverLimit, NoAmount),
    ("4294967296", OverLimit, OverLimit),
    ("42949672.97", OverLimit, NoAmount),
    ("90071992547409.92", OverLimit, NoAmount),
    ("90071992547410", OverLimit, OverLimit),
    // 2^64 and a little more, which is little where it wraps.
    ("18446744073709551616", OverLimit, OverLimit),
    ("18446744073709551617", OverLimit, OverLimit),
    ("184467440737095517.16", OverLimit, NoAmount),
    ("184467440737095518", OverLimit, OverLimit),
    ("99999999999999999999999999999999999999999999999999", OverLimit, OverLimit),
    ("007.5", NoAmount, NoAmount),
    ("1.234", NoAmount, NoAmount),
    ("1.", NoAmount, NoAmount),
    (".50", NoAmount, NoAmount),
    (".", NoAmount, NoAmount),
    ("1.2.3", NoAmount, NoAmount),
    ("12,34", NoAmount, NoAmount),
    ("1,000", NoAmount, NoAmount),
    ("1_000", NoAmount, NoAmount),
    ("1 000", NoAmount, NoAmount),
    ("-1", NoAmount, NoAmount),
    ("-0.01", NoAmount, NoAmount),
    ("+1", NoAmount, NoAmount),
    ("1.-1", NoAmount, NoAmount),
    ("1.+5", NoAmount, NoAmount),
    ("1. 5", NoAmount, NoAmount),
    ("1e3", NoAmount, NoAmount),
    ("1E3", NoAmount, NoAmount),
    ("0x10", NoAmount, NoAmount),
    ("$5", NoAmount, NoAmount),
    ("NaN", NoAmount, NoAmount),
    ("inf", NoAmount, NoAmount),
    ("\u{ff11}\u{ff12}", NoAmount, NoAmount),
    ("\u{663}", NoAmount, NoAmount),
    ("1\0", NoAmount, NoAmount),
    ("12\n34", NoAmount, NoAmount),
];

/// What is shown in place of an amount.
fn notice(typed: Typed, not_an_amount: Screen) -> Screen {
    match typed {
        Minor(_) => panic!("an amount"),
        NoAmount => not_an_amount,
        NotPositive => Screen::NotPositive,
        OverLimit => Screen::OverLimit { limit: Policy::LIMIT },
    }
}

#[test]
fn an_amount_is_what_the_vectors_say_or_moves_nothing() {
    for (text, comes_in, goes_out) in AMOUNTS {
        let refuses = |from: CardSession, typed, not_an_amount| {
            let expected = screens([notice(typed, not_an_amount), from.prompt().unwrap()]);
            assert_eq!(act(from, text), (Action::Show(expected), from), "{text:?}");
        };
        let (deposit, transfer) = (at(At::Deposit), at(At::Transfer(bob())));
        let withdrawal = at(At::Withdraw(units(50)));
        let not_cents = Screen::Card(CardScreen::NotAnAmount);
        match comes_in {
            Minor(minor) => {
                let amount = Amount::from_minor(minor).unwrap();
                operates(deposit, text, Operation::Deposit(amount), Purpose::Deposit);
                operates(
                    at(At::Menu),
                    &format!("deposit {text}"),
                    Operation::Deposit(amount),
                    Purpose::Deposit,
                );
                shows(transfer, text, &[], at(At::Confirm(bob(), amount)));
            }
            typed => {
                refuses(deposit, typed, not_cents);
                refuses(transfer, typed, not_cents);
            }
        }
        match goes_out {
            Minor(minor) => {
                let amount = Amount::from_minor(minor).unwrap();
                operates(withdrawal, text, Operation::Withdraw(amount), Purpose::Withdraw);
            }
            typed => {
                refuses(withdrawal, typed, Screen::NotAnAmount);
                // At the menu it only asks for the balance, which the prompt shows.
                let asks = Purpose::PromptWithdrawal(Some(notice(typed, Screen::NotAnAmount)));
                operates(at(At::Menu), &format!("withdraw {text}"), Operation::Inquiry, asks);
            }
        }
    }
}

#[test]
fn an_account_is_one_to_nine_digits_and_not_zero() {
    for (text, number) in [("8", 8), ("008", 8), ("000000008", 8), (" 8\t", 8), ("999999999", 999_999_999)] {
        let payee = AccountNumber(number);
        operates(at(At::Payee), text, Operation::LookUp { payee }, Purpose::LookUp);
    }
    let none = ["0", "000000000", "0000000008", "1000000000", "-8", "+8", "8.0", "8e0", "0x8", "8 8", "8;9"];
    // 2^32 and 2^64 more than 8, which is 8 where it wraps; digits of other scripts; names of files.
    let more = ["4294967304", "18446744073709551624", "\u{ff18}", "\u{668}", "..", "bob", "8\0", ""];
    for text in none.into_iter().chain(more) {
        shows(at(At::Payee), text, &[CardScreen::NotAnAccount], at(At::Payee));
    }
}

#[test]
fn a_card_is_12_to_19_digits_with_their_check_digit() {
    let with_check = |digits: &str| (0..10).filter(|check| is_card(&format!("{digits}{check}"))).count();
    for length in 1..=24 {
        let expected = usize::from((11..=18).contains(&length));
        for digit in ["0", "1", "7", "9"] {
            assert_eq!(
                with_check(&digit.repeat(length)),
                expected,
                "one check digit fits {length} of {digit}"
            );
        }
    }
    let number: String = NUMBER.split(' ').collect();
    for (first, second) in [(0, 1), (3, 2), (14, 15)] {
        let mut digits = number.clone().into_bytes();
        digits[first] = b'5';
        digits[second] = b'6';
        let text = String::from_utf8(digits).unwrap();
        shows(CardSession::Card, &text, &[CardScreen::NotACardNumber], CardSession::Card);
    }
    for text in [
        "4111-1111-1111-1111",
        "4111.111111111111",
        "4111111111111111x",
        "+4111111111111111",
        "4.111e15",
        "../card",
    ] {
        shows(CardSession::Card, text, &[CardScreen::NotACardNumber], CardSession::Card);
    }
    shows(CardSession::Card, " 4111 1111\t1111 1111 ", &[], CardSession::Pin { claim: claim() });
}

fn is_card(text: &str) -> bool {
    text.parse::<CardNumber>().is_ok()
}

#[test]
fn no_word_at_the_card_or_pin_prompt_asks_for_anything() {
    let words = [
        "1",
        "7",
        "40",
        "deposit 5",
        "withdraw 40",
        "withdraw all",
        "balance",
        "transfer",
        "statement",
        "pin",
        "yes",
        "all",
    ];
    let pin = CardSession::Pin { claim: claim() };
    for word in words {
        shows(CardSession::Card, word, &[CardScreen::NotACardNumber], CardSession::Card);
        shows(pin, word, &[CardScreen::NotAPin], pin);
        let verifying = CardSession::Verifying { claim: claim() };
        assert_eq!(act(verifying, word), (Action::Show(Screens::new()), verifying), "{word}");
    }
}
