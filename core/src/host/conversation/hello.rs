//! The handshake: what a hello gets, and how a request whose reply was lost is settled.
//!
//! A terminal that reconnects in the same life (`start` is unchanged) and asks to resume continues where it
//! was. Any other hello starts a new session at the menu. If the terminal has not shown the outcome of its
//! last request, the ledger settles it first: the outcome is looked up under its idempotency key, or the key
//! is voided, so that the operation can never be done later.
use super::{Conversation, Effect, Outstanding};
use crate::{
    ledger::{LedgerId, Origin, Outcome, Record},
    message::{Hello, Notice, Welcome},
    screen::{Screen, screens},
    session::Session,
};

/// What a hello says about the terminal's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HelloClaims {
    pub(super) ledger: Option<LedgerId>,
    shown: u64,
    pub(super) pending: Option<u64>,
}

impl Conversation {
    /// Handles a hello of the terminal that this conversation is with.
    pub(crate) fn handle_hello(&mut self, hello: &Hello) -> Effect {
        let (start, attempt) = (hello.start, hello.attempt);
        let before = self.epoch;
        if before == Some((start, attempt)) {
            // A duplicate of the hello gets the same reply.
            return if self.is_busy() {
                Effect::SendNotice(self.working_notice())
            } else {
                self.resend_with_welcome()
            };
        }
        if !self.admits(hello) && matches!(self.origin, Origin::Terminal(_)) {
            return Effect::SendNotice(Notice::NameInUse { start, attempt });
        }
        self.epoch = Some((start, attempt));
        let same_life = before.is_some_and(|(life, _)| life == start);
        if hello.resume && same_life && self.unserved_hello.is_none() && self.can_resume(hello) {
            return if self.is_busy() {
                self.welcome_due = true;
                Effect::SendNotice(self.working_notice())
            } else {
                self.resend_with_welcome()
            };
        }
        if self.is_busy() {
            // The hello is served when the outstanding request is done.
            self.unserved_hello = Some(claims(hello));
            return Effect::SendNotice(self.working_notice());
        }
        self.serve_hello(hello)
    }

    /// Whether the terminal can continue its session: it lacks no reply, or only the last one.
    fn can_resume(&self, hello: &Hello) -> bool {
        if hello.ledger != self.ledger {
            return false;
        }
        let Some(last) = &self.last_reply else { return hello.pending.is_none() };
        match hello.pending {
            // It waits for no reply. One that it has not shown answered an earlier hello, and may have the
            // outcome of an answer whose reply it has shown since.
            None => last.seq <= hello.shown,
            // Its answer was lost: the prompt is still open, and the terminal retransmits.
            Some(pending) if pending == last.seq => true,
            // The reply to its answer was lost.
            Some(pending) => last.re == Some(pending) && hello.shown < last.seq,
        }
    }

    /// Sends the last reply again, as the answer to the latest hello.
    fn resend_with_welcome(&mut self) -> Effect {
        let welcome = self.welcome();
        match &mut self.last_reply {
            Some(last) => {
                last.welcome = welcome;
                Effect::SendReply
            }
            None => Effect::Nothing,
        }
    }

    pub(super) fn welcome(&self) -> Option<Welcome> {
        self.epoch.map(|(start, attempt)| Welcome { ledger: self.ledger, start, attempt })
    }

    /// Starts a new session at the menu, after the outcome of the terminal's last request if it was never
    /// shown.
    pub(crate) fn serve_hello(&mut self, hello: &Hello) -> Effect {
        self.unserved_hello = Some(claims(hello));
        self.restart()
    }

    /// Starts the session that `unserved_hello` asks for.
    pub(super) fn restart(&mut self) -> Effect {
        self.session = Session::Menu;
        self.last_answer = None;
        self.welcome_due = true;
        match &self.origin {
            Origin::Terminal(_) => self.emit_request(Outstanding::Open),
            Origin::Session(_) => {
                let claims = self.unserved_hello.take();
                // A restarted host numbers from 1 again, and the terminal ignores numbers that it has already
                // shown.
                let shown = claims.map_or(0, |claims| claims.shown);
                self.numbers = self.numbers.above(shown);
                let pending = claims.and_then(|claims| claims.pending);
                self.reply_with(
                    pending,
                    match pending {
                        Some(_) => screens([Screen::Outcome(Outcome::Unknown), Screen::Menu]),
                        None => screens([Screen::Menu]),
                    },
                )
            }
        }
    }

    /// Answers a hello with what the terminal does not know yet: the outcome of its last request, or the menu
    /// alone.
    pub(super) fn handle_opened(&mut self, ledger: LedgerId, last: Option<Record>) -> Effect {
        let Some(claims) = self.unserved_hello else { return self.reply_with(None, screens([Screen::Menu])) };
        if claims.ledger != Some(ledger) {
            // The terminal's numbers are of another ledger: only that one knows the outcome of its request.
            return match claims.pending {
                Some(pending) => self.reply_with_outcome(pending, Outcome::Unknown),
                None => self.reply_with(None, screens([Screen::Menu])),
            };
        }
        match (claims.pending, last) {
            // This ledger has not reserved that number, so it has no operation under it; and a void would be
            // above every id to come, so that all of them would be refused.
            (Some(id), _) if !self.numbers.are_above(id) => self.reply_with_outcome(id, Outcome::Unknown),
            (Some(id), _) => self.emit_request(Outstanding::Settle { id }),
            // A reply has a higher number than the answer it follows, so the reply with this outcome was
            // never shown.
            (_, Some(Record { id, outcome, .. })) if id >= claims.shown => {
                self.reply_with_outcome(id, outcome)
            }
            _ => self.reply_with(None, screens([Screen::Menu])),
        }
    }

    /// The menu after the outcome of an earlier request.
    pub(super) fn reply_with_outcome(&mut self, id: u64, outcome: Outcome) -> Effect {
        self.reply_with(Some(id), screens([Screen::EarlierRequest, Screen::Outcome(outcome), Screen::Menu]))
    }
}

fn claims(hello: &Hello) -> HelloClaims {
    HelloClaims { ledger: hello.ledger, shown: hello.shown, pending: hello.pending }
}
