//! What a host does with a frame, and what follows from it.
use super::{Conversation, Host, LinkKind, conversation::Effect};
use crate::{
    codec::NoRoom,
    frame::Decoded,
    ledger::Origin,
    message::{Answer, Fault, Hello, Notice, TerminalMessage, VERSION},
    time::Instant,
};

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// Works on what is held, until it has to wait.
    pub(super) fn advance(&mut self, now: Instant) {
        while self.handle_frame(now) {}
        if self.shutting_down
            && !self.closing
            && !self.is_busy()
            && !self.has_event()
            && self.outbox.is_empty()
        {
            self.closing = true;
            // Where nobody is in a session there is nobody to tell: a serial line stays silent then.
            if self.drop_conversation() {
                self.apply(Effect::SendNotice(Notice::Stopping), now);
            }
        }
    }

    /// Serves the frame that is held, if it can be served now.
    fn handle_frame(&mut self, now: Instant) -> bool {
        if self.closing || self.shutting_down || self.has_event() || self.incoming_hello.is_some() {
            return false;
        }
        let (found, body) = self.inbox.decoded();
        let read = match found {
            Decoded::More => return false,
            Decoded::Fault(fault) | Decoded::Broken(fault) => Err(fault),
            Decoded::Frame | Decoded::Plain => self.config.wire.read_terminal(body),
        };
        match &read {
            Ok(Some(_)) if self.out_of_service => {
                self.outbox.is_empty()
                    && self.release_and_apply(Effect::EndWithNotice(Notice::OutOfService), now)
            }
            Ok(Some(TerminalMessage::Hello(hello))) if hello.version != VERSION => {
                self.handle_fault(Fault::Version, now)
            }
            Ok(Some(TerminalMessage::Hello(hello))) if !hello.is_sound() => {
                self.handle_fault(Fault::NotAMessage, now)
            }
            Ok(Some(TerminalMessage::Hello(hello))) => self.handle_hello(hello, now),
            Ok(Some(TerminalMessage::Answer { re, answer })) => self.handle_answer(*re, answer, now),
            // An echo of what this side said.
            Ok(None) => self.release_and_apply(Effect::Nothing, now),
            Err(fault) => self.handle_fault(*fault, now),
        }
    }

    fn handle_fault(&mut self, fault: Fault, now: Instant) -> bool {
        // What noise has made is not worth an answer: whoever sent it sends it again.
        if self.config.wire.discards(fault) {
            return self.release_and_apply(Effect::Nothing, now);
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
            // A repeat of what is being replied to asks for nothing.
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
        let epoch = (hello.start, hello.attempt);
        match &mut self.conversation {
            // The reply to this very hello is being sent: it asks for nothing.
            Some(conversation) if same_terminal && !self.outbox.is_empty() => {
                conversation.began_with_hello()
                    && conversation.epoch() == epoch
                    && self.release_and_apply(Effect::Nothing, now)
            }
            Some(conversation) if same_terminal && conversation.began_with_hello() => {
                let effect = conversation.handle_hello(hello);
                self.release_and_apply(effect, now)
            }
            // Whatever is out here, or on its way, is finished first.
            Some(conversation) if conversation.is_busy() => false,
            // The greeting may still be on its way: it is discarded by the terminal, not by the line.
            _ if !self.outbox.is_empty() => false,
            _ => {
                self.release_frame(now);
                if hello.terminal.is_some() {
                    self.incoming_hello = Some(hello.clone());
                    self.report_hello = true;
                } else {
                    let effect = self.start_conversation(hello);
                    self.apply(effect, now);
                }
                true
            }
        }
    }

    /// Begins a conversation with a terminal that is not known here.
    // Not inlined: its conversation would have a place in every frame of the stack below.
    #[inline(never)]
    pub(super) fn start_conversation(&mut self, hello: &Hello) -> Effect {
        self.drop_conversation();
        let conversation =
            self.conversation.insert(Conversation::for_hello(hello, self.session, self.first_seq));
        conversation.serve_hello(hello)
    }

    /// Lets go of the conversation that is held here; says whether there was one that was not over.
    pub(super) fn drop_conversation(&mut self) -> bool {
        let Some(conversation) = &self.conversation else { return false };
        if matches!(conversation.origin(), Origin::Session(_)) {
            self.first_seq = self.first_seq.max(conversation.next_seq());
        }
        let left = !conversation.is_over();
        self.conversation = None;
        left
    }

    /// Ends the connection, and says why if the peer reads.
    pub(super) fn close_with(&mut self, notice: Notice, now: Instant) {
        self.closing = true;
        if self.outbox.is_empty() {
            self.apply(Effect::SendNotice(notice), now);
        }
    }

    /// Lets go of the frame that is held. What has begun behind it has its time from now on.
    fn release_frame(&mut self, now: Instant) {
        self.inbox.release();
        self.frame_since = self.inbox.is_partial().then_some(now);
    }

    /// Lets go of the frame that is held, and does what follows from it.
    #[inline(never)]
    fn release_and_apply(&mut self, effect: Effect, now: Instant) -> bool {
        self.release_frame(now);
        self.apply(effect, now);
        true
    }

    // Not inlined: what it copies would have a place in frames of the stack that never refuse.
    #[inline(never)]
    fn write_fault(&mut self, fault: Fault) -> Result<(), NoRoom> {
        let open = self.conversation.as_ref().and_then(Conversation::open_prompt);
        self.outbox.notice(Notice::Fault(fault), open.as_ref())
    }

    pub(super) fn apply(&mut self, effect: Effect, now: Instant) {
        if self.outbox.is_empty() {
            self.stall_since = now;
        }
        let connection = self.config.link == LinkKind::Connection;
        let written = match effect {
            Effect::Nothing | Effect::EmitRequest => Ok(()),
            Effect::SendReply | Effect::SendReplyAndQuit => {
                self.idle_since = now;
                let Some(reply) = self.conversation.as_ref().and_then(Conversation::last_reply) else {
                    return;
                };
                self.closing |= connection && !reply.is_prompt();
                self.report_quit |= matches!(effect, Effect::SendReplyAndQuit);
                self.outbox.reply(reply)
            }
            Effect::SendNotice(notice) => self.outbox.notice(notice, None),
            Effect::SendFault(fault) => self.write_fault(fault),
            Effect::EndWithNotice(notice) => {
                self.closing |= connection;
                self.outbox.notice(notice, None)
            }
        };
        if written.is_err() {
            // The buffer is smaller than the longest message: the line ends rather than hide one.
            self.outbox.clear();
            self.closing = true;
        }
    }
}
