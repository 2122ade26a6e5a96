//! The dialogue of a card: every prompt, `back` at each, and what follows each outcome.
use super::*;
use crate::{
    ledger::card::{CardAccount, CardNumber, Date, KeyId, Kind, Statement, StatementLine},
    ledger::{Outcome, Receipt, Refusal},
    session::Session,
};
use std::vec::Vec;

mod vectors;

const NUMBER: &str = "4111 1111 1111 1111";

fn keys() -> CardKeys {
    CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(1), [2; 32].into()), None)
}

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn claim() -> Claim {
    keys().claim(&NUMBER.parse::<CardNumber>().unwrap())
}

fn proof(pin: &str) -> Proof {
    keys().proof(&claim(), &pin.parse().unwrap())
}

fn bob() -> Payee {
    let account = CardAccount::new(AccountNumber(8), Amount::ZERO, "Bob Bower".parse().unwrap());
    Payee { number: AccountNumber(8), owner: account.owner.initials() }
}

/// The session of a card with these accounts.
fn opened(accounts: &[u32]) -> Opened {
    let numbers: Vec<_> = accounts.iter().map(|number| AccountNumber(*number)).collect();
    let access = Access { token: claim().newest(), version: 3, account: numbers[0] };
    Opened { access, accounts: Accounts::new(&numbers).unwrap(), failed: 0 }
}

fn at(at: At) -> CardSession {
    CardSession::Open(opened(&[7]), at)
}

