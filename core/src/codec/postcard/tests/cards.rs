//! Golden tests of cards' screens: each byte for byte, and decoded again.
use super::*;
use crate::{
    ledger::{
        AccountNumber,
        card::{Accounts, Date, Kind, Owner, StatementLine},
    },
    screen::CardScreen,
    time::UnixTime,
};

#[test]
fn every_screen_of_a_card_byte_for_byte() {
    let amount = |minor| Amount::from_minor(minor).unwrap();
    let (cents, balance, payee) = (amount(1_234), amount(4_000), AccountNumber(8));
    let owner = "Bob Bower".parse::<Owner>().unwrap().initials();
    let accounts = Accounts::new(&[AccountNumber(7), AccountNumber(123_456_789)]).unwrap();
    let date = Some(Date::from(UnixTime::from_millis(20_786 * 86_400_000)));
    let line = StatementLine { date, kind: Kind::TransferIn, amount: cents, balance };
    let refused = |refusal| Screen::Outcome(Outcome::Refused(refusal));
    let withdrawn = Receipt::Withdrawn { amount: balance, balance };
    for (screen, expected) in [
        (Screen::Card(CardScreen::CardPrompt), "0e 00"),
        (Screen::Card(CardScreen::PinPrompt), "0e 01"),
        (Screen::Card(CardScreen::AccountPrompt { accounts }), "0e 02 07 95 9a ef 3a 00 00"),
        (Screen::Card(CardScreen::Menu), "0e 03"),
        (Screen::Card(CardScreen::DepositPrompt), "0e 04"),
        (Screen::Card(CardScreen::PayeePrompt), "0e 05"),
        (Screen::Card(CardScreen::TransferPrompt { payee, owner }), "0e 06 08 42 42"),
        (Screen::Card(CardScreen::ConfirmPrompt { payee, owner, amount: cents }), "0e 07 08 42 42 d2 09"),
        (Screen::Card(CardScreen::OldPinPrompt), "0e 08"),
        (Screen::Card(CardScreen::NewPinPrompt), "0e 09"),
        (Screen::Card(CardScreen::RepeatPinPrompt), "0e 0a"),
        (Screen::Card(CardScreen::NotACardNumber), "0e 0b"),
        (Screen::Card(CardScreen::NotAPin), "0e 0c"),
        (Screen::Card(CardScreen::WeakPin), "0e 0d"),
        (Screen::Card(CardScreen::PinsDiffer), "0e 0e"),
        (Screen::Card(CardScreen::StartAgain), "0e 0f"),
        (Screen::Card(CardScreen::NotAnAccount), "0e 10"),
        (Screen::Card(CardScreen::NotAnAmount), "0e 11"),
        (Screen::Card(CardScreen::NotConfirmed), "0e 12"),
        (Screen::Card(CardScreen::TooManyPayees), "0e 13"),
        (Screen::Card(CardScreen::LoggedOut), "0e 14"),
        (Screen::Card(CardScreen::NoMovements), "0e 15"),
        (Screen::Card(CardScreen::Movement(line)), "0e 16 01 b2 a2 01 03 d2 09 a0 1f"),
        (Screen::Card(CardScreen::EarlierDone), "0e 17"),
        (Screen::Card(CardScreen::EarlierRefused), "0e 18"),
        (Screen::Card(CardScreen::Earlier(withdrawn)), "0e 19 02 a0 1f a0 1f"),
        (Screen::Outcome(Outcome::Done(Receipt::PinChanged)), "03 00 04"),
        (
            Screen::Outcome(Outcome::Done(Receipt::Transferred { payee, amount: cents, balance })),
            "03 00 05 08 d2 09 a0 1f",
        ),
        (refused(Refusal::NotVerified), "03 01 04"),
        (refused(Refusal::Delayed { seconds: 60 }), "03 01 05 3c"),
        (refused(Refusal::NoAccess), "03 01 06"),
        (refused(Refusal::Frozen), "03 01 07"),
        (refused(Refusal::Closed), "03 01 08"),
        (refused(Refusal::WithdrawalLimit { limit: balance }), "03 01 09 a0 1f"),
        (refused(Refusal::DayLimit { left: cents }), "03 01 0a d2 09"),
        (refused(Refusal::NoPayee), "03 01 0b"),
        (refused(Refusal::SameAccount), "03 01 0c"),
    ] {
        let body = written(|out| write_reply(&reply(&[screen]), out));
        assert_eq!(hex(&body), format!("02 ac 02 01 ab 02 00 01 {expected}"));
        let message = read_host(&body).unwrap().unwrap();
        assert_eq!(message.text, MessageText::Screens(crate::screen::screens([screen])));
        assert_eq!((message.prompt, message.secret), (screen.is_prompt(), screen.is_secret()));
    }
}

/// A terminal shows no other character of a host than letters.
#[test]
fn initials_are_letters() {
    let transfer = |first: &[u8]| [&[2, 1, 0, 0, 1, 14, 6, 8], first, &[66]].concat();
    assert!(read_host(&transfer(&[66])).is_ok());
    for first in [&[0x1b][..], &[0x22], &[0x80, 0xb0, 0x03], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
        assert_eq!(read_host(&transfer(first)), Err(Fault::NotAMessage), "{first:?}");
    }
}
