//! Link events: what [`Link::next`](super::Link::next) returns to its caller.
use atm_core::{
    ledger::Outcome,
    message::{Fault, Notice},
    screen::{CardPrompt, Failure, asks_for_amount},
    terminal::{HostMessage, MessageText, Prompt},
};
use std::io;

/// A message of the host, with its text decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The text to show.
    pub text: String,
    /// The prompt that the message opens, if it opens one.
    pub prompt: Option<Prompt>,
    /// Does it ask for an amount, so that a word of the menu is not valid?
    pub asks_for_amount: bool,
    /// Is the answer to be hidden where it is typed, and never kept?
    pub secret: bool,
    /// The prompt of a session by card, if it is one of those that are treated apart.
    pub card: Option<CardPrompt>,
    /// Does the message end the session?
    pub ends: bool,
    /// Is it the reply to a hello, or a reply that a hello has fetched?
    pub welcome: bool,
    /// The outcome of the operation that the message reports.
    pub outcome: Option<Outcome>,
    /// Why the answer before it was not carried out, if the message says so.
    pub failure: Option<Failure>,
    /// The notice, if this version knows it.
    pub notice: Option<Notice>,
    /// The message's number.
    pub seq: Option<u64>,
    /// The number of the prompt whose answer this message replies to.
    pub re: Option<u64>,
    /// Is it a piece of text outside of any message (`raw` wire)? More of the same line may follow.
    pub plain: bool,
}

impl ReceivedMessage {
    /// Does it show that the session is by card?
    pub(super) fn is_by_card(&self) -> bool {
        self.secret || self.card.is_some()
    }
}

impl From<&HostMessage<'_>> for ReceivedMessage {
    fn from(message: &HostMessage<'_>) -> Self {
        let text = message.text.to_string();
        Self {
            failure: failure(message, &text),
            asks_for_amount: message.prompt && asks_for_amount(&text),
            secret: message.prompt && message.secret,
            card: CardPrompt::in_text(&text).filter(|_| message.prompt),
            text,
            prompt: message.prompt.then_some(message.seq),
            ends: message.ends,
            welcome: message.welcome.is_some(),
            outcome: message.outcome,
            notice: message.notice,
            seq: message.seq,
            re: message.re,
            plain: matches!(message.text, MessageText::Plain(_)),
        }
    }
}

/// Why the answer before a message was not carried out: by its fields, or else by its text. Fields are only about operations, and
/// the `raw` wire has none.
fn failure(message: &HostMessage<'_>, text: &str) -> Option<Failure> {
    match (message.outcome, message.notice, &message.text) {
        (Some(outcome), _, _) => Failure::of(outcome),
        (None, Some(Notice::Fault(_)), _) => Some(Failure::Refused),
        (None, Some(_), _) | (None, None, MessageText::Plain(_)) => None,
        (None, None, _) => Failure::in_text(text),
    }
}

/// What happened on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// A message of the host arrived.
    Message(ReceivedMessage),
    /// An invalid message arrived; the session goes on.
    Fault(Fault),
    /// The bytes that arrive cannot be a stream of this wire.
    Broken(Fault),
    /// The host has been silent for too long. A terminal that says hello goes on with retransmissions.
    LinkDown,
    /// The host was silent and has sent something again.
    LinkUp,
    /// The host's ledger was set back to an earlier state: it has lost replies that were shown here. The reply to the
    /// hello follows.
    LedgerSetBack {
        /// The prompt whose answer had no reply: the outcome of that answer is unknown.
        pending: Option<u64>,
    },
    /// The connection is lost; reconnecting has started.
    ConnectionLost,
    /// There is a new connection, and the host serves it.
    Reconnected,
    /// The link has ended, with an error or without; no more messages will come.
    Closed(Option<io::Error>),
    /// A prompt was open for [`Options::idle_timeout`](super::Options::idle_timeout) without an answer: end the session.
    Idle,
    /// The same in a session by card, at the terminal's idle time or the host's: blank the screen, and drop what was typed. The prompt
    /// of the next person's session follows.
    NextPerson,
    /// The terminal's memory could not be stored; its output was not sent.
    NotStored(io::Error),
    /// [`Wake::wake`](super::Wake::wake) was called.
    Woken,
    /// The deadline has passed.
    Timeout,
}

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the host.
    In,
    /// To the host.
    Out,
}
