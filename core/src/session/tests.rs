//! Tests of the dialogue: every answer at every prompt, every outcome, and a model of the money.
use super::*;
use crate::ledger::{Command, Ledger, LedgerId, Origin, RamLedger, Request, Response, SessionId, Ticket};
use crate::screen::ScreenText;
use proptest::prelude::*;
use std::{format, string::String, string::ToString, vec::Vec};

const POLICY: Policy = Policy { limit: Policy::LIMIT, may_quit: true };

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn withdrawing() -> Session {
    Session::Withdraw { balance: units(100) }
}

fn prompts() -> [Session; 3] {
    [Session::Menu, Session::Deposit, withdrawing()]
}

/// The action after one answer, and the session then.
fn act(mut session: Session, answer: &str, policy: &Policy) -> (Action, Session) {
    let action = session.answer(&Answer::new(answer), policy);
    (action, session)
}

/// Asserts that the answer only shows screens, the last of which is the open prompt.
#[track_caller]
fn assert_shows(session: Session, answer: &str, expected: &[Screen], next: Session) {
    let got = act(session, answer, &POLICY);
    assert_eq!(got, (Action::Show(expected.iter().copied().collect()), next), "{session:?} {answer:?}");
    assert_eq!(next.prompt().as_ref(), expected.last(), "{answer:?}");
}

#[track_caller]
fn assert_operates(session: Session, answer: &str, operation: Operation, purpose: Purpose) {
    let got = act(session, answer, &POLICY);
    assert_eq!(got, (Action::Operate(operation), Session::Waiting(purpose)), "{session:?} {answer:?}");
}

#[test]
fn the_menu_takes_numbers_and_words_in_any_case() {
    for answer in ["1", "deposit", "Deposit", "DEPOSIT", "  1\t"] {
        assert_shows(Session::Menu, answer, &[Screen::DepositPrompt], Session::Deposit);
    }
    for answer in ["2", "withdraw", "WithDraw"] {
        assert_operates(Session::Menu, answer, Operation::Inquiry, Purpose::PromptWithdrawal(None));
    }
    for answer in ["3", "balance", "BALANCE"] {
        assert_operates(Session::Menu, answer, Operation::Inquiry, Purpose::ShowBalance);
    }
}

#[test]
fn anything_else_at_the_menu_is_an_invalid_choice() {
    for answer in [
        "",
        "4",
        "0",
        "01",
        "1 40",
        "2 all",
        "3 x",
        "balance 1",
        "back",
        "all",
        "40",
        "exit now",
        "deposit40",
        "１",
    ] {
        assert_shows(Session::Menu, answer, &[Screen::InvalidChoice, Screen::Menu], Session::Menu);
    }
}

#[test]
fn a_deposit_takes_an_amount_or_back() {
    assert_operates(Session::Deposit, "40", Operation::Deposit(units(40)), Purpose::Deposit);
    assert_operates(Session::Deposit, " 40 ", Operation::Deposit(units(40)), Purpose::Deposit);
    assert_operates(Session::Deposit, "0040", Operation::Deposit(units(40)), Purpose::Deposit);
    assert_operates(Session::Deposit, "1000000", Operation::Deposit(Policy::LIMIT), Purpose::Deposit);
    assert_shows(Session::Deposit, "BACK", &[Screen::Menu], Session::Menu);
    // The words of a withdrawal and of the menu are not accepted here.
    for answer in ["all", "deposit", "balance", "deposit 40"] {
        assert_shows(
            Session::Deposit,
            answer,
            &[Screen::NotAnAmount, Screen::DepositPrompt],
            Session::Deposit,
        );
    }
}

#[test]
fn a_withdrawal_takes_an_amount_all_or_back() {
    assert_operates(withdrawing(), "40", Operation::Withdraw(units(40)), Purpose::Withdraw);
    assert_operates(withdrawing(), "ALL", Operation::WithdrawAll, Purpose::Withdraw);
    assert_shows(withdrawing(), "Back", &[Screen::Menu], Session::Menu);
    // The balance may have grown since it was shown: the ledger decides.
    assert_operates(withdrawing(), "101", Operation::Withdraw(units(101)), Purpose::Withdraw);
}

const NO_AMOUNTS: [&str; 21] = [
    "", "-1", "+1", "1_000", "1,000", "40.5", "40.", ".5", "4 0", "0x10", "1e3", "NaN", "inf", "٣", "４０",
    "४०", "²", "1\0", "$40", "forty", "--",
];

