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
use atm_host::server::{CardAccess, CardsInMemory, Server, ServerConfig, Stop};
use std::{io, net::SocketAddr, thread};

/// Ada's card, of account 1 with $100; Bob's, of account 2 with $100; and a card of both and account 3.
pub(crate) const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "6011000000000004"];
/// Digits that are in no amount, balance or time of a test.
pub(crate) const PINS: [&str; 3] = ["864297", "975318", "739164"];

pub(crate) struct Counter {
    pub(crate) address: SocketAddr,
    stop: Stop,
    serving: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Counter {
    /// Starts a server whose prompts are open for so long.
    pub(crate) fn start(wire: Wire, idle: Duration) -> Self {
        let keys = CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(2), [2; 32].into()), None);
        let access = CardAccess::new(keys.clone());
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
        let config = ServerConfig { cards: Some(access), idle, ..ServerConfig::new(wire) };
        let mut server = Server::bind("127.0.0.1:0", config).unwrap();
        server.set_cards(ledger);
        let (address, stop) = (server.local_addr(), server.stop_handle());
        Self { address, stop, serving: Some(thread::spawn(move || server.run())) }
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
