//! Bank: accounts and cards of a shared ledger, issued by an operator's orders, and sessions of cards at its hosts.
use super::{Host, MemoryMark, create, hello, migrate, named, open, units};
use atm_cluster::Cluster;
use atm_core::{
    ledger::{
        AccountNumber, Command, Ledger, Operation, Outcome, Receipt, Request, Response,
        card::{Access, Accounts, Card, CardKeys, CardRequest, KeyId, Limits},
    },
    time::UnixTime,
};
use atm_host::ledger::{operator::Operator, postgres::Database};
use std::sync::{Arc, atomic::AtomicU64};

/// Noon of a day.
pub(crate) const NOON: u64 = 20_786 * 86_400_000 + 43_200_000;

const NUMBERS: [&str; 2] = ["4111111111111111", "5500000000000004"];

fn keys() -> CardKeys {
    let key = |byte| (KeyId(1), [byte; 32].into());
    CardKeys::new(key(1), None, key(2), None)
}

/// A database `ledger` with the accounts 7 and 8 of 1,000 units each, and cards 1 and 2 of these, with the PIN 2580.
pub(crate) fn bank() -> (Cluster, Database) {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mut operator = Operator::open_database(&database, 3).unwrap();
    let time = UnixTime::from_millis(1);
    for (number, account) in NUMBERS.iter().zip([AccountNumber(7), AccountNumber(8)]) {
        operator.open_account(Some(account), "Ada Lovelace".parse().unwrap(), units(1_000), time).unwrap();
        let claim = keys().claim(&number.parse().unwrap());
        let proof = keys().proof(&claim, &"2580".parse().unwrap());
        let card = Card::new(&claim, &proof, *b"1111", Accounts::new(&[account]).unwrap());
        operator.issue(&claim, &card, time).unwrap();
    }
    (cluster, database)
}

/// Two hosts that serve cards, with one clock; a card withdraws 100 units a day.
pub(crate) fn two_hosts(database: &Database, now: &Arc<AtomicU64>) -> [Host; 2] {
    ["host", "second"].map(|name| {
        let mut host = open(database, name, &MemoryMark::new(), now).unwrap();
        host.0.set_limits(Limits { withdrawal: units(100), day: units(100) });
        host
    })
}

/// A terminal with a card.
pub(crate) struct Session {
    name: String,
    turn: u32,
    next: u64,
    card: usize,
    access: Access,
}

impl Session {
    /// Says hello at a host.
    pub(crate) fn hello(host: &mut Host, name: &str, card: usize) -> Self {
        let Response::Admitted(mut admission) = host.apply(&named(name, 0, hello(1))).unwrap() else {
            panic!()
        };
        let token = keys().claim(&NUMBERS[card].parse().unwrap()).newest();
        let access = Access { token, version: 0, account: AccountNumber([7, 8][card]) };
        let next = admission.numbers.take().unwrap();
        Self { name: name.to_owned(), turn: admission.turn, next, card, access }
    }

    /// Says hello and verifies the card.
    pub(crate) fn begin(host: &mut Host, name: &str, card: usize) -> Self {
        let mut session = Self::hello(host, name, card);
        let outcome = outcome(host.apply(&session.verification("2580")).unwrap());
        let Outcome::Done(Receipt::Verified { version, .. }) = outcome else { panic!("{outcome:?}") };
        session.access.version = version;
        session
    }

    /// A request under the next id.
    fn request(&mut self, request: CardRequest) -> Request {
        self.next += 1;
        named(&self.name, self.turn, Command::Card { id: self.next - 1, request })
    }

    pub(crate) fn verification(&mut self, pin: &str) -> Request {
        let claim = keys().claim(&NUMBERS[self.card].parse().unwrap());
        self.request(CardRequest::Verify { claim, proof: keys().proof(&claim, &pin.parse().unwrap()) })
    }

    pub(crate) fn operation(&mut self, operation: Operation) -> Request {
        self.request(CardRequest::Operate { access: self.access, operation })
    }
}

pub(crate) fn outcome(response: Response) -> Outcome {
    match response {
        Response::Settled { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}
