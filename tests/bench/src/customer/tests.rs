//! What a person makes of what they are told.
use super::*;

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// Somebody at the menu, who only wants this.
fn person(books: &BalanceAuditor, wish: OperationKind, manner: InputStyle) -> Customer<'_> {
    let mut person = Customer::new(books, Mix::only(wish), manner, 3);
    person.hear(&ParsedReply { at: OpenPrompt::Menu, outcome: None }).unwrap();
    person
}

/// What is typed next, and the amount in it.
fn typed(person: &mut Customer<'_>) -> (String, Amount) {
    let (mut text, mut amount) = (String::new(), 0);
    person.answer(|word, number| {
        amount = number.unwrap_or(0);
        text = format!("{word}{}", number.map(|number| number.to_string()).unwrap_or_default());
    });
    (text, units(amount))
}

fn faults(books: &BalanceAuditor) -> Vec<String> {
    books.faults().1
}

#[test]
fn what_was_refused_is_not_asked_for_again() {
    let books = BalanceAuditor::default();
    books.open(Amount::ZERO);
    let mut person = person(&books, OperationKind::Withdrawal, InputStyle::Words);
    let (text, _) = typed(&mut person);
    assert!(text.starts_with("withdraw "), "{text}");
    let told = ParsedReply {
        at: OpenPrompt::Withdraw { balance: None },
        outcome: Some(ReportedOutcome::Insufficient(Some(Amount::ZERO))),
    };
    assert_eq!(person.hear(&told), Ok(Received::Reply { settles: true }));
    assert_eq!(typed(&mut person).0, "back");
    assert_eq!(
        person.hear(&ParsedReply { at: OpenPrompt::Menu, outcome: None }),
        Ok(Received::Reply { settles: false })
    );
    assert!(typed(&mut person).0.starts_with("withdraw "));
    assert_eq!((person.counts.refused, person.counts.all(), faults(&books)), (1, 1, vec![]));
    assert_eq!(
        books.asked(Movement::Withdrawal) - books.done(Movement::Withdrawal),
        books.asked(Movement::Withdrawal)
    );
}

#[test]
fn an_empty_account_is_told_before_an_amount_is_asked_for() {
    for balance in [0, 5] {
        let books = BalanceAuditor::default();
        books.open(units(balance));
        let mut person = person(&books, OperationKind::Withdrawal, InputStyle::Menu);
        assert_eq!(typed(&mut person).0, "2");
        assert_eq!(
            person.hear(&ParsedReply { at: OpenPrompt::Menu, outcome: None }),
            Ok(Received::Reply { settles: true })
        );
        assert_eq!(faults(&books).len(), usize::from(balance > 0));
    }
}

#[test]
fn another_amount_than_was_asked_for_is_a_fault() {
    let books = BalanceAuditor::default();
    let mut person = person(&books, OperationKind::Deposit, InputStyle::Words);
    let (_, amount) = typed(&mut person);
    let more = amount.checked_add(units(1)).unwrap();
    let outcome = Some(ReportedOutcome::Moved(Movement::Deposit, Some(more), units(500)));
    person.hear(&ParsedReply { at: OpenPrompt::Menu, outcome }).unwrap();
    assert_eq!(faults(&books), [format!("{amount} was asked for, and {more} was moved")]);
}

#[test]
fn a_refusal_without_a_reason_is_a_fault() {
    let books = BalanceAuditor::default();
    let mut taker = person(&books, OperationKind::Withdrawal, InputStyle::Words);
    let (_, amount) = typed(&mut taker);
    let outcome = Some(ReportedOutcome::Insufficient(Some(amount)));
    taker.hear(&ParsedReply { at: OpenPrompt::Withdraw { balance: None }, outcome }).unwrap();
    assert_eq!(faults(&books).len(), 1, "there was just enough");
    let mut giver = person(&books, OperationKind::Deposit, InputStyle::Words);
    let (_, amount) = typed(&mut giver);
    for (held, wrong) in [(Amount::MAX, 1), (Amount::MAX.checked_sub(amount).unwrap(), 2)] {
        let outcome = Some(ReportedOutcome::BalanceLimit(Some(held)));
        giver.hear(&ParsedReply { at: OpenPrompt::Deposit, outcome }).unwrap();
        assert_eq!(faults(&books).len(), wrong, "{held}");
    }
}

