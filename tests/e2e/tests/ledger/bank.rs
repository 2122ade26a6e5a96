//! The tables and the export of a ledger with cards are enough for an audit by scripts in Python, with nothing of ours.
use atm_core::{
    ledger::{
        AccountNumber, Command, Epoch, HelloClaim, LedgerId, Operation, Origin, Request, Response, Ticket,
        card::{Access, Accounts, Card, CardKeys, CardRequest, Claim, KeyId, Limits, Proof},
    },
    money::Amount,
    time::UnixTime,
};
use atm_e2e::{
    Program, examples,
    ledger::{audit_tables, ledger_stdout, run_ledger},
    python,
};
use atm_host::ledger::{
    card_order::{AccountOrder, CardOrder},
    committer::GroupCommitter,
    folder::Folder,
    operator::Operator,
    sqlite::{Beginning, Sqlite},
};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};
use tempfile::TempDir;

const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "340000000000009"];
const SEVEN: AccountNumber = AccountNumber(7);
const EIGHT: AccountNumber = AccountNumber(8);

fn keys() -> CardKeys {
    let key = |byte| (KeyId(1), [byte; 32].into());
    CardKeys::new(key(1), None, key(2), None)
}

fn claim(card: usize) -> Claim {
    keys().claim(&NUMBERS[card].parse().unwrap())
}

fn proof(claim: &Claim, pin: &str) -> Proof {
    keys().proof(claim, &pin.parse().unwrap())
}

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// A terminal with the session of a card.
struct Session {
    name: &'static str,
    id: u64,
    turn: u32,
    access: Access,
}

impl Session {
    fn begin(ledger: &mut GroupCommitter<Sqlite>, name: &'static str, card: usize) -> Self {
        let epoch = Epoch::clear(1, 1);
        let hello = Command::Hello(HelloClaim { epoch, admit_equal: false, ledger: None, seen: 0 });
        let account = [SEVEN, EIGHT][card];
        let access = Access { token: claim(card).newest(), version: 0, account };
        let mut session = Self { name, id: 0, turn: 0, access };
        let Response::Admitted(admission) = session.send(ledger, hello) else { panic!() };
        session.turn = admission.turn;
        session.verify(ledger, card, "2580");
        session
    }

    fn send(&self, ledger: &mut GroupCommitter<Sqlite>, command: Command) -> Response {
        let origin = Origin::Terminal(self.name.parse().unwrap());
        ledger.submit(Request { ticket: Ticket::default(), origin, turn: self.turn, command }).unwrap();
        ledger.commit();
        ledger.responses().unwrap().pop().unwrap().1
    }

    fn ask(&mut self, ledger: &mut GroupCommitter<Sqlite>, request: CardRequest) {
        self.id += 1;
        self.send(ledger, Command::Card { id: self.id, request });
    }

    fn verify(&mut self, ledger: &mut GroupCommitter<Sqlite>, card: usize, pin: &str) {
        let claim = claim(card);
        self.ask(ledger, CardRequest::Verify { claim, proof: proof(&claim, pin) });
    }

    fn operate(&mut self, ledger: &mut GroupCommitter<Sqlite>, operation: Operation) {
        self.ask(ledger, CardRequest::Operate { access: self.access, operation });
    }

    fn change_pin(&mut self, ledger: &mut GroupCommitter<Sqlite>, old: &str, new: &str) {
        let (access, own) = (self.access, Claim::of(self.access.token));
        let new = proof(&own, new).newest();
        self.ask(ledger, CardRequest::ChangePin { access, old: proof(&own, old), new });
    }
}

