//! The protocol's messages as typed values: hello, answer, reply, notice and fault. The codecs encode them.
use crate::{
    ledger::{LedgerId, Outcome},
    number,
    screen::{Screen, Screens},
};
use core::fmt;
use serde::{Deserialize, Serialize};

pub use crate::session::{Answer, MAX_ANSWER};

mod hello;
#[cfg(feature = "seal")]
pub use hello::KeyId;
pub use hello::{Capabilities, Dispenser, EXTENDED, Hello, VERSION};

/// A message of a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TerminalMessage {
    /// A hello: the terminal's half of the handshake.
    Hello(Hello),
    /// An answer to a prompt.
    Answer {
        /// The number of the prompt: the idempotency key of the operation that the answer causes.
        re: Option<u64>,
        /// What was typed.
        answer: Answer,
    },
}

/// The host's half of the handshake, in its reply to a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Welcome {
    /// The identity of the ledger that reserves the numbers of the replies; `None` for an unnamed terminal.
    pub ledger: Option<LedgerId>,
    /// `start` of the hello that this answers.
    #[serde(with = "number::bounded")]
    pub start: u64,
    /// `attempt` of the hello that this answers.
    #[serde(serialize_with = "number::serialize")]
    pub attempt: u32,
}

/// The host's one reply to an answer or a hello: notices, then a prompt or the end of the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reply {
    /// The number of the reply and of its prompt. No other reply to the same named terminal ever has it.
    pub seq: u64,
    /// The number of the prompt whose answer this follows.
    pub re: Option<u64>,
    /// Notices, then at most one prompt.
    pub screens: Screens,
    /// Set if this answers a hello.
    pub welcome: Option<Welcome>,
}

impl Reply {
    /// Whether it ends in a prompt. If not, the session is over.
    pub fn is_prompt(&self) -> bool {
        self.screens.last().is_some_and(Screen::is_prompt)
    }

    /// The outcome that it reports.
    pub fn outcome(&self) -> Option<Outcome> {
        outcome_of(&self.screens)
    }
}

/// The outcome among some screens.
pub fn outcome_of(screens: &[Screen]) -> Option<Outcome> {
    screens.iter().find_map(|screen| match screen {
        Screen::Outcome(outcome) => Some(*outcome),
        _ => None,
    })
}

/// A message of the host without a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Notice {
    /// An operation is outstanding; its reply will follow.
    Working {
        /// The number of the prompt whose answer caused it.
        #[serde(with = "number::bounded_option")]
        re: Option<u64>,
    },
    /// There is no session: the terminal must say hello.
    Who,
    /// The terminal said hello on another link, which took the session over.
    TakenOver {
        /// `start` of the hello whose session was taken over.
        #[serde(with = "number::bounded")]
        start: u64,
        /// `attempt` of the hello whose session was taken over.
        #[serde(serialize_with = "number::serialize")]
        attempt: u32,
    },
    /// The hello is refused: a later one of the same name was received, or the same one on another connection.
    NameInUse {
        /// `start` of the refused hello.
        #[serde(with = "number::bounded")]
        start: u64,
        /// `attempt` of the refused hello.
        #[serde(serialize_with = "number::serialize")]
        attempt: u32,
    },
    /// The host has no room for another session or another name.
    Busy,
    /// The prompt had no answer for too long: the session is over.
    Idle,
    /// The host stops.
    Stopping,
    /// A message of the terminal was not accepted.
    Fault(Fault),
    /// No session is served before an operator acts: the ledger's records cannot be read, or the terminal is revoked or waits
    /// to be confirmed.
    OutOfService,
}

impl Notice {
    /// Whether the session ends with it.
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

    /// The English text for a person. It needs no escape in JSON.
    pub fn text(self) -> &'static str {
        match self {
            Self::Working { .. } => "Working on it.",
            Self::Who => "There is no session: say hello.",
            Self::TakenOver { .. } => "This terminal was taken over by a newer connection.",
            Self::NameInUse { .. } => "A terminal of this name is in use.",
            Self::Busy => "The server has as many sessions as it takes. Try again later.",
            Self::Idle => "No answer for too long. Goodbye.",
            Self::Stopping => "The server is stopping. Goodbye.",
            Self::Fault(fault) => fault.text(),
            Self::OutOfService => "This ATM is out of service. Ask its operator.",
        }
    }
}

