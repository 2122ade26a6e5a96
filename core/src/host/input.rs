//! The host's input: handles the decoded frame, one at a time, and carries out the effect of a conversation
//! on the link.
use super::{Conversation, Host, LinkKind, conversation::Effect};
#[cfg(feature = "cards")]
use crate::message::Capabilities;
use crate::{
    codec::BufferTooSmall,
    frame::Decoded,
    ledger::Origin,
    message::{Answer, Fault, Hello, Notice, TerminalMessage},
    time::Instant,
    wire::{Envelope, Keys, Proof},
};

/// Whose keys a notice goes out under.
#[derive(Clone, Copy)]
pub(super) enum Keyring {
    /// No keys: in clear.
    #[cfg(feature = "seal")]
    Clear,
    /// Those of the conversation; in clear if it has none.
    Conversation,
    /// Those of the hello in the inbox, or of the one that awaits admission; in clear if it is.
    Hello,
}

impl Keyring {
    fn notice<'a>(self, conversation: Option<&'a Conversation>, proof: &'a Proof) -> Option<Envelope<'a>> {
        match self {
            #[cfg(feature = "seal")]
            Self::Clear => None,
            Self::Conversation => conversation.map(Conversation::keys).and_then(Keys::notice),
            Self::Hello => proof.notice(),
        }
    }
}

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// Handles the decoded frame if it can be handled now, and a shutdown after the last one.
    pub(crate) fn advance(&mut self, now: Instant) {
        // Asked here with the feature `seal` alone: an image without it has no bytes to spare for a shorter way.
        while (cfg!(not(feature = "seal")) || self.inbox.has_frame()) && self.handle_frame(now) {}
        if self.shutting_down
            && !self.closing
            && !self.is_busy()
            && !self.has_event()
            && self.outbox.is_empty()
        {
            self.closing = true;
            // Without a session a serial line stays silent.
            self.end_conversation(Effect::SendNotice(Notice::Stopping), now);
        }
    }

    /// Handles the decoded frame. False if there is none, or if it has to wait for the driver.
    fn handle_frame(&mut self, now: Instant) -> bool {
        if self.closing || self.shutting_down || self.has_event() || self.incoming_hello.is_some() {
            return false;
        }
        #[cfg(feature = "seal")]
        if let Some(handled) = self.pass(now) {
            return handled;
        }
        #[cfg(feature = "seal")]
        let handled =
            if self.proof.hello.is_some() { self.handle_verified_hello() } else { self.handle_message() };
        #[cfg(not(feature = "seal"))]
        let handled = self.handle_message();
        let Some(effect) = handled else { return false };
        self.release_and_apply(effect, now);
        true
    }

    /// Handles the message in the decoded frame; `None` if there is none, or if it has to wait for the driver.
    // Not inlined into an image with sealed links: the message takes no stack while its reply is written.
    #[cfg_attr(all(feature = "seal", target_os = "none"), inline(never))]
    fn handle_message(&mut self) -> Option<Effect> {
        let (decoded, body) = self.inbox.decoded();
        let read = match decoded {
            Decoded::More => return None,
            Decoded::Fault(fault) | Decoded::Broken(fault) => Err(fault),
            Decoded::Frame | Decoded::Plain => self.config.wire.read_terminal(body),
        };
        match &read {
            Ok(Some(_)) if self.out_of_service => self.answer_out_of_service(),
            Ok(Some(TerminalMessage::Hello(hello))) if !hello.is_spoken() => {
                self.handle_fault(Fault::Version)
            }
            Ok(Some(TerminalMessage::Hello(hello))) => self.handle_hello(hello),
            Ok(Some(TerminalMessage::Answer { re, answer })) => self.handle_answer(*re, answer),
            // A message of this side's own direction: an echo.
            Ok(None) => Some(Effect::Nothing),
            Err(fault) => self.handle_fault(*fault),
        }
    }

    pub(super) fn answer_out_of_service(&self) -> Option<Effect> {
        self.outbox.is_empty().then_some(Effect::EndWithNotice(Notice::OutOfService))
    }

    pub(super) fn handle_fault(&self, fault: Fault) -> Option<Effect> {
        if self.config.wire.discards(fault) {
            // The sender of a frame that noise has damaged retransmits it. A connection has no noise before its first
            // frame: that peer speaks another protocol, and its text may hold whole frames, as a cross-site POST does.
            let is_foreign = self.config.link == LinkKind::Connection && !self.inbox.has_framed();
            return Some(if is_foreign {
                Effect::EndWithNotice(Notice::Fault(Fault::WrongWire))
            } else {
                Effect::Nothing
            });
        }
        if !self.outbox.is_empty() || self.is_busy() {
            return None;
        }
        let broken = matches!(self.inbox.decoded().0, Decoded::Broken(_));
        Some(if broken && self.config.link == LinkKind::Connection {
            Effect::EndWithNotice(Notice::Fault(fault))
        } else {
            Effect::SendFault(fault)
        })
    }

    fn handle_answer(&mut self, re: Option<u64>, answer: &Answer) -> Option<Effect> {
        let sending = !self.outbox.is_empty();
        let Some(conversation) = &mut self.conversation else {
            return (!sending).then_some(Effect::SendNotice(Notice::Who));
        };
        if !sending && !conversation.is_busy() {
            Some(conversation.answer(
                re,
                answer,
                &self.config.policy,
                #[cfg(feature = "cards")]
                self.card_keys.as_ref(),
            ))
        } else if !conversation.is_duplicate(re, answer) {
            None
        } else if sending {
            // A duplicate of the answer whose reply is being sent.
            Some(Effect::Nothing)
        } else {
            Some(Effect::SendNotice(conversation.working_notice()))
        }
    }

    /// Whether a terminal is not served, because access is by card: it would show what is typed at a secret prompt, or has no name.
    #[cfg(feature = "cards")]
    fn lacks_what_cards_need(&self, hello: &Hello) -> bool {
        let hides_secrets = hello.capabilities.has(Capabilities::SECRET_PROMPTS);
        self.card_keys.is_some() && (!hides_secrets || hello.terminal.is_none())
    }

    pub(super) fn handle_hello(&mut self, hello: &Hello) -> Option<Effect> {
        #[cfg(feature = "cards")]
        if self.lacks_what_cards_need(hello) {
            return self.handle_fault(Fault::ByCard);
        }
        let same_terminal = match (self.conversation.as_ref().map(Conversation::origin), &hello.terminal) {
            (Some(Origin::Terminal(here)), Some(name)) => here == name,
            (Some(Origin::Session(_)), None) => true,
            _ => false,
        };
        let epoch = hello.epoch();
        let on_serial = self.config.link == LinkKind::Serial;
        match &mut self.conversation {
            // A duplicate of the hello whose reply is being sent.
            Some(conversation) if same_terminal && !self.outbox.is_empty() => {
                let is_duplicate = conversation.began_with_hello()
                    && conversation.epoch() == epoch
                    && conversation.keys().are_of(&self.proof);
                is_duplicate.then_some(Effect::Nothing)
            }
            Some(conversation) if same_terminal && conversation.began_with_hello() => {
                Some(conversation.handle_hello(hello, &self.proof, on_serial))
            }
            // An outstanding request, and unsent output, are finished first.
            Some(conversation) if conversation.is_busy() => None,
            // An unsent greeting is not cut off: the terminal discards it.
            _ if !self.outbox.is_empty() => None,
            _ if hello.terminal.is_some() => {
                self.incoming_hello = Some(hello.clone());
                self.report_hello = true;
                Some(Effect::Nothing)
            }
            // A hello without a name is in clear.
            _ => Some(self.start_conversation(hello, Proof::default())),
        }
    }

    /// Starts a conversation with a terminal whose conversation is not held.
    // Not inlined: the new conversation would take stack in every caller.
    #[inline(never)]
    pub(super) fn start_conversation(&mut self, hello: &Hello, proof: Proof) -> Effect {
        self.drop_conversation();
        let (session, first_seq) = (self.session, self.first_seq);
        #[cfg_attr(not(feature = "cards"), expect(unused_mut, reason = "only a card changes it"))]
        let mut conversation = Conversation::for_hello(hello, session, first_seq, self.next_ticket);
        #[cfg(feature = "cards")]
        if self.card_keys.is_some() {
            conversation.serve_cards();
        }
        self.conversation.insert(conversation).take_hello(hello, proof, self.config.link == LinkKind::Serial)
    }

    /// Drops the conversation; returns whether there was one whose session was not over.
    pub(super) fn drop_conversation(&mut self) -> bool {
        let Some(conversation) = &self.conversation else { return false };
        self.next_ticket = conversation.next_ticket();
        if matches!(conversation.origin(), Origin::Session(_)) {
            self.first_seq = self.first_seq.max(conversation.next_seq());
        }
        let active = !conversation.is_over();
        self.conversation = None;
        active
    }

    /// Closes the connection, with `notice` if nothing is waiting to be sent.
    pub(super) fn close_with(&mut self, notice: Notice, now: Instant) {
        self.closing = true;
        if self.outbox.is_empty() {
            self.apply(Effect::SendNotice(notice), now);
        }
    }

    /// Releases the decoded frame. The timer of a frame that has begun behind it starts now.
    pub(super) fn release_frame(&mut self, now: Instant) {
        self.inbox.release();
        // The proof of a hello that awaits admission is kept with it.
        #[cfg(feature = "seal")]
        if self.proof.hello.is_some() && self.incoming_hello.is_none() {
            self.proof = Proof::default();
        }
        self.frame_since = self.inbox.is_partial().then_some(now);
    }

    /// Releases the decoded frame and carries out its effect.
    pub(super) fn release_and_apply(&mut self, effect: Effect, now: Instant) {
        // A hello is answered under its own key, which the conversation need not have.
        #[cfg(feature = "seal")]
        if self.proof.hello.is_some() {
            self.apply_under(Keyring::Hello, effect, now);
            self.release_frame(now);
            return;
        }
        self.release_frame(now);
        self.apply(effect, now);
    }

    /// Drops the conversation, if there is one, and applies this effect if its session is not over.
    pub(super) fn end_conversation(&mut self, effect: Effect, now: Instant) {
        if self.conversation.as_ref().is_some_and(|held| !held.is_over()) {
            self.apply(effect, now);
        }
        self.drop_conversation();
    }

    /// Writes a fault, and the open prompt again.
    // Not inlined: the copied reply would take stack in callers that write no fault.
    #[inline(never)]
    fn write_fault(&mut self, keyring: Keyring, fault: Fault) -> Result<(), BufferTooSmall> {
        let conversation = self.conversation.as_ref();
        let envelope = keyring.notice(conversation, &self.proof);
        if self.is_mute(envelope) {
            return Ok(());
        }
        let open = conversation
            .and_then(|held| held.open_prompt().map(|reply| (held.reply_envelope(&reply), reply)));
        let open = open.as_ref().map(|(envelope, reply)| (*envelope, reply));
        self.outbox.notice_in(envelope, Notice::Fault(fault), open)
    }

    /// Carries out an effect on this link.
    pub(super) fn apply(&mut self, effect: Effect, now: Instant) {
        self.apply_under(Keyring::Conversation, effect, now);
    }

    /// Whether a message in this envelope is not sent: it is in clear, and only sealed ones are.
    fn is_mute(&self, envelope: Option<Envelope<'_>>) -> bool {
        #[cfg(feature = "seal")]
        return self.config.sealed_only && envelope.is_none();
        #[cfg(not(feature = "seal"))]
        {
            let _ = envelope;
            false
        }
    }

    fn write_notice(&mut self, keyring: Keyring, notice: Notice) -> Result<(), BufferTooSmall> {
        let envelope = keyring.notice(self.conversation.as_ref(), &self.proof);
        if self.is_mute(envelope) && notice != Notice::Who {
            return Ok(());
        }
        self.outbox.notice_in(envelope, notice, None)
    }

    /// Carries out an effect on this link, with a notice under these keys.
    pub(super) fn apply_under(&mut self, keyring: Keyring, effect: Effect, now: Instant) {
        if self.outbox.is_empty() {
            self.stall_since = now;
        }
        let connection = self.config.link == LinkKind::Connection;
        let written = match effect {
            Effect::Nothing | Effect::EmitRequest => Ok(()),
            Effect::SendReply | Effect::SendReplyAndQuit => {
                #[cfg(feature = "seal")]
                if let Some(conversation) = &mut self.conversation
                    && conversation.keys().awaiting_welcome().is_some()
                {
                    conversation.fix_keys(self.config.salt);
                }
                let Some((envelope, reply)) =
                    self.conversation.as_mut().and_then(|held| held.send_reply(now))
                else {
                    return;
                };
                self.closing |= connection && !reply.is_prompt();
                self.report_quit |= matches!(effect, Effect::SendReplyAndQuit);
                self.outbox.reply_in(envelope, reply)
            }
            Effect::SendNotice(notice) => self.write_notice(keyring, notice),
            Effect::SendFault(fault) => self.write_fault(keyring, fault),
            Effect::EndWithNotice(notice) => {
                self.closing |= connection;
                self.write_notice(keyring, notice)
            }
        };
        if written.is_err() {
            // The output buffer is smaller than the longest message: the link closes rather than drop one.
            self.outbox.clear();
            self.closing = true;
        }
    }
}
