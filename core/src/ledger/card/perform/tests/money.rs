//! Transfers, limits, states of accounts and statements.
use super::*;

#[test]
fn a_transfer_changes_both_accounts_in_one_decision() {
    let mut bank = Bank::new();
    let access = bank.open("a", 0);
    let amount = cents(1_234);
    let balance = cents(50_000 - 1_234);
    let done = Outcome::Done(Receipt::Transferred { payee: BOB, amount, balance });
    assert_eq!(bank.operate(access, Operation::Transfer { payee: BOB, amount }), done);
    assert_eq!((bank.balance(ADA), bank.balance(BOB)), (balance, cents(50_000 + 1_234)));
    for (payee, amount, refusal) in [
        (ADA, amount, Refusal::SameAccount),
        (AccountNumber(10), amount, Refusal::NoPayee),
        (AccountNumber(0), amount, Refusal::NoPayee),
        (BOB, cents(50_000), Refusal::Insufficient { balance }),
    ] {
        let transfer = Operation::Transfer { payee, amount };
        assert_eq!(bank.operate(access, transfer), refused(refusal), "{payee:?}");
    }
    bank.ledger.account_mut(BOB).unwrap().account.balance = Amount::MAX;
    let transfer = Operation::Transfer { payee: BOB, amount };
    assert_eq!(bank.operate(access, transfer), refused(Refusal::NoPayee));
    for state in [AccountState::Frozen, AccountState::Closed] {
        bank.ledger.account_mut(BOB).unwrap().state = state;
        assert_eq!(bank.operate(access, transfer), refused(Refusal::NoPayee));
        assert_eq!(bank.operate(access, Operation::LookUp { payee: BOB }), refused(Refusal::NoPayee));
    }
}

#[test]
fn a_look_up_reports_the_initials_and_is_not_recorded() {
    let mut bank = Bank::new();
    let access = bank.open("a", 0);
    let done = bank.operate(access, Operation::Deposit(cents(1)));
    let id = bank.next;
    let owner = "Bob Bower".parse::<crate::ledger::card::Owner>().unwrap().initials();
    let payee = Outcome::Done(Receipt::Payee { payee: BOB, owner });
    assert_eq!(bank.operate(access, Operation::LookUp { payee: BOB }), payee);
    assert_eq!(bank.operate(access, Operation::LookUp { payee: ADA }), refused(Refusal::SameAccount));
    assert_eq!(bank.ask("a", Command::Settle { id }), Response::Settled { id, outcome: done });
}

#[test]
fn frozen_accounts_are_only_shown_and_closed_ones_are_not() {
    let mut bank = Bank::new();
    let access = bank.open("a", 0);
    let shows = [Operation::Inquiry];
    let moves = [
        Operation::Deposit(units(1)),
        Operation::Withdraw(units(1)),
        Operation::WithdrawAll,
        Operation::Transfer { payee: BOB, amount: units(1) },
        Operation::LookUp { payee: BOB },
    ];
    for (state, shown, moved) in [
        (AccountState::Frozen, None, Refusal::Frozen),
        (AccountState::Closed, Some(Refusal::Closed), Refusal::Closed),
    ] {
        bank.ledger.account_mut(ADA).unwrap().state = state;
        for operation in shows {
            let balance = units(500);
            let expected = shown.map_or(Outcome::Done(Receipt::Balance { balance }), Outcome::Refused);
            assert_eq!(bank.operate(access, operation), expected);
        }
        for operation in moves {
            assert_eq!(bank.operate(access, operation), refused(moved), "{operation:?}");
        }
        let (id, request) = (99, CardRequest::Operate { access, operation: Operation::Statement });
        let is_shown = matches!(bank.ask("a", Command::Card { id, request }), Response::Statement { .. });
        assert_eq!(is_shown, shown.is_none());
    }
}

#[test]
fn withdrawals_are_limited_each_and_a_day_and_all_is_in_whole_units() {
    let mut bank = Bank::new();
    let access = bank.open("a", 0);
    bank.operate(access, Operation::Deposit(cents(50)));
    let withdraw = |amount| Operation::Withdraw(units(amount));
    let (limit, left) = (units(200), units(100));
    assert_eq!(bank.operate(access, Operation::WithdrawAll), refused(Refusal::WithdrawalLimit { limit }));
    assert_eq!(bank.operate(access, withdraw(201)), refused(Refusal::WithdrawalLimit { limit }));
    assert!(matches!(bank.operate(access, withdraw(200)), Outcome::Done(_)));
    assert_eq!(bank.operate(access, withdraw(101)), refused(Refusal::DayLimit { left }));
    // The limit is of the card, whichever account it uses.
    let savings = Access { account: SAVINGS, ..access };
    assert_eq!(bank.operate(savings, withdraw(101)), refused(Refusal::DayLimit { left }));
    assert!(matches!(bank.operate(savings, withdraw(100)), Outcome::Done(_)));
    bank.wait(43_200_000);
    assert!(matches!(bank.operate(access, withdraw(200)), Outcome::Done(_)));
    // A refused withdrawal does not count.
    bank.operate(access, withdraw(150));
    let balance = cents(50);
    let (amount, all) = (units(100), bank.operate(access, Operation::WithdrawAll));
    assert_eq!(all, Outcome::Done(Receipt::Withdrawn { amount, balance }));
    assert_eq!(bank.operate(access, Operation::WithdrawAll), refused(Refusal::Insufficient { balance }));
}

/// Two hosts whose clocks are an hour apart share the store.
#[test]
fn the_limit_of_a_day_holds_at_midnight_with_clocks_an_hour_apart() {
    let mut bank = Bank::new();
    let access = bank.open("a", 0);
    let (day, hour) = (86_400_000, 3_600_000);
    let midnight = (NOON / day + 1) * day;
    let mut done = 0;
    for minute in 0..180 {
        for ahead in [0, hour] {
            bank.ledger.set_time(UnixTime::from_millis(midnight - 2 * hour + minute * 60_000 + ahead));
            bank.operate(access, Operation::Deposit(units(100)));
            let withdrawn = bank.operate(access, Operation::Withdraw(units(100)));
            done += u32::from(matches!(withdrawn, Outcome::Done(_)));
        }
    }
    // 300 on the day before midnight and 300 after it, which begins by the clock that is ahead.
    assert_eq!(done, 6);
}

#[test]
fn a_statement_has_the_last_five_movements_of_the_account() {
    let mut bank = Bank::new();
    let (access, bob) = (bank.open("a", 0), bank.open("b", 1));
    for amount in 1..=3 {
        bank.operate(access, Operation::Deposit(units(amount)));
    }
    bank.operate(access, Operation::Withdraw(units(100)));
    bank.operate(access, Operation::Transfer { payee: BOB, amount: units(20) });
    bank.operate(bob, Operation::Transfer { payee: ADA, amount: units(5) });
    let request = CardRequest::Operate { access, operation: Operation::Statement };
    let Response::Statement { id: 99, statement } = bank.ask("a", Command::Card { id: 99, request }) else {
        panic!("no statement");
    };
    let lines: Vec<_> =
        statement.lines().map(|line| (line.kind, line.amount.units(), line.balance.units())).collect();
    let expected = [
        (Kind::TransferIn, 5, 391),
        (Kind::TransferOut, 20, 386),
        (Kind::Withdrawal, 100, 406),
        (Kind::Deposit, 3, 506),
        (Kind::Deposit, 2, 503),
    ];
    assert_eq!(lines, expected);
}