#[test]
fn an_invalid_amount_shows_the_reason_and_the_prompt_again() {
    let ask = Screen::WithdrawPrompt { balance: units(100) };
    let too_much = Screen::OverLimit { limit: Policy::LIMIT };
    let reasons = NO_AMOUNTS.map(|answer| (answer, Screen::NotAnAmount));
    for (answer, reason) in reasons.into_iter().chain([
        ("0", Screen::NotPositive),
        ("000", Screen::NotPositive),
        ("1000001", too_much),
        ("90071992547410", too_much),
        ("18446744073709551657", too_much),
        ("99999999999999999999999999999999999999999999999999", too_much),
    ]) {
        assert_shows(Session::Deposit, answer, &[reason, Screen::DepositPrompt], Session::Deposit);
        assert_shows(withdrawing(), answer, &[reason, ask], withdrawing());
    }
}

#[test]
fn the_menu_takes_an_amount_behind_a_word() {
    for answer in ["deposit 40", "DEPOSIT\t040", "deposit    40"] {
        assert_operates(Session::Menu, answer, Operation::Deposit(units(40)), Purpose::Deposit);
    }
    assert_operates(Session::Menu, "withdraw 40", Operation::Withdraw(units(40)), Purpose::Withdraw);
    assert_operates(Session::Menu, "withdraw All", Operation::WithdrawAll, Purpose::Withdraw);
    for answer in ["deposit back", "withdraw back"] {
        assert_shows(Session::Menu, answer, &[Screen::Menu], Session::Menu);
    }
}

#[test]
fn an_invalid_amount_at_the_menu_opens_the_prompt_for_the_amount() {
    let asked = [Screen::NotAnAmount, Screen::DepositPrompt];
    assert_shows(Session::Menu, "deposit all", &asked, Session::Deposit);
    assert_shows(Session::Menu, "deposit 4 0", &asked, Session::Deposit);
    assert_shows(Session::Menu, "deposit 0", &[Screen::NotPositive, Screen::DepositPrompt], Session::Deposit);
    // The withdrawal prompt shows the balance, which only the ledger knows.
    let reason = Purpose::PromptWithdrawal(Some(Screen::NotAnAmount));
    assert_operates(Session::Menu, "withdraw -1", Operation::Inquiry, reason);
}

#[test]
fn exit_ends_the_session_at_every_prompt() {
    for session in prompts() {
        for answer in ["exit", "EXIT", " Exit "] {
            let (shown, next) = act(session, answer, &POLICY);
            assert_eq!((shown, next), (Action::Show(screens([Screen::Goodbye])), Session::Ended));
            assert_eq!(next.prompt(), None);
        }
    }
}

#[test]
fn quit_stops_the_host_at_every_prompt_where_it_is_permitted() {
    let others = Policy { may_quit: false, ..POLICY };
    for session in prompts() {
        for answer in ["quit", "Quit"] {
            let stopped = (Action::Quit(screens([Screen::Stopping])), Session::Ended);
            assert_eq!(act(session, answer, &POLICY), stopped);
            let prompt = session.prompt().unwrap();
            let refused = (Action::Show(screens([Screen::QuitNotPermitted, prompt])), session);
            assert_eq!(act(session, answer, &others), refused);
        }
    }
}

#[test]
fn an_answer_of_65_bytes_is_too_long_at_every_prompt() {
    for session in prompts() {
        let prompt = session.prompt().unwrap();
        assert_shows(session, &"x".repeat(65), &[Screen::AnswerTooLong, prompt], session);
        assert_shows(session, &"é".repeat(33), &[Screen::AnswerTooLong, prompt], session);
    }
    // Blanks around it are trimmed, and 64 bytes are not too long.
    let padded = format!("{}{}{}", " ".repeat(40), "0".repeat(63), "7\r\n");
    assert_operates(Session::Deposit, &padded, Operation::Deposit(units(7)), Purpose::Deposit);
}

#[test]
fn the_policy_sets_the_limit() {
    let policy = Policy { limit: units(50), may_quit: false };
    let (shown, _) = act(Session::Menu, "deposit 51", &policy);
    let over = Screen::OverLimit { limit: units(50) };
    assert_eq!(shown, Action::Show(screens([over, Screen::DepositPrompt])));
    assert_eq!(act(Session::Deposit, "50", &policy).0, Action::Operate(Operation::Deposit(units(50))));
}

/// Asserts what is shown after an outcome, and the session then.
#[track_caller]
fn assert_outcome_shows(purpose: Purpose, outcome: Outcome, expected: &[Screen], next: Session) {
    let mut session = Session::Waiting(purpose);
    assert_eq!(&session.complete(outcome)[..], expected, "{purpose:?}");
    assert_eq!(session, next, "{purpose:?}");
    assert_eq!(next.prompt().as_ref(), expected.last(), "{purpose:?}");
}

