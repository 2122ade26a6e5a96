//! Golden tests of cards' messages: each byte for byte, and decoded again.
use super::*;
use crate::{ledger::AccountNumber, screen::CardScreen};

#[test]
fn a_secret_prompt_byte_for_byte() {
    let text = written(|out| write_reply(&reply(&[Screen::Card(CardScreen::PinPrompt)]), out));
    assert_eq!(
        text,
        r#"{"seq":8,"re":7,"input":true,"data":"Please type your PIN. (or back)","secret":true}"#
    );
    assert!(read_host(text.as_bytes()).unwrap().unwrap().secret);
    let text = written(|out| write_reply(&reply(&[Screen::Card(CardScreen::CardPrompt)]), out));
    assert!(!text.contains("secret") && !read_host(text.as_bytes()).unwrap().unwrap().secret);
}

#[test]
fn an_outcome_of_a_card_has_fields() {
    let (payee, cents, balance) = (AccountNumber(8), amount(1_234), amount(4_000));
    let refused = Outcome::Refused;
    for (outcome, fields) in [
        (
            Outcome::Done(Receipt::Transferred { payee, amount: cents, balance }),
            r#""outcome":"done","operation":"transfer","payee":8,"amount":1234,"balance":4000"#,
        ),
        (Outcome::Done(Receipt::PinChanged), r#""outcome":"done","operation":"change-pin""#),
        (refused(Refusal::NotVerified), r#""outcome":"refused","reason":"not-verified""#),
        (refused(Refusal::Delayed { seconds: 60 }), r#""outcome":"refused","reason":"delayed","seconds":60"#),
        (refused(Refusal::NoAccess), r#""outcome":"refused","reason":"no-access""#),
        (refused(Refusal::Frozen), r#""outcome":"refused","reason":"frozen""#),
        (refused(Refusal::Closed), r#""outcome":"refused","reason":"closed""#),
        (
            refused(Refusal::WithdrawalLimit { limit: balance }),
            r#""outcome":"refused","reason":"withdrawal-limit","limit":4000"#,
        ),
        (
            refused(Refusal::DayLimit { left: cents }),
            r#""outcome":"refused","reason":"day-limit","left":1234"#,
        ),
        (refused(Refusal::NoPayee), r#""outcome":"refused","reason":"no-payee""#),
        (refused(Refusal::SameAccount), r#""outcome":"refused","reason":"same-account""#),
    ] {
        let screens = [Screen::Outcome(outcome), Screen::Card(CardScreen::CardPrompt)];
        let text = written(|out| write_reply(&reply(&screens), out));
        assert!(text.ends_with(&format!(",{fields}}}")), "{text}");
        assert_eq!(read_host(text.as_bytes()).unwrap().unwrap().outcome, Some(outcome));
    }
}

#[test]
fn the_text_of_every_screen_is_written_as_it_is_displayed() {
    for (screen, text) in crate::screen::card_texts() {
        let body = written(|out| write_reply(&reply(&[screen]), out));
        let message = read_host(body.as_bytes()).unwrap().unwrap();
        assert_eq!((message.text.to_string(), message.prompt), (text.into(), screen.is_prompt()));
    }
}
