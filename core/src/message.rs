//! What crosses the wire, numbered; how it is encoded is another room's matter.
use crate::{
    ledger::{LedgerId, Name, Numbers, Outcome},
    number,
    screen::{Screen, Screens},
};
use core::fmt;
use serde::{Deserialize, Serialize};

pub use crate::session::{Answer, MAX_ANSWER};

/// The version of the protocol that this crate speaks.
pub const VERSION: u8 = 1;

/// What a terminal says of itself when it comes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello {
    /// The version of the protocol that it speaks.
    pub version: u8,
    /// Its name; without one its operations are not remembered.
    pub terminal: Option<Name>,
    /// How often the terminal has started, or anything else that grows with every start.
    #[serde(serialize_with = "number::serialize")]
    pub start: u64,
    /// How often it has said hello since then.
    #[serde(serialize_with = "number::serialize")]
    pub attempt: u32,
    /// The ledger whose numbers it knows.
    pub ledger: Option<LedgerId>,
    /// The highest number of a reply that it has shown.
    #[serde(serialize_with = "number::serialize")]
    pub shown: u64,
    /// The number of the prompt that it has answered without having shown the reply.
    #[serde(serialize_with = "number::serialize_option")]
    pub pending: Option<u64>,
    /// Is the same person still there, with the same session in mind?
    pub resume: bool,
}

impl Hello {
    /// Are its numbers such as a host or a terminal can have counted to?
    pub fn is_sound(&self) -> bool {
        [self.start, self.shown, self.pending.unwrap_or(0)].iter().all(|number| *number < Numbers::MAX)
    }
}

/// What a terminal says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TerminalMessage {
    /// It comes, or comes again.
    Hello(Hello),
    /// It answers a prompt.
    Answer {
        /// The number of the prompt.
        re: Option<u64>,
        /// What was typed.
        answer: Answer,
    },
}

/// A host's greeting of a terminal that said hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Welcome {
    /// The identity of the ledger whose numbers follow; a host without one serves unnamed terminals only.
    pub ledger: Option<LedgerId>,
    /// The `start` of the hello that this answers.
    #[serde(serialize_with = "number::serialize")]
    pub start: u64,
    /// The `attempt` of the hello that this answers.
    #[serde(serialize_with = "number::serialize")]
    pub attempt: u32,
}

/// The host's one reply to an answer or a hello: notices, then a prompt or the end of the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reply {
    /// Its number, never used for another; the number of its prompt too.
    pub seq: u64,
    /// The number of the prompt whose answer it follows.
    pub re: Option<u64>,
    /// What is said.
    pub screens: Screens,
    /// Set where it answers a hello.
    pub welcome: Option<Welcome>,
}

impl Reply {
    /// Does it end in a prompt?
    pub fn is_prompt(&self) -> bool {
        self.screens.last().is_some_and(Screen::is_prompt)
    }

    /// The outcome that it tells.
    pub fn outcome(&self) -> Option<Outcome> {
        outcome_of(&self.screens)
    }
}

/// The outcome that some screens tell.
pub fn outcome_of(screens: &[Screen]) -> Option<Outcome> {
    screens.iter().find_map(|screen| match screen {
        Screen::Outcome(outcome) => Some(*outcome),
        _ => None,
    })
}

/// What a host says without a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Notice {
    /// An operation is out; its reply will come.
    Working {
        /// The number of the prompt whose answer caused it.
        #[serde(serialize_with = "number::serialize_option")]
        re: Option<u64>,
    },
    /// There is no session: say hello.
    Who,
    /// The terminal said hello again somewhere else; this endpoint is over.
    TakenOver {
        /// The `start` of the hello that is over.
        #[serde(serialize_with = "number::serialize")]
        start: u64,
        /// The `attempt` of the hello that is over.
        #[serde(serialize_with = "number::serialize")]
        attempt: u32,
    },
    /// A later hello of this name was heard already.
    NameInUse {
        /// The `start` of the hello that is refused.
        #[serde(serialize_with = "number::serialize")]
        start: u64,
        /// The `attempt` of the hello that is refused.
        #[serde(serialize_with = "number::serialize")]
        attempt: u32,
    },
    /// The host has as many sessions as it takes.
    Busy,
    /// Nobody answered for too long: the session is over.
    Idle,
    /// The host stops.
    Stopping,
    /// What came could not be served.
    Fault(Fault),
    /// The records of the money cannot be read: nobody is served.
    OutOfService,
}

impl Notice {
    /// Does the session end with it?
    pub fn ends_session(&self) -> bool {
        matches!(
            self,
            Self::TakenOver { .. }
                | Self::NameInUse { .. }
                | Self::Busy
                | Self::Idle
                | Self::Stopping
                | Self::OutOfService
        )
    }

