//! The host's side of a sealed link: which frames are read, under which key, and which meet with silence.
use super::{Conversation, Host, KeyRequest, LinkKind, conversation::Effect, input::Keyring};
use crate::{
    codec::postcard,
    frame::Decoded,
    message::{EXTENDED, Fault, Hello, Notice},
    seal::{self, TerminalKey},
    time::Instant,
    wire::{Keys, Wire},
};

/// The message in an opened body: an answer. A hello is never in one.
const ANSWER: u8 = 1;

/// Reads the hello in a body that was verified.
fn read_hello(body: &[u8]) -> Result<Hello, Fault> {
    let (hello, _) = body.split_last_chunk::<{ seal::TAG }>().ok_or(Fault::NotAMessage)?;
    match postcard::read_sealed_hello(hello)? {
        hello if hello.version == EXTENDED => Ok(hello),
        _ => Err(Fault::Version),
    }
}

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// Gives the key of an [`Event::Key`](super::Event::Key), or none. Without a key, and if the hello is not authentic
    /// under it, the hello meets with silence and is counted.
    pub fn provide_key(&mut self, key: Option<&TerminalKey>, now: Instant) {
        let request = self.incoming_key();
        let is_claimed = |key: &&TerminalKey| {
            request.is_some_and(|claim| claim.series == key.series() && claim.step == key.step())
        };
        self.verify_hello(key.filter(is_claimed), now);
    }

    /// The same with the key that the hello claims; returns whether the hello is authentic.
    pub(crate) fn verify_hello(&mut self, key: Option<&TerminalKey>, now: Instant) -> bool {
        let is_authentic = self.authenticate(key, now);
        self.advance(now);
        is_authentic
    }

    /// Authenticates the hello under the key that it claims; the hello is handled by [`advance`](Self::advance).
    pub(crate) fn authenticate(&mut self, key: Option<&TerminalKey>, now: Instant) -> bool {
        if !core::mem::take(&mut self.wants_key) {
            return false;
        }
        self.report_key = false;
        self.proof.hello = key.and_then(|key| key.verify(self.inbox.decoded().1));
        let is_authentic = self.proof.hello.is_some();
        if !is_authentic {
            self.discard(now);
        }
        is_authentic
    }

    /// Answers the hello that was authenticated with this notice instead of serving it. While other output is unsent, it meets with
    /// silence: the terminal sends it again.
    #[cfg(feature = "embedded-io")]
    pub(crate) fn turn_away(&mut self, notice: Notice, now: Instant) {
        let effect = if self.outbox.is_empty() { Effect::SendNotice(notice) } else { Effect::Nothing };
        self.release_and_apply(effect, now);
    }

    /// Whether a key is to be reported.
    #[cfg(feature = "embedded-io")]
    pub(crate) fn has_key_request(&self) -> bool {
        self.report_key
    }

    /// The key to be reported, once.
    // Not inlined: a link in clear never gets here.
    #[inline(never)]
    pub(crate) fn take_key_request(&mut self) -> Option<KeyRequest> {
        core::mem::take(&mut self.report_key).then(|| self.incoming_key()).flatten()
    }

    /// The key that the hello in the decoded frame claims.
    pub(super) fn incoming_key(&self) -> Option<KeyRequest> {
        let (body, _) = self.inbox.decoded().1.split_last_chunk::<{ seal::TAG }>()?;
        let hello = postcard::read_sealed_hello(body).ok()?;
        let key = hello.key?;
        Some(KeyRequest { terminal: hello.terminal?, series: key.series, step: key.step })
    }

    /// Decides whether the decoded frame is read: opens it, or asks for its key. `None` if it is to be read; otherwise
    /// whether it was handled.
    // Not inlined on a microcontroller: the opened frame is handled without this stack.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn pass(&mut self, now: Instant) -> Option<bool> {
        if self.config.wire != Wire::Postcard {
            // What is no frame is noise, or another protocol's.
            let is_text = || matches!(self.inbox.decoded().0, Decoded::Frame | Decoded::Plain);
            return (self.config.sealed_only && is_text()).then(|| self.discard(now));
        }
        let (decoded, body) = self.inbox.decoded();
        let keys = self.conversation.as_ref().map(Conversation::keys);
        let is_in_clear = !self.config.sealed_only && !keys.is_some_and(Keys::are_sealed);
        if is_in_clear && body.first().is_some_and(|index| *index < seal::HELLO) {
            return None;
        }
        if decoded != Decoded::Frame || self.inbox.is_opened() || self.proof.hello.is_some() {
            return None;
        }
        match body.first() {
            Some(&seal::HELLO) if self.wants_key => Some(false),
            Some(&seal::HELLO) if self.may_say_hello() => {
                (self.wants_key, self.report_key) = (true, true);
                Some(false)
            }
            // Of this side's own direction: an echo.
            Some(&(seal::WELCOME | seal::EARLY)) => {
                self.release_frame(now);
                Some(true)
            }
            Some(&seal::SEALED) => match keys.and_then(Keys::session) {
                Some(session) if self.inbox.open(&session.up, 0, &[ANSWER]) => None,
                Some(_) => Some(self.discard(now)),
                // Its keys are gone: the terminal says hello.
                None if self.outbox.is_empty() => {
                    self.release_frame(now);
                    self.apply_under(Keyring::Clear, Effect::SendNotice(Notice::Who), now);
                    Some(true)
                }
                None => Some(false),
            },
            Some(&seal::HELLO) => Some(self.discard(now)),
            // In clear.
            _ if is_in_clear => None,
            _ => Some(self.discard(now)),
        }
    }

    /// Handles the hello that was verified; `None` if it has to wait for the driver.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn handle_verified_hello(&mut self) -> Option<Effect> {
        match read_hello(self.inbox.decoded().1) {
            Ok(_) if self.out_of_service => self.answer_out_of_service(),
            Ok(hello) => self.handle_hello(&hello),
            Err(fault) => self.handle_fault(fault),
        }
    }

    /// Whether the hello in the decoded frame can be read. A connection is one terminal's while its session lasts: a
    /// recorded hello of another one does not end it. A serial line may get another terminal.
    fn may_say_hello(&self) -> bool {
        let Some(claim) = self.incoming_key() else { return false };
        let held = self.conversation.as_ref().filter(|held| held.keys().are_sealed() && !held.is_over());
        self.config.link == LinkKind::Serial
            || held.is_none_or(|held| held.origin().terminal() == Some(&claim.terminal))
    }

    /// Drops the decoded frame in silence, and counts it. Always true, as the result of `handle_frame`.
    #[cfg_attr(target_os = "none", inline(never))]
    fn discard(&mut self, now: Instant) -> bool {
        self.inbox.count_unauthentic();
        self.release_frame(now);
        true
    }
}
