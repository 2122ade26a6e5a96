//! Tests of operations of the command line: their words, their answers, and what confirms their outcome.
use super::*;
use atm_core::{ledger::Refusal, money::Amount};

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

#[test]
fn the_words_of_a_command_line_are_an_operation() {
    let parse = |line: &str, by_card| {
        Operation::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), by_card)
    };
    for line in ["balance", "deposit 40", "withdraw 30", "withdraw all", "deposit 0"] {
        assert_eq!(parse(line, false).unwrap().answers(), [line]);
        assert_eq!(parse(line, true).unwrap().answers(), [line]);
    }
    for (line, answers) in [
        ("deposit 12.34", &["deposit 12.34"][..]),
        ("deposit 12.00", &["deposit 12"]),
        ("statement", &["statement"]),
        ("transfer 8 0.05", &["transfer", "8", "0.05", "yes"]),
    ] {
        assert_eq!(parse(line, true).unwrap().answers(), answers);
        assert!(parse(line, false).is_err(), "{line}");
    }
    for line in [
        "withdraw 12.34",
        "deposit 12.3",
        "deposit .5",
        "deposit 1.+5",
        "transfer 8",
        "transfer 0 1",
        "transfer x 1",
    ] {
        assert!(parse(line, true).is_err(), "{line}");
    }
    for line in
        ["", "deposit", "deposit all", "deposit -1", "deposit 40.00", "Balance 3", "balance 3", "exit"]
    {
        assert!(parse(line, false).is_err(), "{line}");
    }
}

#[test]
fn an_earlier_request_of_the_same_card_is_known_by_its_text() {
    let transfer = Operation::Transfer { payee: AccountNumber(8), amount: Sum { units: 12, cents: 34 } };
    for (operation, earlier, same) in [
        (Operation::Withdraw(40), "Amount withdrawn: $40. Your balance is $60.", true),
        (Operation::Withdraw(4), "Amount withdrawn: $40. Your balance is $60.", false),
        (Operation::Withdraw(40), "Amount deposited: $40. Your balance is $60.", false),
        (Operation::WithdrawAll, "Amount withdrawn: $40. Your balance is $0.", true),
        (Operation::WithdrawAll, "Amount withdrawn: $40. Your balance is $0.34.", true),
        (Operation::WithdrawAll, "Amount withdrawn: $40. Your balance is $60.", false),
        (Operation::WithdrawAll, "Amount withdrawn: $40. Your balance is $60.34.", false),
        (transfer, "Amount transferred: $12.34 to account 8. Your balance is $60.", true),
        (transfer, "Amount transferred: $12.34 to account 80. Your balance is $60.", false),
        (Operation::Balance, "Your balance is $60.", false),
    ] {
        let text = format!("{EARLIER}{earlier}\n\nWhat would you like to do?");
        assert_eq!(operation.was_done_by(&text), same, "{operation:?} {earlier}");
        assert!(!operation.was_done_by(earlier), "without the words before");
    }
}

#[test]
fn the_answers_of_a_card_come_first() {
    let one_shot = OneShot {
        operation: Operation::Transfer { payee: AccountNumber(8), amount: Sum { units: 12, cents: 0 } },
        json: false,
        pending: None,
        by_card: true,
        account: Some(AccountNumber(7)),
    };
    let lines = one_shot.lines("4111\n2580\n");
    assert_eq!(*lines, "4111\n2580\n7\ntransfer\n8\n12\nyes");
    let count = one_shot.sign_in_answers() + one_shot.operation.answer_count();
    assert_eq!((count, lines.capacity()), (lines.lines().count(), lines.len()));
    let plain = OneShot { operation: Operation::Balance, by_card: false, account: None, ..one_shot };
    assert_eq!((plain.lines("").as_str(), plain.sign_in_answers()), ("balance", 0));
}

#[test]
fn the_same_movement_of_money_is_a_repetition() {
    let deposited = |amount| Outcome::Done(Receipt::Deposited { amount, balance: units(140) });
    let withdrawn = |amount, balance| Outcome::Done(Receipt::Withdrawn { amount, balance: units(balance) });
    let cents = Amount::from_minor(34).unwrap();
    let cents_left = Outcome::Done(Receipt::Withdrawn { amount: units(40), balance: cents });
    for (operation, outcome, same) in [
        (Operation::Deposit(Sum { units: 40, cents: 0 }), deposited(units(40)), true),
        (Operation::Deposit(Sum { units: 40, cents: 0 }), deposited(units(41)), false),
        (Operation::Deposit(Sum { units: 40, cents: 0 }), withdrawn(units(40), 1), false),
        (Operation::Deposit(Sum { units: 40, cents: 0 }), Outcome::NotDone, false),
        (Operation::Withdraw(40), withdrawn(units(40), 1), true),
        (Operation::WithdrawAll, withdrawn(units(40), 0), true),
        (Operation::WithdrawAll, withdrawn(units(40), 1), false),
        (Operation::WithdrawAll, cents_left, true),
        (Operation::Balance, Outcome::Done(Receipt::Balance { balance: units(1) }), false),
    ] {
        assert_eq!(operation.is_done_by(outcome), same, "{operation:?} {outcome:?}");
    }
}

#[test]
fn a_reply_of_another_host_confirms_nothing() {
    let deposit = Operation::Deposit(Sum { units: 40, cents: 0 });
    assert!(deposit.is_confirmed_by(None, "Amount deposited: $40. Your balance is $140."));
    assert!(!deposit.is_confirmed_by(None, "Invalid choice") && !deposit.is_confirmed_by(None, ""));
    assert!(!deposit.is_confirmed_by(Some(Outcome::NotDone), "Amount deposited: $40."));
    let confirms =
        |operation: Operation, receipt| operation.is_confirmed_by(Some(Outcome::Done(receipt)), "");
    let (balance, amount) = (units(140), units(40));
    assert!(confirms(Operation::Balance, Receipt::Balance { balance }));
    assert!(!confirms(deposit, Receipt::Balance { balance }));
    assert!(confirms(deposit, Receipt::Deposited { amount, balance }));
    assert!(!confirms(deposit, Receipt::Deposited { amount: units(41), balance }));
    assert!(!confirms(deposit, Receipt::Withdrawn { amount, balance }));
}

#[test]
fn a_result_is_one_json_object() {
    let message = |outcome| ReceivedMessage { outcome: Some(outcome), re: Some(7), ..Default::default() };
    let done = message(Outcome::Done(Receipt::Withdrawn { amount: units(40), balance: units(100) }));
    assert_eq!(
        json(Operation::WithdrawAll, Exit::Done, &done, "a \"b\"\n\u{1f600}", true),
        r#"{"operation":"withdrawal","outcome":"done","amount":4000,"balance":10000,"id":7,"earlier":true,"text":"a \"b\"\u000a\ud83d\ude00"}"#
    );
    let refused = message(Outcome::Refused(Refusal::Insufficient { balance: units(1) }));
    assert_eq!(
        json(Operation::Withdraw(9), Exit::Refused, &refused, "", false),
        r#"{"operation":"withdrawal","outcome":"refused","balance":100,"reason":"insufficient","id":7}"#
    );
    assert_eq!(
        json(
            Operation::Deposit(Sum { units: 9, cents: 0 }),
            Exit::Unknown,
            &ReceivedMessage::default(),
            "",
            false
        ),
        r#"{"operation":"deposit","outcome":"unknown"}"#
    );
}
