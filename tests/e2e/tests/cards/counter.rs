//! A server in this process, in memory and in clear, with three cards whose numbers and PINs are known.
use atm_core::{
    ledger::{
        AccountNumber,
        card::{Accounts, Card, CardAccount, CardKeys, CardNumber, KeyId},
    },
    money::Amount,
    time::Duration,
    wire::Wire,
};
use atm_host::{
    metrics::Metrics,
    server::{CardAccess, CardsInMemory, Server, ServerConfig, Stop},
};
use std::{io, net::SocketAddr, sync::Arc, thread};

/// Ada's card, of account 1 with $100; Bob's, of account 2 with $100; and a card of both and account 3.
pub(crate) const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "6011000000000004"];
/// Digits that are in no amount, balance or time of a test.
pub(crate) const PINS: [&str; 3] = ["864297", "975318", "739164"];

/// The time of a frame, and until when a terminal must have said hello.
pub(crate) const FRAME: Duration = Duration::from_millis(2_000);

pub(crate) struct Counter {
    pub(crate) address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: Stop,
    serving: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Counter {
    /// Starts a server whose prompts are open for so long.
    pub(crate) fn start(wire: Wire, idle: Duration) -> Self {
        let keys = CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(2), [2; 32].into()), None);
        let access = CardAccess { refusal_alarm: 2, ..CardAccess::new(keys.clone()) };
        let mut ledger = CardsInMemory::new(&access).unwrap();
        let accounts = [&[1][..], &[2], &[3, 1, 2]];
        for (card, owner) in ["Ada Lovelace", "Bob Bower", "Eve Euler"].into_iter().enumerate() {
            let number: CardNumber = NUMBERS[card].parse().unwrap();
            let claim = keys.claim(&number);
            let proof = keys.proof(&claim, &PINS[card].parse().unwrap());
            let accounts: Vec<_> = accounts[card].iter().map(|number| AccountNumber(*number)).collect();
            let row = Card::new(&claim, &proof, number.last_four(), Accounts::new(&accounts).unwrap());
            let balance = Amount::from_units(100).unwrap();
            ledger.add(CardAccount::new(accounts[0], balance, owner.parse().unwrap()), row).unwrap();
        }
        let config = ServerConfig { cards: Some(access), idle, frame: FRAME, ..ServerConfig::new(wire) };
        let mut server = Server::bind("127.0.0.1:0", config).unwrap();
        server.set_cards(ledger);
        let (address, metrics, stop) = (server.local_addr(), server.metrics(), server.stop_handle());
        Self { address, metrics, stop, serving: Some(thread::spawn(move || server.run())) }
    }
}

impl Counter {
    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.metrics.to_string();
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(serving) = self.serving.take() {
            serving.join().unwrap().unwrap();
        }
    }
}
