//! Verification of a ledger of cards: whatever was changed by hand is found.
use super::*;
use crate::ledger::{card_order::CardOrder, reader::Reader, tests::audit::hash_anew};

/// A ledger of cards with every kind of entry and of change in a row.
fn used() -> TempDir {
    let folder = two_accounts();
    let mut bank = Bank::open(folder.path(), LIMITS, |sqlite| sqlite);
    let [mut a, mut b] = [0, 1].map(|card| Session::begin(&mut bank, ["a", "b"][card], card));
    for request in [
        a.operation(Operation::Deposit(units(5))),
        a.operation(Operation::Withdraw(units(100))),
        a.operation(Operation::Withdraw(units(201))),
        a.operation(Operation::WithdrawAll),
        a.operation(transfer(8, 100)),
        a.operation(transfer(9, 100)),
        a.operation(transfer(7, 100)),
        b.operation(transfer(7, 1_000_000)),
        b.operation(Operation::Deposit(Amount::MAX)),
        b.request(verification(1, "1379")),
        b.request(verification(1, "2580")),
        a.change_of_pin("1379", "2580"),
        a.request(verification(2, "1379")),
    ] {
        bank.set_time(bank.clock.load(Ordering::Relaxed) + 500);
        bank.apply(&request).unwrap();
    }
    bank.set_time(NOON + 1_000_000);
    for request in [
        a.change_of_pin("2580", "1379"),
        a.operation(Operation::Inquiry),
        a.operation(Operation::Deposit(units(1))),
        b.request(verification(2, "1379")),
        named("a", a.turn, Command::Operate { id: a.next, operation: Operation::Deposit(units(1)) }),
        named("a", a.turn, Command::Settle { id: a.next + 1 }),
    ] {
        bank.apply(&request).unwrap();
    }
    // Orders beside the open ledger.
    let mut operator = Operator::open(folder.path(), 3).unwrap();
    let time = UnixTime::from_millis(bank.clock.load(Ordering::Relaxed));
    let third = AccountNumber(9);
    operator.open_account(Some(third), "Eve, \"50%\" Öberg".parse().unwrap(), Amount::ZERO, time).unwrap();
    let card = new_card(2, third);
    operator.issue(&Claim::of(card.token), &card, time).unwrap();
    operator.order_account(AccountNumber(7), AccountOrder::Freeze, time).unwrap();
    operator.order_account(AccountNumber(7), AccountOrder::Unfreeze, time).unwrap();
    operator.order_account(AccountNumber(8), AccountOrder::Freeze, time).unwrap();
    let mut c = Session::begin(&mut bank, "c", 2);
    operator.order_account(third, AccountOrder::Close, time).unwrap();
    for request in [
        b.operation(Operation::Deposit(units(1))),
        c.operation(Operation::Deposit(units(1))),
        c.operation(transfer(8, 0)),
    ] {
        bank.apply(&request).unwrap();
    }
    for order in [CardOrder::Block, CardOrder::Unblock, CardOrder::SetPin(card.verifier)] {
        operator.order_card(1, |_| Ok(order), time).unwrap();
    }
    bank.apply(&a.operation(Operation::Deposit(units(1)))).unwrap();
    drop(bank);
    folder
}

