//! A station's key and start counter: a start after a life that was welcomed steps the key, and an operator issues
//! another series now and then, and where an old copy of the memory has replaced these too.
use crate::simulation::first_key;
use atm_core::{ledger::Name, seal::TerminalKey, terminal::Profile};
use fastrand::Rng;

/// What a terminal with a key stores besides its memory.
#[derive(Clone)]
struct Stored {
    key: TerminalKey,
    start: u64,
    /// Was the latest life welcomed?
    welcomed: bool,
}

/// The sealed side of a station.
pub(super) struct Sealing {
    /// The highest series that was issued.
    pub(super) series: u32,
    stored: Stored,
    copy: Stored,
    /// The key is an old copy: hosts refuse its hellos.
    is_restored: bool,
}

impl Sealing {
    pub(super) fn new(name: &Name) -> Option<Self> {
        let stored = Stored { key: first_key(name, 1)?, start: 0, welcomed: false };
        Some(Self { series: 1, copy: stored.clone(), stored, is_restored: false })
    }

    /// An old copy replaces what is stored.
    pub(super) fn restore(&mut self) {
        self.stored = self.copy.clone();
        self.is_restored = true;
    }

    /// What is stored is copied.
    pub(super) fn copy(&mut self) {
        self.copy = self.stored.clone();
    }

    /// Does the terminal need a key of another series?
    pub(super) fn needs_key(&self) -> bool {
        self.is_restored
    }

    /// The latest hello was welcomed.
    pub(super) fn note_welcome(&mut self, welcomed: bool) {
        self.stored.welcomed |= welcomed;
    }

    /// The profile of the next life; `is_issued` if an operator issues a key first.
    pub(super) fn start(&mut self, profile: Profile, name: &Name, is_issued: bool, rng: &mut Rng) -> Profile {
        if is_issued && let Some(key) = first_key(name, self.series + 1) {
            self.series += 1;
            self.stored = Stored { key, welcomed: false, ..self.stored.clone() };
            self.is_restored = false;
        }
        let stored = &mut self.stored;
        stored.start += 1;
        if std::mem::take(&mut stored.welcomed)
            && let Some(next) = stored.key.next()
        {
            stored.key = next;
        }
        Profile { start: stored.start, key: Some(stored.key.clone()), salt: rng.u64(..), ..profile }
    }
}