#[test]
fn a_reply_to_something_else_ends_it() {
    let books = BalanceAuditor::default();
    let balance = units(7);
    for (wish, told) in [
        (OperationKind::Balance, ParsedReply { at: OpenPrompt::Menu, outcome: None }),
        (
            OperationKind::Balance,
            ParsedReply { at: OpenPrompt::Deposit, outcome: Some(ReportedOutcome::Balance(balance)) },
        ),
        (OperationKind::Deposit, ParsedReply { at: OpenPrompt::Menu, outcome: None }),
        (OperationKind::Deposit, ParsedReply { at: OpenPrompt::Withdraw { balance: None }, outcome: None }),
        (OperationKind::Withdrawal, ParsedReply { at: OpenPrompt::Deposit, outcome: None }),
        (
            OperationKind::Withdrawal,
            ParsedReply { at: OpenPrompt::Menu, outcome: Some(ReportedOutcome::Balance(balance)) },
        ),
    ] {
        let mut person = person(&books, wish, InputStyle::Menu);
        typed(&mut person);
        assert!(person.hear(&told).is_err(), "{wish:?}: {told:?}");
    }
}

#[test]
fn the_balance_is_asked_for_from_wherever_it_stands() {
    let books = BalanceAuditor::default();
    let mut person = person(&books, OperationKind::Deposit, InputStyle::Menu);
    assert_eq!(typed(&mut person).0, "1");
    person.hear(&ParsedReply { at: OpenPrompt::Deposit, outcome: None }).unwrap();
    person.ask_balance();
    assert_eq!(typed(&mut person).0, "back");
    person.hear(&ParsedReply { at: OpenPrompt::Menu, outcome: None }).unwrap();
    assert_eq!((typed(&mut person).0.as_str(), person.told()), ("3", None));
    person
        .hear(&ParsedReply { at: OpenPrompt::Menu, outcome: Some(ReportedOutcome::Balance(units(7))) })
        .unwrap();
    assert_eq!(person.told(), Some(units(7)));
    person.go_on();
    assert_eq!(typed(&mut person).0, "1");
}

#[test]
fn an_amount_over_the_limit_is_refused() {
    for (wish, way, at) in [
        (OperationKind::Deposit, Movement::Deposit, OpenPrompt::Deposit),
        (OperationKind::Withdrawal, Movement::Withdrawal, OpenPrompt::Withdraw { balance: None }),
    ] {
        let books = BalanceAuditor::default();
        books.open(units(1000));
        let mut person = person(&books, wish, InputStyle::Words);
        typed(&mut person);
        assert_eq!(person.hear(&ParsedReply { at, outcome: None }), Ok(Received::Reply { settles: true }));
        assert_eq!((typed(&mut person).0.as_str(), person.counts.refused), ("back", 1));
        assert_eq!(books.asked(way), 0, "it will be in no balance");
    }
}

#[test]
fn an_empty_account_is_told_before_an_amount_is_looked_at() {
    for (balance, fine) in [(0, true), (1, false), (500, false)] {
        let books = BalanceAuditor::default();
        books.open(units(balance));
        let mut person = person(&books, OperationKind::Withdrawal, InputStyle::Words);
        typed(&mut person);
        assert_eq!(person.hear(&ParsedReply { at: OpenPrompt::Menu, outcome: None }).is_ok(), fine);
        assert_eq!(person.counts.refused, u64::from(fine));
    }
}

#[test]
fn what_ends_a_session_is_told_in_words() {
    let books = BalanceAuditor::default();
    let mut worded = person(&books, OperationKind::Deposit, InputStyle::Words);
    typed(&mut worded);
    let SessionError(why) = worded.hear(&ParsedReply { at: OpenPrompt::Menu, outcome: None }).unwrap_err();
    assert!(why.contains("leave out --words"), "{why}");
    let mut other = person(&books, OperationKind::Balance, InputStyle::Menu);
    typed(&mut other);
    let outcome = Some(ReportedOutcome::Moved(Movement::Deposit, Some(units(3)), units(9)));
    let SessionError(why) = other.hear(&ParsedReply { at: OpenPrompt::Deposit, outcome }).unwrap_err();
    assert_eq!(
        why,
        "the choice of the balance was answered with a deposit of $3 and a balance of $9, at the question how much to deposit"
    );
}
