use super::*;
use crate::{record::Asked, tables::Journal};
use atm_core::money::Amount;

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn entry(number: u64, id: u64, kind: &str, operation: &str) -> Entry {
    let (terminal, id) = ("kiosk".to_owned(), Some(id));
    let (reason, debit, credit) = <(String, String, String)>::default();
    let (kind, operation) = (kind.to_owned(), operation.to_owned());
    Entry {
        journal: 1,
        number,
        kind,
        terminal,
        id,
        operation,
        reason,
        debit,
        credit,
        amount: 0,
        balance: 0,
        version: 0,
    }
}

/// A deposit of 40, a withdrawal of 10, one that was refused, a void and a balance, after a beginning of 100.
fn sound() -> (Tables, BTreeMap<String, Record>) {
    let account = || "account:1".to_owned();
    let created = Entry {
        terminal: String::new(),
        id: None,
        credit: account(),
        amount: 10_000,
        balance: 10_000,
        version: 1,
        ..entry(1, 0, "created", "")
    };
    let deposit = Entry {
        credit: account(),
        amount: 4_000,
        balance: 14_000,
        version: 2,
        ..entry(2, 7, "done", "deposit")
    };
    let withdrawal = Entry {
        debit: account(),
        amount: 1_000,
        balance: 13_000,
        version: 3,
        ..entry(3, 8, "done", "withdrawal")
    };
    let refused = Entry {
        reason: "insufficient".to_owned(),
        amount: 90_000,
        balance: 13_000,
        ..entry(4, 9, "refused", "withdrawal")
    };
    let entries = vec![created, deposit, withdrawal, refused, entry(5, 10, "void", "")];
    let journals = vec![Journal { journal: 1, name: "a".to_owned(), epoch: 2, batches: 9, number: 5 }];
    let mut record = Record::default();
    for (id, asked, outcome) in [
        (
            7,
            Asked::Deposit(4_000),
            Outcome::Done(Receipt::Deposited { amount: units(40), balance: units(140) }),
        ),
        (
            8,
            Asked::Withdraw(1_000),
            Outcome::Done(Receipt::Withdrawn { amount: units(10), balance: units(130) }),
        ),
        (9, Asked::Withdraw(90_000), Outcome::Refused(Refusal::Insufficient { balance: units(130) })),
        (10, Asked::Deposit(100), Outcome::NotDone),
        (11, Asked::Balance, Outcome::Done(Receipt::Balance { balance: units(130) })),
    ] {
        record.ask(id, asked);
        record.learn(id, outcome).unwrap();
        record.answered(id);
    }
    (Tables { entries, journals, account: (13_000, 3) }, BTreeMap::from([("kiosk".to_owned(), record)]))
}

#[test]
fn sound_tables_pass() {
    let (tables, records) = sound();
    assert_eq!(audit(&tables, &records), Vec::<String>::new());
}

/// A change by hand, and what is found then.
type Change = (&'static str, fn(&mut Tables));

const CHANGES: [Change; 14] = [
    ("booked twice", |tables| {
        let mut again = tables.entries[1].clone();
        again.number = 6;
        tables.entries.push(again);
    }),
    ("booked twice", |tables| tables.entries[4].id = Some(7)),
    ("it is not booked", |tables| drop(tables.entries.remove(1))),
    ("it is not booked", |tables| drop(tables.entries.remove(4))),
    ("has 4 entries", |tables| drop(tables.entries.remove(3))),
    ("its outcome is another one", |tables| tables.entries[1].amount = 3_900),
    ("its outcome is another one", |tables| tables.entries[2].kind = "void".to_owned()),
    ("its outcome is another one", |tables| tables.entries[4].kind = "refused".to_owned()),
    ("its outcome is another one", |tables| tables.entries[3].reason = "conflict".to_owned()),
    ("it moves no money, and is booked", |tables| tables.entries[1].id = Some(11)),
    ("has not asked for 12", |tables| tables.entries[4].id = Some(12)),
    ("the movements before it add up", |tables| tables.entries[2].balance = 12_999),
    ("and its movements add up to", |tables| tables.account.0 += 1),
    ("has 5 entries, the last of them", |tables| tables.journals[0].number = 6),
];

#[test]
fn each_change_by_hand_is_found() {
    for (expected, change) in CHANGES {
        let (mut tables, records) = sound();
        change(&mut tables);
        let found = audit(&tables, &records);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn an_outcome_that_was_not_learned_is_found() {
    for is_over in [false, true] {
        let (tables, mut records) = sound();
        let operation = records.get_mut("kiosk").unwrap().operations.get_mut(&8).unwrap();
        (operation.outcome, operation.is_over) = (None, is_over);
        let found = audit(&tables, &records).concat();
        assert!(found.contains(if is_over { "without its outcome" } else { "not learned" }), "{found}");
    }
}

#[test]
fn a_balance_that_the_account_never_had_is_found() {
    let (tables, mut records) = sound();
    let operation = records.get_mut("kiosk").unwrap().operations.get_mut(&11).unwrap();
    operation.outcome = Some(Outcome::Done(Receipt::Balance { balance: units(135) }));
    assert!(audit(&tables, &records).concat().contains("never had the balance"));
}

#[test]
fn an_acknowledged_operation_that_is_not_in_the_tables_is_counted_as_lost() {
    let (mut tables, records) = sound();
    assert_eq!(lost(&tables, &records), 0);
    tables.entries.remove(1);
    assert_eq!(lost(&tables, &records), 1);
}

#[test]
fn a_journal_that_goes_back_is_found() {
    let changes: [fn(&mut Tables); 4] = [
        |tables| tables.journals[0].epoch -= 1,
        |tables| tables.journals[0].batches -= 1,
        |tables| tables.journals[0].number -= 1,
        |tables| tables.journals.clear(),
    ];
    for change in changes {
        let (before, _) = sound();
        let mut after = before.clone();
        assert_eq!(check_progress(&before, &after), Vec::<String>::new());
        change(&mut after);
        assert_eq!(check_progress(&before, &after).len(), 1);
    }
}