#[test]
fn a_receipt_is_shown_with_the_balance_and_then_the_menu() {
    let (amount, balance) = (units(40), units(140));
    for (purpose, receipt, text) in [
        (Purpose::ShowBalance, Receipt::Balance { balance }, "Your balance is $140."),
        (
            Purpose::Deposit,
            Receipt::Deposited { amount, balance },
            "Amount deposited: $40. Your balance is $140.",
        ),
        (
            Purpose::Withdraw,
            Receipt::Withdrawn { amount, balance },
            "Amount withdrawn: $40. Your balance is $140.",
        ),
    ] {
        let outcome = Screen::Outcome(Outcome::Done(receipt));
        assert_outcome_shows(purpose, Outcome::Done(receipt), &[outcome, Screen::Menu], Session::Menu);
        assert_eq!(outcome.to_string(), text);
    }
}

#[test]
fn the_withdrawal_prompt_shows_the_balance() {
    let done = |balance| Outcome::Done(Receipt::Balance { balance });
    let ask = Screen::WithdrawPrompt { balance: units(100) };
    assert_outcome_shows(Purpose::PromptWithdrawal(None), done(units(100)), &[ask], withdrawing());
    let reason = Screen::NotAnAmount;
    assert_outcome_shows(
        Purpose::PromptWithdrawal(Some(reason)),
        done(units(100)),
        &[reason, ask],
        withdrawing(),
    );
    assert!(ask.to_string().contains("$100"));
}

#[test]
fn an_empty_balance_shows_a_notice_and_the_menu() {
    let zero = Outcome::Done(Receipt::Balance { balance: Amount::ZERO });
    assert_outcome_shows(
        Purpose::PromptWithdrawal(None),
        zero,
        &[Screen::NoFunds, Screen::Menu],
        Session::Menu,
    );
    // The same if the balance became empty after the prompt, or there was no prompt.
    let taken = Outcome::Refused(Refusal::Insufficient { balance: Amount::ZERO });
    assert_outcome_shows(Purpose::Withdraw, taken, &[Screen::Outcome(taken), Screen::Menu], Session::Menu);
    assert_eq!(Screen::Outcome(taken).to_string(), Screen::NoFunds.to_string());
}

#[test]
fn a_refusal_is_shown_before_the_prompt() {
    let much = Outcome::Refused(Refusal::Insufficient { balance: units(100) });
    let ask = Screen::WithdrawPrompt { balance: units(100) };
    assert_outcome_shows(Purpose::Withdraw, much, &[Screen::Outcome(much), ask], withdrawing());
    let full = Outcome::Refused(Refusal::BalanceLimit { balance: Amount::MAX });
    assert_outcome_shows(
        Purpose::Deposit,
        full,
        &[Screen::Outcome(full), Screen::DepositPrompt],
        Session::Deposit,
    );
    assert_ne!(Screen::Outcome(full).to_string(), Screen::OverLimit { limit: Policy::LIMIT }.to_string());
    for other in [
        Outcome::NotDone,
        Outcome::Unknown,
        Outcome::Refused(Refusal::Conflict),
        Outcome::Refused(Refusal::Full),
    ] {
        for purpose in [Purpose::Deposit, Purpose::Withdraw, Purpose::PromptWithdrawal(None)] {
            assert_outcome_shows(purpose, other, &[Screen::Outcome(other), Screen::Menu], Session::Menu);
        }
    }
}

/// Answers with a ledger behind the session: the screens shown, and the operation if there was one.
fn reply(
    session: &mut Session,
    ledger: &mut RamLedger<1>,
    answer: &str,
    policy: &Policy,
) -> (Screens, Option<Operation>) {
    match session.answer(&Answer::new(answer), policy) {
        Action::Show(screens) | Action::Quit(screens) => (screens, None),
        Action::Operate(operation) => {
            let request = Request {
                ticket: Ticket::default(),
                origin: Origin::Session(SessionId::new(1)),
                turn: 0,
                command: Command::Operate { id: 1, operation },
            };
            let Ok(Response::Settled { outcome, .. }) = ledger.apply(&request) else { panic!() };
            (session.complete(outcome), Some(operation))
        }
        #[cfg(feature = "cards")]
        Action::Card(request) => panic!("{request:?} without a card"),
    }
}

