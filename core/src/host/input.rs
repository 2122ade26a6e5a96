//! The host's input: handles the decoded frame, one at a time, and carries out the effect of a conversation
//! on the link.
#[cfg(feature = "seal")]
use super::sealing;
use super::{Conversation, Host, LinkKind, conversation::Effect};
use crate::{
    codec::BufferTooSmall,
    frame::Decoded,
    ledger::Origin,
    message::{Answer, Fault, Hello, Notice, TerminalMessage},
    time::Instant,
    wire::{Envelope, Proof},
};

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// Handles the decoded frame if it can be handled now, and a shutdown after the last one.
    pub(super) fn advance(&mut self, now: Instant) {
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
            let envelope = self.notice_envelope();
            if self.drop_conversation() {
                self.apply_in(envelope.as_ref(), Effect::SendNotice(Notice::Stopping), now);
            }
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
        let (decoded, body) = self.inbox.decoded();
        let read = match decoded {
            Decoded::More => return false,
            Decoded::Fault(fault) | Decoded::Broken(fault) => Err(fault),
            #[cfg(feature = "seal")]
            Decoded::Frame if self.proof.hello.is_some() => {
                sealing::read_hello(body).map(|hello| Some(TerminalMessage::Hello(hello)))
            }
            Decoded::Frame | Decoded::Plain => self.config.wire.read_terminal(body),
        };
        match &read {
            Ok(Some(_)) if self.out_of_service => {
                self.outbox.is_empty()
                    && self.release_and_apply(Effect::EndWithNotice(Notice::OutOfService), now)
            }
            Ok(Some(TerminalMessage::Hello(hello))) if !hello.is_spoken() => {
                self.handle_fault(Fault::Version, now)
            }
            Ok(Some(TerminalMessage::Hello(hello))) => self.handle_hello(hello, now),
            Ok(Some(TerminalMessage::Answer { re, answer })) => self.handle_answer(*re, answer, now),
            // A message of this side's own direction: an echo.
            Ok(None) => self.release_and_apply(Effect::Nothing, now),
            Err(fault) => self.handle_fault(*fault, now),
        }
    }

    fn handle_fault(&mut self, fault: Fault, now: Instant) -> bool {
        if self.config.wire.discards(fault) {
            // The sender of a frame that noise has damaged retransmits it. A connection has no noise before its first
            // frame: that peer speaks another protocol, and its text may hold whole frames, as a cross-site POST does.
            let is_foreign = self.config.link == LinkKind::Connection && !self.inbox.has_framed();
            let effect = if is_foreign {
                Effect::EndWithNotice(Notice::Fault(Fault::WrongWire))
            } else {
                Effect::Nothing
            };
            return self.release_and_apply(effect, now);
        }
        if !self.outbox.is_empty() || self.is_busy() {
            return false;
        }
        let broken = matches!(self.inbox.decoded().0, Decoded::Broken(_));
        let effect = if broken && self.config.link == LinkKind::Connection {
            Effect::EndWithNotice(Notice::Fault(fault))
        } else {
            Effect::SendFault(fault)
        };
        self.release_and_apply(effect, now)
    }

    fn handle_answer(&mut self, re: Option<u64>, answer: &Answer, now: Instant) -> bool {
        let sending = !self.outbox.is_empty();
        let Some(conversation) = &mut self.conversation else {
            return !sending && self.release_and_apply(Effect::SendNotice(Notice::Who), now);
        };
        let effect = if !sending && !conversation.is_busy() {
            conversation.answer(re, answer, &self.config.policy)
        } else if !conversation.is_duplicate(re, answer) {
            return false;
        } else if sending {
            // A duplicate of the answer whose reply is being sent.
            Effect::Nothing
        } else {
            Effect::SendNotice(conversation.working_notice())
        };
        self.release_and_apply(effect, now)
    }

    fn handle_hello(&mut self, hello: &Hello, now: Instant) -> bool {
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
                conversation.began_with_hello()
                    && conversation.epoch() == epoch
                    && conversation.keys().are_of(&self.proof)
                    && self.release_and_apply(Effect::Nothing, now)
            }
            Some(conversation) if same_terminal && conversation.began_with_hello() => {
                let effect = conversation.handle_hello(hello, &self.proof, on_serial);
                self.release_and_apply(effect, now)
            }
            // An outstanding request, and unsent output, are finished first.
            Some(conversation) if conversation.is_busy() => false,
            // An unsent greeting is not cut off: the terminal discards it.
            _ if !self.outbox.is_empty() => false,
            _ => {
                let proof = core::mem::take(&mut self.proof);
                self.release_frame(now);
                if hello.terminal.is_some() {
                    self.incoming_hello = Some(hello.clone());
                    self.incoming_proof = proof;
                    self.report_hello = true;
                } else {
                    let effect = self.start_conversation(hello, proof);
                    self.apply(effect, now);
                }
                true
            }
        }
    }

    /// Starts a conversation with a terminal whose conversation is not held.
    // Not inlined: the new conversation would take stack in every caller.
    #[inline(never)]
    pub(super) fn start_conversation(&mut self, hello: &Hello, proof: Proof) -> Effect {
        self.drop_conversation();
        let (session, first_seq) = (self.session, self.first_seq);
        let conversation = Conversation::for_hello(hello, session, first_seq, self.next_ticket);
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
        #[cfg(feature = "seal")]
        if self.proof.hello.is_some() {
            self.proof = Proof::default();
        }
        self.frame_since = self.inbox.is_partial().then_some(now);
    }

    /// Releases the decoded frame and carries out its effect. Always true, as the result of `handle_frame`.
    #[inline(never)]
    fn release_and_apply(&mut self, effect: Effect, now: Instant) -> bool {
        #[cfg(feature = "seal")]
        if effect.has_notice() {
            self.release_and_notify(effect, now);
            return true;
        }
        self.release_frame(now);
        self.apply_in(None, effect, now);
        true
    }

    /// The same, where the effect has a notice.
    // Not inlined: the envelope would take stack where there is none.
    #[cfg(feature = "seal")]
    #[inline(never)]
    fn release_and_notify(&mut self, effect: Effect, now: Instant) {
        // A hello is answered under its own key, which the conversation need not have.
        let envelope = self.proof.notice().or_else(|| self.notice_envelope());
        self.release_frame(now);
        self.apply_in(envelope.as_ref(), effect, now);
    }

    /// Writes a fault, and the open prompt again.
    // Not inlined: the copied reply would take stack in callers that write no fault.
    #[inline(never)]
    fn write_fault(&mut self, envelope: Option<&Envelope>, fault: Fault) -> Result<(), BufferTooSmall> {
        if self.is_mute(envelope) {
            return Ok(());
        }
        let conversation = self.conversation.as_ref();
        let open = conversation
            .and_then(|held| held.open_prompt().map(|reply| (held.reply_envelope(&reply), reply)));
        let open = open.as_ref().map(|(envelope, reply)| (envelope.as_ref(), reply));
        self.outbox.notice_in(envelope, Notice::Fault(fault), open)
    }

    /// Carries out an effect on this link.
    pub(super) fn apply(&mut self, effect: Effect, now: Instant) {
        let envelope = self.effect_envelope(effect);
        self.apply_in(envelope.as_ref(), effect, now);
    }

    /// The envelope of the notice of an effect to the terminal of the conversation.
    fn effect_envelope(&self, effect: Effect) -> Option<Envelope> {
        if effect.has_notice() { self.notice_envelope() } else { None }
    }

    /// Whether a message in this envelope is not sent: it is in clear, and only sealed ones are.
    fn is_mute(&self, envelope: Option<&Envelope>) -> bool {
        #[cfg(feature = "seal")]
        return self.config.sealed_only && envelope.is_none();
        #[cfg(not(feature = "seal"))]
        {
            let _ = envelope;
            false
        }
    }

    fn write_notice(&mut self, envelope: Option<&Envelope>, notice: Notice) -> Result<(), BufferTooSmall> {
        if self.is_mute(envelope) && notice != Notice::Who {
            return Ok(());
        }
        self.outbox.notice_in(envelope, notice, None)
    }

    /// Carries out an effect on this link, with a notice in this envelope.
    pub(super) fn apply_in(&mut self, envelope: Option<&Envelope>, effect: Effect, now: Instant) {
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
                self.outbox.reply_in(envelope.as_ref(), reply)
            }
            Effect::SendNotice(notice) => self.write_notice(envelope, notice),
            Effect::SendFault(fault) => self.write_fault(envelope, fault),
            Effect::EndWithNotice(notice) => {
                self.closing |= connection;
                self.write_notice(envelope, notice)
            }
        };
        if written.is_err() {
            // The output buffer is smaller than the longest message: the link closes rather than drop one.
            self.outbox.clear();
            self.closing = true;
        }
    }
}
