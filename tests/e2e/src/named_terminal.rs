//! A named terminal of the `json` wire: the state that it stores, and the messages made from it.
use crate::{Client, Value, frame, json};
use std::net::SocketAddr;

/// The state that a named terminal stores (core/PROTOCOL.md). A test may change it, as a crash would.
#[derive(Clone, Debug)]
pub struct NamedTerminal {
    /// The terminal's name.
    pub name: String,
    /// The start counter. With `attempt`, it is the terminal epoch.
    pub start: u64,
    /// How many hellos were sent since the start.
    attempt: u32,
    /// The identity of the ledger that the last welcome named.
    pub ledger: Value,
    /// The highest number of a reply that was shown.
    pub shown: u64,
    /// The number of the prompt whose answer has no reply yet.
    pub pending: Option<u64>,
}

impl NamedTerminal {
    /// A terminal that the host has not seen before.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), start: 1, attempt: 0, ledger: Value::Null, shown: 0, pending: None }
    }

    /// A power loss: the next hello is the first of a new start.
    pub fn restart(&mut self) {
        (self.start, self.attempt) = (self.start + 1, 0);
    }

    /// Sends a hello on a new connection and reads the welcome. `None` if the server goes away meanwhile.
    pub fn try_hello(&mut self, address: SocketAddr, resume: bool) -> Option<(Client, Value)> {
        self.attempt += 1;
        let mut client = Client::try_connect(address)?;
        let hello = json!({
            "hello": 1, "terminal": self.name, "start": self.start, "attempt": self.attempt,
            "ledger": self.ledger, "shown": self.shown, "pending": self.pending, "resume": resume,
        });
        // The greeting is for an unnamed session; the hello discards it.
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

    /// Sends a hello to a server that must not go away.
    pub fn hello(&mut self, address: SocketAddr, resume: bool) -> (Client, Value) {
        self.try_hello(address, resume).expect("the server does not go away")
    }

    /// Shows a reply, which must have a new number; returns that number.
    pub fn show(&mut self, reply: &Value) -> u64 {
        let seq = reply["seq"].as_u64().unwrap();
        assert!(seq > self.shown, "{}: a number is used again: {reply}", self.name);
        (self.shown, self.pending) = (seq, None);
        seq
    }

    /// Answers the prompt that was shown last; false if the connection is closed.
    pub fn answer(&mut self, client: &mut Client, text: &str) -> bool {
        self.pending = Some(self.shown);
        client.try_send(&frame(json!({ "re": self.shown, "data": text }).to_string()))
    }
}
