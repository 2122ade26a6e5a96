//! The texts of cards' screens, as both sides display them and as a terminal reads them.
use super::*;
use crate::{
    ledger::card::{CardAccount, Owner},
    screen::{ScreenText, asks_for_amount},
    time::UnixTime,
};
use std::{string::ToString, vec::Vec};

fn amount(minor: u64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

/// Every screen with its text.
pub(crate) fn texts() -> Vec<(Screen, &'static str)> {
    let owner: Owner = "Bob Bower".parse().unwrap();
    let bob = CardAccount::new(AccountNumber(8), Amount::ZERO, owner).owner.initials();
    let accounts = Accounts::new(&[AccountNumber(7), AccountNumber(123_456_789)]).unwrap();
    let payee = AccountNumber(8);
    let date = Some(Date::from(UnixTime::from_millis(20_786 * 86_400_000)));
    let line = |date, kind| {
        CardScreen::Movement(StatementLine { date, kind, amount: amount(1_234), balance: amount(4_000) })
    };
    let cards = [
        (
            CardScreen::CardPrompt,
            "Welcome to the ATM. Please type the number of your card. (exit ends the session)",
        ),
        (CardScreen::PinPrompt, "Please type your PIN. (or back)"),
        (CardScreen::AccountPrompt { accounts }, "Which account? 7, 123456789 (its number, or back)"),
        (
            CardScreen::Menu,
            "What would you like to do?\n1. Deposit\n2. Withdraw\n3. Balance\n4. Transfer\n5. Statement\n\
             6. Change PIN\n7. Log out\nType a number or a word; exit ends the session.",
        ),
        (CardScreen::DepositPrompt, "How much would you like to deposit? (as in 12 or 12.34, or back)"),
        (CardScreen::PayeePrompt, "To which account would you like to transfer? (its number, or back)"),
        (
            CardScreen::TransferPrompt { payee, owner: bob },
            "Account 8 belongs to B*** B***. How much would you like to transfer? (as in 12 or 12.34, or back)",
        ),
        (
            CardScreen::ConfirmPrompt { payee, owner: bob, amount: amount(1_234) },
            "Transfer $12.34 to account 8 of B*** B***? (yes, or back)",
        ),
        (CardScreen::OldPinPrompt, "Please type your present PIN. (or back)"),
        (CardScreen::NewPinPrompt, "Please type the new PIN: 4 to 12 digits. (or back)"),
        (CardScreen::RepeatPinPrompt, "Please type the new PIN again. (or back)"),
        (CardScreen::NotACardNumber, "That is not the number of a card."),
        (CardScreen::NotAPin, "That is not a PIN: type 4 to 12 digits."),
        (CardScreen::WeakPin, "That PIN is easily guessed: choose one that is no run and no repetition."),
        (CardScreen::PinsDiffer, "The two new PINs differ: the PIN is not changed."),
        (CardScreen::StartAgain, "The connection was lost: please begin again."),
        (CardScreen::NotAnAccount, "That is not the number of an account."),
        (CardScreen::NotAnAmount, "That is not an amount: type digits, as in 12 or 12.34."),
        (CardScreen::NotConfirmed, "Please type yes or back."),
        (CardScreen::TooManyPayees, "Too many accounts were not found: you are logged out."),
        (CardScreen::LoggedOut, "You are logged out."),
        (CardScreen::NoMovements, "There are no movements."),
        (line(date, Kind::TransferIn), "2026-11-29 transfer in $12.34, balance $40"),
        (line(None, Kind::Withdrawal), "(no date) withdrawal $12.34, balance $40"),
        (
            CardScreen::Earlier(Receipt::Deposited { amount: amount(1_234), balance: amount(4_000) }),
            "Amount deposited: $12.34. Your balance is $40.",
        ),
        (CardScreen::EarlierDone, "An earlier request at this terminal was done."),
        (CardScreen::EarlierRefused, "An earlier request at this terminal was refused."),
    ];
    let (balance, accounts) = (amount(4_000), Accounts::NONE);
    let receipts = [
        (
            Receipt::Transferred { payee, amount: amount(1_234), balance },
            "Amount transferred: $12.34 to account 8. Your balance is $40.",
        ),
        (Receipt::Payee { payee, owner: bob }, "Account 8 belongs to B*** B***."),
        (Receipt::PinChanged, "Your PIN is changed."),
        (Receipt::Verified { version: 1, accounts }, "Your card and PIN are accepted."),
    ];
    let refusals = [
        (Refusal::NotVerified, "The card and the PIN were not accepted."),
        (Refusal::Delayed { seconds: 60 }, "After refused PINs, please try again in 60 s."),
        (Refusal::NoAccess, "Your card's session is over."),
        (Refusal::Frozen, "The account is frozen: no money can be moved."),
        (Refusal::Closed, "The account is closed."),
        (Refusal::WithdrawalLimit { limit: balance }, "That is over the limit of $40 for one withdrawal."),
        (
            Refusal::DayLimit { left: balance },
            "That is over the limit of your card's day, of which $40 is left.",
        ),
        (Refusal::NoPayee, "There is no account of that number that can take the money."),
        (Refusal::SameAccount, "Money can be transferred only to another account."),
    ];
    let cards = cards.map(|(screen, text)| (Screen::Card(screen), text));
    let receipts = receipts.map(|(receipt, text)| (Screen::Outcome(Outcome::Done(receipt)), text));
    let refusals = refusals.map(|(refusal, text)| (Screen::Outcome(Outcome::Refused(refusal)), text));
    cards.into_iter().chain(receipts).chain(refusals).collect()
}

#[test]
fn every_screen_has_its_text() {
    for (screen, text) in texts() {
        assert_eq!(screen.to_string(), text);
    }
}

#[test]
fn a_terminal_reads_failures_and_prompts_for_amounts_from_the_text() {
    for (screen, _) in texts() {
        let reply = [screen, Screen::Card(CardScreen::Menu)];
        let text = ScreenText(&reply).to_string();
        assert_eq!(Failure::in_text(&text), screen.failure(), "{text}");
        let asks =
            matches!(screen, Screen::Card(CardScreen::DepositPrompt | CardScreen::TransferPrompt { .. }));
        assert_eq!(asks_for_amount(&screen.to_string()), asks, "{screen:?}");
    }
}

#[test]
fn only_prompts_for_a_pin_are_secret() {
    for (screen, text) in texts() {
        assert_eq!(screen.is_secret(), text.starts_with("Please type") && text.contains("PIN"), "{text}");
        assert_eq!(screen.is_prompt(), text.contains("or back)") || text.contains("exit ends"), "{text}");
    }
}

#[test]
fn a_reply_asks_for_a_number_an_account_or_a_choice_by_its_last_screen() {
    for (screen, _) in texts() {
        let asks = match screen {
            Screen::Card(CardScreen::CardPrompt) => Some(CardPrompt::Number),
            Screen::Card(CardScreen::AccountPrompt { .. }) => Some(CardPrompt::Account),
            Screen::Card(CardScreen::Menu) => Some(CardPrompt::Menu),
            _ => None,
        };
        for reply in [&[Screen::Card(CardScreen::Menu), screen][..], &[screen]] {
            assert_eq!(CardPrompt::in_text(&ScreenText(reply).to_string()), asks, "{screen:?}");
        }
    }
    assert_eq!((CardPrompt::in_text(""), CardPrompt::in_text(&Screen::Menu.to_string())), (None, None));
}