#[test]
fn every_change_of_the_tables_of_cards_is_found() {
    let folder = used();
    let reasons = "SELECT group_concat(DISTINCT reason ORDER BY reason) FROM entries";
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    let found: String = connection.query_row(reasons, [], |row| row.get(0)).unwrap();
    let all = "balance-limit,closed,delayed,frozen,insufficient,no-access,no-payee,not-verified,same-account,withdrawal-limit";
    assert_eq!(found, all);
    let overview = checked(folder.path());
    assert_eq!(overview.accounts.count, 4);
    for (found, change) in [
        ("account 7 is", "UPDATE accounts SET balance = balance + 1 WHERE account = 7"),
        ("account 8 is", "UPDATE accounts SET version = version + 1 WHERE account = 8"),
        ("account 8 is", "UPDATE accounts SET owner = 'Eve' WHERE account = 8"),
        ("account 7 is", "UPDATE accounts SET owner = NULL WHERE account = 7"),
        ("account 1 is", "UPDATE accounts SET owner = 'Eve' WHERE account = 1"),
        ("account 8 is", "UPDATE accounts SET state = 'open' WHERE account = 8"),
        ("account 7 is", "UPDATE accounts SET state = 'frozen' WHERE account = 7"),
        ("account 9 is", "UPDATE accounts SET owner = 'Eve' WHERE account = 9"),
        ("the row of account 8 is not one", "UPDATE accounts SET state = 'gone' WHERE account = 8"),
        ("the list of accounts", "DELETE FROM accounts WHERE account = 8"),
        ("the list of accounts", "INSERT INTO accounts VALUES (10, 0, 1, 'Eve', 'open')"),
        ("card 2 is", "UPDATE cards SET tries = 0 WHERE card = 2"),
        ("card 2 is", "UPDATE cards SET refusals = refusals - 1 WHERE card = 2"),
        ("card 2 is", "UPDATE cards SET blocked = 1 WHERE card = 2"),
        ("card 1 is", "UPDATE cards SET version = 0 WHERE card = 1"),
        ("card 1 is", "UPDATE cards SET day = 0 WHERE card = 1"),
        ("card 1 is", "UPDATE cards SET withdrawn = 0 WHERE card = 1"),
        ("card 1 is", "UPDATE cards SET accounts = '7 8' WHERE card = 1"),
        ("card 0 is", "UPDATE cards SET tries = 0 WHERE card = 0"),
        // A thief's number and PIN open another's card.
        (
            "card 1 has another token",
            "CREATE TEMP TABLE old AS SELECT * FROM cards; UPDATE cards SET token = NULL WHERE card > 0;
             UPDATE cards SET (token, verifier, last_four) = (SELECT token, verifier, last_four FROM old
             WHERE old.card = 3 - cards.card) WHERE card IN (1, 2);
             UPDATE cards SET token = (SELECT token FROM old WHERE old.card = 3) WHERE card = 3",
        ),
        // A PIN that was changed is the former one again.
        (
            "card 1 has another token",
            "UPDATE cards SET verifier = replace(verifier, 'a', 'b') WHERE card = 1",
        ),
        ("card 1 has another token", "UPDATE cards SET last_four = '0000' WHERE card = 1"),
        ("the row of card 1 is not one", "UPDATE cards SET token = 'x' WHERE card = 1"),
        ("the row of card 0 is not one", "UPDATE cards SET token = 'x' WHERE card = 0"),
        ("the count of cards", "DELETE FROM cards WHERE card = 2"),
        (
            "card 4 has no entry",
            "INSERT INTO cards SELECT 4, '0000000000000001:00000000000000000000000000000000', verifier, \
           last_four, accounts, 0, 0, 0, 0, 0, 0 FROM cards WHERE card = 1",
        ),
        ("the row of terminal b", "UPDATE terminals SET delay_until = 0 WHERE terminal = 'b'"),
        ("the row of terminal b", "UPDATE terminals SET delay_length = 1 WHERE terminal = 'b'"),
        ("the row of terminal b", "UPDATE terminals SET last_card = NULL WHERE terminal = 'b'"),
    ] {
        let copy = TempDir::new().unwrap();
        let path = copy.path().join(FILE);
        connection.execute("VACUUM INTO ?", [path.to_str().unwrap()]).unwrap();
        Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let report = Reader::open_file(&path).unwrap().verify(&mut |_| {}).unwrap();
        assert!(report.faults.iter().any(|fault| fault.contains(found)), "{change}: {:?}", report.faults);
    }
}

