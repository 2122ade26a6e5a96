//! The keys of a conversation, at either end, and the envelope that a message goes out in. Without the feature `seal` every
//! conversation is in clear, and these types take no space.
#[cfg(feature = "seal")]
use crate::{
    codec::BufferTooSmall,
    seal::{self, Header, HelloProof, Key, SessionKeys, Tag},
};
#[cfg(feature = "seal")]
use zeroize::Zeroize;

/// How a message goes out that does not go out in clear. It borrows the key, which has no copy on the stack.
#[cfg(feature = "seal")]
#[derive(Clone, Copy)]
pub(crate) enum Envelope<'a> {
    /// A notice to a hello that has no welcome.
    Early(&'a HelloProof),
    /// An answer, a reply or a notice of a session, under its key.
    Sealed(&'a Key),
    /// A reply with a welcome.
    Welcome(&'a SessionKeys),
    /// A reply or a notice of a session, and a reply with a welcome, in the wide bucket.
    #[cfg(feature = "cards")]
    Wide(&'a Key),
    #[cfg(feature = "cards")]
    WideWelcome(&'a SessionKeys),
}

/// There is no other way than in clear.
#[cfg(not(feature = "seal"))]
pub(crate) type Envelope<'a> = core::convert::Infallible;

#[cfg(feature = "seal")]
impl Envelope<'_> {
    /// Where the content is written.
    pub(super) fn content_at(self) -> usize {
        let is_welcome = matches!(self, Self::Welcome(_));
        #[cfg(feature = "cards")]
        let is_welcome = is_welcome || matches!(self, Self::WideWelcome(_));
        seal::content_at(if is_welcome { Header::LENGTH } else { 0 })
    }

    /// Seals a body whose content, of this length, was written; returns the body's length in bytes. What cannot be sealed is
    /// wiped.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn seal(
        self,
        out: &mut [u8],
        length: Result<usize, BufferTooSmall>,
    ) -> Result<usize, BufferTooSmall> {
        let early;
        let (key, index, header) = match self {
            Self::Early(hello) => {
                early = hello.early();
                (&early, seal::EARLY, &[][..])
            }
            Self::Sealed(key) => (key, seal::SEALED, &[][..]),
            Self::Welcome(keys) => (&keys.down, seal::WELCOME, &keys.header.bytes()[..]),
            #[cfg(feature = "cards")]
            Self::Wide(key) => (key, seal::SEALED, &[][..]),
            #[cfg(feature = "cards")]
            Self::WideWelcome(keys) => (&keys.down, seal::WELCOME, &keys.header.bytes()[..]),
        };
        let bucket = match self {
            #[cfg(feature = "cards")]
            Self::Wide(_) | Self::WideWelcome(_) => seal::WIDE_BUCKET,
            _ => seal::BUCKET,
        };
        let sealed = length.and_then(|length| seal::seal_in(bucket, key, index, header, out, length));
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
    pub(crate) fn notice(&self) -> Option<Envelope<'_>> {
        #[cfg(feature = "seal")]
        return self.hello.as_ref().map(Envelope::Early);
        #[cfg(not(feature = "seal"))]
        None
    }
}

/// The keys of a conversation: of its latest hello, and from the first welcome to that on, of the session. None in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Keys {
    #[cfg(feature = "seal")]
    state: Option<KeyState>,
    /// The host's messages have the wide bucket: access is by card.
    #[cfg(feature = "cards")]
    is_wide: bool,
}

#[cfg(feature = "seal")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum KeyState {
    /// A hello without a welcome.
    Hello(HelloProof),
    /// A hello with this tag was welcomed.
    Session { tag: Tag, keys: SessionKeys },
}

impl Keys {
    /// The keys that follow from a hello.
    pub(crate) fn of(proof: Proof) -> Self {
        #[cfg(feature = "seal")]
        return Self {
            state: proof.hello.map(KeyState::Hello),
            #[cfg(feature = "cards")]
            is_wide: false,
        };
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
    pub(crate) fn notice(&self) -> Option<Envelope<'_>> {
        #[cfg(feature = "seal")]
        return self.state.as_ref().map(|state| match state {
            KeyState::Hello(proof) => Envelope::Early(proof),
            #[cfg(feature = "cards")]
            KeyState::Session { keys, .. } if self.is_wide => Envelope::Wide(&keys.down),
            KeyState::Session { keys, .. } => Envelope::Sealed(&keys.down),
        });
        #[cfg(not(feature = "seal"))]
        None
    }
}

#[cfg(feature = "seal")]
impl Keys {
    /// Has the host's messages in the wide bucket from the welcome on.
    #[cfg(feature = "cards")]
    pub(crate) fn widen(&mut self) {
        self.is_wide = true;
    }

    /// Whether there are any: the conversation is not in clear.
    pub(crate) fn are_sealed(&self) -> bool {
        self.state.is_some()
    }

    /// Fixes the keys of the session, which follow from the hello that awaits its welcome.
    pub(crate) fn fix(&mut self, header: Header) {
        if let Some(KeyState::Hello(proof)) = &self.state {
            self.state = Some(KeyState::Session { tag: *proof.tag(), keys: proof.session(header) });
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
    pub(crate) fn reply(&self, is_welcome: bool) -> Option<Envelope<'_>> {
        #[cfg(feature = "cards")]
        if self.is_wide {
            let envelope =
                |keys| if is_welcome { Envelope::WideWelcome(keys) } else { Envelope::Wide(&keys.down) };
            return self.session().map(envelope);
        }
        self.session()
            .map(|keys| if is_welcome { Envelope::Welcome(keys) } else { Envelope::Sealed(&keys.down) })
    }

    /// The envelope of an answer of the terminal.
    pub(crate) fn answer(&self) -> Option<Envelope<'_>> {
        self.session().map(|keys| Envelope::Sealed(&keys.up))
    }
}