    /// What to tell a person; none of it needs an escape in JSON.
    pub fn text(self) -> &'static str {
        match self {
            Self::Working { .. } => "Working on it.",
            Self::Who => "There is no session: say hello.",
            Self::TakenOver { .. } => "This terminal was taken over by a newer connection.",
            Self::NameInUse { .. } => "A terminal of this name is in use.",
            Self::Busy => "The server has as many sessions as it takes. Try again later.",
            Self::Idle => "Nobody answered for too long. Goodbye.",
            Self::Stopping => "The server is stopping. Goodbye.",
            Self::Fault(fault) => fault.text(),
            Self::OutOfService => "This ATM is out of service: its records cannot be read.",
        }
    }
}

/// What is wrong with what a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// A frame without a byte in it.
    Empty,
    /// A frame longer than this side takes.
    TooLong,
    /// The bytes belong to another wire.
    WrongWire,
    /// A frame began and did not end in time.
    Incomplete,
    /// A frame was damaged on its way.
    Damaged,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A frame that is not a JSON object.
    NotJson,
    /// JSON nested deeper than this side takes.
    TooDeep,
    /// An object that is neither an answer nor a hello, or has a field of the wrong type.
    NotAMessage,
    /// A terminal's name that is not one.
    BadName,
    /// A version of the protocol that this side does not speak.
    Version,
    /// After a hello, an answer must name its prompt.
    Unnumbered,
    /// The prompt that was answered is not open.
    NotOpen,
    /// The prompt was answered before, with something else.
    Conflict,
}

impl Fault {
    /// Every fault with its code on the `json` wire.
    const CODES: [(Self, &'static str); 14] = [
        (Self::Empty, "empty"),
        (Self::TooLong, "too-long"),
        (Self::WrongWire, "wrong-wire"),
        (Self::Incomplete, "incomplete"),
        (Self::Damaged, "damaged"),
        (Self::NotUtf8, "not-utf8"),
        (Self::NotJson, "not-json"),
        (Self::TooDeep, "too-deep"),
        (Self::NotAMessage, "not-a-message"),
        (Self::BadName, "bad-name"),
        (Self::Version, "version"),
        (Self::Unnumbered, "unnumbered"),
        (Self::NotOpen, "not-open"),
        (Self::Conflict, "conflict"),
    ];

    /// The fault's code on the `json` wire.
    pub fn code(self) -> &'static str {
        Self::CODES.iter().find(|(fault, _)| *fault == self).map_or("", |(_, code)| code)
    }

    /// The fault that a code names.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::CODES.iter().find(|(_, known)| *known == code).map(|(fault, _)| *fault)
    }
}

impl Fault {
    /// What to tell a person; none of it needs an escape in JSON.
    pub fn text(self) -> &'static str {
        match self {
            Self::Empty => "The message is empty.",
            Self::TooLong => "The message is too long.",
            Self::WrongWire => {
                "This is not a message of this wire: check that both sides use the same --wire."
            }
            Self::Incomplete => "The message did not end in time.",
            Self::Damaged => "The message was damaged on its way.",
            Self::NotUtf8 => "The message is not UTF-8.",
            Self::NotJson => "The message is not a JSON object.",
            Self::TooDeep => "The message is nested too deeply.",
            Self::NotAMessage => {
                "The message has no data that could be an answer, or a field of the wrong type."
            }
            Self::BadName => "A terminal's name is 1 to 32 of A-Z a-z 0-9 . _ -",
            Self::Version => "This version of the protocol is not spoken here; version 1 is.",
            Self::Unnumbered => "After a hello, an answer must name its prompt.",
            Self::NotOpen => "The prompt that was answered is not open.",
            Self::Conflict => "That prompt was answered before, with something else.",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::needs_no_escape;
    use std::string::ToString;

    #[test]
    fn codes_read_back() {
        for (fault, code) in Fault::CODES {
            assert_eq!(Fault::from_code(fault.code()), Some(fault), "{code}");
        }
        assert_eq!(Fault::from_code("surprise"), None);
    }

    #[test]
    fn what_a_notice_tells_needs_no_escape() {
        let faults = Fault::CODES.map(|(fault, _)| Notice::Fault(fault));
        let others = [
            Notice::Working { re: None },
            Notice::Who,
            Notice::TakenOver { start: 1, attempt: 1 },
            Notice::NameInUse { start: 1, attempt: 1 },
            Notice::Busy,
            Notice::Idle,
            Notice::Stopping,
            Notice::OutOfService,
        ];
        for notice in faults.into_iter().chain(others) {
            assert!(needs_no_escape(notice.text()) && !notice.text().is_empty(), "{notice:?}");
            let shown = match notice {
                Notice::Fault(fault) => fault.to_string(),
                other => other.to_string(),
            };
            assert_eq!(shown, notice.text());
        }
    }
}
