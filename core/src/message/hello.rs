//! The hello: a terminal's half of the handshake, in both versions.
use crate::{
    ledger::{Epoch, LedgerId, Name},
    number,
};
use serde::{Deserialize, Serialize};

/// The version of a hello without equipment and key, and of every welcome.
pub const VERSION: u8 = 1;

/// The version of a hello that says what equipment the terminal has, and which key.
pub const EXTENDED: u8 = 2;

/// What a terminal can do that version 1 does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Capabilities(u8);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);
    /// It hides what is typed at a secret prompt.
    pub const SECRET_PROMPTS: Self = Self(1);
    /// It has a dispenser.
    pub const DISPENSER: Self = Self(2);

    /// The bits of the wire. Unknown ones are kept.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits of the wire.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are there.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A terminal's dispenser, as it counts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dispenser {
    /// Its serial number.
    #[serde(with = "number")]
    pub serial: u64,
    /// The units that it has ever paid out.
    #[serde(with = "number::bounded")]
    pub count: u64,
}

/// Which key a hello is authentic under, and what makes it fresh.
#[cfg(feature = "seal")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeyId {
    /// The key's series: it grows with each rotation, from 1.
    pub series: core::num::NonZeroU32,
    /// The key's step in the series.
    pub step: u32,
    /// Random bytes of this life of the terminal.
    pub salt: u64,
}

/// A terminal's half of the handshake: its identity and what it knows.
///
/// Serialized, it has the fields of version 1; the codecs add those of version 2.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello {
    /// The version of the protocol that the terminal speaks.
    pub version: u8,
    /// The terminal's name. Without one the ledger does not remember its operations.
    pub terminal: Option<Name>,
    /// A number that grows with every start of the terminal. With `attempt` it is the terminal epoch.
    #[serde(with = "number::bounded")]
    pub start: u64,
    /// The number of this hello since that start.
    #[serde(serialize_with = "number::serialize")]
    pub attempt: u32,
    /// The identity of the ledger that `shown` and `pending` belong to.
    pub ledger: Option<LedgerId>,
    /// The highest number of a reply that was shown.
    #[serde(with = "number::bounded")]
    pub shown: u64,
    /// The number of the answered prompt whose reply was not shown.
    #[serde(with = "number::bounded_option")]
    pub pending: Option<u64>,
    /// Whether to resume the session: the same person is still there.
    pub resume: bool,
    /// What the terminal can do; none in version 1.
    #[serde(skip)]
    pub capabilities: Capabilities,
    /// Its dispenser.
    #[cfg(feature = "dispenser")]
    #[serde(skip)]
    pub dispenser: Option<Dispenser>,
    /// The key of a sealed hello; `None` in clear.
    #[cfg(feature = "seal")]
    #[serde(skip)]
    pub key: Option<KeyId>,
}

impl Hello {
    /// A hello of version 1 that says nothing, to fill in.
    pub const EMPTY: Self = Self {
        version: VERSION,
        terminal: None,
        start: 0,
        attempt: 0,
        ledger: None,
        shown: 0,
        pending: None,
        resume: false,
        capabilities: Capabilities::NONE,
        #[cfg(feature = "dispenser")]
        dispenser: None,
        #[cfg(feature = "seal")]
        key: None,
    };

    /// Its dispenser, where this build keeps it.
    pub(crate) const fn dispenser(&self) -> Option<Dispenser> {
        #[cfg(feature = "dispenser")]
        return self.dispenser;
        #[cfg(not(feature = "dispenser"))]
        None
    }

    /// Sets its dispenser, where this build keeps it.
    pub(crate) const fn set_dispenser(&mut self, dispenser: Option<Dispenser>) {
        #[cfg(feature = "dispenser")]
        (self.dispenser = dispenser);
        #[cfg(not(feature = "dispenser"))]
        let _ = dispenser;
    }

    /// The terminal epoch.
    pub fn epoch(&self) -> Epoch {
        Epoch {
            #[cfg(feature = "seal")]
            series: self.key.map_or(0, |key| key.series.get()),
            #[cfg(feature = "seal")]
            step: self.key.map_or(0, |key| key.step),
            start: self.start,
            attempt: self.attempt,
        }
    }

    /// Whether this crate speaks its version.
    pub(crate) fn is_spoken(&self) -> bool {
        matches!(self.version, VERSION | EXTENDED)
    }
}
