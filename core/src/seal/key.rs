//! Keys of terminals and conversations: how each follows from the one before.
use super::{TAG, Tag};
use crate::{
    ledger::Name,
    xof::{Key, absorb},
};
use core::{fmt, num::NonZeroU32};
use subtle::ConstantTimeEq;

// What a key is absorbed with: no key is ever used with one label for two purposes.
const TERMINAL: u8 = 1;
const HELLO: u8 = 2;
const EARLY: u8 = 3;
const SESSION: u8 = 4;
const STEP: u8 = 5;

/// The key of a terminal at one step of one series.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TerminalKey {
    key: Key,
    series: NonZeroU32,
    step: u32,
}

impl TerminalKey {
    /// A key that was stored.
    pub fn new(key: Key, series: NonZeroU32, step: u32) -> Self {
        Self { key, series, step }
    }

    /// The first key of a series of the terminal of this name.
    pub fn derive(master: &Key, series: NonZeroU32, name: &Name) -> Self {
        let parts = [&series.get().to_le_bytes()[..], name.as_str().as_bytes()];
        Self { key: Key::read(&mut absorb(master.bytes(), TERMINAL, &parts)), series, step: 0 }
    }

    /// The key of the next step, from which this one does not follow; `None` after 2^32 steps.
    pub fn next(&self) -> Option<Self> {
        self.forward(self.step.checked_add(1)?, 1)
    }

    /// The key of a later step of the series, or this one; `None` for an earlier step, or one more than `most` ahead.
    pub fn forward(&self, step: u32, most: u32) -> Option<Self> {
        if step.checked_sub(self.step)? > most {
            return None;
        }
        let mut key = self.clone();
        while key.step < step {
            let mut output = absorb(key.key.bytes(), STEP, &[]);
            key.key.replace(&mut output);
            key.step = key.step.saturating_add(1);
        }
        Some(key)
    }

    /// The secret bytes, to be stored with series and step.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The series.
    pub fn series(&self) -> NonZeroU32 {
        self.series
    }

    /// The step.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// The tag and the secret of a hello: its body from the index to the last field, without a tag.
    pub fn prove(&self, hello: &[u8]) -> HelloProof {
        let mut output = absorb(self.key.bytes(), HELLO, &[hello]);
        let mut tag = [0; TAG];
        output.squeeze(&mut tag);
        HelloProof { tag, seed: Key::read(&mut output) }
    }

    /// The same for a hello whose body ends in a tag; `None` if that is wrong.
    pub fn verify(&self, body: &[u8]) -> Option<HelloProof> {
        let (hello, tag) = body.split_last_chunk::<TAG>()?;
        let proof = self.prove(hello);
        bool::from(proof.tag.ct_eq(tag)).then_some(proof)
    }
}

impl fmt::Debug for TerminalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TerminalKey")
            .field("series", &self.series)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for TerminalKey {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "TerminalKey {{ series: {}, step: {} }}", self.series.get(), self.step);
    }
}

/// What an authentic hello proves: that its sender has the key. Two hellos of one key are the same bytes if their tags are
/// equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HelloProof {
    tag: Tag,
    seed: Key,
}

impl HelloProof {
    /// The tag, which ends the hello's body.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// The key of notices before a welcome.
    pub fn early(&self) -> Key {
        Key::read(&mut absorb(self.seed.bytes(), EARLY, &[]))
    }

    /// The keys of the conversation that a welcome to this hello begins.
    pub fn session(&self, header: Header) -> SessionKeys {
        let mut output = absorb(self.seed.bytes(), SESSION, &[&header.0]);
        SessionKeys { up: Key::read(&mut output), down: Key::read(&mut output), header }
    }
}

impl fmt::Debug for HelloProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloProof").field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// What the first welcome to a hello fixes, and no other welcome of any host to that hello ever has: its origin (the
/// ledger's identity, xor random bytes of the host's start), and the reply's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header([u8; Self::LENGTH]);

impl Header {
    /// Length in bytes.
    pub const LENGTH: usize = 16;

    /// The header of a welcome.
    pub fn new(origin: u64, number: u64) -> Self {
        Self((u128::from(number) << 64 | u128::from(origin)).to_le_bytes())
    }

    /// The header in these bytes.
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// The keys of a conversation: one for each direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKeys {
    /// For answers.
    pub up: Key,
    /// For replies and notices.
    pub down: Key,
    /// The header that fixed them.
    pub header: Header,
}
