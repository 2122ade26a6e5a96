//! How a customer checks replies and chooses inputs.
use super::*;

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// A customer at the menu who requests operations of one kind.
fn customer(auditor: &BalanceAuditor, kind: OperationKind, input_style: InputStyle) -> Customer<'_> {
    let mut customer = Customer::new(auditor, Mix::only(kind), input_style, 3);
    customer.receive(&ParsedReply { prompt: OpenPrompt::Menu, outcome: None }).unwrap();
    customer
}

/// The next input, and the amount in it.
fn input(customer: &mut Customer<'_>) -> (String, Amount) {
    let (mut text, mut amount) = (String::new(), 0);
    customer.write_input(|word, number| {
        amount = number.unwrap_or(0);
        text = format!("{word}{}", number.map(|number| number.to_string()).unwrap_or_default());
    });
    (text, units(amount))
}

fn violations(auditor: &BalanceAuditor) -> Vec<String> {
    auditor.violations().1
}

#[test]
fn a_customer_goes_back_after_a_refusal() {
    let auditor = BalanceAuditor::default();
    auditor.set_initial(Amount::ZERO);
    let mut customer = customer(&auditor, OperationKind::Withdrawal, InputStyle::Words);
    let (text, _) = input(&mut customer);
    assert!(text.starts_with("withdraw "), "{text}");
    let reply = ParsedReply {
        prompt: OpenPrompt::Withdraw { balance: None },
        outcome: Some(ReportedOutcome::Insufficient(Some(Amount::ZERO))),
    };
    assert_eq!(customer.receive(&reply), Ok(Received::Reply { completes_operation: true }));
    assert_eq!(input(&mut customer).0, "back");
    assert_eq!(
        customer.receive(&ParsedReply { prompt: OpenPrompt::Menu, outcome: None }),
        Ok(Received::Reply { completes_operation: false })
    );
    assert!(input(&mut customer).0.starts_with("withdraw "));
    assert_eq!((customer.counts.refused, customer.counts.total(), violations(&auditor)), (1, 1, vec![]));
    assert_eq!(auditor.acknowledged(Movement::Withdrawal), 0);
}

#[test]
fn a_return_to_the_menu_is_valid_only_with_an_empty_account() {
    for balance in [0, 5] {
        let auditor = BalanceAuditor::default();
        auditor.set_initial(units(balance));
        let mut customer = customer(&auditor, OperationKind::Withdrawal, InputStyle::Menu);
        assert_eq!(input(&mut customer).0, "2");
        assert_eq!(
            customer.receive(&ParsedReply { prompt: OpenPrompt::Menu, outcome: None }),
            Ok(Received::Reply { completes_operation: true })
        );
        assert_eq!(violations(&auditor).len(), usize::from(balance > 0));
    }
}

#[test]
fn another_amount_than_requested_is_a_violation() {
    let auditor = BalanceAuditor::default();
    let mut customer = customer(&auditor, OperationKind::Deposit, InputStyle::Words);
    let (_, amount) = input(&mut customer);
    let more = amount.checked_add(units(1)).unwrap();
    let outcome = Some(ReportedOutcome::Moved(Movement::Deposit, Some(more), units(500)));
    customer.receive(&ParsedReply { prompt: OpenPrompt::Menu, outcome }).unwrap();
    assert_eq!(violations(&auditor), [format!("{amount} was requested, but {more} was moved")]);
}

#[test]
fn an_unjustified_refusal_is_a_violation() {
    let auditor = BalanceAuditor::default();
    let mut withdrawing = customer(&auditor, OperationKind::Withdrawal, InputStyle::Words);
    let (_, amount) = input(&mut withdrawing);
    let outcome = Some(ReportedOutcome::Insufficient(Some(amount)));
    withdrawing.receive(&ParsedReply { prompt: OpenPrompt::Withdraw { balance: None }, outcome }).unwrap();
    assert_eq!(violations(&auditor).len(), 1, "the balance was exactly enough");
    let mut depositing = customer(&auditor, OperationKind::Deposit, InputStyle::Words);
    let (_, amount) = input(&mut depositing);
    for (held, wrong) in [(Amount::MAX, 1), (Amount::MAX.checked_sub(amount).unwrap(), 2)] {
        let outcome = Some(ReportedOutcome::BalanceLimit(Some(held)));
        depositing.receive(&ParsedReply { prompt: OpenPrompt::Deposit, outcome }).unwrap();
        assert_eq!(violations(&auditor).len(), wrong, "{held}");
    }
}