#[test]
fn a_whole_session() {
    let mut ledger = RamLedger::new(LedgerId(1), units(100));
    let mut session = Session::default();
    for (answer, text) in [
        ("1", "How much would you like to deposit? (whole units, or back)"),
        ("40", "Amount deposited: $40. Your balance is $140.\n\nWelcome"),
        ("2", "Balance: $140. How much would you like to withdraw?"),
        ("141", "There is not enough money: your balance is $140.\n\nBalance: $140."),
        ("all", "Amount withdrawn: $140. Your balance is $0.\n\nWelcome"),
        ("2", "There is nothing to withdraw: your balance is $0.\n\nWelcome"),
        ("withdraw 1", "There is nothing to withdraw: your balance is $0.\n\nWelcome"),
        ("withdraw x", "That is not an amount: type a whole number in digits.\n\nThere is nothing"),
        ("exit", "Goodbye."),
    ] {
        let (screens, _) = reply(&mut session, &mut ledger, answer, &POLICY);
        let shown = ScreenText(&screens).to_string();
        assert!(shown.starts_with(text), "{answer}: {shown}");
    }
    assert_eq!(session, Session::Ended);
}

/// Answers, valid or not.
fn answers() -> impl Strategy<Value = Vec<String>> {
    let menu =
        "1|2|3|deposit|withdraw|balance|back|all|BACK|All|quit|(deposit|withdraw) ([0-9]{1,4}|all|-1|back)";
    let amounts = "[0-9]{1,4}|0{0,9}[1-9]{1,8}|[0-9]{12,60}|[+-]?[0-9_,.]{1,5}";
    prop::collection::vec(
        prop_oneof![5 => menu, 4 => amounts, 1 => "[ -~é٣😀]{0,80}", 1 => "(exit){0,1}"],
        1..crate::few(60),
    )
}

proptest! {
    #[test]
    fn money_is_never_made_or_lost(
        answers in answers(),
        start in prop_oneof![0..30_000u64, Just(0), Just(Amount::MAX.minor())],
        limit in prop_oneof![Just(Policy::LIMIT), Just(units(500)), Just(Amount::MAX)],
    ) {
        let policy = Policy { limit, may_quit: false };
        let mut ledger = RamLedger::new(LedgerId(1), Amount::from_minor(start).unwrap());
        let mut session = Session::default();
        let mut balance = i128::from(start);
        for answer in answers {
            if session == Session::Ended {
                break;
            }
            let (screens, operation) = reply(&mut session, &mut ledger, &answer, &policy);

            // The model takes the operation from the session and the amounts from the screens.
            let outcome = screens.iter().find_map(|screen| match screen {
                Screen::Outcome(Outcome::Done(receipt)) => Some(*receipt),
                _ => None,
            });
            let most = i128::from(Amount::MAX.minor());
            let moved = match operation {
                Some(Operation::Deposit(amount)) => {
                    let more = i128::from(amount.minor());
                    prop_assert!(0 < more && amount <= limit);
                    if balance + more <= most { more } else { 0 }
                }
                Some(Operation::Withdraw(amount)) => {
                    let less = i128::from(amount.minor());
                    prop_assert!(0 < less && amount <= limit);
                    if less <= balance { -less } else { 0 }
                }
                Some(Operation::WithdrawAll) => -balance,
                Some(_) | None => 0,
            };
            balance += moved;
            prop_assert_eq!(i128::from(ledger.balance().minor()), balance, "{}", answer);
            match outcome {
                Some(Receipt::Deposited { amount, balance: now }) => {
                    prop_assert_eq!((i128::from(amount.minor()), i128::from(now.minor())), (moved, balance));
                }
                Some(Receipt::Withdrawn { amount, balance: now }) => {
                    prop_assert_eq!((-i128::from(amount.minor()), i128::from(now.minor())), (moved, balance));
                }
                Some(Receipt::Balance { balance: now }) => {
                    prop_assert_eq!(i128::from(now.minor()), balance);
                    prop_assert_eq!(moved, 0);
                }
                _ => prop_assert_eq!((moved, outcome), (0, None), "{} shows no receipt", answer),
            }

            // One reply: at least one screen, with one prompt at the end or none at all.
            prop_assert!(!screens.is_empty());
            let prompts = screens.iter().filter(|screen| screen.is_prompt()).count();
            prop_assert_eq!(prompts, usize::from(session != Session::Ended));
            prop_assert_eq!(session.prompt(), screens.last().copied().filter(Screen::is_prompt));
        }
    }
}

proptest! {
    #[test]
    fn an_answer_from_characters_equals_the_answer_from_text(text in "([ \t\na-z€]|   ){0,90}") {
        prop_assert_eq!(Answer::from_chars(text.chars()), Answer::new(&text));
    }
}
