//! The terminal's configuration, its stored state, and the events and errors that it reports.
use crate::{
    codec::HostMessage,
    host::{LinkKind, frame_timeout},
    ledger::{LedgerId, Name},
    message::{Capabilities, EXTENDED, Fault, MAX_ANSWER, VERSION},
    number,
    time::Duration,
    wire::Wire,
};
#[cfg(feature = "seal")]
use crate::{message::KeyId, seal::TerminalKey};
use core::fmt;
use serde::{Deserialize, Serialize};

/// How a terminal retransmits a hello or an answer that has no reply: exponential backoff, up to a longest
/// wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Retransmit {
    /// The wait before the first retransmission: longer than the longest exchange takes on the link.
    pub first_wait: Duration,
    /// The longest wait between two retransmissions; each wait is twice the one before, up to this.
    pub max_wait: Duration,
    /// The time without a message after which the link is reported down.
    pub down_after: Duration,
    /// For how long an answer is retransmitted. Then the person may have left: the terminal says hello for a
    /// new person and asks only for the outcome of the answer.
    pub give_up_after: Duration,
}

/// Bytes of the longest answer and the longest reply together.
pub(crate) const EXCHANGE: u32 = 2 * 768;

impl Retransmit {
    /// The times for a serial line of `baud` bits a second, with ten bits a byte. The first wait is the time
    /// of 768 bytes each way, and 100 ms for the host.
    ///
    /// ```
    /// # use atm_core::terminal::Retransmit;
    /// assert_eq!(Retransmit::for_baud(115_200).first_wait.millis(), 233);
    /// ```
    pub const fn for_baud(baud: u32) -> Self {
        const BITS: u32 = 10 * EXCHANGE;
        let baud = if baud == 0 { 1 } else { baud };
        let exchange = (BITS.saturating_mul(1000) / baud).saturating_add(100);
        let down = exchange.saturating_mul(16);
        Self {
            first_wait: Duration::from_millis(exchange),
            max_wait: Duration::from_millis(exchange.saturating_mul(8)),
            down_after: Duration::from_millis(down),
            // A person waits for a minute. A slow link must be reported down before that.
            give_up_after: Duration::from_millis(if down < 30_000 { 60_000 } else { down.saturating_mul(2) }),
        }
    }
}

/// The terminal's stored state, which must survive a loss of power: the next hello sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Memory {
    /// The identity of the ledger that `shown` and `pending` belong to.
    pub ledger: Option<LedgerId>,
    /// The highest number of a reply that was shown. Lower than before where the ledger was set back.
    #[serde(with = "number::bounded")]
    pub shown: u64,
    /// The number of the answered prompt whose reply was not shown: the idempotency key of a request in
    /// doubt.
    #[serde(with = "number::bounded_option")]
    pub pending: Option<u64>,
}

/// The identity that a terminal sends in its hello.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Profile {
    /// Its name. Without one the ledger does not remember its operations.
    pub name: Option<Name>,
    /// A number that grows with every start (a start counter): the first part of the terminal epoch. Below
    /// [`Numbers::MAX`](crate::ledger::Numbers::MAX).
    pub start: u64,
    /// The state that was stored before this start.
    pub memory: Memory,
    /// What the terminal can do. With any, or with a dispenser, its hello is of version 2, which a host of version 1
    /// refuses.
    pub capabilities: Capabilities,
    /// Its dispenser.
    #[cfg(feature = "dispenser")]
    pub dispenser: Option<crate::message::Dispenser>,
    /// Its key: the link is sealed. Only on the `postcard` wire; on another one the terminal sends nothing and is over
    /// at once, because it never falls back to clear.
    #[cfg(feature = "seal")]
    pub key: Option<TerminalKey>,
    /// Random bytes of this start: without them, a terminal whose memory was set back cannot tell a recorded session
    /// from a new one. Sent with a key only.
    #[cfg(feature = "seal")]
    pub salt: u64,
}

impl Profile {
    /// The version of its hello: the first that has what it says.
    pub(super) fn version(&self) -> u8 {
        let is_plain = self.capabilities == Capabilities::NONE;
        #[cfg(feature = "dispenser")]
        let is_plain = is_plain && self.dispenser.is_none();
        #[cfg(feature = "seal")]
        let is_plain = is_plain && self.key.is_none();
        if is_plain { VERSION } else { EXTENDED }
    }

    /// What its hello says of the key.
    #[cfg(feature = "seal")]
    pub(super) fn key_id(&self) -> Option<KeyId> {
        let key = self.key.as_ref()?;
        Some(KeyId { series: key.series(), step: key.step(), salt: self.salt })
    }
}

