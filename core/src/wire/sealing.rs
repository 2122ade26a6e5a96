//! The keys of a conversation, at either end, and the envelope that a message goes out in. Without the feature `seal` every
//! conversation is in clear, and these types take no space.
#[cfg(feature = "seal")]
use crate::{
    codec::BufferTooSmall,
    seal::{self, Header, HelloProof, Key, SessionKeys, Tag},
};
#[cfg(feature = "seal")]
use zeroize::Zeroize;

/// How a message goes out that does not go out in clear.
#[cfg(feature = "seal")]
pub(crate) struct Envelope {
    key: Key,
    index: u8,
    header: Option<Header>,
}

/// There is no other way than in clear.
#[cfg(not(feature = "seal"))]
pub(crate) type Envelope = core::convert::Infallible;

#[cfg(feature = "seal")]
impl Envelope {
    fn header(&self) -> &[u8] {
        self.header.as_ref().map_or(&[], |header| header.bytes())
    }

    /// Where the content is written.
    pub(super) fn content_at(&self) -> usize {
        seal::content_at(self.header().len())
    }

    /// Seals a body whose content, of this length, was written; returns the body's length in bytes. What cannot be sealed is
    /// wiped.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn seal(
        &self,
        out: &mut [u8],
        length: Result<usize, BufferTooSmall>,
    ) -> Result<usize, BufferTooSmall> {
        let sealed = length.and_then(|length| seal::seal(&self.key, self.index, self.header(), out, length));
        if sealed.is_err() {
            out.zeroize();
        }
        sealed
    }
}

/// What proves a hello; nothing in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Proof {
    #[cfg(feature = "seal")]
    pub(crate) hello: Option<HelloProof>,
}

impl Proof {
    /// The envelope of a notice that answers this hello.
    pub(crate) fn notice(&self) -> Option<Envelope> {
        #[cfg(feature = "seal")]
        return self.hello.as_ref().map(early);
        #[cfg(not(feature = "seal"))]
        None
    }
}

/// The keys of a conversation: of its latest hello, and from the first welcome to that on, of the session. None in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Keys {
    #[cfg(feature = "seal")]
    state: Option<KeyState>,
}

#[cfg(feature = "seal")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum KeyState {
    /// A hello without a welcome.
    Hello(HelloProof),
    /// A hello with this tag was welcomed.
    Session { tag: Tag, keys: SessionKeys },
}

#[cfg(feature = "seal")]
#[cfg_attr(target_os = "none", inline(never))]
fn early(proof: &HelloProof) -> Envelope {
    Envelope { key: proof.early(), index: seal::EARLY, header: None }
}

impl Keys {
    /// The keys that follow from a hello.
    pub(crate) fn of(proof: Proof) -> Self {
        #[cfg(feature = "seal")]
        return Self { state: proof.hello.map(KeyState::Hello) };
        #[cfg(not(feature = "seal"))]
        {
            let Proof {} = proof;
            Self {}
        }
    }

    /// Whether this is the hello that they follow from, byte for byte; in clear, any.
    pub(crate) fn are_of(&self, proof: &Proof) -> bool {
        #[cfg(feature = "seal")]
        {
            let tag = match &self.state {
                None => None,
                Some(KeyState::Hello(hello)) => Some(hello.tag()),
                Some(KeyState::Session { tag, .. }) => Some(tag),
            };
            tag == proof.hello.as_ref().map(HelloProof::tag)
        }
        #[cfg(not(feature = "seal"))]
        {
            let Proof {} = proof;
            true
        }
    }

    /// The envelope of a notice of the host.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn notice(&self) -> Option<Envelope> {
        #[cfg(feature = "seal")]
        return self.state.as_ref().map(|state| match state {
            KeyState::Hello(proof) => early(proof),
            KeyState::Session { keys, .. } => {
                Envelope { key: keys.down.clone(), index: seal::SEALED, header: None }
            }
        });
        #[cfg(not(feature = "seal"))]
        None
    }
}

#[cfg(feature = "seal")]
impl Keys {
    /// Whether there are any: the conversation is not in clear.
    pub(crate) fn are_sealed(&self) -> bool {
        self.state.is_some()
    }

    /// Fixes the keys of the session, which follow from the hello that awaits its welcome.
    pub(crate) fn fix(&mut self, keys: SessionKeys) {
        if let Some(KeyState::Hello(proof)) = &self.state {
            self.state = Some(KeyState::Session { tag: *proof.tag(), keys });
        }
    }

    /// The proof of a hello that has no welcome yet.
    pub(crate) fn awaiting_welcome(&self) -> Option<&HelloProof> {
        match &self.state {
            Some(KeyState::Hello(proof)) => Some(proof),
            _ => None,
        }
    }

    /// The keys of the session.
    pub(crate) fn session(&self) -> Option<&SessionKeys> {
        match &self.state {
            Some(KeyState::Session { keys, .. }) => Some(keys),
            _ => None,
        }
    }

    /// The envelope of a reply of the host. The keys of the session are fixed before.
    pub(crate) fn reply(&self, is_welcome: bool) -> Option<Envelope> {
        self.session().map(|keys| Envelope {
            key: keys.down.clone(),
            index: if is_welcome { seal::WELCOME } else { seal::SEALED },
            header: is_welcome.then_some(keys.header),
        })
    }

    /// The envelope of an answer of the terminal.
    pub(crate) fn answer(&self) -> Option<Envelope> {
        self.session().map(|keys| Envelope { key: keys.up.clone(), index: seal::SEALED, header: None })
    }
}
