//! The tables of cards: every value comes back as it was.
use crate::ledger::{
    cells::AccountRow,
    entry::{
        COLUMNS, Touched, account_order, card_order, created, enrolment, opened, restored, set_back, settled,
    },
    sqlite::{accounts, cards, rows, tables::SCHEMA},
};
use atm_core::{
    ledger::{
        self, Account, AccountNumber, Gap, LedgerId, Movement, Name, Operation, Outcome, Receipt, Record,
        Refusal, Side, Terminal,
        card::{AccountState, Accounts, Card, Claim, Delay, KeyId, Token, Verifier},
    },
    money::Amount,
    time::UnixTime,
};
use proptest::prelude::*;
use rusqlite::Connection;

fn tables() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection
}

fn any_amount() -> impl Strategy<Value = Amount> {
    (0..=Amount::MAX.minor()).prop_map(|minor| Amount::from_minor(minor).unwrap())
}

fn any_account() -> impl Strategy<Value = AccountNumber> {
    (1..=999_999_999_u32).prop_map(AccountNumber)
}

fn any_accounts() -> impl Strategy<Value = Accounts> {
    prop::collection::vec(any_account(), 0..=4).prop_map(|numbers| Accounts::new(&numbers).unwrap())
}

fn any_token() -> impl Strategy<Value = Token> {
    any::<(u64, [u8; 16])>().prop_map(|(key, value)| Token { key: KeyId(key), value })
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let named = (any_account(), any_amount());
    prop_oneof![
        Just(Operation::Inquiry),
        any_amount().prop_map(Operation::Deposit),
        any_amount().prop_map(Operation::Withdraw),
        Just(Operation::WithdrawAll),
        Just(Operation::Verify),
        Just(Operation::ChangePin),
        named.prop_map(|(payee, amount)| Operation::Transfer { payee, amount }),
        any_account().prop_map(|payee| Operation::LookUp { payee }),
        Just(Operation::Statement),
    ]
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        any_amount().prop_map(|balance| Refusal::Insufficient { balance }),
        any_amount().prop_map(|balance| Refusal::BalanceLimit { balance }),
        Just(Refusal::NotVerified),
        any::<u32>().prop_map(|seconds| Refusal::Delayed { seconds }),
        Just(Refusal::NoAccess),
        Just(Refusal::Frozen),
        Just(Refusal::Closed),
        any_amount().prop_map(|limit| Refusal::WithdrawalLimit { limit }),
        any_amount().prop_map(|left| Refusal::DayLimit { left }),
        Just(Refusal::NoPayee),
        Just(Refusal::SameAccount),
    ]
}

/// A record as a decision may leave it in a terminal's row.
fn any_record() -> impl Strategy<Value = Record> {
    let figures = (any_amount(), any_amount(), any::<u32>(), any_accounts());
    let card = prop::option::of(any_token());
    let outcome = prop::option::of(any_refusal());
    (0..1_u64 << 53, any_operation(), outcome, figures, card).prop_map(
        |(id, operation, refusal, figures, card)| {
            let (moved, balance, version, accounts) = figures;
            let receipt = match operation {
                Operation::Deposit(amount) => Some(Receipt::Deposited { amount, balance }),
                Operation::Withdraw(amount) => Some(Receipt::Withdrawn { amount, balance }),
                Operation::WithdrawAll => Some(Receipt::Withdrawn { amount: moved, balance }),
                Operation::Verify => Some(Receipt::Verified { version, accounts }),
                Operation::ChangePin => Some(Receipt::PinChanged),
                Operation::Transfer { payee, amount } => {
                    Some(Receipt::Transferred { payee, amount, balance })
                }
                Operation::Inquiry | Operation::LookUp { .. } | Operation::Statement => None,
            };
            let record = match (refusal, receipt) {
                (Some(refusal), _) => Record::new(id, Some(operation), Outcome::Refused(refusal)),
                (None, Some(receipt)) => Record::new(id, Some(operation), Outcome::Done(receipt)),
                (None, None) => Record::new(id, None, Outcome::NotDone),
            };
            Record { card, ..record }
        },
    )
}

