//! A terminal of the `json` wire that hides what is typed at a secret prompt: what it sends and when is the test's choice.
use crate::counter::{NUMBERS, PINS};
use atm_e2e::{Client, Value, frame, json, text_of};
use std::net::SocketAddr;

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
