//! The terminal's input: handles the decoded frame, and decides whether the person sees it.
use super::{HostMessage, Memory, MessageText, PendingEvent, Terminal, TerminalState};
use crate::{
    frame::Decoded,
    host::LinkKind,
    message::{Fault, Notice, Welcome},
    time::Instant,
};

/// The result of handling a frame.
pub(super) enum FrameResult {
    /// No frame is complete.
    NoFrame,
    /// The frame is not for the person.
    Skip,
    /// The frame is reported as a message.
    Show,
    /// The frame proves that the ledger was set back, and is handled once more after that was reported.
    LedgerSetBack,
    /// The frame is not a message; the stream is in step.
    Fault(Fault),
    /// The stream cannot get in step again.
    Broken(Fault),
}

/// The fields of a message that decide how it is handled. They borrow nothing from the input buffer.
struct MessageFields {
    seq: Option<u64>,
    re: Option<u64>,
    prompt: bool,
    #[cfg(feature = "cards")]
    secret: bool,
    ends: bool,
    welcome: Option<Welcome>,
    notice: Option<Notice>,
}

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// Handles the decoded frame.
    pub(super) fn handle_frame(&mut self, now: Instant) -> FrameResult {
        #[cfg(feature = "seal")]
        if self.config.key().is_some() && !self.pass(now) {
            return FrameResult::Skip;
        }
        let (decoded, body) = self.inbox.decoded();
        let numbered = self.config.wire.is_numbered();
        let message = match decoded {
            Decoded::More => return FrameResult::NoFrame,
            Decoded::Plain => return FrameResult::Show,
            // On a serial line the deadline of the frame resets the decoder.
            Decoded::Broken(fault) if self.config.link == LinkKind::Serial => {
                return FrameResult::Fault(fault);
            }
            Decoded::Broken(fault) => return FrameResult::Broken(fault),
            Decoded::Fault(fault) if self.config.wire.discards(fault) => return FrameResult::Skip,
            Decoded::Fault(fault) => return FrameResult::Fault(fault),
            Decoded::Frame => match self.config.wire.read_host(body) {
                Ok(Some(message)) => message,
                Ok(None) if numbered => return FrameResult::Skip,
                Err(fault) if numbered => return FrameResult::Fault(fault),
                // On this wire an object that is not a message is text.
                Ok(None) | Err(_) => return FrameResult::Show,
            },
        };
        let fields = MessageFields {
            seq: message.seq,
            re: message.re,
            prompt: message.prompt,
            #[cfg(feature = "cards")]
            secret: message.secret,
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
        #[cfg(feature = "cards")]
        if notice == Notice::Fault(Fault::ByCard) && self.take_offer() {
            self.say_hello(now);
            return FrameResult::Skip;
        }
        let is_own = |start, attempt| {
            self.config.profile.as_ref().is_some_and(|profile| profile.start == start)
                && self.attempt == attempt
        };
        match notice {
            _ if matches!(self.state, TerminalState::Over | TerminalState::TurnedAway) => FrameResult::Skip,
            Notice::Working { re } => {
                // The reply will come: the backoff starts again.
                self.start_retransmit_timer(now);
                if re.is_some() && re == self.memory.pending {
                    self.answered_at = now;
                }
                FrameResult::Skip
            }
            Notice::Who if self.config.profile.is_some() => {
                if !matches!(self.state, TerminalState::AwaitWelcome { .. }) {
                    self.say_hello(now);
                }
                FrameResult::Skip
            }
            Notice::TakenOver { start, attempt } | Notice::NameInUse { start, attempt }
                if !is_own(start, attempt) =>
            {
                FrameResult::Skip
            }
            // The host will never accept this hello.
            Notice::Fault(fault)
                if fault.refuses_hello() && matches!(self.state, TerminalState::AwaitWelcome { .. }) =>
            {
                self.end_session()
            }
            // The fault is about a message that was damaged, late or a duplicate; this side retransmits
            // anyway.
            Notice::Fault(_) if self.config.retransmit.is_some() => FrameResult::Skip,
            Notice::Fault(_) => {
                self.host_sent_fault = true;
                FrameResult::Show
            }
            Notice::Busy if self.config.link == LinkKind::Connection && self.is_named() => {
                self.state = TerminalState::TurnedAway;
                self.stop_retransmit_timer();
                FrameResult::Show
            }
            notice if notice.ends_session() => self.end_session(),
            _ => FrameResult::Show,
        }
    }

    fn is_named(&self) -> bool {
        self.config.profile.as_ref().is_some_and(|profile| profile.name.is_some())
    }

    /// Ends the session and shows the message.
    fn end_session(&mut self) -> FrameResult {
        self.state = TerminalState::Over;
        self.stop_retransmit_timer();
        #[cfg(feature = "cards")]
        self.wipe_session();
        FrameResult::Show
    }

    fn handle_reply(&mut self, reply: &MessageFields, now: Instant) -> FrameResult {
        if matches!(self.state, TerminalState::Over | TerminalState::TurnedAway) {
            return FrameResult::Skip;
        }
        let Some(seq) = reply.seq else {
            // A host without numbers: every message is shown, and the last prompt is open.
            if reply.ends {
                return self.end_session();
            }
            if reply.prompt {
                #[cfg(feature = "cards")]
                self.card.on_prompt(reply.secret);
                self.stop_retransmit_timer();
                self.state = TerminalState::PromptOpen(None);
                self.answer = None;
            }
            return FrameResult::Show;
        };
        match self.state {
            TerminalState::AwaitWelcome { resume } => {
                match reply.welcome.filter(|welcome| self.is_own_welcome(welcome)) {
                    Some(welcome) => self.handle_welcome(welcome, resume, seq, reply, now),
                    // A greeting from before the host read the hello, or a reply to an earlier hello.
                    None => FrameResult::Skip,
                }
            }
            TerminalState::AwaitGreeting => self.accept_reply(seq, reply),
            TerminalState::AwaitReply(Some(pending))
                if reply.re == Some(pending) && seq > self.memory.shown =>
            {
                self.accept_reply(seq, reply)
            }
            // After a fault the host sends the open prompt again. On a link that loses nothing, the fault was
            // about this answer, which had no effect. Without a fault the prompt is a duplicate made by the
            // link.
            TerminalState::AwaitReply(Some(pending)) if seq == pending && self.host_sent_fault => {
                self.accept_reply(seq, reply)
            }
            _ => FrameResult::Skip,
        }
    }

    /// Whether the welcome answers the latest hello of this life.
    fn is_own_welcome(&self, welcome: &Welcome) -> bool {
        let start = self.config.profile.as_ref().map_or(0, |profile| profile.start);
        welcome.start == start && welcome.attempt == self.attempt
    }

    /// Handles the welcome: resumes the session, or shows the first reply of a new one, after the report that
    /// the ledger was set back if the number proves that.
    fn handle_welcome(
        &mut self,
        welcome: Welcome,
        resume: bool,
        seq: u64,
        reply: &MessageFields,
        now: Instant,
    ) -> FrameResult {
        if resume && !self.resume {
            // The driver gave up after this hello: another one asks for the outcome.
            self.say_hello(now);
            return FrameResult::Skip;
        }
        self.resume = true;
        let other_ledger = welcome.ledger != self.memory.ledger;
        let shown_before = !other_ledger && seq <= self.memory.shown;
        // A host uses a number once, so it sends one that was shown before only to resume: that of the last
        // reply. A reply to the prompt `seq` has a higher number than `seq`.
        if shown_before && resume && seq == self.memory.shown && reply.re < Some(seq) {
            if self.memory.pending == Some(seq) && self.answer.is_some() {
                // The prompt is still open, so the answer was lost: it is sent again, and no other in its
                // place.
                self.state = TerminalState::AwaitReply(Some(seq));
                self.start_retransmit_timer(now);
                self.send();
            } else {
                // The reply was shown before: its prompt is open again.
                self.stop_retransmit_timer();
                self.state =
                    if reply.prompt { TerminalState::PromptOpen(Some(seq)) } else { TerminalState::Over };
            }
            return FrameResult::Skip;
        }
        if other_ledger || shown_before {
            // The stored numbers are of another ledger, or of a later state of this one.
            self.memory = Memory { ledger: welcome.ledger, shown: 0, pending: None };
        }
        if shown_before {
            // After the event the welcome is handled once more, as a greeting, and its number becomes the last
            // one shown. If the link drops before, the next hello says that nothing was shown.
            //
            // A late duplicate of a lost reply is not shown: replies are read only while an answer is pending,
            // and then only one whose `re` names its prompt. The host would have to use that prompt's number
            // again while the link still holds the duplicate.
            self.state = TerminalState::AwaitGreeting;
            return FrameResult::LedgerSetBack;
        }
        self.accept_reply(seq, reply)
    }

    /// Shows a reply and opens its prompt.
    fn accept_reply(&mut self, seq: u64, reply: &MessageFields) -> FrameResult {
        self.memory.shown = self.memory.shown.max(seq);
        self.stop_retransmit_timer();
        self.memory.pending = None;
        self.answer = None;
        #[cfg(feature = "cards")]
        self.card.on_prompt(reply.secret);
        if reply.prompt {
            self.state = TerminalState::PromptOpen(Some(seq));
        } else if reply.ends {
            self.state = TerminalState::Over;
            #[cfg(feature = "cards")]
            self.wipe_session();
        }
        FrameResult::Show
    }

    /// Restarts the timer of the link's state, because a message has come.
    fn note_link_up(&mut self, now: Instant) {
        self.last_contact = now;
        if core::mem::take(&mut self.link_down) {
            self.pending_event = Some(PendingEvent::LinkUp);
        }
    }
}

/// A message of bytes that are shown as they are.
pub(super) fn plain_message(bytes: &[u8]) -> HostMessage<'_> {
    HostMessage {
        seq: None,
        re: None,
        prompt: false,
        #[cfg(feature = "cards")]
        secret: false,
        ends: false,
        welcome: None,
        outcome: None,
        notice: None,
        text: MessageText::Plain(bytes),
    }
}
