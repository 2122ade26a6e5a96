//! What a server says on the text wires, and what a person makes of it.
use super::*;
use crate::{
    balance_auditor::BalanceAuditor,
    customer::InputStyle,
    mix::{Mix, OperationKind},
};
use atm_core::{
    ledger,
    screen::{Screen, ScreenText},
};

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn framed(body: &str) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body.as_bytes()].concat()
}

fn asked(dialogue: &mut TextSession<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    dialogue.ask(&mut out);
    out
}

const GREETING: &str = r#"{"seq":4,"input":true,"data":"Type a number or a word; exit ends the session, quit also stops the server."}"#;
const REPLY: &str = r#"{"seq":5,"re":4,"input":true,"data":"Your balance is $12.50.\n\nquit also stops the server.","outcome":"done","operation":"balance","balance":1250}"#;

#[test]
fn the_ends_of_prompts_are_those_of_the_screens() {
    let balance = units(140);
    for (screen, prompt) in [
        (Screen::Menu, OpenPrompt::Menu),
        (Screen::DepositPrompt, OpenPrompt::Deposit),
        (Screen::WithdrawPrompt { balance }, OpenPrompt::Withdraw { balance: Some(balance) }),
    ] {
        assert_eq!(at(screen.to_string().as_bytes()), Some(prompt), "{screen}");
    }
    assert_eq!(at(b"Goodbye."), None);
}

#[test]
fn outcomes_are_read_from_the_texts_of_the_screens() {
    use ledger::{Outcome as LedgerOutcome, Receipt, Refusal};
    let (amount, balance) = (units(40), Amount::from_minor(14_050).unwrap());
    for (outcome, expected) in [
        (LedgerOutcome::Done(Receipt::Balance { balance }), ReportedOutcome::Balance(balance)),
        (
            LedgerOutcome::Done(Receipt::Deposited { amount, balance }),
            ReportedOutcome::Moved(Movement::Deposit, Some(amount), balance),
        ),
        (
            LedgerOutcome::Done(Receipt::Withdrawn { amount, balance }),
            ReportedOutcome::Moved(Movement::Withdrawal, Some(amount), balance),
        ),
        (
            LedgerOutcome::Refused(Refusal::Insufficient { balance }),
            ReportedOutcome::Insufficient(Some(balance)),
        ),
        (
            LedgerOutcome::Refused(Refusal::Insufficient { balance: Amount::ZERO }),
            ReportedOutcome::Insufficient(Some(Amount::ZERO)),
        ),
        (
            LedgerOutcome::Refused(Refusal::BalanceLimit { balance }),
            ReportedOutcome::BalanceLimit(Some(balance)),
        ),
    ] {
        let text = ScreenText(&[Screen::Outcome(outcome), Screen::Menu]).to_string().replace('\n', "\\n");
        assert_eq!(shown(text.as_bytes()), Some(expected), "{text}");
    }
    for screen in [Screen::Menu, Screen::DepositPrompt, Screen::Goodbye] {
        assert_eq!(shown(screen.to_string().as_bytes()), None, "{screen}");
    }
}

