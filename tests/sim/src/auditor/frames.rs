//! Authenticity on sealed links: what a terminal shows, a host has made for it since its latest hello.
use super::Auditor;
use atm_core::ledger::Name;
use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// A hello: the life of its terminal, and its bytes.
type HelloId = (u64, u64);

/// The frames that hosts have made.
#[derive(Debug, Default)]
pub(super) struct MadeFrames {
    /// The latest hello of each terminal.
    hellos: HashMap<Name, HelloId>,
    /// Each frame with the latest hello of the terminal that it was made for.
    replies: HashSet<(u64, Name, HelloId)>,
    /// Each frame.
    all: HashSet<u64>,
}

impl Auditor {
    /// Begins to audit what is made and shown on sealed links.
    pub fn audit_sealed_links(&mut self) {
        self.frames = Some(MadeFrames::default());
    }

    /// A terminal sends this hello.
    pub fn said_hello(&mut self, name: &Name, life: u64, hello: &[u8]) {
        if let Some(frames) = &mut self.frames {
            frames.hellos.insert(name.clone(), (life, hash(hello)));
        }
    }

    /// A host sends `output` on a link whose conversation is with one of these terminals, or was when it was made.
    pub fn made(&mut self, names: &[Name], output: &[u8]) {
        let Some(frames) = &mut self.frames else { return };
        for frame in split(output) {
            frames.all.insert(hash(frame));
            for (name, hello) in names.iter().filter_map(|name| frames.hellos.get_key_value(name)) {
                frames.replies.insert((hash(frame), name.clone(), *hello));
            }
        }
    }

    /// A terminal shows the message in the last frame of `received`: a reply, or a notice.
    pub fn shown_frame(&mut self, name: &Name, life: u64, received: &[u8], is_reply: bool) {
        let Some(frames) = &self.frames else { return };
        let frame = hash(split(received).last().unwrap_or_default());
        let is_made = match frames.hellos.get(name) {
            Some(hello) if is_reply => {
                hello.0 == life && frames.replies.contains(&(frame, name.clone(), *hello))
            }
            _ => frames.all.contains(&frame),
        };
        if !is_made {
            self.violation(format!(
                "{name}, life {life}: shown, but made by no host for its latest hello: {received:02x?}"
            ));
        }
    }
}

/// The frames in these bytes, without their zeros.
fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|frame| !frame.is_empty())
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