#[test]
fn a_reply_to_another_input_is_an_error() {
    let auditor = BalanceAuditor::default();
    let balance = units(7);
    for (kind, reply) in [
        (OperationKind::Balance, ParsedReply { prompt: OpenPrompt::Menu, outcome: None }),
        (
            OperationKind::Balance,
            ParsedReply { prompt: OpenPrompt::Deposit, outcome: Some(ReportedOutcome::Balance(balance)) },
        ),
        (OperationKind::Deposit, ParsedReply { prompt: OpenPrompt::Menu, outcome: None }),
        (
            OperationKind::Deposit,
            ParsedReply { prompt: OpenPrompt::Withdraw { balance: None }, outcome: None },
        ),
        (OperationKind::Withdrawal, ParsedReply { prompt: OpenPrompt::Deposit, outcome: None }),
        (
            OperationKind::Withdrawal,
            ParsedReply { prompt: OpenPrompt::Menu, outcome: Some(ReportedOutcome::Balance(balance)) },
        ),
    ] {
        let mut customer = customer(&auditor, kind, InputStyle::Menu);
        input(&mut customer);
        assert!(customer.receive(&reply).is_err(), "{kind:?}: {reply:?}");
    }
}

#[test]
fn a_balance_query_first_returns_to_the_menu() {
    let auditor = BalanceAuditor::default();
    let mut customer = customer(&auditor, OperationKind::Deposit, InputStyle::Menu);
    assert_eq!(input(&mut customer).0, "1");
    customer.receive(&ParsedReply { prompt: OpenPrompt::Deposit, outcome: None }).unwrap();
    customer.start_balance_query();
    assert_eq!(input(&mut customer).0, "back");
    customer.receive(&ParsedReply { prompt: OpenPrompt::Menu, outcome: None }).unwrap();
    assert_eq!((input(&mut customer).0.as_str(), customer.queried_balance()), ("3", None));
    customer
        .receive(&ParsedReply { prompt: OpenPrompt::Menu, outcome: Some(ReportedOutcome::Balance(units(7))) })
        .unwrap();
    assert_eq!(customer.queried_balance(), Some(units(7)));
    customer.end_balance_query();
    assert_eq!(input(&mut customer).0, "1");
}

#[test]
fn a_second_prompt_for_the_amount_is_a_refusal() {
    for (kind, movement, prompt) in [
        (OperationKind::Deposit, Movement::Deposit, OpenPrompt::Deposit),
        (OperationKind::Withdrawal, Movement::Withdrawal, OpenPrompt::Withdraw { balance: None }),
    ] {
        let auditor = BalanceAuditor::default();
        auditor.set_initial(units(1000));
        let mut customer = customer(&auditor, kind, InputStyle::Words);
        input(&mut customer);
        assert_eq!(
            customer.receive(&ParsedReply { prompt, outcome: None }),
            Ok(Received::Reply { completes_operation: true })
        );
        assert_eq!((input(&mut customer).0.as_str(), customer.counts.refused), ("back", 1));
        assert_eq!(auditor.requested(movement), 0, "a refused movement is in no balance");
    }
}

#[test]
fn a_withdrawal_in_words_returns_to_the_menu_only_with_an_empty_account() {
    for (balance, valid) in [(0, true), (1, false), (500, false)] {
        let auditor = BalanceAuditor::default();
        auditor.set_initial(units(balance));
        let mut customer = customer(&auditor, OperationKind::Withdrawal, InputStyle::Words);
        input(&mut customer);
        assert_eq!(customer.receive(&ParsedReply { prompt: OpenPrompt::Menu, outcome: None }).is_ok(), valid);
        assert_eq!(customer.counts.refused, u64::from(valid));
    }
}

#[test]
fn an_error_says_what_was_sent_and_received() {
    let auditor = BalanceAuditor::default();
    let mut first = customer(&auditor, OperationKind::Deposit, InputStyle::Words);
    input(&mut first);
    let SessionError(why) =
        first.receive(&ParsedReply { prompt: OpenPrompt::Menu, outcome: None }).unwrap_err();
    assert!(why.contains("leave out --words"), "{why}");
    let mut other = customer(&auditor, OperationKind::Balance, InputStyle::Menu);
    input(&mut other);
    let outcome = Some(ReportedOutcome::Moved(Movement::Deposit, Some(units(3)), units(9)));
    let SessionError(why) = other.receive(&ParsedReply { prompt: OpenPrompt::Deposit, outcome }).unwrap_err();
    assert_eq!(
        why,
        "the choice of the balance was answered with a deposit of $3 and a balance of $9, at the prompt for the amount of a deposit"
    );
}