#[test]
fn a_reply_is_the_same_however_it_is_cut() {
    for cut in 1..200 {
        let books = BalanceAuditor::default();
        books.open(Amount::from_minor(1250).unwrap());
        let person = Customer::new(&books, Mix::only(OperationKind::Balance), InputStyle::Menu, 1);
        let mut dialogue = TextSession::json(person);
        assert_eq!(dialogue.hear(&framed(GREETING)), Ok(Received::Reply { settles: false }));
        assert_eq!(asked(&mut dialogue), framed(r#"{"re":4,"data":"3"}"#));
        let reply = framed(REPLY);
        let mut heard = Received::More;
        for piece in reply.chunks(cut) {
            assert_eq!(heard, Received::More);
            heard = dialogue.hear(piece).unwrap();
        }
        assert_eq!(heard, Received::Reply { settles: true }, "{cut}");
        assert_eq!((books.checked(), books.faults().0), (1, 0));
        assert_eq!(asked(&mut dialogue), framed(r#"{"re":5,"data":"3"}"#));
    }
}

#[test]
fn what_is_no_reply_to_the_answer_ends_the_session() {
    for reply in [
        REPLY.replace("\"re\":4", "\"re\":3"),
        REPLY.replace("\"seq\":5", "\"seq\":4"),
        REPLY.replace("\"balance\",\"bal", "\"deposit\",\"bal"),
        REPLY.replace("\"done\"", "\"unknown\""),
        REPLY.replace("quit also", "quit"),
        GREETING.replace("{\"seq\":4", "{\"seq\":5,\"re\":4"),
        r#"{"input":false,"data":"The server is stopping. Goodbye.","end":true,"notice":"stopping"}"#
            .to_owned(),
        r#"{"input":false,"data":"The message is not JSON.","error":"not-json"}"#.to_owned(),
        "text".to_owned(),
    ] {
        let books = BalanceAuditor::default();
        let mut dialogue =
            TextSession::json(Customer::new(&books, Mix::only(OperationKind::Balance), InputStyle::Menu, 1));
        dialogue.hear(&framed(GREETING)).unwrap();
        asked(&mut dialogue);
        assert!(dialogue.hear(&framed(&reply)).is_err(), "{reply}");
    }
    let books = BalanceAuditor::default();
    let mut dialogue =
        TextSession::json(Customer::new(&books, Mix::only(OperationKind::Balance), InputStyle::Menu, 1));
    assert!(dialogue.hear(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    // The other text wire.
    let mut dialogue =
        TextSession::raw(Customer::new(&books, Mix::only(OperationKind::Balance), InputStyle::Menu, 1));
    assert!(dialogue.hear(&framed(GREETING)).is_err());
}

#[test]
fn the_program_that_this_one_replaces_is_understood() {
    let menu = r#"{"input": true, "data": "Welcome to the ATM. What would you like to do?\n1. Deposit\n2. Withdraw\n3. Balance\n"}"#;
    let talk = |wish: OperationKind, replies: &[(&str, &[&str])]| {
        let books = BalanceAuditor::default();
        books.open(units(100));
        let mut dialogue = TextSession::raw(Customer::new(&books, Mix::only(wish), InputStyle::Menu, 1));
        assert_eq!(dialogue.hear(menu.as_bytes()), Ok(Received::Reply { settles: false }));
        for (typed, said) in replies {
            let answer = String::from_utf8(asked(&mut dialogue)).unwrap();
            assert!(*typed == answer || *typed == "N", "{answer}");
            let number: u64 = answer.parse().unwrap_or(0);
            let mut heard = Received::More;
            for message in *said {
                assert_eq!(heard, Received::More);
                let message = message
                    .replace("SUM", &(100 + number).to_string())
                    .replace("REST", &(100 - number).to_string());
                heard = dialogue.hear(message.as_bytes()).unwrap();
            }
            assert!(matches!(heard, Received::Reply { .. }), "{said:?}");
        }
        assert_eq!(books.faults(), (0, Vec::new()));
        (dialogue.person.counts, books.checked())
    };
    let shown = |data: &str, input: bool| format!(r#"{{"input": {input}, "data": "{data}"}}"#);
    let (counts, checked) = talk(
        OperationKind::Deposit,
        &[
            ("1", &[&shown("How much would you like to deposit?", true)]),
            ("N", &[&shown("Amount deposited. Your balance is $SUM", false), menu]),
        ],
    );
    assert_eq!((counts.deposits, checked), (1, 1));
    let question = shown("Your balance is $100. How much would you like to withdraw?", true);
    let (counts, checked) = talk(
        OperationKind::Withdrawal,
        &[("2", &[&question]), ("N", &[&shown("Amount withdrawn. Your balance is $REST", false), menu])],
    );
    assert_eq!((counts.withdrawals, checked), (1, 2));
    let (counts, _) = talk(OperationKind::Balance, &[("3", &[&shown("Your balance is $100", false), menu])]);
    assert_eq!(counts.balances, 1);
}
