//! What a terminal's endpoint is made for, what it must keep, and what it tells its driver.
use crate::{
    codec::HostMessage,
    host::LinkKind,
    ledger::{LedgerId, Name},
    message::{Fault, MAX_ANSWER},
    number,
    time::Duration,
    wire::Wire,
};
use core::fmt;
use serde::{Deserialize, Serialize};

/// How a terminal repeats what has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Retransmit {
    /// After how long it repeats first: longer than the longest exchange takes on the line.
    pub first_wait: Duration,
    /// The longest time between two repeats; each is twice the one before, up to this.
    pub max_wait: Duration,
    /// After how long without a reply the line is down.
    pub down_after: Duration,
    /// For how long an answer is repeated. Then nobody can be taken to be there any more: the terminal says hello as
    /// for a new person and only asks what became of it.
    pub give_up_after: Duration,
}

impl Retransmit {
    /// What suits a serial line of `baud` bits a second, ten bits a byte: the first repeat comes no sooner than a
    /// message of [`OUT`](crate::host::OUT) bytes each way and a tenth of a second for the host need.
    pub const fn for_baud(baud: u32) -> Self {
        const BITS: u32 = 2 * 10 * crate::host::OUT as u32;
        let baud = if baud == 0 { 1 } else { baud };
        let exchange = (BITS.saturating_mul(1000) / baud).saturating_add(100);
        let down = exchange.saturating_mul(16);
        Self {
            first_wait: Duration::from_millis(exchange),
            max_wait: Duration::from_millis(exchange.saturating_mul(8)),
            down_after: Duration::from_millis(down),
            // A minute is what a person waits; a slow line must be told to be down before it.
            give_up_after: Duration::from_millis(if down < 30_000 { 60_000 } else { down.saturating_mul(2) }),
        }
    }
}

/// What a terminal must not forget: what it would be a lie to say hello without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Memory {
    /// The ledger whose numbers it knows.
    pub ledger: Option<LedgerId>,
    /// The highest number of a reply that it has shown.
    #[serde(serialize_with = "number::serialize")]
    pub shown: u64,
    /// The number of the prompt that it has answered without having shown the reply.
    #[serde(serialize_with = "number::serialize_option")]
    pub pending: Option<u64>,
}

/// What a terminal says of itself when it says hello.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Profile {
    /// Its name; without one its operations are not remembered.
    pub name: Option<Name>,
    /// How often it has started, or anything else that grows with every start.
    pub start: u64,
    /// What it kept from its last life.
    pub memory: Memory,
}

/// What a terminal's endpoint is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// How messages cross the line.
    pub wire: Wire,
    /// What kind of line it is.
    pub link: LinkKind,
    /// Who says hello. Without one the terminal waits to be greeted.
    pub profile: Option<Profile>,
    /// How to repeat; `None` on a line that loses nothing.
    pub retransmit: Option<Retransmit>,
    /// How long a frame may take from its first byte to its last.
    pub frame_timeout: Duration,
}

impl Config {
    /// The defaults: no hello, no retransmission, and 10 seconds for a frame.
    pub fn new(wire: Wire, link: LinkKind) -> Self {
        Self { wire, link, profile: None, retransmit: None, frame_timeout: Duration::from_secs(10) }
    }
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap to box it in, and it is used where it is made"
)]
pub enum Event<'a> {
    /// The host says this: show it, and ask for an answer if it is a prompt.
    Message(HostMessage<'a>),
    /// What came is not a message; the session goes on.
    Fault(Fault),
    /// What came can be no stream of this wire: nothing more will be understood.
    Broken(Fault),
    /// Nothing has come for too long; the terminal goes on repeating.
    LinkDown,
    /// The line is there again.
    LinkUp,
}

/// Why an answer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AnswerError {
    /// That prompt is not open.
    NotOpen,
    /// It is longer than [`MAX_ANSWER`] bytes after trimming.
    TooLong,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("there is no open prompt"),
            Self::TooLong => write!(f, "an answer has at most {MAX_ANSWER} bytes"),
        }
    }
}

impl core::error::Error for AnswerError {}

/// The number of a prompt; `None` on a wire without numbers.
pub type Prompt = Option<u64>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_answer_that_is_not_taken_says_why() {
        assert_eq!(AnswerError::NotOpen.to_string(), "there is no open prompt");
        assert_eq!(AnswerError::TooLong.to_string(), "an answer has at most 64 bytes");
    }
}
