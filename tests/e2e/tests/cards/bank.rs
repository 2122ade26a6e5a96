//! A server in memory with two accounts and their cards, in this process and in clear, and a terminal of the `json` wire.
use atm_core::{
    ledger::{
        AccountNumber,
        card::{Accounts, Card, CardAccount, CardKeys, CardNumber, KeyId},
    },
    money::Amount,
    time::Duration,
    wire::Wire,
};
use atm_e2e::{Client, Value, frame, json, text_of};
use atm_host::{
    metrics::Metrics,
    server::{CardAccess, CardsInMemory, Server, ServerConfig, Stop},
};
use std::{io, net::SocketAddr, sync::Arc, thread};

pub(crate) const NUMBERS: [&str; 2] = ["4111111111111111", "5500000000000004"];
pub(crate) const PINS: [&str; 2] = ["2580", "1379"];

/// The time of a frame, and until when a terminal must have said hello.
pub(crate) const FRAME: Duration = Duration::from_millis(2_000);

/// A server in memory. Card 0 is of account 1, card 1 of account 2; each has $100.
pub(crate) struct Bank {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    stop: Stop,
    serving: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Bank {
    /// Starts a server whose prompts are open for so long.
    pub(crate) fn start(idle: Duration) -> Self {
        let keys = CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(2), [2; 32].into()), None);
        let access = CardAccess { refusal_alarm: 2, ..CardAccess::new(keys.clone()) };
        let mut ledger = CardsInMemory::new(&access).unwrap();
        for (card, owner) in ["Ada Lovelace", "Bob Bower"].into_iter().enumerate() {
            let account = AccountNumber(1 + u32::try_from(card).unwrap());
            let number: CardNumber = NUMBERS[card].parse().unwrap();
            let claim = keys.claim(&number);
            let proof = keys.proof(&claim, &PINS[card].parse().unwrap());
            let row = Card::new(&claim, &proof, number.last_four(), Accounts::new(&[account]).unwrap());
            let balance = Amount::from_units(100).unwrap();
            ledger.add(CardAccount::new(account, balance, owner.parse().unwrap()), row).unwrap();
        }
        let config =
            ServerConfig { cards: Some(access), idle, frame: FRAME, ..ServerConfig::new(Wire::Json) };
        let mut server = Server::bind("127.0.0.1:0", config).unwrap();
        server.set_cards(ledger);
        let (address, metrics, stop) = (server.local_addr(), server.metrics(), server.stop_handle());
        Self { address, metrics, stop, serving: Some(thread::spawn(move || server.run())) }
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.metrics.to_string();
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap()
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.stop.stop();
        let served = self.serving.take().unwrap().join();
        assert!(thread::panicking() || served.is_ok_and(|served| served.is_ok()));
    }
}

/// A terminal that hides what is typed at a secret prompt.
pub(crate) struct Terminal {
    pub(crate) name: &'static str,
    pub(crate) start: u64,
    pub(crate) attempt: u32,
    ledger: Value,
    /// The number of the last reply.
    pub(crate) shown: u64,
}

impl Terminal {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, start: 1, attempt: 0, ledger: Value::Null, shown: 0 }
    }

    /// The next hello.
    pub(crate) fn hello(&mut self, resume: bool) -> Value {
        self.attempt += 1;
        json!({
            "hello": 2, "capabilities": 1, "terminal": self.name, "start": self.start, "attempt": self.attempt,
            "ledger": self.ledger, "shown": self.shown, "resume": resume,
        })
    }

    /// Says hello on a new connection, and shows the reply.
    pub(crate) fn connect(&mut self, address: SocketAddr, resume: bool) -> (Client, String) {
        let mut client = Client::connect(address);
        client.send(&frame(self.hello(resume).to_string()));
        let text = self.show(&mut client);
        (client, text)
    }

    /// Reads a reply, and shows it.
    pub(crate) fn show(&mut self, client: &mut Client) -> String {
        let reply = client.read();
        self.shown = reply["seq"].as_u64().unwrap_or_else(|| panic!("{reply}"));
        if reply["ledger"].is_string() {
            self.ledger = reply["ledger"].clone();
        }
        text_of(&reply).to_owned()
    }

    /// An answer to the prompt that is open.
    pub(crate) fn answer(&self, text: &str) -> Vec<u8> {
        frame(json!({ "re": self.shown, "data": text }).to_string())
    }

    /// Answers the open prompt, and shows the reply.
    pub(crate) fn ask(&mut self, client: &mut Client, text: &str) -> String {
        client.send(&self.answer(text));
        self.show(client)
    }

    /// Goes from the card prompt to the menu of a card.
    pub(crate) fn log_in(&mut self, client: &mut Client, card: usize) {
        assert!(self.ask(client, NUMBERS[card]).starts_with("Please type your PIN."));
        let menu = self.ask(client, PINS[card]);
        assert!(menu.starts_with("What would you like to do?"), "{menu}");
    }
}
