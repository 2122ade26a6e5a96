//! A terminal with a name on the `json` wire, and what it must not forget.
use crate::{Client, Value, frame, json};
use std::net::SocketAddr;

/// What a terminal with a name must not forget.
#[derive(Clone, Debug)]
pub struct NamedTerminal {
    /// Its name.
    pub name: String,
    /// Counts its starts.
    pub start: u64,
    attempt: u32,
    /// The identity of the ledger that it knows.
    pub ledger: Value,
    /// The highest number that it has shown.
    pub shown: u64,
    /// The answer that it has no reply for.
    pub pending: Option<u64>,
}

impl NamedTerminal {
    /// One that was never here.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), start: 1, attempt: 0, ledger: Value::Null, shown: 0, pending: None }
    }

    /// It lost power: what it does next is its next life.
    pub fn restart(&mut self) {
        (self.start, self.attempt) = (self.start + 1, 0);
    }

    /// Says hello on a new connection, and reads the welcome. `None` where the server goes away meanwhile.
    pub fn try_hello(&mut self, address: SocketAddr, resume: bool) -> Option<(Client, Value)> {
        self.attempt += 1;
        let mut client = Client::try_connect(address)?;
        let hello = json!({
            "hello": 1, "terminal": self.name, "start": self.start, "attempt": self.attempt,
            "ledger": self.ledger, "shown": self.shown, "pending": self.pending, "resume": resume,
        });
        // The greeting is for whoever says no hello.
        client.try_read()?;
        if !client.try_send(&frame(hello.to_string())) {
            return None;
        }
        let mut welcome = client.try_read()?;
        while welcome["notice"] == "working" {
            welcome = client.try_read()?;
        }
        assert_eq!((&welcome["hello"], &welcome["start"]), (&json!(1), &json!(self.start)), "{welcome}");
        self.ledger = welcome["ledger"].clone();
        Some((client, welcome))
    }

    /// Says hello to a server that stays.
    pub fn hello(&mut self, address: SocketAddr, resume: bool) -> (Client, Value) {
        self.try_hello(address, resume).expect("the server stays")
    }

    /// Shows a reply; returns the number of its prompt.
    pub fn show(&mut self, reply: &Value) -> u64 {
        let seq = reply["seq"].as_u64().unwrap();
        assert!(seq > self.shown, "{}: a number is used once: {reply}", self.name);
        (self.shown, self.pending) = (seq, None);
        seq
    }

    /// Answers the prompt that was shown last; false where the connection is gone.
    pub fn answer(&mut self, client: &mut Client, text: &str) -> bool {
        self.pending = Some(self.shown);
        client.try_send(&frame(json!({ "re": self.shown, "data": text }).to_string()))
    }
}