/// Answers, and returns the action with the session after it.
fn act(session: CardSession, answer: &str) -> (Action, CardSession) {
    let mut session = Session::Card(session);
    let action = session.answer_with(&Answer::new(answer), &Policy::default(), &keys());
    match session {
        Session::Card(session) => (action, session),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn shows(from: CardSession, answer: &str, notices: &[CardScreen], to: CardSession) {
    let mut expected: Screens = notices.iter().map(|notice| Screen::Card(*notice)).collect();
    expected.push(to.prompt().unwrap()).unwrap();
    assert_eq!(act(from, answer), (Action::Show(expected), to), "{answer}");
}

#[track_caller]
fn operates(from: CardSession, answer: &str, operation: Operation, purpose: Purpose) {
    let access = opened(&[7]).access;
    let request = CardRequest::Operate { access, operation };
    assert_eq!(act(from, answer), (Action::Card(request), at(At::Waiting(purpose))), "{answer}");
}

/// Completes with an outcome; the screens and the session after it.
fn completes(mut session: CardSession, outcome: Outcome) -> (Screens, CardSession) {
    (session.complete(outcome), session)
}

fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused(refusal)
}

#[test]
fn a_card_number_and_a_pin_are_asked_for_and_verified() {
    let pin = CardSession::Pin { claim: claim() };
    shows(CardSession::Card, NUMBER, &[], pin);
    for answer in ["", "back", "1234", "4111 1111 1111 1112"] {
        shows(CardSession::Card, answer, &[CardScreen::NotACardNumber], CardSession::Card);
    }
    shows(pin, "back", &[], CardSession::Card);
    for answer in ["", "123", "abcd", "12 34"] {
        shows(pin, answer, &[CardScreen::NotAPin], pin);
    }
    let request = CardRequest::Verify { claim: claim(), proof: proof("2580") };
    assert_eq!(act(pin, "2580"), (Action::Card(request), CardSession::Verifying { claim: claim() }));
}

#[test]
fn a_verified_card_goes_to_its_account_and_a_refused_one_to_the_pin() {
    let verifying = CardSession::Verifying { claim: claim() };
    for numbers in [&[7][..], &[7, 9]] {
        let Opened { accounts, .. } = opened(numbers);
        let verified = Outcome::Done(Receipt::Verified { version: 3, accounts });
        let next = match numbers {
            [_] => at(At::Menu),
            _ => CardSession::Account(opened(numbers)),
        };
        assert_eq!(completes(verifying, verified), (screens([next.prompt().unwrap()]), next));
    }
    let several = CardSession::Account(opened(&[7, 9]));
    let chosen = |account| {
        let access = Access { account: AccountNumber(account), ..opened(&[7]).access };
        CardSession::Open(Opened { access, ..opened(&[7, 9]) }, At::Menu)
    };
    shows(several, "9", &[], chosen(9));
    shows(
        chosen(9),
        "back",
        &[],
        CardSession::Account(Opened { access: chosen_access(9), ..opened(&[7, 9]) }),
    );
    for answer in ["8", "0", "", "seven", "1234567890", "-7", "+7"] {
        shows(several, answer, &[CardScreen::NotAnAccount], several);
    }
    shows(several, "back", &[CardScreen::LoggedOut], CardSession::Card);
    let none = Outcome::Done(Receipt::Verified { version: 3, accounts: Accounts::NONE });
    assert_eq!(completes(verifying, none).1, CardSession::Card);
    for (outcome, next) in [
        (refused(Refusal::NotVerified), CardSession::Pin { claim: claim() }),
        (refused(Refusal::Delayed { seconds: 4 }), CardSession::Pin { claim: claim() }),
        (Outcome::NotDone, CardSession::Card),
        (Outcome::Unknown, CardSession::Card),
    ] {
        let expected = screens([Screen::Outcome(outcome), next.prompt().unwrap()]);
        assert_eq!(completes(verifying, outcome), (expected, next));
    }
}

fn chosen_access(account: u32) -> Access {
    Access { account: AccountNumber(account), ..opened(&[7]).access }
}

#[test]
fn the_menu_takes_digits_and_words_in_any_case() {
    let menu = at(At::Menu);
    for (answers, to) in [
        (["1", "Deposit"], At::Deposit),
        (["4", "TRANSFER"], At::Payee),
        (["6", "change pin"], At::OldPin),
        (["pin", " PIN "], At::OldPin),
    ] {
        for answer in answers {
            shows(menu, answer, &[], at(to));
        }
    }
    for (answers, operation, purpose) in [
        (["2", "withdraw"], Operation::Inquiry, Purpose::PromptWithdrawal(None)),
        (["3", "balance"], Operation::Inquiry, Purpose::Show),
        (["5", "statement"], Operation::Statement, Purpose::Show),
        (
            ["deposit 12.34", "Deposit  12.34"],
            Operation::Deposit(Amount::from_minor(1_234).unwrap()),
            Purpose::Deposit,
        ),
        (["withdraw 40", "WITHDRAW\t40"], Operation::Withdraw(units(40)), Purpose::Withdraw),
        (["withdraw all", "withdraw ALL"], Operation::WithdrawAll, Purpose::Withdraw),
    ] {
        for answer in answers {
            operates(menu, answer, operation, purpose);
        }
    }
    operates(
        menu,
        "withdraw 12.34",
        Operation::Inquiry,
        Purpose::PromptWithdrawal(Some(Screen::NotAnAmount)),
    );
    shows(menu, "deposit x", &[CardScreen::NotAnAmount], at(At::Deposit));
    for answer in ["7", "logout", "log out", "back"] {
        shows(menu, answer, &[CardScreen::LoggedOut], CardSession::Card);
    }
    for answer in ["", "8", "1 40", "balance 1", "40"] {
        let expected = screens([Screen::InvalidChoice, menu.prompt().unwrap()]);
        assert_eq!(act(menu, answer), (Action::Show(expected), menu), "{answer}");
    }
}

#[test]
fn deposits_and_transfers_take_cents_and_withdrawals_whole_units() {
    let cents = Amount::from_minor(1_234).unwrap();
    operates(at(At::Deposit), "12.34", Operation::Deposit(cents), Purpose::Deposit);
    operates(at(At::Withdraw(units(50))), "12", Operation::Withdraw(units(12)), Purpose::Withdraw);
    operates(at(At::Withdraw(units(50))), "all", Operation::WithdrawAll, Purpose::Withdraw);
    shows(at(At::Transfer(bob())), "12.34", &[], at(At::Confirm(bob(), cents)));
    for session in [at(At::Deposit), at(At::Transfer(bob()))] {
        for answer in ["12.3", "12.345", "-1", "", "all"] {
            shows(session, answer, &[CardScreen::NotAnAmount], session);
        }
    }
    let limit = Policy::LIMIT;
    for (session, answer, notice) in [
        (at(At::Withdraw(units(50))), "12.34", Screen::NotAnAmount),
        (at(At::Deposit), "0", Screen::NotPositive),
        (at(At::Deposit), "1000000.01", Screen::OverLimit { limit }),
        (at(At::Transfer(bob())), "0.00", Screen::NotPositive),
        (at(At::Transfer(bob())), "90071992547410", Screen::OverLimit { limit }),
    ] {
        let expected = screens([notice, session.prompt().unwrap()]);
        assert_eq!(act(session, answer), (Action::Show(expected), session), "{answer}");
    }
}

#[test]
fn a_transfer_asks_for_payee_amount_and_confirmation() {
    let amount = units(12);
    operates(at(At::Payee), "8", Operation::LookUp { payee: AccountNumber(8) }, Purpose::LookUp);
    shows(at(At::Payee), "bob", &[CardScreen::NotAnAccount], at(At::Payee));
    let found = Outcome::Done(Receipt::Payee { payee: AccountNumber(8), owner: bob().owner });
    let next = at(At::Transfer(bob()));
    assert_eq!(completes(at(At::Waiting(Purpose::LookUp)), found), (screens([next.prompt().unwrap()]), next));
    let confirm = at(At::Confirm(bob(), amount));
    operates(confirm, "Yes", Operation::Transfer { payee: AccountNumber(8), amount }, Purpose::Show);
    for answer in ["", "y", "12", "no"] {
        shows(confirm, answer, &[CardScreen::NotConfirmed], confirm);
    }
    for (from, to) in [
        (At::Confirm(bob(), amount), At::Transfer(bob())),
        (At::Transfer(bob()), At::Payee),
        (At::Payee, At::Menu),
    ] {
        shows(at(from), "back", &[], at(to));
    }
}

#[test]
fn three_failed_look_ups_end_the_session() {
    let mut session = at(At::Payee);
    for (failed, refusal) in (1..=LOOK_UPS).zip([Refusal::NoPayee, Refusal::SameAccount, Refusal::NoPayee]) {
        let (_, waiting) = act(session, "8");
        let outcome = refused(refusal);
        let shown;
        (shown, session) = completes(waiting, outcome);
        let expected = if failed < LOOK_UPS {
            screens([Screen::Outcome(outcome), Screen::Card(CardScreen::PayeePrompt)])
        } else {
            let prompt = Screen::Card(CardScreen::CardPrompt);
            screens([Screen::Outcome(outcome), Screen::Card(CardScreen::TooManyPayees), prompt])
        };
        assert_eq!(shown, expected);
        // One that is found in between does not clear them.
        if failed < LOOK_UPS {
            let found = Outcome::Done(Receipt::Payee { payee: AccountNumber(8), owner: bob().owner });
            (_, session) = completes(act(session, "8").1, found);
            (_, session) = act(session, "back");
        }
    }
    assert_eq!(session, CardSession::Card);
}

#[test]
fn a_change_of_pin_takes_the_old_one_and_the_new_one_twice() {
    let (old, new) = (proof("2580"), proof("8642").newest());
    shows(at(At::OldPin), "2580", &[], at(At::NewPin(old)));
    shows(at(At::NewPin(old)), "8642", &[], at(At::RepeatPin(old, new)));
    let request = CardRequest::ChangePin { access: opened(&[7]).access, old, new };
    let waiting = at(At::Waiting(Purpose::Show));
    assert_eq!(act(at(At::RepeatPin(old, new)), "8642"), (Action::Card(request), waiting));
    shows(at(At::OldPin), "12a4", &[CardScreen::NotAPin], at(At::OldPin));
    shows(at(At::NewPin(old)), "123", &[CardScreen::NotAPin], at(At::NewPin(old)));
    shows(at(At::NewPin(old)), "1234", &[CardScreen::WeakPin], at(At::NewPin(old)));
    for answer in ["8643", "", "x"] {
        shows(at(At::RepeatPin(old, new)), answer, &[CardScreen::PinsDiffer], at(At::Menu));
    }
    for (from, to) in
        [(At::RepeatPin(old, new), At::NewPin(old)), (At::NewPin(old), At::OldPin), (At::OldPin, At::Menu)]
    {
        shows(at(from), "back", &[], at(to));
    }
    // The session goes on under the card's new version.
    let changed = Outcome::Done(Receipt::PinChanged);
    let access = Access { version: 4, ..opened(&[7]).access };
    let next = CardSession::Open(Opened { access, ..opened(&[7]) }, At::Menu);
    assert_eq!(completes(waiting, changed).1, next);
    assert_eq!(completes(waiting, refused(Refusal::NotVerified)).1, at(At::Menu));
}

#[test]
fn a_change_of_pin_begins_anew_where_its_verifiers_were_dropped() {
    let (old, new) = (proof("2580"), proof("8642").newest());
    for from in [At::NewPin(old), At::RepeatPin(old, new)] {
        let mut session = at(from);
        let prompt = session.prompt();
        session.drop_verifiers();
        assert_eq!(session.prompt(), prompt);
        shows(session, "8642", &[CardScreen::StartAgain], at(At::OldPin));
        shows(session, "back", &[], at(At::Menu));
    }
    let mut other = at(At::Confirm(bob(), units(1)));
    other.drop_verifiers();
    assert_eq!(other, at(At::Confirm(bob(), units(1))));
}

#[test]
fn what_follows_an_outcome() {
    let balance = units(50);
    let withdraw = |balance| at(At::Withdraw(balance));
    let asks = Purpose::PromptWithdrawal(None);
    for (purpose, outcome, next) in [
        (Purpose::Show, Outcome::Done(Receipt::Balance { balance }), at(At::Menu)),
        (Purpose::Deposit, Outcome::Done(Receipt::Deposited { amount: units(1), balance }), at(At::Menu)),
        (Purpose::Deposit, refused(Refusal::BalanceLimit { balance }), at(At::Deposit)),
        (Purpose::Deposit, refused(Refusal::Frozen), at(At::Menu)),
        (Purpose::Withdraw, refused(Refusal::Insufficient { balance }), withdraw(balance)),
        (Purpose::Withdraw, refused(Refusal::Insufficient { balance: Amount::ZERO }), at(At::Menu)),
        (Purpose::Withdraw, refused(Refusal::DayLimit { left: balance }), at(At::Menu)),
        (Purpose::Show, refused(Refusal::NoPayee), at(At::Menu)),
        (Purpose::LookUp, refused(Refusal::Frozen), at(At::Menu)),
        (asks, refused(Refusal::NoAccess), CardSession::Card),
        (Purpose::Show, refused(Refusal::Closed), CardSession::Card),
        (Purpose::Withdraw, Outcome::NotDone, at(At::Menu)),
        (Purpose::Withdraw, Outcome::Unknown, at(At::Menu)),
    ] {
        let expected = screens([Screen::Outcome(outcome), next.prompt().unwrap()]);
        assert_eq!(completes(at(At::Waiting(purpose)), outcome), (expected, next), "{purpose:?}");
    }
    let waiting = at(At::Waiting(Purpose::PromptWithdrawal(Some(Screen::NotAnAmount))));
    let shown = screens([Screen::NotAnAmount, Screen::WithdrawPrompt { balance }]);
    assert_eq!(completes(waiting, Outcome::Done(Receipt::Balance { balance })), (shown, withdraw(balance)));
    let nothing = Outcome::Done(Receipt::Balance { balance: Amount::ZERO });
    let shown = screens([Screen::NoFunds, Screen::Card(CardScreen::Menu)]);
    assert_eq!(completes(at(At::Waiting(asks)), nothing), (shown, at(At::Menu)));
}

#[test]
fn a_statement_ends_in_the_menu_with_the_latest_movement_last() {
    let mut statement = Statement::default();
    let mut session = at(At::Waiting(Purpose::Show));
    let shown = screens([Screen::Card(CardScreen::NoMovements), Screen::Card(CardScreen::Menu)]);
    assert_eq!((session.show_statement(&statement), session), (shown, at(At::Menu)));
    let line = |amount| {
        let date = Some(Date::from(crate::time::UnixTime::from_millis(0)));
        StatementLine { date, kind: Kind::Deposit, amount: units(amount), balance: units(amount) }
    };
    (1..=6).for_each(|amount| statement.push(line(amount)));
    let shown: Vec<_> = session.show_statement(&statement).into_iter().collect();
    let movements = (2..=6).map(|amount| Screen::Card(CardScreen::Movement(line(amount))));
    assert_eq!(shown, movements.chain([Screen::Card(CardScreen::Menu)]).collect::<Vec<_>>());
}

#[test]
fn exit_ends_the_session_at_every_prompt() {
    let (old, new) = (proof("2580"), proof("8642").newest());
    let states = [
        At::Menu,
        At::Deposit,
        At::Withdraw(units(1)),
        At::Payee,
        At::Transfer(bob()),
        At::OldPin,
        At::NewPin(old),
        At::RepeatPin(old, new),
    ];
    let states = states.map(at).into_iter();
    let first =
        [CardSession::Card, CardSession::Pin { claim: claim() }, CardSession::Account(opened(&[7, 9]))];
    for state in states.chain(first) {
        let mut session = Session::Card(state);
        let action = session.answer_with(&Answer::new(" Exit "), &Policy::default(), &keys());
        assert_eq!((action, session), (Action::Show(screens([Screen::Goodbye])), Session::Ended));
        // No state shows a digit of a number or a PIN.
        let shown = std::format!("{state:?}");
        assert!(!shown.contains("4111") && !shown.contains("2580") && !shown.contains("8642"), "{shown}");
        let long = act(state, &"1".repeat(65));
        assert_eq!(long, (Action::Show(screens([Screen::AnswerTooLong, state.prompt().unwrap()])), state));
    }
}
