//! What a link tells whoever waits for it.
use atm_core::{
    ledger::Outcome,
    message::{Fault, Notice},
    terminal::{HostMessage, MessageText, Prompt},
};
use std::io;

/// What the host says, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// What to show.
    pub text: String,
    /// The prompt that it opens, if it is one.
    pub prompt: Option<Prompt>,
    /// Is the session over?
    pub ends: bool,
    /// Is it the answer to a hello, or a reply that a hello has fetched?
    pub welcome: bool,
    /// The outcome that it tells.
    pub outcome: Option<Outcome>,
    /// The notice, where it is one that this side knows.
    pub notice: Option<Notice>,
    /// Its number.
    pub seq: Option<u64>,
    /// The number of the prompt whose answer it follows.
    pub re: Option<u64>,
    /// Is it a piece of a text that is no message? Then more of the same line may follow.
    pub plain: bool,
}

impl From<&HostMessage<'_>> for ReceivedMessage {
    fn from(said: &HostMessage<'_>) -> Self {
        Self {
            text: said.text.to_string(),
            prompt: said.prompt.then_some(said.seq),
            ends: said.ends,
            welcome: said.welcome.is_some(),
            outcome: said.outcome,
            notice: said.notice,
            seq: said.seq,
            re: said.re,
            plain: matches!(said.text, MessageText::Plain(_)),
        }
    }
}

/// What has happened on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// The host says something.
    Message(ReceivedMessage),
    /// What came is not a message; the session goes on.
    Fault(Fault),
    /// What comes can be no stream of this wire.
    Broken(Fault),
    /// Nothing has come for too long; what has no reply is repeated.
    LinkDown,
    /// The line is there again.
    LinkUp,
    /// The connection is lost; it is opened again.
    ConnectionLost,
    /// The connection is there again, and the host serves it.
    Reconnected,
    /// The line has ended, with an error or without; nothing more will come.
    Closed(Option<io::Error>),
    /// The terminal's memory could not be stored, so that what it says was not sent.
    NotStored(io::Error),
    /// Somebody called [`Wake::wake`](super::Wake::wake).
    Woken,
    /// The deadline has come.
    Timeout,
}

/// The way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the host.
    In,
    /// To the host.
    Out,
}
