//! Sessions on the text wires: requests written and replies parsed, on any cut, of this server and the
//! original one.
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

fn request(session: &mut TextSession<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    session.write_request(&mut out);
    out
}

const GREETING: &str = r#"{"seq":4,"input":true,"data":"Type a number or a word; exit ends the session, quit also stops the server."}"#;
const REPLY: &str = r#"{"seq":5,"re":4,"input":true,"data":"Your balance is $12.50.\n\nquit also stops the server.","outcome":"done","operation":"balance","balance":1250}"#;

#[test]
fn every_prompt_of_the_screens_is_recognised() {
    let balance = units(140);
    for (screen, prompt) in [
        (Screen::Menu, OpenPrompt::Menu),
        (Screen::DepositPrompt, OpenPrompt::Deposit),
        (Screen::WithdrawPrompt { balance }, OpenPrompt::Withdraw { balance: Some(balance) }),
    ] {
        assert_eq!(open_prompt(screen.to_string().as_bytes()), Some(prompt), "{screen}");
    }
    assert_eq!(open_prompt(b"Goodbye."), None);
}

#[test]
fn every_outcome_of_the_screens_is_parsed_from_its_text() {
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
        assert_eq!(outcome_in_text(text.as_bytes()), Some(expected), "{text}");
    }
    for screen in [Screen::Menu, Screen::DepositPrompt, Screen::Goodbye] {
        assert_eq!(outcome_in_text(screen.to_string().as_bytes()), None, "{screen}");
    }
}

#[test]
fn a_reply_is_parsed_however_it_is_cut() {
    for cut in 1..200 {
        let auditor = BalanceAuditor::default();
        auditor.set_initial(Amount::from_minor(1250).unwrap());
        let customer = Customer::new(&auditor, Mix::only(OperationKind::Balance), InputStyle::Menu, 1);
        let mut session = TextSession::json(customer);
        assert_eq!(session.receive(&framed(GREETING)), Ok(Received::Reply { completes_operation: false }));
        assert_eq!(request(&mut session), framed(r#"{"re":4,"data":"3"}"#));
        let reply = framed(REPLY);
        let mut received = Received::Incomplete;
        for piece in reply.chunks(cut) {
            assert_eq!(received, Received::Incomplete);
            received = session.receive(piece).unwrap();
        }
        assert_eq!(received, Received::Reply { completes_operation: true }, "{cut}");
        assert_eq!((auditor.checked(), auditor.violations().0), (1, 0));
        assert_eq!(request(&mut session), framed(r#"{"re":5,"data":"3"}"#));
    }
}

#[test]
fn a_message_that_is_not_the_reply_to_the_request_is_an_error() {
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
        let auditor = BalanceAuditor::default();
        let mut session = TextSession::json(Customer::new(
            &auditor,
            Mix::only(OperationKind::Balance),
            InputStyle::Menu,
            1,
        ));
        session.receive(&framed(GREETING)).unwrap();
        request(&mut session);
        assert!(session.receive(&framed(&reply)).is_err(), "{reply}");
    }
    let auditor = BalanceAuditor::default();
    let mut session =
        TextSession::json(Customer::new(&auditor, Mix::only(OperationKind::Balance), InputStyle::Menu, 1));
    assert!(session.receive(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    // A length in front of the object, on the raw wire.
    let mut session =
        TextSession::raw(Customer::new(&auditor, Mix::only(OperationKind::Balance), InputStyle::Menu, 1));
    assert!(session.receive(&framed(GREETING)).is_err());
}

#[test]
fn the_replies_of_the_original_program_are_parsed() {
    let menu = r#"{"input": true, "data": "Welcome to the ATM. What would you like to do?\n1. Deposit\n2. Withdraw\n3. Balance\n"}"#;
    let converse = |kind: OperationKind, replies: &[(&str, &[&str])]| {
        let auditor = BalanceAuditor::default();
        auditor.set_initial(units(100));
        let mut session = TextSession::raw(Customer::new(&auditor, Mix::only(kind), InputStyle::Menu, 1));
        assert_eq!(session.receive(menu.as_bytes()), Ok(Received::Reply { completes_operation: false }));
        for (typed, messages) in replies {
            let answer = String::from_utf8(request(&mut session)).unwrap();
            assert!(*typed == answer || *typed == "N", "{answer}");
            let number: u64 = answer.parse().unwrap_or(0);
            let mut received = Received::Incomplete;
            for message in *messages {
                assert_eq!(received, Received::Incomplete);
                let message = message
                    .replace("SUM", &(100 + number).to_string())
                    .replace("REST", &(100 - number).to_string());
                received = session.receive(message.as_bytes()).unwrap();
            }
            assert!(matches!(received, Received::Reply { .. }), "{messages:?}");
        }
        assert_eq!(auditor.violations(), (0, Vec::new()));
        (session.customer.counts, auditor.checked())
    };
    let shown = |data: &str, input: bool| format!(r#"{{"input": {input}, "data": "{data}"}}"#);
    let (counts, checked) = converse(
        OperationKind::Deposit,
        &[
            ("1", &[&shown("How much would you like to deposit?", true)]),
            ("N", &[&shown("Amount deposited. Your balance is $SUM", false), menu]),
        ],
    );
    assert_eq!((counts.deposits, checked), (1, 1));
    let question = shown("Your balance is $100. How much would you like to withdraw?", true);
    let (counts, checked) = converse(
        OperationKind::Withdrawal,
        &[("2", &[&question]), ("N", &[&shown("Amount withdrawn. Your balance is $REST", false), menu])],
    );
    assert_eq!((counts.withdrawals, checked), (1, 2));
    let (counts, _) =
        converse(OperationKind::Balance, &[("3", &[&shown("Your balance is $100", false), menu])]);
    assert_eq!(counts.balances, 1);
}
