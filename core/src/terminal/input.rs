//! What a message of the host means to a terminal.
use super::{Memory, PendingEvent, Terminal, TerminalState};
use crate::{
    frame::Decoded,
    message::{Fault, Notice, Welcome},
    time::Instant,
};

/// What is to be done with the frame that is held.
pub(super) enum FrameResult {
    NoFrame,
    Skip,
    Show,
    Fault(Fault),
    Broken(Fault),
}

/// What of a message decides what it means.
struct MessageFields {
    seq: Option<u64>,
    re: Option<u64>,
    prompt: bool,
    ends: bool,
    welcome: Option<Welcome>,
    notice: Option<Notice>,
}

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// Decides about the frame that is held, and takes the step that it means.
    pub(super) fn handle_frame(&mut self, now: Instant) -> FrameResult {
        let (found, body) = self.inbox.decoded();
        let numbered = self.config.wire.is_numbered();
        let message = match found {
            Decoded::More => return FrameResult::NoFrame,
            Decoded::Plain => return FrameResult::Show,
            Decoded::Broken(fault) => return FrameResult::Broken(fault),
            Decoded::Fault(fault) if self.config.wire.discards(fault) => return FrameResult::Skip,
            Decoded::Fault(fault) => return FrameResult::Fault(fault),
            Decoded::Frame => match self.config.wire.read_host(body) {
                Ok(Some(message)) => message,
                Ok(None) if numbered => return FrameResult::Skip,
                Err(fault) if numbered => return FrameResult::Fault(fault),
                // An object that is no message is text like any other.
                Ok(None) | Err(_) => return FrameResult::Show,
            },
        };
        let fields = MessageFields {
            seq: message.seq,
            re: message.re,
            prompt: message.prompt,
            ends: message.ends,
            welcome: message.welcome,
            notice: message.notice,
        };
        self.note_link_up(now);
        match fields.notice {
            Some(notice) => self.handle_notice(notice, now),
            None => self.handle_reply(&fields, now),
        }
    }

    fn handle_notice(&mut self, notice: Notice, now: Instant) -> FrameResult {
        let mine = |start, attempt| {
            self.config.profile.as_ref().is_some_and(|profile| profile.start == start)
                && self.attempt == attempt
        };
        match notice {
            _ if self.state == TerminalState::Over => FrameResult::Skip,
            Notice::Working { re } => {
                // It will come: there is no need to ask again soon.
                self.start_retransmit_timer(now);
                if re.is_some() && re == self.memory.pending {
                    self.answered_at = now;
                }
                FrameResult::Skip
            }
            Notice::Who if self.config.profile.is_some() => {
                if self.state != TerminalState::AwaitWelcome {
                    self.say_hello(now);
                }
                FrameResult::Skip
            }
            Notice::TakenOver { start, attempt } | Notice::NameInUse { start, attempt }
                if !mine(start, attempt) =>
            {
                FrameResult::Skip
            }
            // The hello will never be served.
            Notice::Fault(Fault::Version | Fault::BadName) if self.state == TerminalState::AwaitWelcome => {
                self.end_session()
            }
            // It is about something that was garbled, late or there twice: what has no reply is repeated anyway.
            Notice::Fault(_) if self.config.retransmit.is_some() => FrameResult::Skip,
            Notice::Fault(_) => {
                self.host_sent_fault = true;
                FrameResult::Show
            }
            notice if notice.ends_session() => self.end_session(),
            _ => FrameResult::Show,
        }
    }

    fn end_session(&mut self) -> FrameResult {
        self.state = TerminalState::Over;
        self.stop_retransmit_timer();
        FrameResult::Show
    }

    fn handle_reply(&mut self, reply: &MessageFields, now: Instant) -> FrameResult {
        if self.state == TerminalState::Over {
            return FrameResult::Skip;
        }
        let Some(seq) = reply.seq else {
            // A host without numbers: what it says is shown, and its last prompt is open.
            if reply.ends {
                return self.end_session();
            }
            if reply.prompt {
                self.stop_retransmit_timer();
                self.state = TerminalState::PromptOpen(None);
                self.answer = None;
            }
            return FrameResult::Show;
        };
        match self.state {
            TerminalState::AwaitWelcome => match reply.welcome.filter(|welcome| self.is_own_welcome(welcome))
            {
                Some(welcome) => self.handle_welcome(welcome, seq, reply, now),
                // The greeting of a host that has not read the hello, or a reply of an earlier life.
                None => FrameResult::Skip,
            },
            TerminalState::AwaitGreeting => self.accept_reply(seq, reply),
            TerminalState::AwaitReply(Some(pending))
                if reply.re == Some(pending) && seq > self.memory.shown =>
            {
                self.accept_reply(seq, reply)
            }
            // After a fault the host asks again. Where the line loses nothing, the fault was about this answer, which is
            // void then. Without a fault it is a copy that some relay has made.
            TerminalState::AwaitReply(Some(pending)) if seq == pending && self.host_sent_fault => {
                self.accept_reply(seq, reply)
            }
            _ => FrameResult::Skip,
        }
    }

    fn is_own_welcome(&self, welcome: &Welcome) -> bool {
        let start = self.config.profile.as_ref().map_or(0, |profile| profile.start);
        welcome.start == start && welcome.attempt == self.attempt
    }

    /// The host has read the hello: what has it to say of what the terminal knows?
    fn handle_welcome(
        &mut self,
        welcome: Welcome,
        seq: u64,
        reply: &MessageFields,
        now: Instant,
    ) -> FrameResult {
        self.resume = true;
        if welcome.ledger != self.memory.ledger {
            // Numbers of another ledger say nothing about this one's.
            self.memory = Memory { ledger: welcome.ledger, shown: 0, pending: None };
            return self.accept_reply(seq, reply);
        }
        if self.memory.pending == Some(seq) && self.answer.is_some() {
            // The prompt is still open: the answer has not come. It is sent again, and no other in its place.
            self.state = TerminalState::AwaitReply(Some(seq));
            self.start_retransmit_timer(now);
            self.send();
            return FrameResult::Skip;
        }
        if seq <= self.memory.shown {
            // The prompt that was open before is open again.
            self.stop_retransmit_timer();
            self.state =
                if reply.prompt { TerminalState::PromptOpen(Some(seq)) } else { TerminalState::Over };
            return FrameResult::Skip;
        }
        self.accept_reply(seq, reply)
    }

    /// Shows a reply and opens its prompt.
    fn accept_reply(&mut self, seq: u64, reply: &MessageFields) -> FrameResult {
        self.memory.shown = self.memory.shown.max(seq);
        self.stop_retransmit_timer();
        self.memory.pending = None;
        self.answer = None;
        if reply.prompt {
            self.state = TerminalState::PromptOpen(Some(seq));
        } else if reply.ends {
            self.state = TerminalState::Over;
        }
        FrameResult::Show
    }

    fn note_link_up(&mut self, now: Instant) {
        self.last_contact = now;
        if core::mem::take(&mut self.link_down) {
            self.pending_event = Some(PendingEvent::LinkUp);
        }
    }
}
