//! Sessions of cards over the ledger in SQLite: the contract, transfers, statements, limits at midnight.
use super::{
    audit::{accounts, checked},
    hello, named, store, units,
};
use crate::ledger::{
    card_order::AccountOrder,
    committer::GroupCommitter,
    folder::Folder,
    operator::Operator,
    reader::Reader,
    sqlite::{FILE, Sqlite},
    store::Store,
};
use atm_core::{
    ledger::{
        AccountNumber, Command, InDoubt, Ledger, Operation, Outcome, Receipt, Refusal, Request, Response,
        card::{
            Access, AccountState, Accounts, Card, CardAccount, CardKeys, CardRequest, Claim, KeyId, Kind,
            Limits, Pin,
        },
        contract,
    },
    money::Amount,
    time::UnixTime,
};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;

mod audit;
mod doubt;

/// Noon of a day.
const NOON: u64 = 20_786 * 86_400_000 + 43_200_000;

/// Opens accounts and issues cards.
fn issue(folder: &Path, accounts: &[CardAccount], cards: &[Card]) {
    let mut operator = Operator::open(folder, 3).unwrap();
    let time = UnixTime::from_millis(1);
    for CardAccount { account, owner, state, .. } in accounts {
        operator.open_account(Some(account.number), owner.clone(), account.balance, time).unwrap();
        if *state == AccountState::Frozen {
            operator.order_account(account.number, AccountOrder::Freeze, time).unwrap();
        }
    }
    for card in cards {
        operator.issue(&Claim::of(card.token), card, time).unwrap();
    }
}

/// A ledger of cards, and the clock that its decisions see.
struct Bank<S = Sqlite> {
    committer: GroupCommitter<S>,
    clock: Arc<AtomicU64>,
    limits: Limits,
    _folder: Folder,
}

impl<S: Store> Bank<S> {
    fn open(path: &Path, limits: Limits, wrap: impl FnOnce(Sqlite) -> S) -> Self {
        let (folder, sqlite) = store(path).unwrap();
        let clock = Arc::new(AtomicU64::new(NOON));
        let time = Arc::clone(&clock);
        let time = Box::new(move || UnixTime::from_millis(time.load(Ordering::Relaxed)));
        let mut committer = GroupCommitter::open(wrap(sqlite), 5, time, Default::default()).unwrap();
        committer.set_limits(limits);
        Self { committer, clock, limits, _folder: folder }
    }

    fn set_time(&self, millis: u64) {
        self.clock.store(millis, Ordering::Relaxed);
    }
}

impl<S: Store> Ledger for Bank<S> {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        self.committer.apply(request)
    }
}

/// Folders that are gone with the test.
#[derive(Default)]
struct Banks {
    folders: Vec<TempDir>,
    opened: usize,
}

impl contract::CardStore for Banks {
    type Ledger = Bank;

    fn create(&mut self, limits: Limits, accounts: &[CardAccount], cards: &[Card]) -> Bank {
        self.folders.push(TempDir::new().unwrap());
        let path = self.folders.last().unwrap().path();
        drop(store(path).unwrap());
        issue(path, accounts, cards);
        Bank::open(path, limits, |sqlite| sqlite)
    }

    fn reopen(&mut self, old: Bank) -> Bank {
        let limits = old.limits;
        drop(old);
        let path = self.folders.last().unwrap().path();
        self.opened += 1;
        if self.opened.is_multiple_of(5) {
            // Every row follows from the entries.
            checked(path);
        }
        Bank::open(path, limits, |sqlite| sqlite)
    }

    fn set_time(ledger: &mut Bank, now: UnixTime) {
        ledger.set_time(now.millis());
    }
}

#[test]
fn it_keeps_the_contract_of_cards_and_every_row_follows_from_the_entries() {
    assert_eq!(contract::check_cards(&mut Banks::default()), Ok(()));
}

const LIMITS: Limits = Limits { withdrawal: units_of(200), day: units_of(300) };

const fn units_of(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn keys() -> CardKeys {
    let key = |byte| (KeyId(1), [byte; 32].into());
    CardKeys::new(key(1), None, key(2), None)
}

/// Numbers of cards, the last of which is not issued at first.
const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "340000000000009"];

fn verification(card: usize, pin: &str) -> CardRequest {
    let claim = keys().claim(&NUMBERS[card].parse().unwrap());
    CardRequest::Verify { claim, proof: keys().proof(&claim, &pin.parse().unwrap()) }
}

