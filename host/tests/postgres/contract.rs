//! The contract suites, run through PostgreSQL.
use super::{Host, MemoryMark, create, migrate, open, units};
use atm_cluster::Cluster;
use atm_core::{
    ledger::{
        card::{Card, CardAccount, Limits},
        contract,
    },
    money::Amount,
    time::UnixTime,
};
use atm_host::ledger::{postgres::Database, words};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Databases of one server, a new one for each ledger.
struct Databases {
    cluster: Cluster,
    created: u32,
    database: Option<Database>,
    mark: MemoryMark,
    now: Arc<AtomicU64>,
    limits: Option<Limits>,
}

impl Databases {
    fn start() -> Self {
        let now = Arc::new(AtomicU64::new(1_000));
        let cluster = Cluster::start();
        Self { cluster, created: 0, database: None, mark: MemoryMark::new(), now, limits: None }
    }

    fn name(&self) -> String {
        format!("ledger{}", self.created)
    }

    fn create(&mut self) {
        self.created += 1;
        let database = create(&self.cluster, &self.name());
        migrate(&database);
        (self.database, self.mark) = (Some(database), MemoryMark::new());
    }

    fn open(&self) -> Host {
        let mut host = open(self.database.as_ref().unwrap(), "host", &self.mark, &self.now).unwrap();
        if let Some(limits) = self.limits {
            host.0.set_limits(limits);
        }
        host
    }
}

impl contract::Store for Databases {
    type Ledger = Host;

    fn create(&mut self, balance: Amount) -> Host {
        assert_eq!(balance, units(100));
        self.create();
        self.open()
    }

    fn reopen(&mut self, old: Host) -> Host {
        drop(old);
        self.open()
    }
}

#[test]
fn it_keeps_the_contract() {
    assert_eq!(contract::check(&mut Databases::start()), Ok(()));
}

/// The clock of a ledger of cards is shared with the test.
struct CardHost(Host, Arc<AtomicU64>);

impl atm_core::ledger::Ledger for CardHost {
    fn apply(
        &mut self,
        request: &atm_core::ledger::Request,
    ) -> Result<atm_core::ledger::Response, atm_core::ledger::InDoubt> {
        self.0.apply(request)
    }
}

impl contract::CardStore for Databases {
    type Ledger = CardHost;

    fn create(&mut self, limits: Limits, accounts: &[CardAccount], cards: &[Card]) -> CardHost {
        self.create();
        self.limits = Some(limits);
        for row in accounts {
            let (number, balance) = (row.account.number.0, row.account.balance.minor());
            let (owner, state) = (row.owner.as_str(), words::state_word(row.state));
            let sql = format!("INSERT INTO accounts VALUES ({number}, {balance}, 0, '{owner}', '{state}')");
            self.cluster.sql(&self.name(), &sql);
        }
        for (number, card) in (1..).zip(cards) {
            let (token, verifier) = (words::token_text(&card.token), words::verifier_text(&card.verifier));
            let last_four = String::from_utf8_lossy(&card.last_four);
            let accounts = words::accounts_text(&card.accounts);
            let sql = format!(
                "INSERT INTO cards VALUES ({number}, '{token}', '{verifier}', '{last_four}', '{accounts}', 0, 0, 0, 0, 0, 0)"
            );
            self.cluster.sql(&self.name(), &sql);
        }
        CardHost(self.open(), self.now.clone())
    }

    fn reopen(&mut self, old: CardHost) -> CardHost {
        drop(old);
        CardHost(self.open(), self.now.clone())
    }

    fn set_time(ledger: &mut CardHost, now: UnixTime) {
        ledger.1.store(now.millis(), Ordering::Relaxed);
    }
}

#[test]
fn with_cards_too() {
    assert_eq!(contract::check_cards(&mut Databases::start()), Ok(()));
}