/// What is wrong with a peer's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Fault {
    /// An empty frame.
    Empty,
    /// A frame longer than this side's buffer.
    TooLong,
    /// The bytes belong to another wire.
    WrongWire,
    /// A frame that did not end in time.
    Incomplete,
    /// A frame whose checksum or encoding is wrong.
    Damaged,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A frame that is not a JSON object.
    NotJson,
    /// JSON that is nested too deeply.
    TooDeep,
    /// An object that is neither an answer nor a hello, or has a field of the wrong type.
    NotAMessage,
    /// An invalid terminal name.
    BadName,
    /// A version of the protocol that this side does not speak.
    Version,
    /// An answer without the number of its prompt, after a hello.
    Unnumbered,
    /// An answer to a prompt that is not open.
    NotOpen,
    /// A second answer to a prompt, with other content.
    Conflict,
    /// The hello names another terminal than the certificate of its connection, or the session has no name.
    OtherName,
    /// The operator has not enrolled the terminal for its certificate, or has revoked it.
    NotEnrolled,
    /// Access is by card, and the hello has no name, or does not say that the terminal hides what is typed at a secret prompt.
    #[cfg(feature = "cards")]
    ByCard,
}

impl Fault {
    /// Every fault with its code on the `json` wire.
    const CODES: &'static [(Self, &'static str)] = &[
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
        (Self::OtherName, "other-name"),
        (Self::NotEnrolled, "not-enrolled"),
        #[cfg(feature = "cards")]
        (Self::ByCard, "by-card"),
    ];

    /// The fault's code on the `json` wire.
    pub fn code(self) -> &'static str {
        Self::CODES.iter().find(|(fault, _)| *fault == self).map_or("", |(_, code)| code)
    }

    /// Whether it is about a hello that the host will never accept.
    pub(crate) const fn refuses_hello(self) -> bool {
        #[cfg(feature = "cards")]
        if matches!(self, Self::ByCard) {
            return true;
        }
        matches!(
            self,
            Self::Version | Self::BadName | Self::NotAMessage | Self::OtherName | Self::NotEnrolled
        )
    }

    /// The fault with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::CODES.iter().find(|(_, known)| *known == code).map(|(fault, _)| *fault)
    }
}

impl Fault {
    /// The English text for a person. It needs no escape in JSON.
    pub fn text(self) -> &'static str {
        match self {
            Self::Empty => "The message is empty.",
            Self::TooLong => "The message is too long.",
            Self::WrongWire => "This is not a message of this wire: both sides need the same --wire.",
            Self::Incomplete => "The message did not end in time.",
            Self::Damaged => "The message was damaged on its way.",
            Self::NotUtf8 => "The message is not UTF-8.",
            Self::NotJson => "The message is not a JSON object.",
            Self::TooDeep => "The message is nested too deeply.",
            Self::NotAMessage => {
                "The message has no data for an answer, or a field of the wrong type. A number is digits only."
            }
            Self::BadName => "A terminal's name is 1 to 32 of A-Z a-z 0-9 . _ -",
            Self::Version => "This version of the protocol is not spoken here; versions 1 and 2 are.",
            Self::Unnumbered => "After a hello, an answer must name its prompt.",
            Self::NotOpen => "The prompt that was answered is not open.",
            Self::Conflict => "That prompt was answered before, with something else.",
            Self::OtherName => "A session here needs the name in this terminal's certificate.",
            Self::NotEnrolled => "This terminal is not enrolled here.",
            #[cfg(feature = "cards")]
            Self::ByCard => {
                "Access here is by card: a hello needs a name, version 2, and the capability to hide what is typed at a secret prompt."
            }
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
    fn every_code_parses_back_to_its_fault() {
        for (fault, code) in Fault::CODES {
            assert_eq!(Fault::from_code(fault.code()), Some(*fault), "{code}");
        }
        assert_eq!(Fault::from_code("surprise"), None);
    }

    #[test]
    fn the_text_of_a_notice_needs_no_escape_in_json() {
        let faults = Fault::CODES.iter().map(|(fault, _)| Notice::Fault(*fault));
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
        for notice in faults.chain(others) {
            assert!(needs_no_escape(notice.text()) && !notice.text().is_empty(), "{notice:?}");
            let shown = match notice {
                Notice::Fault(fault) => fault.to_string(),
                other => other.to_string(),
            };
            assert_eq!(shown, notice.text());
        }
    }
}