fn new_card(card: usize, account: AccountNumber) -> Card {
    let claim = keys().claim(&NUMBERS[card].parse().unwrap());
    let proof = keys().proof(&claim, &"2580".parse().unwrap());
    Card::new(&claim, &proof, *b"1111", Accounts::new(&[account]).unwrap())
}

/// Two accounts of 1,000 units, 7 and 8, and a card for each with the PIN 2580.
fn two_accounts() -> TempDir {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()).unwrap());
    let own = [AccountNumber(7), AccountNumber(8)];
    let open = |number| CardAccount::new(number, units(1000), "Ada Lovelace".parse().unwrap());
    let cards = [0, 1].map(|card| new_card(card, own[card]));
    issue(folder.path(), &own.map(open), &cards);
    folder
}

/// A terminal with a card's session.
struct Session {
    name: String,
    turn: u32,
    next: u64,
    access: Access,
}

impl Session {
    /// Says hello and verifies the card.
    fn begin(bank: &mut Bank<impl Store>, name: &str, card: usize) -> Self {
        let Response::Admitted(mut admission) = bank.apply(&named(name, 0, hello(1))).unwrap() else {
            panic!()
        };
        let token = verification(card, "2580").claim().newest();
        let account = AccountNumber([7, 8, 9][card]);
        let access = Access { token, version: 0, account };
        let mut session = Self {
            name: name.to_owned(),
            turn: admission.turn,
            next: admission.numbers.take().unwrap(),
            access,
        };
        let request = session.request(verification(card, "2580"));
        let outcome = outcome(bank.apply(&request).unwrap());
        let Outcome::Done(Receipt::Verified { version, .. }) = outcome else { panic!("{outcome:?}") };
        session.access.version = version;
        session
    }

    /// A request under the next id.
    fn request(&mut self, request: CardRequest) -> Request {
        self.next += 1;
        named(&self.name, self.turn, Command::Card { id: self.next - 1, request })
    }

    fn operation(&mut self, operation: Operation) -> Request {
        self.request(CardRequest::Operate { access: self.access, operation })
    }

    fn change_of_pin(&mut self, old: &str, new: &str) -> Request {
        let access = self.access;
        let claim = Claim::of(access.token);
        let proof = |pin: &str| keys().proof(&claim, &pin.parse::<Pin>().unwrap());
        self.request(CardRequest::ChangePin { access, old: proof(old), new: proof(new).newest() })
    }
}