/// The configuration of a [`Terminal`](super::Terminal).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// How messages are encoded and framed.
    pub wire: Wire,
    /// What kind of link it is.
    pub link: LinkKind,
    /// The identity for the hello. Without one the terminal sends no hello and waits for the host's greeting.
    pub profile: Option<Profile>,
    /// How to retransmit; `None` on a link that loses nothing (TCP).
    pub retransmit: Option<Retransmit>,
    /// How long a frame may take from its first byte to its last. Then it is discarded, and a connection is
    /// broken.
    pub frame_timeout: Duration,
    /// In a session by card, how long a prompt stays open without an answer. Then the terminal blanks its screen
    /// ([`Event::Idle`]) and says hello for the next person. A session is by card from its first secret prompt on.
    #[cfg(feature = "cards")]
    pub idle_timeout: Option<Duration>,
    /// What the terminal can do, and says only to a host that refuses its hello with the fault `by-card`. So its first hello
    /// is of version 1, which every host serves.
    #[cfg(feature = "cards")]
    pub offers: Capabilities,
}

/// The idle time of a session by card.
#[cfg(feature = "cards")]
const CARD_IDLE: Duration = Duration::from_secs(30);

impl Config {
    /// The defaults: no hello, no retransmission, 10 seconds for a frame, and 30 at a prompt of a session by card.
    pub fn new(wire: Wire, link: LinkKind) -> Self {
        Self {
            wire,
            link,
            profile: None,
            retransmit: None,
            frame_timeout: Duration::from_secs(10),
            #[cfg(feature = "cards")]
            idle_timeout: Some(CARD_IDLE),
            #[cfg(feature = "cards")]
            offers: Capabilities::NONE,
        }
    }

    /// The defaults for a serial line of `baud` bits a second: no hello yet, [`Retransmit::for_baud`], and for a frame the
    /// time of a [`host::Config::for_serial`](crate::host::Config::for_serial).
    pub fn for_serial(wire: Wire, baud: u32) -> Self {
        Self {
            retransmit: Some(Retransmit::for_baud(baud)),
            frame_timeout: frame_timeout(baud),
            ..Self::new(wire, LinkKind::Serial)
        }
    }
}

#[cfg(feature = "seal")]
impl Config {
    /// The key of a sealed link.
    pub(super) fn key(&self) -> Option<&TerminalKey> {
        self.profile.as_ref()?.key.as_ref()
    }
}

/// What the driver must show or handle. Not `non_exhaustive`: a driver must handle every event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap to box it in, and it is used where it is made"
)]
pub enum Event<'a> {
    /// A message of the host: show it, and ask the person for an answer if it is a prompt.
    Message(HostMessage<'a>),
    /// A frame that is not a message was received; the session continues.
    Fault(Fault),
    /// The stream is not of this wire or cannot get in step again: close the connection. A serial line gets in step at
    /// the deadline of the frame, so there it is a [`Fault`](Self::Fault).
    Broken(Fault),
    /// Nothing was received for [`Retransmit::down_after`]; the terminal continues to retransmit.
    LinkDown,
    /// A message was received after [`Event::LinkDown`].
    LinkUp,
    /// The host has lost replies that this terminal has shown: its ledger was set back to an earlier state.
    /// Warn the person; the reply to the hello follows as the next [`Event::Message`].
    LedgerSetBack {
        /// The prompt whose answer had no reply: the outcome of that answer is unknown.
        pending: Option<u64>,
    },
    /// A prompt of a session by card was open for [`Config::idle_timeout`] without an answer: the person may have left. Blank the
    /// screen, and drop what was typed; the terminal has said hello for the next person. Only with the feature `cards`.
    Idle,
}

/// Why [`Terminal::answer`](super::Terminal::answer) did not take an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
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
    fn a_frame_times_out_before_the_first_retransmission() {
        for baud in [0, 300, 9_600, 115_200, 4_000_000] {
            let Config { retransmit: Some(retransmit), frame_timeout, .. } =
                Config::for_serial(Wire::ALL[0].1, baud)
            else {
                panic!()
            };
            assert!(frame_timeout < retransmit.first_wait, "{baud}");
        }
    }

    #[test]
    fn errors_display_the_reason_and_the_limit() {
        assert_eq!(AnswerError::NotOpen.to_string(), "there is no open prompt");
        assert_eq!(AnswerError::TooLong.to_string(), "an answer has at most 64 bytes");
    }
}