fn any_card() -> impl Strategy<Value = Card> {
    let verifier = (any::<(u64, u64, [u8; 16])>()).prop_map(|(token_key, key, value)| Verifier {
        token_key: KeyId(token_key),
        key: KeyId(key),
        value,
    });
    let counts = (0..=3_u8, 0..=i64::MAX as u64, any::<bool>(), any::<u32>(), 0..1_u64 << 40, any_amount());
    (any_token(), verifier, "[0-9]{4}", any_accounts(), counts).prop_map(
        |(token, verifier, last_four, accounts, (tries, refusals, is_blocked, version, day, withdrawn))| {
            let last_four = last_four.into_bytes().try_into().unwrap();
            Card {
                token,
                verifier,
                last_four,
                accounts,
                tries,
                refusals,
                is_blocked,
                version,
                day,
                withdrawn,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_terminals_last_operation_and_delay_come_back(
        last in prop::option::of(any_record()),
        delay in (0..=i64::MAX as u64, 0..=60_000_u64),
    ) {
        let connection = tables();
        let name: Name = "kiosk-7".parse().unwrap();
        let delay = Delay { until: UnixTime::from_millis(delay.0), length: delay.1 };
        let terminal = Terminal { last, delay, ..Terminal::NEW };
        rows::save_terminal(&connection, &name, &terminal).unwrap();
        prop_assert_eq!(rows::terminal(&connection, &name).unwrap(), Some(terminal));
    }

    #[test]
    fn a_card_comes_back_by_either_token(card in any_card(), number in 1..=i64::MAX as u64) {
        let connection = tables();
        cards::save(&connection, number, &card).unwrap();
        prop_assert_eq!(cards::find(&connection, &Claim::of(card.token)).unwrap(), Some((number, card)));
        prop_assert_eq!(cards::read(&connection, number).unwrap(), Some(card));
        prop_assert_eq!(cards::find(&connection, &Claim::of(Card::DECOY.token)).unwrap(), None);
        let decoy = Card { tries: card.tries, refusals: card.refusals, ..Card::DECOY };
        cards::save(&connection, 0, &decoy).unwrap();
        prop_assert_eq!(cards::read(&connection, 0).unwrap(), Some(decoy));
        prop_assert_eq!(cards::read(&connection, number).unwrap(), Some(card));
    }

    #[test]
    fn an_account_comes_back(
        number in any_account(), balance in any_amount(), version in 0..1_u64 << 40, owner in "\\PC{1,12}", state in 0..3_usize,
    ) {
        let connection = tables();
        let state = [AccountState::Open, AccountState::Frozen, AccountState::Closed][state];
        let row = AccountRow { account: Account { number, balance, version }, owner: owner.parse().ok(), state };
        accounts::save(&connection, &row).unwrap();
        prop_assert_eq!(accounts::read(&connection, number).unwrap(), Some(row.clone()));
        prop_assert_eq!(accounts::numbers(&connection).unwrap(), [number.0]);
    }
}

#[test]
fn a_row_that_no_operation_leaves_is_damaged() {
    let connection = tables();
    let name: Name = "a".parse().unwrap();
    let outcome = Outcome::Refused(Refusal::NotVerified);
    let card = Some(Token { key: KeyId(1), value: [2; 16] });
    let last = Some(Record { card, ..Record::new(4, Some(Operation::Verify), outcome) });
    rows::save_terminal(&connection, &name, &Terminal { last, ..Terminal::NEW }).unwrap();
    for change in [
        "last_operation = NULL",
        "last_operation = 'payment'",
        "last_outcome = 'done'",
        "last_outcome = 'conflict'",
        "last_outcome = NULL",
        "last_amount = 7",
        "last_balance = -7",
        "last_card = '1'",
        "last_payee = 7",
        "last_detail = 7",
        "last_accounts = 'x'",
        "delay_until = -1",
        "delay_length = 'x'",
    ] {
        connection.execute_batch(&format!("SAVEPOINT change; UPDATE terminals SET {change}")).unwrap();
        assert!(rows::terminal(&connection, &name).is_err(), "{change}");
        connection.execute_batch("ROLLBACK TO change; RELEASE change").unwrap();
    }
    assert!(rows::terminal(&connection, &name).is_ok());
}

#[test]
fn every_line_has_all_columns_and_an_operators_order_has_its_own() {
    let name: Name = "a".parse().unwrap();
    let account = Account { number: AccountNumber(7), balance: Amount::from_minor(500).unwrap(), version: 3 };
    let payee = Account { number: AccountNumber(8), balance: Amount::from_minor(90).unwrap(), version: 2 };
    let amount = Amount::from_minor(40).unwrap();
    let done = |operation, receipt| Record::new(4, Some(operation), Outcome::Done(receipt));
    let entry = |record, movement| ledger::Entry { record, movement };
    let transfer = entry(
        done(
            Operation::Transfer { payee: payee.number, amount },
            Receipt::Transferred { payee: payee.number, amount, balance: account.balance },
        ),
        Some(Movement { debit: Side::Account(account.number), credit: Side::Account(payee.number), amount }),
    );
    let numbers = Accounts::new(&[AccountNumber(7), AccountNumber(8)]).unwrap();
    let verified = entry(done(Operation::Verify, Receipt::Verified { version: 5, accounts: numbers }), None);
    let outcome = Outcome::Refused(Refusal::WithdrawalLimit { limit: amount });
    let refused = entry(Record::new(4, Some(Operation::WithdrawAll), outcome), None);
    let void = entry(Record::new(4, None, Outcome::NotDone), None);
    let digest = "00000000000000ff".parse().ok();
    let of_card = |account, payee| Touched { account, card: Some(2), payee, digest: None };
    let owner = "Ada, L.".parse().unwrap();
    for (fact, line) in [
        (
            created(LedgerId(7), &account).to_string(),
            "created,0000000000000007,,,,,,7,opening,account:7,500,500,3,,,,,,,,,,",
        ),
        (restored(LedgerId(7)).to_string(), "restored,0000000000000007,,,,,,,,,,,,,,,,,,,,,"),
        (set_back(&name, Gap { start: 1, end: 2 }).to_string(), "set-back,,a,1,2,,,,,,,,,,,,,,,,,,"),
        (
            enrolment("enrolled", Some(&name), Some(1), Some(0)).to_string(),
            "enrolled,,a,,,,,,,,,,,1,0,,,,,,,,",
        ),
        (
            settled(Some(&name), &transfer, of_card(Some(&account), Some(&payee))).to_string(),
            "done,,a,4,,transfer,,7,account:7,account:8,40,500,3,,,2,,,8,90,2,,",
        ),
        (
            settled(Some(&name), &verified, Touched { digest, ..of_card(None, None) }).to_string(),
            "done,,a,4,,verification,,,,,,,,,,2,,,,,,5,00000000000000ff",
        ),
        (
            settled(Some(&name), &refused, of_card(Some(&account), None)).to_string(),
            "refused,,a,4,,withdrawal-all,withdrawal-limit,7,,,,500,3,,,2,,,,,,40,",
        ),
        (settled(Some(&name), &void, Touched::default()).to_string(), "void,,a,4,,,,,,,,,,,,,,,,,,,"),
        (
            opened(&account, &owner, Some(1000)).to_string(),
            "opened,,,,,,,7,opening,account:7,500,500,3,,1000,,,Ada%2C L.,,,,,",
        ),
        (account_order("frozen", account.number, None).to_string(), "frozen,,,,,,,7,,,,,,,,,,,,,,,"),
        (
            card_order("issued", 2, Some(&numbers), digest, Some(0)).to_string(),
            "issued,,,,,,,,,,,,,,0,2,7 8,,,,,,00000000000000ff",
        ),
        (card_order("blocked", 2, None, None, Some(0)).to_string(), "blocked,,,,,,,,,,,,,,0,2,,,,,,,"),
    ] {
        assert_eq!(fact, line);
        // The journal, the number and the time are before it.
        assert_eq!(line.split(',').count() + 3, COLUMNS.split(',').count(), "{line}");
    }
}

#[test]
fn a_statement_and_a_card_are_found_by_indexes() {
    let connection = tables();
    let plan = |select: &str, values: &[&dyn rusqlite::ToSql]| {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {select}")).unwrap();
        let steps = explain.query_map(values, |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>()
    };
    let steps = plan(accounts::STATEMENT, &[&7, &5]);
    for index in ["movements_of_accounts", "movements_of_payees"] {
        let searches = |step: &String| step.starts_with("SEARCH entries") && step.contains(index);
        assert!(steps.iter().any(searches), "{index}: {steps:?}");
    }
    let steps = [steps, plan("SELECT * FROM cards WHERE token IN (?, ?)", &[&"a", &"b"])].concat();
    // The sort is of ten rows.
    let is_slow =
        |step: &&String| step.starts_with("SCAN") && step.contains("entries") || step.contains("SCAN cards");
    assert_eq!(steps.iter().find(is_slow), None, "{steps:?}");
}
