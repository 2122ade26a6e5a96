//! The terminal's output: one message at a time, the hello or the answer that waits for a reply.
use super::{Terminal, TerminalState};
#[cfg(feature = "seal")]
use crate::wire::{Proof, Wire};
use crate::{codec::BufferTooSmall, message::Hello, time::Instant, wire::Keys};

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// Sends a hello under the next attempt, if this terminal has a profile.
    pub(super) fn say_hello(&mut self, now: Instant) {
        #[cfg(feature = "seal")]
        if self.config.key().is_some() && self.config.wire != Wire::Postcard {
            // Never in clear.
            self.state = TerminalState::Over;
            return;
        }
        if self.config.profile.is_none() || !self.config.wire.is_numbered() {
            return;
        }
        #[cfg(feature = "cards")]
        if !self.resume {
            self.card = super::card::CardTimer::default();
        }
        self.keys = Keys::default();
        self.attempt = self.attempt.saturating_add(1);
        self.state = TerminalState::AwaitWelcome { resume: self.resume };
        self.start_retransmit_timer(now);
        self.send();
    }

    /// Sends the message that waits for a reply (the hello or the answer), or defers it while other output is
    /// unsent.
    pub(super) fn send(&mut self) {
        self.send_deferred = !self.outbox.is_empty();
        if self.send_deferred {
            return;
        }
        let sent = match (&self.state, &self.config.profile, &self.answer) {
            (TerminalState::AwaitWelcome { resume }, Some(profile), _) => self.send_hello(&Hello {
                version: profile.version(),
                terminal: profile.name.clone(),
                start: profile.start,
                attempt: self.attempt,
                ledger: self.memory.ledger,
                shown: self.memory.shown,
                pending: self.memory.pending,
                resume: *resume,
                capabilities: profile.capabilities,
                #[cfg(feature = "dispenser")]
                dispenser: profile.dispenser,
                #[cfg(feature = "seal")]
                key: profile.key_id(),
            }),
            (TerminalState::AwaitReply(prompt), _, Some(answer)) => {
                #[cfg(feature = "seal")]
                let envelope = self.keys.answer();
                #[cfg(not(feature = "seal"))]
                let envelope = None;
                self.outbox.answer_in(envelope, *prompt, answer.text().unwrap_or_default())
            }
            _ => Ok(()),
        };
        if sent.is_err() {
            // The output buffer is smaller than the message: it can never be sent.
            self.state = TerminalState::Over;
        }
    }

    /// Sends a hello, sealed if there is a key.
    fn send_hello(&mut self, hello: &Hello) -> Result<(), BufferTooSmall> {
        #[cfg(feature = "seal")]
        if let (Some(key), Some(id)) = (self.config.key(), &hello.key) {
            let proof = self.outbox.sealed_hello(hello, id, key)?;
            self.keys = Keys::of(Proof { hello: Some(proof) });
            return Ok(());
        }
        self.outbox.hello(hello)
    }
}