fn outcome(response: Response) -> Outcome {
    match response {
        Response::Settled { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

fn transfer(payee: u32, amount: u64) -> Operation {
    Operation::Transfer { payee: AccountNumber(payee), amount: Amount::from_minor(amount).unwrap() }
}

fn balances(folder: &Path) -> Vec<(u32, u64)> {
    checked(folder);
    let rows = accounts(&Reader::open(folder).unwrap()).into_iter();
    rows.map(|row| (row.account.number.0, row.account.balance.minor())).collect()
}

#[test]
fn transfers_of_many_sessions_in_one_batch_are_done_one_after_the_other() {
    let folder = two_accounts();
    let mut bank = Bank::open(folder.path(), LIMITS, |sqlite| sqlite);
    let mut sessions: Vec<_> =
        (0..40).map(|at| Session::begin(&mut bank, &format!("kiosk-{at}"), at % 2)).collect();
    let (mut expected, mut refused) = ([100_000_i64, 100_000], 0);
    for round in 0..12_usize {
        for (at, session) in sessions.iter_mut().enumerate() {
            // Mostly from the first account, so that it is empty in the end.
            let amount = if at % 2 == 0 { 900 } else { 137 } + (at as u64 * 7) % 13;
            let request = session.operation(transfer(if at % 2 == 0 { 8 } else { 7 }, amount));
            bank.committer.submit(request).unwrap();
        }
        bank.committer.commit();
        let responses = bank.committer.responses().unwrap();
        assert_eq!(responses.len(), sessions.len(), "round {round}");
        for (at, (request, response)) in responses.into_iter().enumerate() {
            let Command::Card { request, .. } = request.command else { panic!() };
            let Operation::Transfer { amount, .. } = request.operation() else { panic!() };
            let (from, to, moved) = (at % 2, 1 - at % 2, amount.minor() as i64);
            match outcome(response) {
                Outcome::Done(Receipt::Transferred { balance, .. }) => {
                    expected[from] -= moved;
                    expected[to] += moved;
                    assert_eq!(balance.minor() as i64, expected[from]);
                }
                Outcome::Refused(Refusal::Insufficient { balance }) => {
                    refused += 1;
                    assert!((balance.minor() as i64) < moved && balance.minor() as i64 == expected[from]);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(refused > 10, "{refused}");
    let [seven, eight] = expected.map(|minor| minor as u64);
    assert_eq!(balances(folder.path()), [(1, 10_000), (7, seven), (8, eight)]);
    let sum = "SELECT sum(amount) FROM movements";
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    assert_eq!(connection.query_row(sum, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn a_statement_has_what_the_same_batch_and_those_before_it_have_moved() {
    let folder = two_accounts();
    let mut bank = Bank::open(folder.path(), LIMITS, |sqlite| sqlite);
    let [mut payer, mut other] = [0, 1].map(|card| Session::begin(&mut bank, ["a", "b"][card], card));
    for request in [
        payer.operation(Operation::Deposit(Amount::from_minor(1).unwrap())),
        payer.operation(Operation::Withdraw(units(2))),
        payer.operation(transfer(8, 3)),
        other.operation(transfer(7, 4)),
        payer.operation(Operation::Withdraw(units(5000))),
    ] {
        bank.apply(&request).unwrap();
    }
    for request in [
        payer.operation(transfer(8, 5)),
        other.operation(transfer(7, 6)),
        payer.operation(Operation::Statement),
        payer.operation(transfer(8, 7)),
    ] {
        bank.committer.submit(request).unwrap();
    }
    bank.committer.commit();
    let statement = |response: &Response| match response {
        Response::Statement { statement, .. } => statement
            .lines()
            .map(|line| (line.kind, line.amount.minor(), line.balance.minor()))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let expected = [
        (Kind::TransferIn, 6, 99_803),
        (Kind::TransferOut, 5, 99_797),
        (Kind::TransferIn, 4, 99_802),
        (Kind::TransferOut, 3, 99_798),
        (Kind::Withdrawal, 200, 99_801),
    ];
    let responses = bank.committer.responses().unwrap();
    assert_eq!(statement(&responses[2].1), expected);
    let later = statement(&bank.apply(&payer.operation(Operation::Statement)).unwrap());
    assert_eq!(later[0], (Kind::TransferOut, 7, 99_796));
    assert_eq!(later[1..], expected[..4]);
}

#[test]
fn the_limit_of_a_day_holds_over_midnight_and_a_clock_that_is_set_back() {
    const HOUR: u64 = 3_600_000;
    let folder = two_accounts();
    let mut bank = Bank::open(folder.path(), LIMITS, |sqlite| sqlite);
    let mut session = Session::begin(&mut bank, "a", 0);
    let midnight = NOON + 12 * HOUR;
    let left = |units| Outcome::Refused(Refusal::DayLimit { left: units_of(units) });
    let mut balance = 1000;
    for (time, amount, refused) in [
        (midnight - 2, 200, None),
        (midnight - 1, 101, Some(left(100))),
        (midnight - 1, 100, None),
        (midnight - 1, 1, Some(left(0))),
        // The clock is set back by an hour before midnight.
        (midnight - HOUR, 1, Some(left(0))),
        (midnight, 200, None),
        // And after it: the day of the card does not go back, so that the day before gives nothing more.
        (midnight - HOUR, 101, Some(left(100))),
        (midnight - HOUR, 100, None),
        (midnight + HOUR, 1, Some(left(0))),
        (midnight + 24 * HOUR - 1, 1, Some(left(0))),
        (midnight + 24 * HOUR, 200, None),
    ] {
        bank.set_time(time);
        let found = outcome(bank.apply(&session.operation(Operation::Withdraw(units(amount)))).unwrap());
        balance -= if refused.is_none() { amount } else { 0 };
        let done = Outcome::Done(Receipt::Withdrawn { amount: units(amount), balance: units(balance) });
        assert_eq!(found, refused.unwrap_or(done), "{time} {amount}");
        // Also after a restart.
        drop(bank);
        bank = Bank::open(folder.path(), LIMITS, |sqlite| sqlite);
    }
    assert_eq!(balances(folder.path())[1], (7, balance * 100));
}