/// A ledger with entries of cards and of orders, of all kinds.
fn run_sessions(path: &Path) {
    let folder = Folder::lock(path).unwrap();
    let time = UnixTime::from_millis(1);
    let store = folder.open(Beginning { identity: LedgerId(7), balance: units(100), time }, false).unwrap();
    let mut operator = Operator::open(path, 3).unwrap();
    for (number, owner) in [(7, "Ada Lovelace"), (8, "Åsa \"50%\", Öberg"), (9, "Eve")] {
        let balance = units(if number == 9 { 0 } else { 1000 });
        operator.open_account(Some(AccountNumber(number)), owner.parse().unwrap(), balance, time).unwrap();
    }
    for (card, own) in [(0, &[SEVEN][..]), (1, &[EIGHT, AccountNumber(9)])] {
        let claim = claim(card);
        let row = Card::new(&claim, &proof(&claim, "2580"), *b"1111", Accounts::new(own).unwrap());
        operator.issue(&claim, &row, time).unwrap();
    }
    // Each commit is later than any delay.
    let clock = AtomicU64::new(1_795_550_400);
    let clock = move || UnixTime::from_millis(clock.fetch_add(100, Ordering::Relaxed) * 1000);
    let ledger = &mut GroupCommitter::open(store, 5, Box::new(clock), Default::default()).unwrap();
    ledger.set_limits(Limits { withdrawal: units(200), day: units(300) });
    let mut a = Session::begin(ledger, "a", 0);
    let mut b = Session::begin(ledger, "b", 1);
    let transfer = |payee, minor| Operation::Transfer { payee, amount: Amount::from_minor(minor).unwrap() };
    for operation in [
        Operation::Deposit(units(5)),
        Operation::Withdraw(units(200)),
        Operation::Withdraw(units(201)),
        Operation::Withdraw(units(101)),
        transfer(EIGHT, 123),
        transfer(AccountNumber(10), 1),
    ] {
        a.operate(ledger, operation);
        b.operate(ledger, transfer(SEVEN, 45));
    }
    a.change_pin(ledger, "9034", "1379");
    a.change_pin(ledger, "2580", "1379");
    a.operate(ledger, Operation::Deposit(units(1)));
    (0..3).for_each(|_| a.verify(ledger, 0, "9034"));
    b.verify(ledger, 2, "2580");
    a.send(ledger, Command::Settle { id: a.id + 1 });
    operator.order_account(EIGHT, AccountOrder::Freeze, time).unwrap();
    b.operate(ledger, transfer(SEVEN, 45));
    operator.order_account(EIGHT, AccountOrder::Unfreeze, time).unwrap();
    operator.order_account(AccountNumber(9), AccountOrder::Close, time).unwrap();
    operator.order_card(1, |_| Ok(CardOrder::Unblock), time).unwrap();
    operator.order_card(2, |_| Ok(CardOrder::Block), time).unwrap();
    operator.order_card(2, |card| Ok(CardOrder::SetPin(card.verifier)), time).unwrap();
}

/// Changes of a person who can write the file.
const CHANGES: [&str; 14] = [
    "UPDATE accounts SET balance = balance + 1 WHERE account = 8",
    "UPDATE accounts SET owner = 'Eve' WHERE account = 7",
    "UPDATE accounts SET state = 'open' WHERE account = 9",
    "UPDATE cards SET tries = 0, blocked = 0 WHERE card = 0",
    "UPDATE cards SET refusals = refusals - 1 WHERE card = 1",
    "UPDATE cards SET blocked = 0 WHERE card = 2",
    "UPDATE cards SET version = version - 1 WHERE card = 1",
    "UPDATE cards SET withdrawn = 0 WHERE card = 1",
    "UPDATE cards SET day = day - 1 WHERE card = 1",
    "UPDATE cards SET accounts = '7 8' WHERE card = 1",
    "DELETE FROM cards WHERE card = 2",
    "UPDATE terminals SET last_payee = 8 WHERE terminal = 'b'",
    "UPDATE entries SET payee = 9 WHERE payee_version IS NOT NULL",
    "UPDATE entries SET card = 2 WHERE reason = 'not-verified'",
];

#[test]
fn an_auditor_of_a_ledger_with_cards_finds_each_change() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    run_sessions(&data);
    assert!(ledger_stdout(&["verify"], &data).contains("accounts   4, $1905 in all\n"));
    let Some(done) = audit_tables(&data) else { return };
    let balances = "account 1: $100\naccount 7: $806.47\naccount 8: $998.53\naccount 9: $0\nok\n";
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), balances), "{done:?}");
    let csv = ledger_stdout(&["export"], &data);
    let done = Program::run(python(&examples().join("audit.py"), &[]).unwrap(), &csv);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.contains("account:8") && done.stdout.contains(" $998.53\n"), "{done:?}");
    let entries: Vec<atm_e2e::Value> =
        serde_json::from_str(&ledger_stdout(&["export", "--format", "json"], &data)).unwrap();
    assert_eq!(entries[2]["owner"], "%C3%85sa %2250%25%22%2C %C3%96berg");
    assert_eq!(entries[5]["accounts"], "8 9");
    let shown = ledger_stdout(&["show", "--terminal", "b"], &data);
    assert!(
        shown.contains("transfer $0.45 to account 7: refused (frozen), card 2 (…1111, blocked)\n"),
        "{shown}"
    );
    for (number, change) in CHANGES.into_iter().enumerate() {
        let changed = folder.path().join(number.to_string());
        fs::create_dir(&changed).unwrap();
        for name in ["ledger.db", "ledger.db-wal", "ledger.mark"] {
            if data.join(name).exists() {
                fs::copy(data.join(name), changed.join(name)).unwrap();
            }
        }
        assert!(super::commands::change(&changed, change));
        let audited = audit_tables(&changed).unwrap();
        assert_eq!((audited.code, audited.stderr.as_str()), (Some(1), ""), "{change}: {audited:?}");
        let verified = run_ledger(&["verify"], &changed);
        assert_eq!(verified.code, Some(1), "{change}: {verified:?}");
    }
}