#[test]
fn entries_of_cards_that_were_written_anew_with_their_hashes_are_found() {
    let folder = used();
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    let own = "is not the one that its request gives";
    for (found, change) in [
        (own, "UPDATE entries SET card = 2 WHERE operation = 'transfer' AND kind = 'done' AND account = 7"),
        (
            own,
            "UPDATE entries SET amount = 99 WHERE operation = 'transfer' AND kind = 'done' AND account = 7",
        ),
        (own, "UPDATE entries SET payee_balance = 1 WHERE payee_version = 2"),
        (own, "UPDATE entries SET payee_version = NULL, payee_balance = NULL WHERE payee_version = 2"),
        (own, "UPDATE entries SET credit = 'account:9' WHERE payee_version = 2"),
        (own, "UPDATE entries SET reason = 'insufficient' WHERE reason = 'no-payee'"),
        (own, "UPDATE entries SET detail = 100000 WHERE reason = 'withdrawal-limit'"),
        (own, "UPDATE entries SET detail = detail + 1 WHERE reason = 'delayed'"),
        (own, "UPDATE entries SET detail = 1 WHERE operation = 'verification' AND kind = 'done'"),
        // A PIN was right while another card's token and verifier were in the row.
        (
            "has the token or the verifier of another card",
            "UPDATE entries SET digest = substr(digest, 1, 4) || '0123456789ab'
             WHERE operation = 'verification' AND kind = 'done'",
        ),
        (
            own,
            "UPDATE entries SET kind = 'done', reason = NULL WHERE operation = 'verification' AND card = 0",
        ),
        ("card 2 is", "UPDATE entries SET card = 1 WHERE reason = 'not-verified' AND card = 2"),
        ("a card that was not issued", "UPDATE entries SET card = 9 WHERE operation = 'transfer'"),
        (own, "UPDATE entries SET amount = 99 WHERE kind = 'opened' AND account = 8"),
        ("account 8 is", "UPDATE entries SET owner = 'Eve' WHERE kind = 'opened' AND account = 8"),
        ("card 1 is", "UPDATE entries SET accounts = '7 8' WHERE kind = 'issued' AND card = 1"),
        ("in another state", "UPDATE entries SET accounts = '1' WHERE kind = 'issued' AND card = 1"),
        ("in another state", "UPDATE entries SET account = 7 WHERE kind = 'opened' AND account = 8"),
        ("in another state", "UPDATE entries SET kind = 'unfrozen' WHERE kind = 'frozen' AND account = 8"),
        ("in another state", "UPDATE entries SET kind = 'unblocked' WHERE kind = 'blocked'"),
        ("card 1 is", "UPDATE entries SET card = 3 WHERE kind = 'pin-set'"),
        ("is for no account", "UPDATE entries SET account = 10 WHERE kind = 'closed'"),
        ("is for no account", "UPDATE entries SET account = 1 WHERE kind = 'frozen' AND account = 7"),
        ("the next card's number", "UPDATE entries SET card = 3 WHERE kind = 'issued' AND card = 2"),
        (
            "is for no card",
            "UPDATE entries SET kind = 'blocked', card = 0, accounts = NULL WHERE kind = 'issued' AND card = 2",
        ),
    ] {
        let copy = TempDir::new().unwrap();
        let path = copy.path().join(FILE);
        connection.execute("VACUUM INTO ?", [path.to_str().unwrap()]).unwrap();
        let changed = Connection::open(&path).unwrap();
        changed.execute_batch(change).unwrap();
        hash_anew(&changed, &Reader::open_file(&path).unwrap());
        let report = Reader::open_file(&path).unwrap().verify(&mut |_| {}).unwrap();
        assert!(report.faults.iter().any(|fault| fault.contains(found)), "{change}: {:?}", report.faults);
    }
}

#[test]
fn delays_follow_from_the_entries_also_with_a_clock_that_jumps() {
    let folder = two_accounts();
    let mut bank = Bank::open(folder.path(), LIMITS, |sqlite| sqlite);
    let mut sessions = [0, 1].map(|card| Session::begin(&mut bank, ["a", "b"][card], card));
    let mut found = vec![];
    for (at, jump) in [0, 900, -3_600_000, 500, 600, 86_400_000, 1, 70_000, -1, 2_000, 5_000, -90_000]
        .into_iter()
        .enumerate()
    {
        bank.set_time(bank.clock.load(Ordering::Relaxed).saturating_add_signed(jump));
        for session in &mut sessions {
            let pin = if at % 3 == 2 { "2580" } else { "1379" };
            let card = if at % 4 == 3 { 2 } else { at % 2 };
            found.push(outcome(bank.apply(&session.request(verification(card, pin))).unwrap()));
        }
        checked(folder.path());
    }
    let count = |is: fn(&Outcome) -> bool| found.iter().filter(|outcome| is(outcome)).count();
    let refused = [
        count(|outcome| matches!(outcome, Outcome::Refused(Refusal::NotVerified))),
        count(|outcome| matches!(outcome, Outcome::Refused(Refusal::Delayed { .. }))),
    ];
    assert!(refused.iter().all(|count| *count > 3), "{found:?}");
}
